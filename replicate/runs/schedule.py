"""Which of the stages that may run runs next, and how long a plan takes: list scheduling, the longest path first."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from replicate.runs.executor import Job
from replicate.runs.plan import Stage


def longest_paths(seconds: Mapping[str, float], children: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """By key, the seconds of the longest chain that begins with a stage.

    Args:
        seconds: of each stage, by key, parents before children.
        children: of each stage, those that start from it.
    """
    found: dict[str, float] = {}
    for key in reversed([*seconds]):
        found[key] = seconds[key] + max((found[one] for one in children.get(key, ())), default=0.0)
    return found


def makespan(seconds: Mapping[str, float], parents: Mapping[str, Sequence[str]], workers: int) -> float:
    """Seconds that so many workers take for a plan where the longest path goes first: the bound of list scheduling.

    Args:
        seconds: of each stage that is to be made, by key, parents before children.
        parents: of each stage, those that it starts from; what is not in `seconds` has been made.
        workers: how many stages run at once; at least 1.
    """
    children: dict[str, list[str]] = {}
    waiting: dict[str, int] = {}
    for key in seconds:
        before = {one for one in parents.get(key, ()) if one in seconds}
        waiting[key] = len(before)
        for one in before:
            children.setdefault(one, []).append(key)
    ranks = longest_paths(seconds, children)
    ready = [(-ranks[key], key) for key, count in waiting.items() if not count]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < workers:
            _, key = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds[key], key))
        now, done = heapq.heappop(running)
        for key in children.get(done, ()):
            waiting[key] -= 1
            if not waiting[key]:
                heapq.heappush(ready, (-ranks[key], key))
    return now


def duration(stages: Iterable[Stage], seconds: Mapping[str, float], workers: int) -> float:
    """Seconds that so many workers take for these stages, of which none stands before one that it starts from."""
    parents = {one.key: [parent.key for parent in one.parents()] for one in stages}
    return makespan({key: seconds[key] for key in parents}, parents, workers)


@dataclass
class Board:
    """The stages of a plan that have no outcome yet.

    Attributes:
        jobs: each stage once, none before one that it starts from.
        seconds: that each is expected to take, by key.
        open: the keys without an outcome, in the order of `jobs`.
        begun: of those, the ones that run.
    """

    jobs: Sequence[Job]
    seconds: Mapping[str, float]
    open: dict[str, Job] = field(init=False)
    begun: set[str] = field(default_factory=set, init=False)
    _ranks: Mapping[str, float] = field(init=False)

    def __post_init__(self) -> None:
        """Rank them."""
        self.open = {job.stage.key: job for job in self.jobs}
        children: dict[str, list[str]] = {}
        for job in self.jobs:
            for parent in job.stage.parents():
                children.setdefault(parent.key, []).append(job.stage.key)
        self._ranks = longest_paths({key: self.seconds[key] for key in self.open}, children)

    def settled(self, job: Job) -> bool:
        """Whether everything that a stage starts from has an outcome."""
        return all(parent.key not in self.open for parent in job.stage.parents())

    def ready(self) -> list[Job]:
        """Stages that may begin, the one at the head of the longest path first."""
        found = [job for key, job in self.open.items() if key not in self.begun and self.settled(job)]
        return sorted(found, key=lambda job: -self._ranks[job.stage.key])

    def settle(self, job: Job) -> None:
        """A stage has an outcome."""
        self.begun.discard(job.stage.key)
        self.open.pop(job.stage.key, None)

    def left(self, workers: int, spent: Mapping[str, float] | None = None) -> float:
        """Seconds until all have been made, as far as one can tell.

        Args:
            workers: how many stages run at once.
            spent: seconds that stages have run for, by key.
        """
        spent = spent or {}
        seconds = {key: max(0.0, self.seconds[key] - spent.get(key, 0.0)) for key in self.open}
        return duration((job.stage for job in self.open.values()), seconds, workers)


def work(jobs: Iterable[Job], seconds: Mapping[str, float]) -> float:
    """Seconds of one worker for all of them."""
    return sum(seconds[job.stage.key] for job in jobs)


def span(seconds: float) -> str:
    """Seconds in words, such as `9 h 18 min`, `2 min 5 s` or `0 s`."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {whole % 60} s" if whole % 60 else f"{minutes} min"
    return f"{whole} s"
