"""A stop loses nobody: who is connected is answered, who comes later is refused, and signals end nothing early."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from typing import Any

import pytest

from replicate.common.errors import UserError
from replicate.serving.listener import Listener, accepted, address_of, bind
from tests.asgi import REQUEST, App, ask, hello


async def forever(scope: Any, receive: Any, send: Any) -> None:
    """Never answers."""
    await asyncio.sleep(3600)


async def serving(app: App, bound: socket.socket, drain: float = 5) -> tuple[Listener, asyncio.Task[None]]:
    """A listener that is ready, in this event loop."""
    ready = asyncio.Event()
    listener = Listener(app, ready.set, drain)
    # Its main loop without `serve`, which would take the signals of the test run.
    task = asyncio.create_task(listener._serve([bound]))
    await asyncio.wait_for(ready.wait(), 10)
    return listener, task


def test_open_connections_are_answered_and_told_to_close() -> None:
    """After the stop an idle connection may ask once more, a new one is refused."""

    async def run() -> None:
        with bind("127.0.0.1", 0) as bound:
            port = bound.getsockname()[1]
            listener, task = await serving(hello, bound)
            streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            assert b"connection: close" not in await ask(*streams[0])
            # The second is being answered when it stops, the first and the third ask afterwards.
            busy = asyncio.create_task(ask(*streams[1]))
            await asyncio.sleep(0.01)
            listener.should_exit = True
            while listener.servers[0].is_serving():
                await asyncio.sleep(0.001)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            heads = await asyncio.gather(busy, ask(*streams[0]), ask(*streams[2]))
            assert all(b"connection: close" in head for head in heads)
            for reader, writer in streams:
                assert await reader.read() == b""
                writer.close()
            await asyncio.wait_for(task, 10)

    asyncio.run(run())


def test_who_asks_late_after_the_stop_is_answered() -> None:
    """An open connection may ask for as long after the stop as it might have without it, and is told to close."""

    async def run() -> None:
        with bind("127.0.0.1", 0) as bound:
            listener, task = await serving(hello, bound)
            streams = [await asyncio.open_connection(*bound.getsockname()) for _ in range(3)]
            await asyncio.gather(*(ask(*stream) for stream in streams))
            listener.should_exit = True
            for (reader, writer), pause in zip(streams, (1.5, 1.0, 1.5), strict=True):
                await asyncio.sleep(pause)
                assert b"connection: close" in await ask(reader, writer)
                assert await reader.read() == b""
                writer.close()
            # With nobody left it ends at once.
            await asyncio.wait_for(task, 2)

    asyncio.run(run())


def test_connections_in_the_queue_of_the_kernel_are_served() -> None:
    """Who connected before the stop, and was not taken yet, is answered too."""

    async def run() -> None:
        with bind("127.0.0.1", 0) as bound:
            listener, task = await serving(hello, bound)
            # From here to the stop the event loop does not run, so the listener can't take them.
            clients = [socket.create_connection(bound.getsockname()) for _ in range(5)]
            for client in clients:
                client.sendall(REQUEST)
                client.setblocking(False)
            await asyncio.wait_for(listener.shutdown([bound]), 10)
            for client in clients:
                assert client.recv(1000).endswith(b"hello")
                client.close()
            task.cancel()

    asyncio.run(run())


def test_the_drain_ends() -> None:
    """A request that takes for ever is broken off after the time for draining."""

    async def run() -> None:
        with bind("127.0.0.1", 0) as bound:
            listener, task = await serving(forever, bound, drain=1)
            reader, writer = await asyncio.open_connection(*bound.getsockname())
            writer.write(REQUEST)
            await asyncio.sleep(0.01)
            listener.should_exit = True
            await asyncio.wait_for(task, 10)
            assert b" 500 " in await reader.read()
            writer.close()

    asyncio.run(run())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_it_and_nothing_else(number: signal.Signals) -> None:
    """The signal ends the serving, not the process, and its handler is again what it was."""
    before = signal.getsignal(number)
    with bind("127.0.0.1", 0) as bound:
        listener = Listener(hello, lambda: threading.Timer(0.05, os.kill, (os.getpid(), number)).start(), drain=5)
        listener.run([bound])
    assert signal.getsignal(number) == before


def test_addresses() -> None:
    """A free port is found and named; a taken one and a host that is none are refused in one line."""
    with bind("127.0.0.1", 0) as bound:
        assert address_of(bound) == f"http://127.0.0.1:{bound.getsockname()[1]}"
        bound.listen()
        bound.setblocking(False)
        assert accepted(bound) == []
        with pytest.raises(UserError, match=r"can't listen on 127\.0\.0\.1 port \d+ \(Address already in use\)"):
            bind("127.0.0.1", bound.getsockname()[1])
    with pytest.raises(UserError, match="can't listen on not a host port 80"):
        bind("not a host", 80)
    with pytest.raises(UserError, match="port is 70000; it must be between 0 and 65535"):
        bind("127.0.0.1", 70000)
