"""Whether the main table's claims hold, and what a reader has to know before anything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from replicate.findings.best import Best
from replicate.findings.compared import ClaimResult, Compared
from replicate.findings.decided import Decided
from replicate.findings.leak import Pruned
from replicate.findings.originals import Original, Printed
from replicate.findings.origins import Origin
from replicate.findings.published import Published
from replicate.findings.selected import chosen_by
from replicate.records.selection import RULES
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable


@dataclass(frozen=True)
class Asked:
    """A claim in print, what one run could show of it, and what our seeds say; None where they say nothing yet."""

    printed: Printed
    original: Original | None
    result: ClaimResult | None


@dataclass(frozen=True)
class Families:
    """The families of comparisons that have words, and how many false words to expect of all of them at most."""

    planned: int
    studies: int
    alpha: float

    @property
    def false_words(self) -> float:
        """Each family holds alpha false words or fewer on average."""
        return self.alpha * (self.planned + self.studies)


@dataclass(frozen=True)
class Answer:
    """The main table's answer.

    Attributes:
        published: the main table.
        best: the profile that tests its claims, or whose exploratory figures stand in.
        claims: those in print.
        ruled: claims that hold one rule for choosing the step over both rows.
        selects: of each claim whose rows choose their step by different metrics, its rows and these metrics.
        pruned: what pruning does to a row under the best profile of all tables that prune.
        pruning: that profile; None where nothing was pruned.
        pruning_tests: whether those figures are more than exploratory.
        compared: the main table's rows under each profile on its data.
        families: what words there are under the profiles on its data.
        origins: the nets of the records that the claims are tested with.
    """

    published: Published
    best: Best
    claims: tuple[Asked, ...]
    ruled: tuple[ClaimResult, ...]
    selects: tuple[tuple[str, str, str, str], ...]
    pruned: tuple[Pruned, ...]
    pruning: Profile | None
    pruning_tests: bool
    compared: tuple[tuple[Profile, Compared], ...]
    families: Families
    origins: tuple[Origin, ...]

    @property
    def table(self) -> ResultsTable:
        """The main table."""
        return self.published.table

    @property
    def decided(self) -> Decided | None:
        """What the plan says under the best profile."""
        return self.best.compared.decided if self.best.compared else None


def answer_of(
    published: Published,
    best: Best,
    columns: Sequence[tuple[Profile, Compared]],
    pruning: tuple[Profile, bool, tuple[Pruned, ...]] | None,
    families: Families,
    origins: Sequence[Origin],
) -> Answer:
    """The answer.

    Args:
        published: the main table.
        best: the profile that tests it.
        columns: its rows under each profile on its data.
        pruning: the profile that prunes best, whether it tests, and its pruned rows.
        families: those that have words.
        origins: of the records under the best profile.
    """
    originals = {one.printed.claim.id: one for one in published.originals}
    results = {one.claim.id: one for one in best.compared.claims} if best.compared else {}
    claims = tuple(
        Asked(
            one,
            originals.get(one.claim.id),
            found if (found := results.get(one.claim.id)) and found.verdict.status != "not-run" else None,
        )
        for one in published.claims
    )
    return Answer(
        published=published,
        best=best,
        claims=claims,
        ruled=tuple(one for one in results.values() if one.claim.metrics[0] in RULES),
        selects=tuple(_selects(published.table)),
        pruned=pruning[2] if pruning else (),
        pruning=pruning[0] if pruning else None,
        pruning_tests=bool(pruning and pruning[1]),
        compared=tuple(columns),
        families=families,
        origins=tuple(origins),
    )


def families_of(compared: Sequence[Compared], alpha: float) -> Families:
    """The families with words among these tables: a table's plan is one, its other comparisons another."""
    judged = [
        {one.judged.rule == "study" for one in found.differences.values() if one.judged and one.judged.has_interval}
        for found in compared
    ]
    return Families(sum(False in one for one in judged), sum(True in one for one in judged), alpha)


def _selects(table: ResultsTable) -> list[tuple[str, str, str, str]]:
    """Rows of a claim that choose their step by different metrics, neither being made from the other."""
    found = []
    for claim in table.claims:
        row, against = table.row(claim.row), table.row(claim.against)
        mine, other = chosen_by(table, row), chosen_by(table, against)
        last = {table.chain(one.id)[-1].stage for one in (row, against) if one.recipe}
        if mine and other and mine != other and len(last) == 1:
            found.append((row.id, mine, against.id, other))
    return found
