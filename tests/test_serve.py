"""The service: in a process of its own under many clients until it is stopped, and its rules one by one."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from replicate.commands.main import main
from replicate.commands.serve import weights_digest
from replicate.corpus.formats import Dataset
from replicate.inference.predict import Labeller, Prediction
from replicate.inference.runtime import open_runtime
from replicate.serving.microbatch import Microbatcher
from replicate.serving.service import Facts, Metrics, create_app
from tests.load import Service, load, service
from tests.tiny import Made

LENGTH = 48
BODY = 4096
QUEUE = 64


@pytest.fixture(scope="module")
def served(finetuned: Made) -> Iterator[Service]:
    """The service that the tests of this module share; the last of them stops it."""
    options = f"--max_seq_length {LENGTH} --max_body {BODY} --queue {QUEUE} --max_batch 8 --max_wait_ms 5".split()
    with service(finetuned.folder, *options, OMP_NUM_THREADS="1") as running:
        yield running


@pytest.fixture(scope="module")
def labeller(finetuned: Made) -> Labeller:
    """The model in this process."""
    return Labeller(open_runtime(finetuned.folder), LENGTH)


@pytest.fixture(scope="module")
def expected(labeller: Labeller, dataset: Dataset) -> dict[str, Prediction]:
    """What the model says of each dev text."""
    return {one.text: one for one in labeller.label(dataset.dev.texts)}


def check(asked: tuple[str, ...], answers: list[dict[str, object]], expected: dict[str, Prediction]) -> None:
    """Every text of a request has the answer that `predict` gives it, in order."""
    assert [one["text"] for one in answers] == list(asked)
    for one in answers:
        prediction = expected[str(one["text"])]
        assert one["label"] == prediction.label
        # Four decimals, of which the last may turn with the texts that were computed together.
        assert one["probability"] == pytest.approx(prediction.probability, abs=2e-4)
        assert one["truncated"] is False


def figures(text: str) -> dict[tuple[str, ...], float]:
    """The metrics of a page, by name and label values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_health(served: Service, finetuned: Made, dataset: Dataset) -> None:
    """It says what answers, with the digest that the training summary has of the weights."""
    assert httpx.get(f"{served.url}/health").json() == {
        "ready": True,
        "model": finetuned.summary["weights"],
        "labels": len(dataset.labels),
        "runtime": "dygraph",
        "precision": "fp32",
        "max_seq_length": LENGTH,
    }
    assert weights_digest(finetuned.folder) == finetuned.summary["weights"]


def test_many_clients_get_what_predict_says(served: Service, dataset: Dataset, expected: dict[str, Prediction]) -> None:
    """Concurrent requests of one and of several texts are answered as `predict` would, and share batches."""
    before = figures(httpx.get(f"{served.url}/metrics").text)
    for together in (1, 3):
        done = load(served.url, dataset.dev.texts, clients=12, requests=60, together=together, fresh=4)
        assert (len(done.answers), done.statuses, done.lost, done.refused) == (60, [], [], 0)
        for asked, answers in done.answers:
            check(asked, answers, expected)
    after = figures(httpx.get(f"{served.url}/metrics").text)

    def grown(*key: str) -> float:
        return after.get(key, 0) - before.get(key, 0)

    assert grown("replicate_requests_total", "200") == 120
    assert grown("replicate_request_seconds_count") == 120
    assert grown("replicate_batch_texts_sum") == 60 + 3 * 60
    assert grown("replicate_batch_texts_count") < 120
    assert after[("replicate_queue_texts",)] == 0


def test_one_text(served: Service, expected: dict[str, Prediction], dataset: Dataset) -> None:
    """A single text needs no list; an empty one has no label, a long one says that it was cut."""
    text = dataset.dev.texts[0]
    found = httpx.post(f"{served.url}/predict", json={"text": text}).json()
    check((text,), found["predictions"], expected)
    empty, long = httpx.post(f"{served.url}/predict", json={"texts": [" ", "病" * 100]}).json()["predictions"]
    assert empty == {"text": " ", "label": None, "probability": None, "truncated": False}
    assert (long["text"], long["truncated"]) == ("病" * 100, True)
    assert httpx.post(f"{served.url}/predict", json={"texts": []}).json()["predictions"] == []


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 422, "Invalid JSON: EOF"),
        (b"{", 422, "Invalid JSON"),
        (b"\xff", 422, "Invalid JSON"),
        (b'{"text": "\\ud800"}', 422, "Invalid JSON"),
        (b"[" * 2000, 422, "Invalid JSON"),
        (b"[]", 422, "Input should be an object"),
        (b"{}", 422, 'give either "text" or "texts"'),
        (b'{"text": "a", "texts": ["a"]}', 422, 'give either "text" or "texts"'),
        (b'{"texts": "a"}', 422, "texts: Input should be a valid array"),
        (b'{"texts": ["a", 7]}', 422, "texts.1: Input should be a valid string"),
        (b'{"txt": "a"}', 422, "txt: Extra inputs are not permitted"),
        (json.dumps({"texts": ["a"] * (QUEUE + 1)}).encode(), 413, "65 texts in one request; at most 64"),
        (b" " * (BODY + 1), 413, f"the body has more than {BODY} bytes"),
        ([b" " * 1000] * 5, 413, f"the body has more than {BODY} bytes"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(served: Service, body: bytes | list[bytes], status: int, words: str) -> None:
    """Bodies that are no question, or too much of one, also in chunks that declare no length."""
    content = body if isinstance(body, bytes) else iter(body)
    response = httpx.post(f"{served.url}/predict", content=content)
    assert response.status_code == status
    assert words in response.json()["detail"]
    assert "\n" not in response.json()["detail"]


def test_other_addresses(served: Service) -> None:
    """No page but those five and the schema; /predict is asked by POST."""
    assert httpx.get(f"{served.url}/").status_code == 404
    assert httpx.get(f"{served.url}/docs").status_code == 404
    assert httpx.get(f"{served.url}/predict").status_code == 405
    schema = httpx.get(f"{served.url}/openapi.json").json()
    assert set(schema["paths"]) == {"/predict", "/health", "/live", "/ready", "/metrics"}


def test_no_accepted_request_is_lost_when_it_is_stopped(
    served: Service, dataset: Dataset, expected: dict[str, Prediction]
) -> None:
    """SIGTERM under load: whoever had a connection gets a right answer, then nobody is let in, and it ends with 0."""

    def stop(answered: int) -> None:
        if answered == 100:
            served.process.send_signal(signal.SIGTERM)

    done = load(served.url, dataset.dev.texts, clients=24, requests=100_000, fresh=12, on_answer=stop)
    assert done.lost == []
    assert done.statuses == []
    assert len(done.answers) >= 100
    # Every client went on until it was refused.
    assert done.refused == 24
    for asked, answers in done.answers:
        check(asked, answers, expected)
    output, told = served.process.communicate(timeout=20)
    assert (served.process.returncode, output, told) == (0, "", "")


def asked(labeller: Labeller, use: Callable[[httpx.AsyncClient, Microbatcher[Labeller]], Awaitable[None]]) -> None:
    """Use the application in this process, with a queue of four texts that waits for all of them."""
    metrics = Metrics()
    batcher = Microbatcher(lambda: labeller, 32, 60.0, 4, metrics.batches.observe)
    batcher.start()
    app = create_app(batcher, Facts("digest", 2, "dygraph", "fp32", LENGTH), metrics, BODY)

    async def run() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await use(client, batcher)

    try:
        asyncio.run(run())
    finally:
        assert batcher.close(20) == 0


def test_full_queue(labeller: Labeller) -> None:
    """What has no room is told when to come again, and loses nobody else's place."""

    async def use(client: httpx.AsyncClient, batcher: Microbatcher[Labeller]) -> None:
        first = asyncio.create_task(client.post("/predict", json={"texts": ["胃疼", "头疼", "牙疼"]}))
        while batcher.pending < 3:
            await asyncio.sleep(0.001)
        assert figures((await client.get("/metrics")).text)[("replicate_queue_texts",)] == 3
        refused = await client.post("/predict", json={"texts": ["胃疼", "头疼"]})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert "queue" in refused.json()["detail"]
        second = await client.post("/predict", json={"text": "胃疼"})
        assert (second.status_code, (await first).status_code) == (200, 200)
        assert len((await first).json()["predictions"]) == 3
        counted = figures((await client.get("/metrics")).text)
        assert counted[("replicate_requests_total", "503")] == 1
        assert counted[("replicate_requests_total", "200")] == 2
        assert counted[("replicate_batch_texts_count",)] == 1

    asked(labeller, use)


def test_stopping_is_told(labeller: Labeller) -> None:
    """Once closed it is not ready, and takes nothing."""

    async def use(client: httpx.AsyncClient, batcher: Microbatcher[Labeller]) -> None:
        batcher.close(20)
        health = await client.get("/health")
        assert (health.status_code, health.json()["ready"]) == (503, False)
        refused = await client.post("/predict", json={"text": "胃疼"})
        assert (refused.status_code, refused.json()) == (503, {"detail": "the service stops"})

    asked(labeller, use)


def test_a_model_that_fails(labeller: Labeller, capsys: pytest.CaptureFixture[str]) -> None:
    """The client is told in one line, the log has the rest, and the service lives."""

    def fail(ids: object) -> NDArray[np.float32]:
        raise RuntimeError("out of order")

    async def use(client: httpx.AsyncClient, batcher: Microbatcher[Labeller]) -> None:
        failed = await client.post("/predict", json={"texts": ["胃疼"] * 4})
        assert failed.status_code == 500
        assert set(failed.json()) == {"detail"}
        assert "out of order" not in failed.text
        assert "log" in failed.json()["detail"]
        assert batcher.pending == 0
        assert (await client.get("/health")).status_code == 200

    broken = replace(labeller, runtime=replace(labeller.runtime, logits=fail))
    asked(broken, use)
    assert "RuntimeError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--queue 0", "queue is 0; it must be above 0"),
        ("--threads -1", "threads is -1; it must be above 0"),
        ("--max_wait_ms -1", "max_wait_ms is -1.0; it must not be below 0"),
        ("--max_seq_length 2", "max_seq_length is 2; this net takes 3 to 128 tokens"),
        ("--port 70000", "port is 70000"),
        ("--host 203.0.113.1", r"can't listen on 203\.0\.113\.1 port 0"),
    ],
)
def test_bad_options_are_one_line(
    options: str, words: str, finetuned: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 before anything is served."""
    assert main(["serve", str(finetuned.folder), "--port", "0", *options.split()]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert re.search(words, told.err)
    assert told.err.count("\n") == 1


def test_a_folder_that_is_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It does not start."""
    assert main(["serve", str(tmp_path / "none"), "--port", "0"]) == 2
    assert "no such model" in capsys.readouterr().err
