"""A uvicorn server that says when it listens, and that loses no request when it is stopped."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from replicate.common.errors import UserError

# After the stop, connections that are open may still ask for so many seconds; each answer tells them to close.
LINGER = 1.0
_STEP = 0.02
_CLOSE = (b"connection", b"close")


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to an address, that does not listen yet: who comes before the model is ready is refused.

    Raises:
        UserError: the address is not to be had.
    """
    # getaddrinfo takes larger ones, modulo 65536.
    if not 0 <= port < 1 << 16:
        raise UserError(f"port is {port}", hint="it must be between 0 and 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except BaseException:
            bound.close()
            raise
    except (OSError, UnicodeError) as error:
        # A name of more than 63 letters between two dots is none.
        what = f"can't listen on {host} port {port} ({getattr(error, 'strerror', None) or error})"
        raise UserError(what, hint="name another --port or --host") from error
    return bound


def address_of(bound: socket.socket) -> str:
    """The address of a bound socket as a URL."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Listener(uvicorn.Server):
    """Serves an application on bound sockets until SIGTERM or SIGINT.

    On the stop, connections that the kernel has accepted are served like the others, no new ones are taken, and for a
    moment those that are open may still ask: what a client had sent by then is answered, and with `Connection: close`,
    so that it does not use the connection again.

    Args:
        app: ASGI application.
        on_ready: called once it listens.
        drain: seconds that requests may take after the stop; then they are broken off.
    """

    def __init__(self, app: Any, on_ready: Callable[[], None], drain: float) -> None:
        self._stopping = False
        self._on_ready = on_ready
        super().__init__(
            uvicorn.Config(
                self._with_farewell(app),
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=max(1, round(drain)),
            )
        )

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until SIGTERM or SIGINT, and return when everything is answered; for the main thread."""

        def stop(number: int, frame: FrameType | None) -> None:
            self.should_exit = True

        # While it serves, uvicorn has handlers of its own, and afterwards it sends itself the same signal again.
        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            super().run(sockets)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, answer what was asked, close."""
        loop = asyncio.get_running_loop()
        self._stopping = True
        waiting = [connection for listening in sockets or [] for connection in accepted(listening)]
        # At once, with nothing awaited in between: who is in the kernel's queue when it goes is reset.
        for server in self.servers:
            server.close()
        for connection in waiting:
            await loop.connect_accepted_socket(self._protocol, connection)
        until = loop.time() + LINGER
        while self.server_state.connections and loop.time() < until:
            await asyncio.sleep(_STEP)
        await super().shutdown(sockets)

    # As uvicorn makes them for the connections that it takes itself.
    def _protocol(self) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    def _with_farewell(self, app: Any) -> Any:
        """The application, each answer of which says `Connection: close` after the stop."""

        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            async def send_farewell(message: Any) -> None:
                if self._stopping and message["type"] == "http.response.start":
                    message = {**message, "headers": [*message["headers"], _CLOSE]}
                await send(message)

            await app(scope, receive, send_farewell)

        return wrapped


def accepted(listening: socket.socket) -> list[socket.socket]:
    """The connections that wait in the kernel's queue of a socket; it must not block."""
    found = []
    while True:
        try:
            found.append(listening.accept()[0])
        except BlockingIOError:
            return found
        except ConnectionError:
            continue
