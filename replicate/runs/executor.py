"""What runs the stages of a plan: the interface of every engine, and what an engine says of each stage."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from replicate.common.errors import UserError
from replicate.runs.artefact import Artefact
from replicate.runs.plan import Stage
from replicate.training.optimisation import Diverged


@dataclass(frozen=True)
class Job:
    """A stage to run, and the row and seed that first asked for it, in words."""

    stage: Stage
    label: str


@dataclass(frozen=True)
class Made:
    """A stage whose result the store has, from now on or from before."""

    stage: Stage
    artefact: Artefact

    def recorded(self) -> dict[str, Any]:
        """The stage as a record has it, less its scores, which are the row's."""
        summary = {key: value for key, value in self.artefact.summary.items() if key != "evaluation"}
        return {
            "stage": self.stage.name,
            "key": self.artefact.key,
            "config": dict(self.stage.options),
            "passed": dict(self.stage.passed),
            "inputs": dict(self.stage.identity["inputs"]),
            "seconds": self.artefact.seconds,
            "summary": summary,
        }


@dataclass(frozen=True)
class Failed:
    """A stage that gave no result.

    Attributes:
        stage: the stage.
        status: whether training diverged, or something unforeseen happened.
        reason: what happened, in one line.
        started: when it began, in UTC.
    """

    stage: Stage
    status: Literal["diverged", "error"]
    reason: str
    started: str


@dataclass(frozen=True)
class NotRun:
    """A stage that was skipped, since one that it descends from failed."""

    stage: Stage
    because: Failed


class Refused(UserError):
    """What a stage itself refuses, such as data that it can't learn from; other stages may well take them."""


Outcome: TypeAlias = Made | Failed | NotRun


def failure(error: Exception) -> tuple[Literal["diverged", "error"], str]:
    """What is on record of a stage that ended with an error: its status, and what happened in one line."""
    if isinstance(error, Diverged):
        return "diverged", str(error)
    first = (str(error).splitlines() or [""])[0]
    return "error", f"{type(error).__name__}: {first}"


def skipped(job: Job) -> None:
    """Tell that a stage is not run, since one that it descends from failed."""
    print(f"{job.label} · {job.stage.name}: skipped (parent failed)", file=sys.stderr)


def first_failure(job: Job, failed: Failed) -> UserError:
    """What ends everything where the first failure should."""
    what = f"{job.label} · {failed.stage.name}: {failed.reason}"
    return UserError(what, hint="--fail-fast ends here; without it the other rows go on")


class Executor(Protocol):
    """An engine: it runs stages through the store, wherever and in whatever order suits it."""

    def execute(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """One outcome for each job, as soon as it is known.

        A stage that fails takes none with it but those that descend from it, which are not run.

        Args:
            jobs: each stage once, and none before one that it starts from.

        Raises:
            UserError: something that no other stage would survive either: data, settings or the store are wrong.
            Stopped: the user wants no more; what was made so far is in the store.
        """

    def close(self) -> None:
        """Ends whatever works for the engine; the engine is done."""


def jobs_of(plans: Iterable[tuple[str, Stage]]) -> list[Job]:
    """The work behind several plans: stages that they share are one job.

    Args:
        plans: what each is called, and its last stage.
    """
    jobs: dict[str, Job] = {}
    for label, last in plans:
        for stage in last.chain(jobs):
            jobs[stage.key] = Job(stage, label)
    return [*jobs.values()]
