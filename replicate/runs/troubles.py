"""What goes wrong while others work: how often a stage is tried, where, and which machine gets no more of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from replicate.runs.executor import Failed, Job

# Seconds within which a stage has failed at once, and how many in a row are the machine's fault and not theirs.
QUICK = 20.0
MOST_QUICK = 3


@dataclass(frozen=True)
class Limits:
    """When to give up.

    Attributes:
        retries: how often a stage is tried again whose worker ended.
        budget: seconds after which everything stops with checkpoints; None for no end.
        fail_fast: stop with the first stage that fails.
    """

    retries: int = 3
    budget: float | None = None
    fail_fast: bool = False


@dataclass
class Troubles:
    """The failures of a run.

    Attributes:
        retries: how often a stage is tried again whose worker ended.
        lost: by the key of a stage that can't be had, the failure that it goes back to.
        tries: by key, how often a stage's worker has ended.
        unborn: workers in a row that ended before they had begun.
    """

    retries: int
    lost: dict[str, Failed] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)
    unborn: int = 0
    _shunned: dict[str, set[str]] = field(default_factory=dict)
    _quick: Counter[str] = field(default_factory=Counter)

    def because(self, job: Job) -> Failed | None:
        """The failure that a stage descends from."""
        return next((self.lost[one.key] for one in job.stage.parents() if one.key in self.lost), None)

    def own(self, job: Job) -> Failed | None:
        """The failure of the stage itself."""
        failed = self.lost.get(job.stage.key)
        return failed if failed and failed.stage.key == job.stage.key else None

    def ended(self, job: Job) -> bool:
        """A stage's worker has ended; whether the stage is tried again."""
        self.tries[job.stage.key] += 1
        return self.tries[job.stage.key] <= self.retries

    def welcome(self, job: Job, place: str, places: Collection[str]) -> bool:
        """Whether a stage may run somewhere: it isn't where it failed at once, or there is nowhere else."""
        shunned = self._shunned.get(job.stage.key, set())
        return place not in shunned or not {*places} - shunned

    def elsewhere(self, job: Job, place: str, places: Collection[str]) -> bool:
        """A stage failed at once; whether it is worth another machine: the first time, where there is one."""
        shunned = self._shunned.setdefault(job.stage.key, set())
        first = not shunned
        shunned.add(place)
        return first and bool({*places} - shunned)

    def went_well(self, place: str) -> None:
        """A stage has been made there, or failed as it would have elsewhere."""
        self._quick[place] = 0

    def too_many(self, place: str, seconds: float) -> bool:
        """Something failed there after so many seconds; whether the machine should get nothing more."""
        self._quick[place] = self._quick[place] + 1 if seconds < QUICK else 0
        return self._quick[place] >= MOST_QUICK
