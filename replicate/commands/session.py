"""One session of rows, as `replicate run` and `pytest bench` have it: run, judged, reported and, if asked, accepted."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import metadata
from pathlib import Path

from replicate.common.paths import MEASURED
from replicate.findings.compared import ClaimResult, compare_table
from replicate.findings.decided import decided
from replicate.findings.rows import (
    RowResult,
    RowVerdict,
    judge_row,
    judge_row_against_baseline,
    row_result,
)
from replicate.records.plans import Kept, read_plans, write_plans
from replicate.records.run import Record, load_records
from replicate.records.strata import of_plan
from replicate.records.timing import TimingRecord
from replicate.report import build as report
from replicate.runs.accept import Candidate, Decision, accept, decide
from replicate.runs.ask import asks_of
from replicate.runs.engine import Engine, open_executor
from replicate.runs.executor import Executor
from replicate.runs.runner import Runner
from replicate.tables.profile import Profile, load_profile
from replicate.tables.table import Claim, ResultsTable, Row
from replicate.verdicts.plan import Plan


@dataclass
class Session:
    """Rows that were run under one profile, and what becomes of their records.

    Attributes:
        runner: runs them.
        tables: every table by id.
        measured: the folder of accepted records.
        results: what was run so far, by the row's full id.
        plans: that its seeds follow, by table, as they were kept before the first of them.
        engine: what runs their stages.
    """

    runner: Runner
    tables: Mapping[str, ResultsTable]
    measured: Path = field(default_factory=lambda: MEASURED)
    results: dict[str, RowResult] = field(default_factory=dict)
    plans: Mapping[str, Kept] = field(default_factory=dict)
    engine: Engine = field(default_factory=Engine)
    _verdicts: dict[str, RowVerdict] = field(default_factory=dict)

    @cached_property
    def executor(self) -> Executor:
        """One for all rows, so that a stage that failed for one is not tried again for the next."""
        return open_executor(self.engine, self.runner)

    def close(self) -> None:
        """End what works for the session; nothing more can be run."""
        if "executor" in vars(self):
            self.executor.close()

    @property
    def profile(self) -> Profile:
        """What the session runs with."""
        return self.runner.profile

    @property
    def records(self) -> list[Record]:
        """Every record of the session, row by row."""
        return [record for result in self.results.values() for record in result.records]

    @cached_property
    def baseline(self) -> Sequence[Record]:
        """The accepted records, as they were when somebody first asked; nothing is accepted before that."""
        return load_records(self.measured)

    def run(self, rows: Iterable[Row]) -> None:
        """Run those of the rows that were not run yet, with every seed of the profile."""
        missing = {row.full_id: row for row in rows if row.full_id not in self.results}
        asks = asks_of(((self.tables[row.table], row.id) for row in missing.values()), self.profile)
        records = [*self.runner.drive(asks, self.executor)]
        for name, row in missing.items():
            self.results[name] = row_result(records, row, self.profile.id)

    def take(self, rows: Iterable[Row], records: Iterable[Record]) -> None:
        """Have these of the records for rows that are run no further."""
        records = tuple(records)
        self.results |= {row.full_id: row_result(records, row, self.profile.id) for row in rows}

    def result(self, row: Row) -> RowResult:
        """The row's records; run now unless the session has them."""
        self.run([row])
        return self.results[row.full_id]

    def verdict(self, row: Row) -> RowVerdict:
        """Against the published values where the profile may be compared with them, else against the baseline."""
        if row.full_id not in self._verdicts:
            published = self.profile.comparable and row.published
            judged = judge_row(self.tables[row.table], self.result(row)) if published else self.beside_baseline(row)
            self._verdicts[row.full_id] = judged
        return self._verdicts[row.full_id]

    def beside_baseline(self, row: Row) -> RowVerdict:
        """Against the row's own accepted records."""
        accepted = row_result(self.baseline, row, self.profile.id)
        result = self.result(row)
        # The accepted records themselves say nothing of how new ones stand beside them.
        judged = replace(result, records=self._new(result) or result.records)
        return judge_row_against_baseline(self.tables[row.table], judged, accepted if accepted.records else None)

    def _new(self, result: RowResult) -> tuple[Record, ...]:
        accepted = {id(one) for one in self.baseline}
        return tuple(record for record in result.records if id(record) not in accepted)

    def claim(self, table: ResultsTable, claim: Claim) -> ClaimResult:
        """What the session's seeds say of a claim, by its table's plan where that has it, else as one of a study."""
        named = {name for one in table.claims_under(self.profile.id) for name in (one.row, one.against)}
        results = {
            row.id: self.result(row) if row.id in named else RowResult(row, self.profile.id, ()) for row in table.rows
        }
        records = [record for result in results.values() for record in result.records]
        found = decided(table, self.profile, records, self._kept().get(table.id))
        return next(one for one in compare_table(table, results, self.profile, found).claims if one.claim == claim)

    def write_report(self) -> Path | None:
        """Write the report of what was run, below the store; None where nothing was."""
        if not self.records:
            return None
        folder = self.runner.store.root / "report"
        return report.write_session(folder, self.runner.records, self.profile, self.records, self._kept())

    def _kept(self) -> Mapping[str, Plan]:
        return {table: one.plan for table, one in kept_plans(self.runner, self.measured).items()}

    def accept(self, changed: bool = False) -> Decision:
        """Accept what the rule lets through, and write REPORT.md and what belongs to it.

        Args:
            changed: also rows that differ from their accepted records, or ended in an error.
        """
        candidates = []
        for name, result in self.results.items():
            if new := self._new(result):
                verdict = self.beside_baseline(result.row)
                candidates.append(Candidate(name, new, verdict.status, verdict.reason))
        decision = decide(candidates, self.baseline, changed)
        # Before the records: seeds without their plan would be post hoc for good.
        self._accept_plans()
        accept(decision.accepted, self.measured)
        report.write()
        return decision

    def _accept_plans(self) -> None:
        """Plans that nobody has accepted, of rows without an accepted record."""
        there = read_plans(self.measured, self.profile.id)
        new = {
            table: one
            for table, one in self.plans.items()
            if table not in there and not of_plan(one.plan, table, self.profile.id, self.baseline)
        }
        if new:
            write_plans(new, self.measured, self.profile.id)


def kept_plans(runner: Runner, measured: Path) -> dict[str, Kept]:
    """The plans that are kept for the runner's data, by table; of two the one that is accepted."""
    folders = [runner.records, *([measured] if runner.on_article else [])]
    return {table: one for folder in folders for table, one in read_plans(folder, runner.profile.id).items()}


def accept_timing(record: TimingRecord) -> Path:
    """Accept what was timed, and write REPORT.md and what belongs to it; returns where the record is."""
    (path,) = accept([record], MEASURED)
    report.write()
    return path


def refusal(decision: Decision) -> str:
    """Which rows were not accepted, a line for each with the reason, and what would accept them."""
    lines = [f"not accepted: {name}, {why}" for name, why in decision.refused.items()]
    return "\n".join([*lines, "`--accept-changed` accepts rows that differ"])


def chosen_profile(name: str | None, seeds: tuple[int, ...] | None = None, device: str | None = None) -> Profile:
    """The profile of that name, without one that which this machine can run; with other seeds or another device."""
    profile = load_profile(name or ("paper" if usable_gpu() else "smoke"))
    return profile.changed(seeds=seeds, device=device)


def usable_gpu() -> bool:
    """Whether the GPU build of Paddle is installed and sees a device that it has kernels for."""
    try:
        metadata.version("paddlepaddle-gpu")
        ctypes.CDLL("libcuda.so.1")
    except (metadata.PackageNotFoundError, OSError):
        return False
    from replicate.commands.checks.device import check_device, probe

    return check_device("gpu", probe("gpu")).ok
