"""Everything that findings are computed from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from replicate.findings.rows import RowResult, row_result
from replicate.records.run import Record
from replicate.records.timing import TimingRecord
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable, Row


@dataclass(frozen=True)
class Material:
    """Everything that a report is made of; `measured` is the way from the report to the records."""

    tables: tuple[ResultsTable, ...]
    records: tuple[Record, ...]
    profiles: tuple[Profile, ...]
    measured: str
    timings: tuple[TimingRecord, ...] = ()

    def result(self, row: Row, profile: Profile) -> RowResult:
        """The row's records under the profile."""
        return row_result(self.records, row, profile.id)

    def comparable(self, table: ResultsTable) -> tuple[Profile, ...]:
        """The profiles whose figures may stand beside the table's published ones."""
        return tuple(profile for profile in self.profiles if profile.comparable and self.same_data(table, profile))

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

    def link(self, result: RowResult, words: str) -> str:
        """`words` as a link to the folder with the row's records; as they are where there are none."""
        if not result.records:
            return words
        folder, _, _ = result.records[0].place.rpartition("/")
        return f"[{words}]({quote(f'{self.measured}/{folder}')})"

    def named(self, result: RowResult) -> str:
        """The row's id, linked to its records."""
        return self.link(result, f"`{result.row.id}`")

    def minus(self, a: RowResult, b: RowResult) -> str:
        """A difference of two rows in words, each linked to its records."""
        return f"{self.named(a)} minus {self.named(b)}"

    def seeds(self, records: Iterable[Record]) -> str:
        """The seeds as links to their records, with the status of those that did not end well."""
        return " ".join(
            f"[{record.seed}]({quote(f'{self.measured}/{record.place}')})"
            + (f" {record.status}" if record.status != "ok" else "")
            for record in records
        )

    def same_data(self, table: ResultsTable, profile: Profile) -> bool:
        """Whether the profile runs on the table's dataset."""
        return profile.dataset.casefold() == table.dataset.name.casefold()
