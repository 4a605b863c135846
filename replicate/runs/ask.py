"""What is asked for: rows that a profile runs, each with a seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from replicate.common.errors import UserError
from replicate.records.strata import member_seeds
from replicate.runs.plan import model_of
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable


@dataclass(frozen=True)
class Ask:
    """A row of a table, and a seed to run it with."""

    table: ResultsTable
    row: str
    seed: int

    @property
    def full_id(self) -> str:
        """The row, with its table."""
        return f"{self.table.id}/{self.row}"

    @property
    def label(self) -> str:
        """What stands before its progress."""
        return f"{self.row} · seed {self.seed}"


def seeds_of(table: ResultsTable, row_id: str, profile: Profile) -> tuple[int, ...]:
    """The seeds that a profile runs a row with.

    An ensemble of several seeds has its members among the profile's: 18 seeds make 6 ensembles of three. Seeds that
    somebody names are run as they are.
    """
    if profile.seeds_named or all(row.members == 1 for row in table.rows):
        return profile.seeds
    members = max(row.members for row in table.lineage(row_id))
    there = set(profile.seeds)
    return tuple(seed for seed in profile.seeds if there.issuperset(member_seeds(seed, members, profile.nets)))


def asks_of(rows: Iterable[tuple[ResultsTable, str]], profile: Profile) -> list[Ask]:
    """Every row with each of the seeds that the profile runs it with."""
    return [Ask(table, row, seed) for table, row in rows for seed in seeds_of(table, row, profile)]


def selected(
    tables: Mapping[str, ResultsTable], profile: Profile, names: tuple[str, ...]
) -> Iterator[tuple[ResultsTable, str]]:
    """The rows that a profile runs, or of those the ones that are named: `row`, `table/row`, or `table` for all of its.

    Raises:
        UserError: a name fits no row, or a row that the profile does not run.
    """
    for table_id in profile.tables:
        if table_id not in tables:
            raise UserError(f"profile {profile.id}: no table {table_id!r}", hint=f"tables: {', '.join(tables)}")
    rows = [
        (tables[table_id], row)
        for table_id in profile.tables
        for row in tables[table_id].rows
        if row.runs_under(profile.id)
    ]
    known = {name for table, row in rows for name in (row.id, row.full_id, table.id)}
    for name in names:
        if name not in known:
            raise UserError(
                f"profile {profile.id} runs no row {name!r}", hint=f"rows: {', '.join(row.id for _, row in rows)}"
            )
    for table, row in rows:
        if not names or not {row.id, row.full_id, table.id}.isdisjoint(names):
            yield table, row.id


def models_of(tables: Mapping[str, ResultsTable], profile: Profile) -> tuple[str, ...]:
    """The named nets that a profile's rows start from, its own first; none where it pretrains one.

    Raises:
        UserError: the profile names a table that is not there.
    """
    if profile.model is None:
        return ()
    found = (model_of(table, row, profile) for table, row in selected(tables, profile, ()))
    return tuple(dict.fromkeys((profile.model, *(name for name in found if name))))
