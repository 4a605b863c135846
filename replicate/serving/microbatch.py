"""Concurrent requests for a model that only one thread may use: they wait in a bounded queue and go in batches."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar


class Batches(Protocol):
    """What answers texts, with whatever it answers: `predict.Labeller`, `occlusion.Explainer`."""

    def batches(self, texts: Sequence[str]) -> Iterator[list[tuple[int, Any]]]:
        """Answers beside the indices of their texts, a batch at a time, every index once."""
        ...


Model = TypeVar("Model", bound=Batches)


class Full(Exception):
    """There is no room in the queue now; later there may be."""


class TooMany(Exception):
    """More texts than the queue could ever take."""


class Closed(Exception):
    """No more requests are taken."""


@dataclass(eq=False)
class _Job:
    """One request: `left` are the indices of its texts that were not computed yet."""

    texts: tuple[str, ...]
    arrived: float
    left: deque[int]
    future: Future[list[Any]] = field(default_factory=Future)
    found: dict[int, Any] = field(default_factory=dict)


# Of a request, some texts by their indices.
_Part = tuple[_Job, list[int]]


class Microbatcher(Generic[Model]):
    """Answers requests in one thread of its own, which opens the model and is the only one to use it.

    Each time that the model gets free, some of what waits is computed together: one text of every request, then a
    second of those that have more, up to a batch. So a request of many texts goes in parts, and keeps nobody waiting
    for more than a batch. Every request that was taken is answered, also when it is closed meanwhile. Of one that is
    given up, what is lacking is not computed.

    Args:
        open_model: gives the model; called in the thread.
        max_batch: most texts that are computed at once, and as many as are worth starting at once.
        max_wait: seconds that a text waits for others at most, while the model is free.
        capacity: texts that may be taken and not yet answered.
        on_batch: told the number of texts of each batch.
    """

    def __init__(
        self,
        open_model: Callable[[], Model],
        max_batch: int,
        max_wait: float,
        capacity: int,
        on_batch: Callable[[int], object] = lambda size: None,
    ) -> None:
        self.capacity = capacity
        self._open, self._on_batch = open_model, on_batch
        # Once the queue is full nobody can join, so there is nothing to wait for.
        self._worth, self._max_wait = min(max_batch, capacity), max_wait
        self._jobs: deque[_Job] = deque()
        self._pending = 0
        self._closed = False
        self._changed = threading.Condition()
        self._opened: Future[Model] = Future()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)

    def start(self) -> Model:
        """Open the model and give it back, for its facts only; raises what opening it raises."""
        self._thread.start()
        return self._opened.result()

    @property
    def pending(self) -> int:
        """Texts that were taken and are not yet answered."""
        return self._pending

    @property
    def closed(self) -> bool:
        """Whether no more requests are taken."""
        return self._closed

    def submit(self, texts: Sequence[str]) -> Future[list[Any]]:
        """Take a request; its future gets one answer for each text, in order.

        Raises:
            TooMany, Full, Closed: it is not taken.
        """
        order: Iterable[int] = range(len(texts))
        if len(texts) > self._worth:
            # It goes in parts; texts of similar length together need less padding.
            order = sorted(order, key=lambda index: len(texts[index]))
        job = _Job(tuple(texts), time.monotonic(), deque(order))
        job.future.add_done_callback(lambda future: self._given_up(job))
        with self._changed:
            if self._closed:
                raise Closed
            if len(job.texts) > self.capacity:
                raise TooMany
            if self._pending + len(job.texts) > self.capacity:
                raise Full
            if not job.texts:
                job.future.set_result([])
                return job.future
            self._pending += len(job.texts)
            self._jobs.append(job)
            self._changed.notify()
        return job.future

    @property
    def alive(self) -> bool:
        """Whether the thread that answers is there."""
        return self._thread.is_alive()

    def close(self, timeout: float) -> int:
        """Take no more and wait for the answers of those taken; returns how many texts have none after `timeout`."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout)
        return self._pending

    def _work(self) -> None:
        try:
            model = self._open()
        except BaseException as error:
            self._opened.set_exception(error)
            return
        self._opened.set_result(model)
        while parts := self._take():
            self._answer(model, parts)

    def _take(self) -> list[_Part]:
        """What is computed next, as soon as it is worth it; nothing once closed and empty."""
        with self._changed:
            while not self._jobs or not (self._closed or self._pending >= self._worth):
                if not self._jobs and self._closed:
                    return []
                left = self._jobs[0].arrived + self._max_wait - time.monotonic() if self._jobs else None
                # What was begun has waited already.
                if left is not None and (left <= 0 or self._jobs[0].found):
                    break
                self._changed.wait(left)
            parts = [(job, [job.left.popleft() for _ in range(count)]) for job, count in self._shares()]
            # Who was served goes behind those who were not.
            served = {id(job) for job, _ in parts}
            waiting = [job for job in self._jobs if id(job) not in served]
            self._jobs = deque((*waiting, *(job for job, _ in parts if job.left)))
        return parts

    def _shares(self) -> list[tuple[_Job, int]]:
        """How many texts of which request come next: a batch in all, as evenly as what they have allows."""
        shares: dict[int, int] = {}
        room, round_ = self._worth, 0
        while room:
            more = [place for place, job in enumerate(self._jobs) if len(job.left) > round_][:room]
            if not more:
                break
            for place in more:
                shares[place] = shares.get(place, 0) + 1
            room, round_ = room - len(more), round_ + 1
        return [(self._jobs[place], count) for place, count in sorted(shares.items())]

    def _answer(self, model: Model, parts: list[_Part]) -> None:
        # One that was given up since needs no answer.
        places = [(job, index) for job, indices in parts for index in indices if not job.future.cancelled()]
        if not places:
            return
        try:
            for batch in model.batches([job.texts[index] for job, index in places]):
                self._on_batch(len(batch))
                for place, answer in batch:
                    job, index = places[place]
                    job.found[index] = answer
                    if len(job.found) == len(job.texts):
                        self._settle(job)
        except Exception as error:
            if len(parts) == 1:
                self._settle(parts[0][0], error)
                return
            # Whose text it was is not known, and nobody else should have to pay for it.
            for job, indices in parts:
                self._answer(model, [(job, [index for index in indices if index not in job.found])])

    def _settle(self, job: _Job, error: Exception | None = None) -> None:
        """Give a request its answer or its error, unless it was given up."""
        if job.future.done() or not job.future.set_running_or_notify_cancel():
            return
        self._forget(job)
        if error is None:
            job.future.set_result([job.found[index] for index in range(len(job.texts))])
        else:
            job.future.set_exception(error)

    def _given_up(self, job: _Job) -> None:
        if job.future.cancelled():
            self._forget(job)

    def _forget(self, job: _Job) -> None:
        """Make the room of a request free; one that failed or was given up may wait still."""
        with self._changed:
            self._pending -= len(job.texts)
            if job in self._jobs:
                self._jobs.remove(job)
