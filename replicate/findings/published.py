"""A published table beside its records: verdicts on rows and claims, and what its totals alone can show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from replicate.findings.best import Best
from replicate.findings.compared import Compared
from replicate.findings.evidence import Evidence
from replicate.findings.nets import Nets, nets_of
from replicate.findings.originals import Original, Printed, originals_of, printed_of
from replicate.findings.rows import RowResult, RowVerdict, judge_row
from replicate.records.run import Record
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable, Row


@dataclass(frozen=True)
class Measured:
    """A row under one profile, with its verdict where it was published."""

    profile: Profile
    result: RowResult
    verdict: RowVerdict | None


@dataclass(frozen=True)
class Unfinished:
    """Seeds that diverged or failed, and for rows that have records, the seeds of the profile that have none yet."""

    failed: tuple[tuple[RowResult, Record], ...]
    waiting: tuple[tuple[RowResult, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Published:
    """A published table.

    Attributes:
        table: the table.
        comparable: the profiles whose figures may stand beside its own.
        rows: each row that is shown, with what was measured of it.
        never: why none of its rows can be run, where that is one reason.
        unfinished: of the records shown.
        claims: what it claims, in print.
        compared: its rows under each comparable profile.
        originals: the published differences beside ours, under the best profile on its data.
        nets: how its nets behave under each of these.
    """

    table: ResultsTable
    comparable: tuple[Profile, ...]
    rows: tuple[tuple[Row, tuple[Measured, ...]], ...]
    never: str | None
    unfinished: Unfinished
    claims: tuple[Printed, ...]
    compared: tuple[Compared, ...]
    nets: tuple[Nets, ...]
    originals: tuple[Original, ...] = ()

    @property
    def verdicts(self) -> tuple[tuple[Row, Profile, RowVerdict], ...]:
        """Every verdict on a published row."""
        return tuple((row, one.profile, one.verdict) for row, measured in self.rows for one in measured if one.verdict)


def published_of(evidence: Evidence, table: ResultsTable, compared: Sequence[Compared], best: Best) -> Published:
    """What there is to say of a published table.

    Args:
        evidence: tables, profiles and records.
        table: the table.
        compared: its rows under each comparable profile.
        best: the profile whose seeds its claims are held against.
    """
    profiles = evidence.comparable(table)
    reasons = {row.not_run for row in table.rows}
    never = reasons.pop() if len(reasons) == 1 else None
    rows = []
    for row in table.rows:
        if row.profiles and not any(row.runs_under(profile.id) for profile in profiles):
            continue
        found = []
        for profile in () if never else evidence.beside(table, row):
            result = evidence.result(row, profile)
            found.append(Measured(profile, result, judge_row(table, result) if row.published else None))
        rows.append((row, tuple(found)))
    results = [(one.result, one.profile) for _, measured in rows for one in measured]
    printed = tuple(printed_of(table, claim) for claim in table.claims)
    return Published(
        table=table,
        comparable=profiles,
        rows=tuple(rows),
        never=never,
        unfinished=unfinished(results),
        claims=printed,
        compared=tuple(compared),
        nets=tuple(nets_of(table.id, one.profile, list(one.results.values())) for one in compared),
        originals=originals_of(printed, best.compared, best.profile) if best.profile and best.compared else (),
    )


def unfinished(results: Iterable[tuple[RowResult, Profile]]) -> Unfinished:
    """The seeds of these rows that did not end well, and those not run yet."""
    results = list(results)
    return Unfinished(
        tuple((result, record) for result, _ in results for record in result.failed),
        tuple(
            (result, left)
            for result, profile in results
            if result.records
            if (left := tuple(sorted({*profile.seeds} - {record.seed for record in result.records})))
        ),
    )
