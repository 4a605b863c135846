"""The rows of a table under one profile, each pair compared once, and what that makes of the claims."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from replicate.findings.rows import Difference, RowResult, difference_of, tolerance_of
from replicate.tables.table import Claim, ResultsTable, Setting
from replicate.verdicts import claims
from replicate.verdicts.claims import ClaimVerdict, claim_test

# What rows are compared in, besides the metrics of claims.
METRICS = ("accuracy", "macro_f1", "f1")
# Row, the row that it is compared with, metric.
Pair = tuple[str, str, str]


@dataclass(frozen=True)
class ClaimResult:
    """A claim's verdict under one profile, its two rows, and their difference in each metric where both were run."""

    claim: Claim
    verdict: ClaimVerdict
    a: RowResult
    b: RowResult
    differences: Mapping[str, Difference]


@dataclass(frozen=True)
class Compared:
    """A table's rows under one profile.

    Attributes:
        results: by row.
        differences: of `related_rows`, and of those asked for besides.
        claims: corrected over all of the table (Holm).
    """

    table: ResultsTable
    profile: str
    results: Mapping[str, RowResult]
    differences: Mapping[Pair, Difference]
    claims: tuple[ClaimResult, ...]

    @property
    def is_run(self) -> bool:
        """Whether some row has a record."""
        return any(result.records for result in self.results.values())

    @property
    def has_claims(self) -> bool:
        """Whether both rows of some claim were run."""
        return any(result.differences for result in self.claims)

    def difference(self, row: str, against: str, metric: str = "accuracy") -> Difference | None:
        """One row minus another; None where they have no seed in common, or are not compared."""
        return self.differences.get((row, against, metric))


# The rows of each table under each profile, by the ids of both.
AllCompared = Mapping[tuple[str, str], Compared]


def compare_table(
    table: ResultsTable,
    results: Mapping[str, RowResult],
    profile: str,
    tolerances: Mapping[str, Setting] | None = None,
    besides: Iterable[Pair] = (),
) -> Compared:
    """Compares the rows of a table, each pair once.

    Args:
        table: the table.
        results: its rows under the profile, by id.
        profile: its id.
        tolerances: by metric, for metrics that the table states none for.
        besides: pairs to compare besides `related_rows`.
    """
    of_claims = [(one.row, one.against, metric) for one in table.claims for metric in one.metrics]
    related = [(*pair, metric) for pair in related_rows(table) for metric in METRICS]
    pairs = dict.fromkeys([*related, *of_claims, *besides])
    alpha = float(table.statistics.alpha.value)
    differences: dict[Pair, Difference] = {}
    for row, against, metric in pairs:
        tolerance = tolerance_of(table, row, metric) or (tolerances or {}).get(metric)
        margin = tolerance.value if tolerance else 0
        if found := difference_of(results[row], results[against], metric, margin, alpha):
            differences[row, against, metric] = found
    return Compared(table, profile, results, differences, judge_claims(table, results, differences))


def related_rows(table: ResultsTable) -> list[tuple[str, str]]:
    """Every row with its parent, with the row that it says it is compared with, and the rows of each claim."""
    of_rows = [(row.id, other) for row in table.rows for other in (row.parent, row.against) if other]
    return list(dict.fromkeys([*of_rows, *((claim.row, claim.against) for claim in table.claims)]))


def judge_claims(
    table: ResultsTable, results: Mapping[str, RowResult], differences: Mapping[Pair, Difference]
) -> tuple[ClaimResult, ...]:
    """One result a claim of the table, corrected over all of them; rows are compared over the seeds that both have."""
    compared = [
        {
            metric: differences[claim.row, claim.against, metric]
            for metric in claim.metrics
            if (claim.row, claim.against, metric) in differences
        }
        for claim in table.claims
    ]
    tests = [
        claim_test(claim.kind, [one.found for one in of_claim.values()]) if of_claim else None
        for claim, of_claim in zip(table.claims, compared, strict=True)
    ]
    verdicts = claims.judge_claims(tests, float(table.statistics.alpha.value))
    return tuple(
        ClaimResult(claim, verdict, results[claim.row], results[claim.against], of_claim)
        for claim, verdict, of_claim in zip(table.claims, verdicts, compared, strict=True)
    )
