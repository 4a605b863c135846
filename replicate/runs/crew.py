"""Those who work for a driver: what an engine has to offer, and what it tells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from replicate.runs.artefact import Artefact
from replicate.runs.executor import Job
from replicate.runs.messages import Message
from replicate.runs.plan import Stage


class Worker(Protocol):
    """A process that makes one stage at a time.

    Attributes:
        place: the machine that it runs on.
        gpu: whether it has a GPU.
    """

    place: str
    gpu: bool

    def send(self, message: Message) -> None:
        """Tells it what to make; that it is gone is told by `Crew.hear`."""

    def stop(self) -> None:
        """Asks it to keep what it has and to go."""

    def kill(self) -> None:
        """Ends it at once."""


class Crew(Protocol):
    """The workers of an engine.

    Attributes:
        size: how many stages run at once.
        places: the machines.
    """

    @property
    def size(self) -> int: ...  # noqa: D102

    @property
    def places(self) -> frozenset[str]: ...  # noqa: D102

    def hire(self, gpu: bool) -> Worker | None:
        """Another worker, which says `ready` when it is; None where there is no room for one."""

    def hear(self, seconds: float) -> Iterator[tuple[Worker, Message]]:
        """What workers say within so many seconds, and that one is `gone`, with the reason, after its last word."""

    def give(self, worker: Worker, stage: Stage) -> tuple[str, bool]:
        """Has the worker see what a stage starts from; what is wrong, and whether that is its machine's own fault."""

    def take(self, worker: Worker, stage: Stage) -> Artefact | None:
        """What the worker has made, as the driver's store has it; None where it is not there."""

    def take_log(self, worker: Worker, log: str) -> None:
        """Has the driver see a stage's log, by its path below the store's folder."""

    def shut_out(self, place: str) -> None:
        """Hires nobody there any more."""

    def close(self) -> None:
        """Ends all workers; none of them has anything to lose."""


@dataclass(eq=False)
class Seat:
    """A worker, and what it does."""

    worker: Worker
    ready: bool = False
    job: Job | None = None
    since: float = 0.0
    step: int = 0
    steps: int = 0
    saved: bool = False

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.since
