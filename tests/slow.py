"""Clients that are slow or never done, in a process of their own: `python -m tests.slow URL CLIENTS SECONDS`.

Each keeps a connection as long as it may, and takes a new one when it is closed. At the end their number of
connections, and how many of them the service closed, are printed as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections import Counter
from urllib.parse import urlsplit

# What a client says at once, and then byte by byte; the last kind asks again and again and takes no answer.
BODY = 900_000
# A text that needs no model, and comes back in the answer.
BLANK = b'{"text": "' + b" " * 60_000 + b'"}'
KINDS = {
    "silent": (b"", b""),
    "head": (b"POST /predict HTTP/1.1\r\nHost: test\r\nX-Slow: ", b"a"),
    "body": (b"POST /predict HTTP/1.1\r\nHost: test\r\nContent-Length: 950000\r\n\r\n" + b" " * BODY, b" "),
    "deaf": (
        (b"POST /predict HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % len(BLANK) + BLANK) * 20,
        b"",
    ),
}
# Seconds between two bytes, and between two connections of one client.
_PAUSE = 0.5


async def client(kind: str, host: str, port: int, counted: Counter[str]) -> None:
    """One client, until it is cancelled."""
    at_once, slowly = KINDS[kind]
    loop = asyncio.get_running_loop()
    while True:
        with contextlib.closing(socket.socket()) as connection, contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setblocking(False)
            await loop.sock_connect(connection, (host, port))
            counted[f"{kind} opened"] += 1
            with contextlib.suppress(OSError):
                await asyncio.wait_for(loop.sock_sendall(connection, at_once), 60)
                while kind == "deaf" or not _closed(connection):
                    await asyncio.sleep(_PAUSE)
                    if slowly or kind == "deaf":
                        await asyncio.wait_for(loop.sock_sendall(connection, slowly or b" "), 60)
            counted[f"{kind} closed"] += 1
        await asyncio.sleep(_PAUSE)


def _closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1 << 16) == b""
    except BlockingIOError:
        return False


async def main(url: str, clients: int, seconds: float) -> None:
    """So many clients, a quarter of each kind, for so long."""
    address, counted = urlsplit(url), Counter[str]()
    kinds = list(KINDS)
    tasks = [
        asyncio.create_task(client(kinds[number % len(kinds)], str(address.hostname), int(address.port or 80), counted))
        for number in range(clients)
    ]
    await asyncio.sleep(seconds)
    pending = set(tasks)
    # Again and again: before Python 3.12 `wait_for` loses a cancellation that comes with the end of what it waits for.
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=1)
    print(json.dumps(counted))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
