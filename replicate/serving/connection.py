"""A client's connection, on which nothing is waited for without an end, and how many of them there may be."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from replicate.serving.log import Log

# Seconds in which a client must take what is left of its last answer.
_FAREWELL = 2.0
_TEXT = b"text/plain; charset=utf-8"
_WAITS = {
    "head": "the head of a request did not come",
    "body": "the body of a request did not come",
    "answer": "an answer was not taken",
}


@dataclass(frozen=True)
class Limits:
    """What a client may take.

    Attributes:
        seconds: in which the head of a request must have come, and then its body, and in which an answer must be taken.
        connections: how many are open at once.
    """

    seconds: float = 10.0
    connections: int = 512


@dataclass
class Gate:
    """The open connections of a service.

    Attributes:
        limits: what each may take.
        log: who is told of those that took more.
        stopping: whether the service stops; then nobody is sent away to make room.
        shed: how many were closed for what they did since memory was last given back.
    """

    limits: Limits
    log: Log
    stopping: bool = False
    shed: int = 0
    connections: set[Connection] = field(default_factory=set)

    def admit(self, new: Connection) -> None:
        """Take a connection; where there are too many, one that waits for its client goes, or else the new one."""
        self.connections.add(new)
        if len(self.connections) <= self.limits.connections or self.stopping:
            return
        waiting = [one for one in self.connections if one.rank is not None and one is not new]
        self.shed += 1
        if waiting:
            self.log.tell("too many connections: the one that waited longest was closed")
            min(waiting, key=lambda one: (one.rank, one.since)).abort()
        else:
            self.log.tell("too many connections: a new one was refused")
            new.refuse(503, "too many connections", (b"retry-after", b"1"))


class Connection(H11Protocol):
    """uvicorn's connection with an end to every wait for the client.

    Attributes:
        since: when it began to wait for the client.
    """

    def __init__(self, gate: Gate, **more: Any) -> None:
        super().__init__(**more)
        self._gate = gate
        self._phase: str | None = None
        self._marked: tuple[str | None, int] | None = None
        self._timer: Any = None
        self.since = 0.0

    @property
    def rank(self) -> int | None:
        """Who goes first where there are too many: 0 before 1 before 2; None while an answer is computed."""
        return {"head": 0, "farewell": 0, "answer": 0, "body": 1, "idle": 2}.get(self._phase or "")

    def connection_made(self, transport: Any) -> None:
        """As asyncio calls it."""
        # Bytes of one read; asyncio's 256 KiB would be held for each connection whose request is not read on.
        transport.max_size = 1 << 16
        super().connection_made(transport)
        self._watch()
        self._gate.admit(self)

    def data_received(self, data: bytes) -> None:
        """As asyncio calls it."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio calls it."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._gate.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        """As asyncio calls it."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """As asyncio calls it."""
        super().resume_writing()
        self._watch()

    def on_response_complete(self) -> None:
        """As uvicorn calls it."""
        super().on_response_complete()
        self._watch()

    def timeout_keep_alive_handler(self) -> None:
        """As uvicorn calls it."""
        super().timeout_keep_alive_handler()
        self._watch()

    def shutdown(self) -> None:
        """As uvicorn calls it."""
        super().shutdown()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """As uvicorn calls it; where an answer is under way, there is no place for another."""
        self.refuse(400, msg)

    def refuse(self, status: int, what: str, *headers: tuple[bytes, bytes]) -> None:
        """Answer what no application has seen, if nothing is answered yet, and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            size = str(len(what)).encode("ascii")
            told = [(b"content-type", _TEXT), (b"content-length", size), (b"connection", b"close"), *headers]
            for event in (
                h11.Response(status_code=status, headers=told, reason=HTTPStatus(status).phrase.encode()),
                h11.Data(data=what.encode("ascii")),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._watch()

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self.transport.abort()

    def _watch(self) -> None:
        """Start the clock whenever something else is waited for than before."""
        phase = self._waits_for()
        # Of two requests in a row each has its own time.
        marked = phase, id(self.cycle)
        if marked == self._marked:
            return
        self._marked, self._phase, self.since = marked, phase, self.loop.time()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if phase not in (None, "idle"):
            seconds = _FAREWELL if phase == "farewell" else self._gate.limits.seconds
            self._timer = self.loop.call_later(seconds, self._expired)

    def _waits_for(self) -> str | None:
        """What the client has to do next; None while it is the service's turn."""
        if self.transport.is_closing():
            return "farewell"
        if self.flow.write_paused:
            return "answer"
        if self.conn.their_state is h11.SEND_BODY:
            return "body"
        if self.cycle is not None and not self.cycle.response_complete:
            return None
        # Between two requests uvicorn has a clock of its own.
        return "head" if self.cycle is None or self.conn.trailing_data[0] else "idle"

    def _expired(self) -> None:
        phase = self._phase or ""
        if phase in _WAITS:
            self._gate.shed += 1
            self._gate.log.tell(f"{_WAITS[phase]} within {self._gate.limits.seconds:g} s: the connection was closed")
        if phase in ("farewell", "answer"):
            self.abort()
        elif phase == "head" and not self.conn.trailing_data[0]:
            # It never said anything, so nothing is said to it.
            self.transport.close()
        else:
            self.refuse(408, "the request did not come in time")
