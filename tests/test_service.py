"""The service around a model that is none: who leaves, who sends too much, who has no token, and what fails."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest

from replicate.common.errors import UserError
from replicate.inference.predict import Labeller, NoAnswer, Prediction
from replicate.serving.memory import LARGE, SMALL, NoRoom, Room
from replicate.serving.microbatch import Microbatcher
from replicate.serving.service import Facts, Metrics, create_app
from replicate.serving.token import VARIABLE, TokenGuard, read_token

SECONDS = 20
TOKEN = "0123456789abcdef-XYZ"

# What a model says that has no answer.
NO_NUMBER = "the model's answer is not a number"


@dataclass
class Model:
    """Labels every text with `x` while its gate is open; `nan` has no answer."""

    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    calls: list[list[str]] = field(default_factory=list)

    def batches(self, texts: Sequence[str]) -> Iterator[list[tuple[int, Prediction]]]:
        """As a model does."""
        self.calls.append(list(texts))
        self.entered.set()
        assert self.gate.wait(SECONDS)
        if "nan" in texts:
            raise NoAnswer(NO_NUMBER)
        if "lost" in texts:
            raise UserError("no such file", path="/home/secret")
        yield [(index, Prediction(text, "x", 0.5)) for index, text in enumerate(texts)]


App = Callable[..., Awaitable[None]]


def served(
    use: Callable[[httpx.AsyncClient, Microbatcher[Any], Model, App], Awaitable[None]],
    room: Room | None = None,
    token: str | None = None,
) -> Metrics:
    """Use the application in this process; a batch has two texts."""
    model, metrics = Model(), Metrics()
    model.gate.set()
    batcher: Microbatcher[Any] = Microbatcher(lambda: model, 2, 0.0, 64)
    batcher.start()
    app: Any = create_app(batcher, Facts("digest", 2, "dygraph", "fp32", 48), metrics, 1 << 20, room)
    if token:
        app = TokenGuard(app, token)

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
            await use(client, batcher, model, app)

    try:
        asyncio.run(run())
    finally:
        model.gate.set()
        assert batcher.close(SECONDS) == 0
    return metrics


async def call(app: App, body: bytes, leave: asyncio.Event) -> list[Any]:
    """Ask as uvicorn would for a client that leaves when it is told to; what was sent back."""
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "raw_path": b"/predict",
        "query_string": b"",
        "headers": [],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("test", 80),
        "client": ("test", 1),
        "root_path": "",
    }
    await app(scope, receive, send)
    return sent


def test_who_leaves_is_not_computed() -> None:
    """The texts of a client that has gone are dropped, and their room in the queue is free at once."""

    async def use(client: httpx.AsyncClient, batcher: Microbatcher[Any], model: Model, app: App) -> None:
        model.gate.clear()
        first = asyncio.create_task(client.post("/predict", json={"text": "a"}))
        await asyncio.to_thread(model.entered.wait, SECONDS)
        leave = asyncio.Event()
        body = json.dumps({"texts": ["b"] * 50}).encode()
        left = asyncio.create_task(call(app, body, leave))
        while batcher.pending < 51:
            await asyncio.sleep(0.001)
        leave.set()
        assert (await asyncio.wait_for(left, SECONDS))[0]["status"] == 400
        assert batcher.pending == 1
        model.gate.set()
        assert (await first).status_code == 200
        assert model.calls == [["a"]]

    served(use)


def test_no_number_is_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """The client is told so with 500, the log has one line, and others in the same batch have their answer."""

    async def use(client: httpx.AsyncClient, batcher: Microbatcher[Any], model: Model, app: App) -> None:
        model.gate.clear()
        first = asyncio.create_task(client.post("/predict", json={"text": "a"}))
        await asyncio.to_thread(model.entered.wait, SECONDS)
        bad = asyncio.create_task(client.post("/predict", json={"text": "nan"}))
        good = asyncio.create_task(client.post("/predict", json={"text": "b"}))
        while batcher.pending < 3:
            await asyncio.sleep(0.001)
        model.gate.set()
        assert [(await one).status_code for one in (first, bad, good)] == [200, 500, 200]
        assert (await bad).json() == {"detail": NO_NUMBER}
        assert ["nan", "b"] in model.calls

    served(use)
    assert capsys.readouterr().err == f"replicate: {NO_NUMBER}\n"


def test_a_path_is_for_the_log_only(capsys: pytest.CaptureFixture[str]) -> None:
    """What fails with one line of ours is one line in the log; the client does not learn where things lie."""

    async def use(client: httpx.AsyncClient, batcher: Microbatcher[Any], model: Model, app: App) -> None:
        failed = await client.post("/predict", json={"text": "lost"})
        assert failed.status_code == 500
        assert "log" in failed.json()["detail"]

    served(use)
    assert capsys.readouterr().err == "replicate: /home/secret: no such file\n"


@pytest.mark.parametrize("logits", [[[0.0, np.nan]], [[np.inf, 0.0]], [[-np.inf, 0.0]], [[0.0]], [0.0, 0.0], []])
def test_logits_must_be_numbers_for_labels(logits: list[Any]) -> None:
    """NaN, infinities and another number of them than there are labels are refused where they come from."""
    tokenizer = SimpleNamespace(
        cls_token_id=1,
        sep_token_id=2,
        pad_token_id=0,
        unk_token="[UNK]",
        tokenize=list,
        convert_tokens_to_ids=lambda t: [3],
    )
    runtime: Any = SimpleNamespace(
        tokenizer=tokenizer, labels=("a", "b"), positions=128, logits=lambda ids: np.asarray(logits, dtype=np.float32)
    )
    with pytest.raises(NoAnswer, match=r"^the model's answer (is not a number|has the shape)"):
        Labeller(runtime).label(["text"])


def test_large_requests_have_a_room() -> None:
    """What large bodies hold is bounded, small ones need no room, and all of it is free in the end."""
    room = Room(300_000)

    async def use(client: httpx.AsyncClient, batcher: Microbatcher[Any], model: Model, app: App) -> None:
        model.gate.clear()
        asked = [asyncio.create_task(client.post("/predict", json={"text": "a" * 200_000})) for _ in range(3)]
        while not any(one.done() for one in asked):
            await asyncio.sleep(0.001)
        small = asyncio.create_task(client.post("/predict", json={"text": "a" * 1000}))
        while batcher.pending < 3:
            await asyncio.sleep(0.001)
        assert 250_000 < room.used <= 300_000
        model.gate.set()
        answers = [await one for one in asked]
        assert sorted(one.status_code for one in answers) == [200, 200, 503]
        (refused,) = (one for one in answers if one.status_code == 503)
        assert "too many" in refused.json()["detail"]
        assert refused.headers["Retry-After"] == "1"
        assert (await small).status_code == 200

    assert not room.freed
    served(use, room)
    assert (room.used, room.freed) == (0, True)


def test_room_is_counted() -> None:
    """What is refused holds nothing."""
    room = Room()
    room.take(LARGE)
    with pytest.raises(NoRoom):
        room.take(1)
    room.give(LARGE)
    assert room.used == 0
    assert SMALL < LARGE


def test_probes() -> None:
    """It lives as long as its thread does, and is ready until it stops; `/health` says the same as `/ready`."""

    async def use(client: httpx.AsyncClient, batcher: Microbatcher[Any], model: Model, app: App) -> None:
        async def statuses() -> list[int]:
            return [(await client.get(path)).status_code for path in ("/live", "/ready", "/health")]

        assert await statuses() == [200, 200, 200]
        assert (await client.get("/live")).json() == {"live": True}
        assert (await client.get("/ready")).json() == {"ready": True}

        async def stopping(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "state": {"stopping": True}}, receive, send)

        transport = httpx.ASGITransport(app=stopping)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as other:
            found = [(await other.get(path)).status_code for path in ("/live", "/ready", "/health")]
        assert found == [200, 503, 503]
        batcher.close(SECONDS)
        assert await statuses() == [503, 503, 503]

    served(use)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", TOKEN)],
        [("Authorization", f"Basic {TOKEN}")],
        [("Authorization", f"Bearer {TOKEN[:-1]}")],
        [("Authorization", f"Bearer {TOKEN}x")],
        [("Authorization", "Bearer \xff")],
        [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")],
        [("X-Authorization", f"Bearer {TOKEN}")],
    ],
)
def test_without_the_token_only_probes_are_answered(headers: list[tuple[str, str]]) -> None:
    """401 with what is wanted, and nothing of the request is read; `/live` and `/ready` need none."""
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers]

    async def use(client: httpx.AsyncClient, batcher: Microbatcher[Any], model: Model, app: App) -> None:
        for method, path in (("POST", "/predict"), ("GET", "/health"), ("GET", "/metrics"), ("GET", "/openapi.json")):
            refused = await client.request(method, path, headers=sent)
            assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert "token" in refused.json()["detail"]
        for path in ("/live", "/ready"):
            assert (await client.get(path, headers=sent)).status_code == 200
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert (await client.post("/predict", json={"text": "a"}, headers=right)).status_code == 200
        assert (await client.get("/health", headers=right)).status_code == 200

    served(use, token=TOKEN)


def test_where_the_token_is_read(tmp_path: Path) -> None:
    """From a file, or else the variable; what is none, or too short to be one, is refused in one line."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n", encoding="ascii")
    assert read_token(file, {}) == TOKEN
    assert read_token(file, {VARIABLE: "other-0123456789abcdef"}) == TOKEN
    assert read_token(None, {VARIABLE: TOKEN}) == TOKEN
    assert read_token(None, {}) is None
    for bad in ("", "short", "with a space in it", "x" * 300, "zeile\nzweite-zeile-lang", "甲" * 16):
        with pytest.raises(UserError, match=f"^{VARIABLE}: not a token; it must be"):
            read_token(None, {VARIABLE: bad})
        file.write_text(bad, encoding="utf-8")
        with pytest.raises(UserError, match="not a token; it must be") as caught:
            read_token(file, {})
        # A secret that is nearly right must not stand in a log.
        assert not bad or bad not in str(caught.value)
    with pytest.raises(UserError, match="can't be read"):
        read_token(tmp_path / "none", {})
