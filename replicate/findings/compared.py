"""The rows of a table under one profile, each pair compared once, and what that makes of the claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from replicate.findings.decided import Decided
from replicate.findings.judged import NO_PAIRS, Judged, answer_of, planned
from replicate.findings.pairs import ACCURACY, Pair, pairs_of
from replicate.findings.rows import Difference, RowResult, difference_of, verdict_on
from replicate.findings.study import judge_study
from replicate.tables.profile import Profile
from replicate.tables.table import Claim, ResultsTable, Setting
from replicate.verdicts.decisions import ANSWERS
from replicate.verdicts.effects import ClaimStatus

GAP = "a plan counts seeds from 1 on, without a gap"
_STATUS: Mapping[str, ClaimStatus] = {
    "yes": "supported",
    "no": "contradicted",
    "undecided": "undecided",
    "not-run": "not-run",
}


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim's status, and why."""

    status: ClaimStatus
    reason: str


@dataclass(frozen=True)
class ClaimResult:
    """A claim under one profile.

    Attributes:
        claim: the claim.
        verdict: whether it holds.
        judged: its comparison, in the metric that decides it.
        a: its row.
        b: the row that it is against.
        differences: in each of its metrics, where both were run.
    """

    claim: Claim
    verdict: ClaimVerdict
    judged: Judged
    a: RowResult
    b: RowResult
    differences: Mapping[str, Difference]


@dataclass(frozen=True)
class Compared:
    """A table's rows under one profile.

    Attributes:
        results: by row.
        differences: of `pairs_of`, each with its verdict.
        claims: those of the table, then those that only its plan has.
        decided: what its plan says; None without one.
    """

    table: ResultsTable
    profile: str
    results: Mapping[str, RowResult]
    differences: Mapping[Pair, Difference]
    claims: tuple[ClaimResult, ...]
    decided: Decided | None = None

    @property
    def is_run(self) -> bool:
        """Whether some row has a record."""
        return any(result.records for result in self.results.values())

    @property
    def has_claims(self) -> bool:
        """Whether both rows of some claim were run."""
        return any(result.differences for result in self.claims)

    def difference(self, row: str, against: str, metric: str = ACCURACY) -> Difference | None:
        """One row minus another; None where they have no seed in common, or are not compared."""
        return self.differences.get((row, against, metric))


# The rows of each table under each profile, by the ids of both.
AllCompared = Mapping[tuple[str, str], Compared]


def compare_table(
    table: ResultsTable,
    results: Mapping[str, RowResult],
    profile: Profile,
    decided: Decided | None = None,
    tolerances: Mapping[str, Setting] | None = None,
) -> Compared:
    """Compares the rows of a table, each pair once.

    A comparison of its plan has the plan's word, and is told over the seeds that this rests on. All others are a study.

    Args:
        table: the table.
        results: its rows under the profile, by id.
        profile: the profile.
        decided: what the table's plan says of the same records; without one every comparison is of the study.
        tolerances: by metric, for metrics that the table states none for.
    """
    of_plan = planned(decided) if decided else {}
    claims = [*table.claims, *(table.sequential.added if table.sequential and decided else ())]
    family = pairs_of(table, profile)
    margins = {metric: margin_of(table, metric, tolerances) for *_, metric in family}
    alpha = float(table.statistics.alpha.value)
    differences: dict[Pair, Difference] = {}
    for pair in dict.fromkeys([*family, *of_plan]):
        row, against, metric = pair
        judged = of_plan.get(pair)
        # A verdict that rests on some of the seeds is told over these.
        last = judged.pairs or None if judged else None
        found = difference_of(results[row], results[against], metric, alpha, last)
        if found and judged and judged.word == "not-run":
            judged = replace(judged, word="undecided", difference=found.found.difference, reason=GAP)
        if found:
            differences[pair] = replace(found, judged=judged)
    alone = [pair for pair in family if pair not in of_plan]
    for pair, judged in judge_study(table, alone, differences, margins).items():
        differences[pair] = replace(differences[pair], judged=judged)
    told = tuple(_claim(one, results, differences, decided) for one in claims)
    return Compared(table, profile.id, results, differences, told, decided)


def margin_of(table: ResultsTable, metric: str, tolerances: Mapping[str, Setting] | None = None) -> float:
    """The difference that counts as none: the plan's, else the table's tolerance, else one of `tolerances`, or 0."""
    stated = table.sequential.margins.get(metric) if table.sequential else None
    stated = stated or table.tolerances.get(metric) or (tolerances or {}).get(metric)
    return float(stated.value) if stated else 0.0


def _claim(
    claim: Claim, results: Mapping[str, RowResult], differences: Mapping[Pair, Difference], decided: Decided | None
) -> ClaimResult:
    of_claim = {metric: one for metric in claim.metrics if (one := differences.get((claim.row, claim.against, metric)))}
    deciding = claim.metrics[0]
    if decided and claim.id in decided.verdicts:
        deciding = decided.verdicts[claim.id].claim.metric
    one = differences.get((claim.row, claim.against, deciding))
    judged = verdict_on(one)
    if decided and claim.id in decided.verdicts:
        held: str = answer_of(decided, claim.id)
    else:
        held = {str(word): answer for word, answer in ANSWERS[claim.kind].items()}.get(judged.word, "undecided")
    status = _STATUS["not-run" if judged.word == "not-run" else "undecided" if held == "not-run" else held]
    a, b = results[claim.row], results[claim.against]
    return ClaimResult(claim, ClaimVerdict(status, _why(judged)), judged, a, b, of_claim)


def _why(judged: Judged) -> str:
    if judged.word == "not-run":
        return NO_PAIRS
    ends = f": {judged.interval[0]:+.4f} to {judged.interval[1]:+.4f}" if judged.has_interval else ""
    return f"{judged.word}{ends}" + (f", {judged.reason}" if judged.reason else "")
