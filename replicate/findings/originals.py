"""Published differences of single runs beside ours: what one run could show, and whether it goes with our seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replicate.findings.compared import ClaimResult, Compared
from replicate.findings.pairs import ACCURACY, share_a_chain
from replicate.findings.rows import Difference
from replicate.tables.profile import Profile
from replicate.tables.table import Claim, ResultsTable
from replicate.verdicts.original import PublishedDifference, mcnemar_at, published_difference
from replicate.verdicts.pairs import McNemar, PublishedPair, published_pair

# A spread of fewer differences is luck.
FEWEST = 5


@dataclass(frozen=True)
class Printed:
    """A claim with the published difference in each metric that both rows print, and what the totals alone can show.

    `logged` is the difference in accuracy by the source's own log, where that has another value for one of the rows.
    """

    claim: Claim
    differences: Mapping[str, float]
    totals: PublishedPair | None
    logged: float | None = None

    @property
    def logged_examples(self) -> int | None:
        """The same in examples."""
        return None if self.logged is None or not self.totals else round(self.logged * self.totals.examples)


@dataclass(frozen=True)
class Original:
    """A published difference in accuracy beside ours under one profile.

    Attributes:
        printed: the claim as published.
        profile: the profile.
        result: the claim under it.
        found: what one run could show, and whether it goes with ours.
        disagreement: share of the dev examples that just one of two such runs gets right, mean over seeds; NaN where no
            pair of runs tells.
        mcnemar: of the published totals, were their rows to disagree as often as ours.
    """

    printed: Printed
    profile: Profile
    result: ClaimResult
    found: PublishedDifference
    disagreement: float
    mcnemar: McNemar | None


def printed_of(table: ResultsTable, claim: Claim) -> Printed:
    """A claim of the table as published."""
    a, b = table.row(claim.row), table.row(claim.against)
    differences = {
        metric: float(a.published[metric].value - b.published[metric].value)
        for metric in dict.fromkeys((ACCURACY, *claim.metrics))
        if metric in a.published and metric in b.published
    }
    totals = None
    if a.counts and b.counts:
        alpha = float(table.statistics.alpha.value)
        totals = published_pair(a.counts.correct, b.counts.correct, table.dataset.examples, alpha)
    logged = None
    if claim.against_in_log is not None and ACCURACY in a.published:
        logged = float(a.published[ACCURACY].value - claim.against_in_log.value)
    return Printed(claim, differences, totals, logged)


def originals_of(printed: Sequence[Printed], compared: Compared, profile: Profile) -> tuple[Original, ...]:
    """Every published difference in accuracy of which the profile has enough seeds of both rows."""
    found = []
    results = {one.claim.id: one for one in compared.claims}
    for one in printed:
        result = results.get(one.claim.id)
        ours = result.differences.get(ACCURACY) if result else None
        if result and ours and ACCURACY in one.differences and len(ours.by_seed) >= FEWEST:
            found.append(_original(one, compared.table, profile, result, ours))
    return tuple(found)


def _original(
    printed: Printed, table: ResultsTable, profile: Profile, result: ClaimResult, ours: Difference
) -> Original:
    values, sd = list(ours.by_seed.values()), None
    if not share_a_chain(table, printed.claim.row, printed.claim.against):
        # Runs that share no stage are as far apart as both are from their means.
        sides = ([row.score(seed, ACCURACY) for seed in ours.by_seed] for row in (ours.a, ours.b))
        sd = math.sqrt(sum(statistics.variance(side) for side in sides)) or None
    alpha = float(table.statistics.alpha.value)
    found = published_difference(values, printed.differences[ACCURACY], alpha, sd)
    examples, tests = table.dataset.examples, ours.found.mcnemar
    apart = statistics.fmean((one.only_a + one.only_b) / examples for one in tests) if tests else math.nan
    a, b = (table.row(row).counts for row in (printed.claim.row, printed.claim.against))
    mcnemar = mcnemar_at(a.correct, b.correct, examples, apart) if a and b and tests and apart <= 1 else None
    return Original(printed, profile, result, found, apart, mcnemar)
