"""A uvicorn server that says when it listens, and that loses no request when it is stopped."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any

import uvicorn

from replicate.common.errors import UserError
from replicate.serving.connection import Connection, Gate, Limits
from replicate.serving.log import Log
from replicate.serving.memory import Room, give_back

# Seconds without a request after which a connection is closed. After the stop those that are open may still ask for as
# long, so it closes none sooner than it would be closed anyway; each answer then tells its client to close.
KEEP_ALIVE = 5
LINGER = float(KEEP_ALIVE)
_STEP = 0.02
# Bytes of answers that the kernel keeps for a client.
_SENT = 1 << 17
# Connections that wait in the kernel's queue, and those of them that are taken before anything else is done.
_BACKLOG, _BURST = 2048, 128
# Descriptors that are left for files and for what libraries open.
_SPARE = 16
# Memory is given back no more often than every so many seconds.
_TRIM = 5.0
# Closed connections after which it is worth it.
_MANY = 32
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
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
            # Who takes no answers can ask for no more than fills this.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SENT)
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
        limits: what a client may take.
        room: what large requests hold; memory is given back when they have gone.
    """

    def __init__(
        self,
        app: Any,
        on_ready: Callable[[], None],
        drain: float,
        limits: Limits = Limits(),  # noqa: B008  # it is frozen
        room: Room | None = None,
    ) -> None:
        self._on_ready = on_ready
        self._room = room or Room()
        self.log = Log()
        allowed, burst, backlog = fitting(limits.connections)
        if allowed < limits.connections:
            self.log.tell(f"only {allowed} connections at once, since `ulimit -n` allows no more")
        self._gate = Gate(replace(limits, connections=allowed), self.log)
        self._backlog, self._trimmed = backlog, 0.0
        protocol: Any = partial(Connection, self._gate)
        super().__init__(
            uvicorn.Config(
                self._with_farewell(app),
                loop="asyncio",
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=burst,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=max(1, round(drain)),
            )
        )

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until SIGTERM or SIGINT, and return when everything is answered; for the main thread."""

        def stop(number: int, frame: FrameType | None) -> None:
            self.should_exit = True

        # While it serves, uvicorn has handlers of its own, and afterwards it sends itself the same signal again.
        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
        for logger in loggers:
            logger.addHandler(self.log)
        try:
            super().run(sockets)
        finally:
            self.log.flush()
            for logger in loggers:
                logger.removeHandler(self.log)
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        asyncio.get_running_loop().set_exception_handler(self._failed)
        await super().startup(sockets)
        for listening in sockets or []:
            # asyncio takes as many at once as it has told the kernel to keep; the kernel may keep more.
            listening.listen(self._backlog)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, answer what was asked, close."""
        loop = asyncio.get_running_loop()
        self._gate.stopping = True
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

    async def on_tick(self, counter: int) -> bool:
        """As uvicorn calls it, ten times a second."""
        now = asyncio.get_running_loop().time()
        large = self._room.freed and not self._room.used
        if (large or self._gate.shed >= _MANY) and now - self._trimmed >= _TRIM:
            self._trimmed, self._room.freed, self._gate.shed = now, False, 0
            await asyncio.to_thread(give_back)
        return await super().on_tick(counter)

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What asyncio calls where nobody waits for an exception."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _NO_DESCRIPTORS:
            self.log.tell("no file descriptors are left: new connections wait; raise `ulimit -n`")
        else:
            loop.default_exception_handler(context)

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
                if self._gate.stopping and message["type"] == "http.response.start":
                    message = {**message, "headers": [*message["headers"], _CLOSE]}
                await send(message)

            scope.setdefault("state", {})["stopping"] = self._gate.stopping
            await app(scope, receive, send_farewell)

        return wrapped


def fitting(wanted: int) -> tuple[int, int, int]:
    """How many connections the file descriptors are enough for, how many are taken at once, how many may wait.

    Raises:
        UserError: not even for one.
    """
    left = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - len(os.listdir("/dev/fd")) - _SPARE
    burst = min(_BURST, left // 4)
    if burst < 1:
        raise UserError("too few file descriptors are left to serve", hint="raise `ulimit -n`")
    allowed = min(wanted, left - burst)
    return allowed, burst, min(_BACKLOG, left - allowed)


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
