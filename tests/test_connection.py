"""No client is waited for without an end, none takes a connection that another needs, and the operator is told."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from replicate.common.errors import UserError
from replicate.serving.connection import Limits
from replicate.serving.listener import Listener, bind, fitting
from replicate.serving.log import Log
from tests.asgi import REQUEST, App, ask, hello

SECONDS = 0.3
POST = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n"


@dataclass
class Reader:
    """Answers with what it was sent, and counts those who left before the end."""

    left: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGI calls it."""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left += 1
                return
            more = message["more_body"]
        await hello(scope, receive, send)


def served(
    use: Callable[[Listener, tuple[str, int]], Awaitable[None]],
    app: App = hello,
    connections: int = 100,
    seconds: float = SECONDS,
) -> None:
    """Use a listener with short limits, in this process, and stop it."""

    async def run() -> None:
        with bind("127.0.0.1", 0) as bound:
            ready = asyncio.Event()
            listener = Listener(app, ready.set, 5, Limits(seconds, connections))
            task = asyncio.create_task(listener._serve([bound]))
            await asyncio.wait_for(ready.wait(), 10)
            await use(listener, bound.getsockname())
            listener.should_exit = True
            await asyncio.wait_for(task, 20)

    asyncio.run(run())


async def end(reader: asyncio.StreamReader) -> bytes:
    """Everything until the connection is closed."""
    return await asyncio.wait_for(reader.read(), 20 * SECONDS)


@pytest.mark.parametrize(
    ("sent", "slowly", "answer"),
    [
        (b"", b"", b""),
        (b"GET / HTTP/1.1\r\nHost: te", b"", b"HTTP/1.1 408 "),
        (b"GET / HTTP/1.1\r\nX-Slow: ", b"a", b"HTTP/1.1 408 "),
        (POST + b"123", b"", b"HTTP/1.1 408 "),
        (POST.replace(b"10", b"1000"), b"a", b"HTTP/1.1 408 "),
        (REQUEST + b"GET / HT", b"", b"HTTP/1.1 200 "),
    ],
)
def test_what_does_not_come_is_not_waited_for(sent: bytes, slowly: bytes, answer: bytes) -> None:
    """A head or a body that is late is refused and closed, also where it comes byte by byte."""
    app = Reader()

    async def use(listener: Listener, address: tuple[str, int]) -> None:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(sent)
        started = time.monotonic()

        async def drip() -> None:
            while slowly:
                await asyncio.sleep(SECONDS / 10)
                writer.write(slowly)

        dripping = asyncio.create_task(drip())
        found = await end(reader)
        dripping.cancel()
        assert SECONDS * 0.9 < time.monotonic() - started < SECONDS * 10
        assert found.startswith(answer)
        assert found.endswith(b"the request did not come in time") == (sent != b"")
        await asyncio.sleep(0.05)
        assert not listener.server_state.connections
        assert not listener.server_state.tasks
        writer.close()

    served(use, app)
    assert app.left == int(b"POST" in sent)


def test_answers_that_are_not_taken() -> None:
    """Who asks and asks and takes no answer loses the connection; nothing of it stays."""

    async def large(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):
            await send({"type": "http.response.body", "body": b" " * 100_000, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def use(listener: Listener, address: tuple[str, int]) -> None:
        with closing(socket.create_connection(address)) as client:
            client.sendall(REQUEST)
            await asyncio.sleep(SECONDS / 10)
            assert listener.server_state.connections
            await asyncio.sleep(SECONDS * 3)
            assert not listener.server_state.connections
            assert not listener.server_state.tasks

    served(use, large)


def test_the_one_that_waited_longest_makes_room(capsys: pytest.CaptureFixture[str]) -> None:
    """With room for three, the oldest of those who say nothing goes; who is being answered stays."""

    async def use(listener: Listener, address: tuple[str, int]) -> None:
        streams = [await asyncio.open_connection(*address) for _ in range(2)]
        busy = await asyncio.open_connection(*address)
        asked = asyncio.create_task(ask(*busy))
        await asyncio.sleep(0.01)
        fourth = await asyncio.open_connection(*address)
        assert b"200" in await ask(*fourth)
        assert b"200" in await asked
        # Long before silence alone would have closed it.
        assert await asyncio.wait_for(streams[0][0].read(), 5) == b""
        assert b"200" in await ask(*streams[1])
        for _, writer in (*streams, busy, fourth):
            writer.close()

    served(use, connections=3, seconds=60)
    (line,) = capsys.readouterr().err.splitlines()
    assert "too many connections" in line


def test_where_all_are_answered_a_new_one_is_refused() -> None:
    """Nobody who is being answered is sent away; the new one is told when to come again."""
    refusing = asyncio.Event()

    async def held(scope: Any, receive: Any, send: Any) -> None:
        await refusing.wait()
        await hello(scope, receive, send)

    async def use(listener: Listener, address: tuple[str, int]) -> None:
        streams = [await asyncio.open_connection(*address) for _ in range(3)]
        asked = [asyncio.create_task(ask(*stream)) for stream in streams]
        while len(listener.server_state.tasks) < len(asked):
            await asyncio.sleep(0.001)
        reader, writer = await asyncio.open_connection(*address)
        refused = (await end(reader)).lower()
        refusing.set()
        assert refused.startswith(b"http/1.1 503 ")
        assert b"retry-after: 1" in refused
        assert all(b"200" in head for head in await asyncio.gather(*asked))
        for _, other in (*streams, (reader, writer)):
            other.close()

    served(use, held, connections=3, seconds=60)


def test_nonsense_after_a_request(capfd: pytest.CaptureFixture[str]) -> None:
    """What is no HTTP ends its connection, also while an answer is under way, and is no failure of ours."""

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(SECONDS)
        await send({"type": "http.response.body", "body": b"hello"})

    async def use(listener: Listener, address: tuple[str, int]) -> None:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"\x00\x01nonsense\r\n\r\n")
        assert (await end(reader)).startswith(b"HTTP/1.1 400 ")
        writer.close()
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        await asyncio.sleep(SECONDS / 3)
        writer.write(b"nonsense\r\n")
        assert (await end(reader)).startswith(b"HTTP/1.1 200 ")
        writer.close()
        await asyncio.sleep(SECONDS)
        assert not listener.server_state.connections

    served(use, slow)
    assert "Traceback" not in capfd.readouterr().err


def test_connections_fit_the_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of few file descriptors some are left for files; with none to spare it does not start."""
    for limit, wanted in ((100_000, 512), (1024, 512), (200, 512), (60, 512)):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, limit=limit: (limit, limit))
        allowed, burst, backlog = fitting(wanted)
        assert 1 <= allowed <= wanted
        assert 1 <= burst <= backlog
        # Those that are open, those that are taken at once or wait, and what else is open in this process.
        assert allowed + backlog <= limit - 16
    assert fitting(4)[0] == 4
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (10, 10))
    with pytest.raises(UserError, match=r"too few file descriptors are left to serve; raise `ulimit -n`"):
        fitting(512)


def test_log_counts_what_repeats(capsys: pytest.CaptureFixture[str]) -> None:
    """The first line at once, the others as a number, whatever else is told meanwhile."""
    log = Log(60)
    for _ in range(1000):
        log.tell("rain")
    log.tell("snow\nfalls")
    assert capsys.readouterr().err == "replicate: rain\nreplicate: snow falls\n"
    log.flush()
    assert capsys.readouterr().err == "replicate: rain (999 times more)\n"
