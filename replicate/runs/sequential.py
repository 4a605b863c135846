"""The engine without a scheduler: one stage after another, in this process."""

from __future__ import annotations

import itertools
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence

from replicate.common.errors import UserError
from replicate.common.progress import watch
from replicate.records.facts import now
from replicate.runs.artefact import Artefact
from replicate.runs.executor import Failed, Job, Made, NotRun, Outcome, Refused, failure, first_failure, skipped
from replicate.runs.plan import Stage


class Sequential:
    """Runs stages in the order in which they are given; what failed once is not tried again by the same engine.

    Args:
        make: a stage's result, found or made; the label is for its progress.
        quiet: show no progress.
        fail_fast: end all with the first stage that fails.
    """

    def __init__(self, make: Callable[[Stage, str], Artefact], quiet: bool = False, fail_fast: bool = False) -> None:
        self._make = make
        self._fail_fast = fail_fast
        self._quiet = quiet
        # By the key of a stage that can't be had, the failure that it goes back to.
        self._lost: dict[str, Failed] = {}
        self._made = False

    def execute(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """One outcome for each job; see `Executor`."""
        parts = [(label, [*part]) for label, part in itertools.groupby(jobs, lambda job: job.label)]
        for _, part in watch(parts, lambda one: one[0], self._quiet):
            for job in part:
                yield (outcome := self._outcome(job))
                if self._fail_fast and isinstance(outcome, Failed):
                    raise first_failure(job, outcome)

    def _outcome(self, job: Job) -> Outcome:
        stage, lost = job.stage, self._lost
        because = next((lost[one.key] for one in (stage, *stage.parents()) if one.key in lost), None)
        if because and because.stage.key == stage.key:
            return because
        if because:
            lost[stage.key] = because
            skipped(job)
            return NotRun(stage, because)
        outcome = self._run(job)
        if isinstance(outcome, Failed):
            lost[stage.key] = outcome
        return outcome

    def _run(self, job: Job) -> Made | Failed:
        started = now()
        try:
            made = Made(job.stage, self._make(job.stage, job.label))
            self._made = True
            return made
        except Refused as error:
            # Before anything is made nothing is lost, and one line says more than a record of every row.
            if not self._made:
                raise
            print(f"{job.label} · {job.stage.name}: {error}", file=sys.stderr)
            return Failed(job.stage, "error", str(error), started)
        except UserError:
            raise
        except Exception as error:
            # Hours of other rows should not be lost with this one; what happened is on record and on the screen.
            status, reason = failure(error)
            if status == "error":
                traceback.print_exc()
            return Failed(job.stage, status, reason, started)

    def close(self) -> None:
        """There is nothing to end."""
