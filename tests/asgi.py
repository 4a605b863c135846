"""A tiny application for a listener, and a client that asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
App = Callable[..., Awaitable[None]]


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answers after a moment."""
    await asyncio.sleep(0.05)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The head of the answer to one request on a connection."""
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(5) == b"hello"
    return head.lower()
