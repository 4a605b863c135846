"""Claims: one test over several metrics, corrected over the claims of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from replicate.verdicts.equivalence import holm
from replicate.verdicts.pairs import RowComparison

ClaimStatus = Literal["supported", "contradicted", "not distinguishable", "not-run"]


@dataclass(frozen=True)
class ClaimTest:
    """One claim over all its metrics: p that it holds in each, and p that it fails in one."""

    p_support: float
    p_contradict: float

    @property
    def p(self) -> float:
        """Two-sided: the smaller of the two, doubled."""
        return min(1.0, 2 * min(self.p_support, self.p_contradict))


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim's status after Holm's correction over its table, with its p alone and the corrected one."""

    status: ClaimStatus
    reason: str
    p: float
    p_corrected: float


def claim_test(kind: str, comparisons: Sequence[RowComparison]) -> ClaimTest:
    """Tests a claim on all its metrics: `lowers`, `raises`, or `keeps` (within the margin of the comparison).

    It holds where each metric shows it, so the largest p counts; it fails where any metric shows the opposite, so the
    smallest counts, times their number.
    """
    if kind == "keeps":
        support, against = [c.p_equivalence for c in comparisons], [c.p_outside for c in comparisons]
    elif kind in ("lowers", "raises"):
        less, greater = [c.p_less for c in comparisons], [c.p_greater for c in comparisons]
        support, against = (less, greater) if kind == "lowers" else (greater, less)
    else:
        raise ValueError(f"a claim of an unknown kind: {kind!r}")
    if not comparisons or any(map(math.isnan, support + against)):
        return ClaimTest(math.nan, math.nan)
    return ClaimTest(max(support), min(1.0, len(against) * min(against)))


def judge_claims(tests: Sequence[ClaimTest | None], alpha: float = 0.05) -> tuple[ClaimVerdict, ...]:
    """One verdict a claim of a table, Holm-corrected over all of them; None is a claim whose rows were not run."""
    corrected = holm([math.nan if test is None else test.p for test in tests])
    return tuple(_judge_claim(test, float(p), alpha) for test, p in zip(tests, corrected, strict=True))


def _judge_claim(test: ClaimTest | None, p: float, alpha: float) -> ClaimVerdict:
    status: ClaimStatus = "not distinguishable"
    if test is None:
        status, reason = "not-run", "there are no records of both rows over the same seeds"
    elif math.isnan(p):
        reason = "fewer than two seed pairs, or a seed gave no number"
    elif p > alpha:
        reason = f"these seeds show neither it nor its opposite (p = {p:.2g})"
    elif test.p_support < test.p_contradict:
        status, reason = "supported", f"shown in every metric of the claim (p = {p:.2g})"
    else:
        status, reason = "contradicted", f"the opposite is shown (p = {p:.2g})"
    return ClaimVerdict(status, reason, test.p if test else math.nan, p)
