"""Everything that findings are computed from, with each row's records found once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from replicate.common.errors import UserError
from replicate.findings.rows import RowResult
from replicate.records.run import Record, check_fellows
from replicate.records.timing import TimingRecord
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable, Row, Setting, in_order
from replicate.verdicts.plan import Plan


@dataclass(frozen=True)
class Evidence:
    """Tables, profiles and records; the main table stands first, comparable profiles before others.

    `plans` holds those from before the first seed, by table and profile.
    """

    tables: tuple[ResultsTable, ...]
    records: tuple[Record, ...]
    profiles: tuple[Profile, ...]
    timings: tuple[TimingRecord, ...] = ()
    plans: Mapping[tuple[str, str], Plan] = field(default_factory=dict)

    @cached_property
    def main(self) -> ResultsTable:
        """The table that the report is about.

        Raises:
            UserError: no table says `main = true`, or several do.
        """
        found = [table for table in self.tables if table.main]
        if len(found) != 1:
            names = ", ".join(table.id for table in found) or "none"
            raise UserError(f"one table has to be the main one, here it is {names}", hint="`main = true` in its file")
        return found[0]

    @cached_property
    def _results(self) -> Mapping[tuple[str, str], RowResult]:
        """Each row's records under each profile, by the row's full id and the profile's."""
        check_fellows(self.records)
        found: dict[tuple[str, str], list[Record]] = {}
        for record in self.records:
            found.setdefault((f"{record.table}/{record.row}", record.profile), []).append(record)
        return {
            (row.full_id, profile.id): RowResult(
                row, profile.id, tuple(sorted(found.get((row.full_id, profile.id), []), key=lambda one: one.seed))
            )
            for table in self.tables
            for row in table.rows
            for profile in self.profiles
        }

    def result(self, row: Row, profile: Profile) -> RowResult:
        """The row's records under the profile.

        Raises:
            UserError: records were made of something else than their fellows; names two files.
        """
        return self._results[row.full_id, profile.id]

    def is_run(self, table: ResultsTable, profile: Profile) -> bool:
        """Whether some row of the table has a record under the profile."""
        return any(self.result(row, profile).records for row in table.rows)

    def comparable(self, table: ResultsTable) -> tuple[Profile, ...]:
        """The profiles that run the table, and whose figures may stand beside its published ones."""
        return tuple(
            profile
            for profile in self.profiles
            if profile.comparable and table.id in profile.tables and self.same_data(table, profile)
        )

    def beside(self, table: ResultsTable, row: Row) -> tuple[Profile, ...]:
        """The profiles that a row of the published table shows.

        A row that nobody published is compared with nothing, so any profile on the table's data will do.
        """
        if row.published:
            return self.comparable(table)
        found = [
            profile for profile in self.profiles if self.same_data(table, profile) and self.result(row, profile).records
        ]
        return tuple(found) or self.comparable(table)

    def same_data(self, table: ResultsTable, profile: Profile) -> bool:
        """Whether the profile runs on the table's dataset."""
        return profile.dataset.casefold() == table.dataset.name.casefold()

    def tolerance(self, table: ResultsTable, metric: str) -> Setting | None:
        """The table's own tolerance or, where it states none, the main table's; None where neither does."""
        return table.tolerances.get(metric) or self.main.tolerances.get(metric)


def gather(
    tables: Mapping[str, ResultsTable],
    records: Sequence[Record],
    profiles: Mapping[str, Profile],
    timings: Sequence[TimingRecord] = (),
    plans: Mapping[tuple[str, str], Plan] | None = None,
) -> Evidence:
    """The evidence in one order, whatever that of the arguments.

    Args:
        tables: by id; the main one comes first, then published ones, and of those the ones with claims.
        records: every one has to belong to a row and a profile given here.
        profiles: by id; those that may be compared with published values come first.
        timings: inference, timed; each is a machine by itself.
        plans: from before the first seed, by table and profile.

    Raises:
        UserError: a record of an unknown row or profile.
    """
    rows = {(table.id, row.id) for table in tables.values() for row in table.rows}
    for record in records:
        if (record.table, record.row) not in rows or record.profile not in profiles:
            raise UserError("a record of an unknown table, row or profile", path=record.place)
    return Evidence(
        in_order(tables.values()),
        tuple(sorted(records, key=lambda record: (record.profile, record.table, record.row, record.seed))),
        tuple(sorted(profiles.values(), key=lambda profile: (not profile.comparable, profile.id))),
        tuple(sorted(timings, key=lambda timing: timing.name)),
        dict(plans or {}),
    )
