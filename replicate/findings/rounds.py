"""Studies that follow a plan: which claims they are about, and which runs the open ones wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from replicate.common.errors import UserError
from replicate.findings.decided import Decided
from replicate.records.strata import seed_at
from replicate.runs.ask import Ask, selected
from replicate.tables.profile import Profile
from replicate.tables.sequential import plan_of
from replicate.tables.table import ResultsTable
from replicate.verdicts.decisions import next_runs
from replicate.verdicts.plan import Claim, Plan


@dataclass(frozen=True)
class Study:
    """A table whose plan is followed under a profile.

    Attributes:
        table: the table.
        plan: its plan, with every claim of the family, so that each has its level whatever is run for.
        names: of the claims that are run for.
    """

    table: ResultsTable
    plan: Plan
    names: tuple[str, ...]

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Those that are run for."""
        return tuple(claim for claim in self.plan.claims if claim.name in self.names)

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows that these claims need, in the table's order."""
        needed = {row for claim in self.claims for row in (claim.a, claim.b)}
        return tuple(row.id for row in self.table.rows if row.id in needed)

    @property
    def least(self) -> int:
        """Seeds in all that the first look takes."""
        return self.plan.first * len(self.plan.nets)

    def only(self, wanted: Callable[[Claim], bool]) -> Study:
        """The study, run for these of its claims alone."""
        return replace(self, names=tuple(claim.name for claim in self.claims if wanted(claim)))

    def rows_of(self, claim: Claim) -> set[tuple[str, str]]:
        """The two rows of a claim, by both ids."""
        return {(self.table.id, claim.a), (self.table.id, claim.b)}


def studies_of(tables: Mapping[str, ResultsTable], profile: Profile, rows: Sequence[str] = ()) -> tuple[Study, ...]:
    """The studies of a profile; where rows are named, for the claims that are about one of them.

    Args:
        tables: by id.
        profile: its tables are followed, in its order.
        rows: names, `row` or `table/row`.

    Raises:
        UserError: no table of the profile has a plan, or a named row is not run, or is in no plan.
    """
    of_names = {name: {(table.id, row) for table, row in selected(tables, profile, (name,))} for name in rows}
    studies = [
        Study(tables[name], plan, tuple(claim.name for claim in plan.claims))
        for name in profile.tables
        if (plan := plan_of(tables[name], profile))
    ]
    if not studies:
        raise UserError(
            f"profile {profile.id}: none of its tables has a plan for it",
            hint="[sequential] in a table's file states one; without --until-decided its own seeds are run",
        )
    planned = {(study.table.id, row) for study in studies for row in study.rows}
    for name, found in of_names.items():
        if not found & planned:
            known = ", ".join(dict.fromkeys(row for study in studies for row in study.rows))
            raise UserError(f"no plan under {profile.id} is about row {name!r}", hint=f"rows of its plans: {known}")
    wanted = set[tuple[str, str]]().union(*of_names.values())
    return narrowed(studies, lambda study, claim: not rows or bool(wanted & study.rows_of(claim)))


def narrowed(studies: Iterable[Study], wanted: Callable[[Study, Claim], bool]) -> tuple[Study, ...]:
    """The studies with these of their claims; one that has none of them is left out."""
    found = (study.only(partial(wanted, study)) for study in studies)
    return tuple(study for study in found if study.names)


def fitting(studies: Iterable[Study], rows: Iterable[tuple[str, str]]) -> tuple[Study, ...]:
    """The studies without the claims that need another row than these.

    Args:
        studies: the studies.
        rows: of tables, by both ids.
    """
    there = set(rows)
    return narrowed(studies, lambda study, claim: study.rows_of(claim) <= there)


def open_claims(study: Study, found: Decided) -> tuple[str, ...]:
    """Names of the study's claims that further seeds may decide."""
    return tuple(name for name in study.names if not (found.verdicts[name].decided or found.verdicts[name].stuck))


def next_asks(studies: Iterable[Study], found: Mapping[str, Decided], seeds: int | None = None) -> list[Ask]:
    """The runs of the next round, those of all studies together, seed by seed; empty where nothing is left to run.

    Args:
        studies: the studies.
        found: by table, what the records so far decide.
        seeds: in all, beyond which no row is run: a stop, and no change of the plans.
    """
    asks: list[Ask] = []
    for study in studies:
        decided = found[study.table.id]
        nets = study.plan.nets
        stop = None if seeds is None else seeds // len(nets)
        runs = next_runs(study.plan, decided.scores, [decided.verdicts[name] for name in study.names], stop)
        asks += (Ask(study.table, row, seed_at(place, nets.index(net), len(nets))) for row, net, place in runs)
    order = {(study.table.id, row): place for place, (study, row) in enumerate(_all_rows(studies))}
    return sorted(asks, key=lambda ask: (ask.seed, order[ask.table.id, ask.row]))


def _all_rows(studies: Iterable[Study]) -> list[tuple[Study, str]]:
    return [(study, row) for study in studies for row in study.rows]
