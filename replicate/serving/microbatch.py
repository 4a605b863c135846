"""Concurrent requests for a model that only one thread may use: they wait in a bounded queue and go in batches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from replicate.inference.predict import Prediction


class Batches(Protocol):
    """What answers texts: `predict.Labeller`."""

    def batches(self, texts: Sequence[str]) -> Iterator[list[tuple[int, Prediction]]]:
        """Predictions beside the indices of their texts, a batch at a time, every index once."""
        ...


Model = TypeVar("Model", bound=Batches)


class Full(Exception):
    """There is no room in the queue now; later there may be."""


class TooMany(Exception):
    """More texts than the queue could ever take."""


class Closed(Exception):
    """No more requests are taken."""


@dataclass
class _Job:
    """One request; `missing` of its predictions are still to come."""

    texts: tuple[str, ...]
    arrived: float
    future: Future[list[Prediction]] = field(default_factory=Future)
    found: dict[int, Prediction] = field(default_factory=dict)


class Microbatcher(Generic[Model]):
    """Answers requests in one thread of its own, which opens the model and is the only one to use it.

    Whatever waits when the model gets free is answered together, by similar length; every request that was taken is
    answered, also when it is closed meanwhile.

    Args:
        open_model: gives the model; called in the thread.
        max_batch: texts that are worth starting at once.
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
        self._jobs: list[_Job] = []
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

    def submit(self, texts: Sequence[str]) -> Future[list[Prediction]]:
        """Take a request; its future gets one prediction for each text, in order.

        Raises:
            TooMany, Full, Closed: it is not taken.
        """
        job = _Job(tuple(texts), time.monotonic())
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
        while jobs := self._take():
            self._answer(model, jobs)

    def _take(self) -> list[_Job]:
        """Everything that waits, as soon as it is worth it; nothing once closed and empty."""
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            while self._jobs and self._pending < self._worth and not self._closed:
                left = self._jobs[0].arrived + self._max_wait - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            jobs, self._jobs = self._jobs, []
        return jobs

    def _answer(self, model: Model, jobs: list[_Job]) -> None:
        for job in jobs:
            # One that was given up while it waited needs no answer.
            if not job.future.set_running_or_notify_cancel():
                self._done(job)
        jobs = [job for job in jobs if not job.future.cancelled()]
        places = [(job, index) for job in jobs for index in range(len(job.texts))]
        try:
            for batch in model.batches([job.texts[index] for job, index in places]):
                self._on_batch(len(batch))
                for place, prediction in batch:
                    job, index = places[place]
                    job.found[index] = prediction
                    if len(job.found) == len(job.texts):
                        self._done(job)
                        job.future.set_result([job.found[number] for number in range(len(job.texts))])
        except Exception as error:
            for job in jobs:
                if not job.future.done():
                    self._done(job)
                    job.future.set_exception(error)

    def _done(self, job: _Job) -> None:
        with self._changed:
            self._pending -= len(job.texts)
