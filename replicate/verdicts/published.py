"""Verdicts with a stated error rate: seeds against a published value, and new seeds against earlier ones.

`replicated` needs equivalence *shown* (two one-sided t-tests), `higher` and `lower` need the mean shown to lie outside
the tolerance; the rest is `inconclusive`, so that few seeds never pay. Each test is about the mean over seeds on one
fixed dev set. Distances to a tolerance are taken in exact arithmetic of the printed digits, before anything is a float.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from replicate.verdicts.equivalence import (
    NO_INTERVAL,
    Interval,
    Number,
    _mean,
    _t_quantile,
    equivalence,
    exact,
    holm,
    seeds_needed,
    spread,
    t_interval,
)

Status = Literal["replicated", "higher", "lower", "inconclusive", "not-run", "error"]
_WORST_FIRST: tuple[Status, ...] = ("error", "lower", "higher", "inconclusive", "replicated")


@dataclass(frozen=True)
class Comparison:
    """Seeds of one row against its published value.

    Attributes:
        verdict: `replicated`, `higher`, `lower` or `inconclusive`.
        reason: why, as a sentence.
        n: number of seeds.
        mean: over seeds.
        sd: standard deviation over seeds (ddof 1).
        ci: two-sided t interval of the mean, level 1 - alpha.
        prediction_interval: where one further seed falls, level 1 - alpha.
        published: the published value.
        tolerance: how far from it counts as the same.
        alpha: significance level.
        p_equivalence: of the two one-sided tests that the mean is within the tolerance.
        p_outside: that the mean is outside it (two-sided).
    """

    verdict: Status
    reason: str
    n: int
    mean: float
    sd: float
    ci: Interval
    prediction_interval: Interval
    published: float
    tolerance: float
    alpha: float
    p_equivalence: float
    p_outside: float

    @property
    def seeds_needed(self) -> int | None:
        """Seeds that show equivalence with 80 % power at the observed sd, if the mean is the published value."""
        return seeds_needed(self.sd, self.tolerance, self.alpha)


@dataclass(frozen=True)
class BaselineComparison:
    """New seeds of a row against its accepted ones; `difference` is new minus baseline, `ci` its Welch interval."""

    verdict: Status
    reason: str
    n: tuple[int, int]
    difference: float
    ci: Interval
    p_equivalence: float
    p_outside: float


@dataclass(frozen=True)
class Verdict:
    """What a row's case passes, fails or skips on, with the comparison behind it where there is one."""

    status: Status
    reason: str
    comparison: Comparison | None = None


def judge(
    samples: Sequence[float],
    published: Number,
    tolerance: Number,
    *,
    alpha: float = 0.05,
    minimum_seeds: int = 2,
    errors: Sequence[str] = (),
) -> Verdict:
    """The verdict on one row and metric, runs that failed and runs that are missing included.

    Args:
        samples: one score a seed; NaN for a seed that diverged without one.
        published: the published value.
        tolerance: how far from it counts as the same.
        alpha: significance level.
        minimum_seeds: fewer are `inconclusive` whatever they say.
        errors: reasons of the runs that ended in an error; any makes the verdict `error`.
    """
    if errors:
        return Verdict("error", f"{len(errors)} of {len(errors) + len(samples)} runs failed: {errors[0]}")
    if not samples:
        return Verdict("not-run", "there is no record of a run")
    comparison = compare_to_published(samples, published, tolerance, alpha)
    if len(samples) < minimum_seeds:
        return Verdict("inconclusive", f"{_seeds(len(samples))}; a verdict takes {minimum_seeds}", comparison)
    return Verdict(comparison.verdict, comparison.reason, comparison)


def together(
    verdicts: Mapping[str, tuple[Status, str]], p_outside: Mapping[str, float], alpha: float
) -> tuple[Status, str]:
    """One verdict over several metrics, and its reason.

    `replicated` needs every metric, so it is wrong no more often than for one of them. One metric is enough for
    `higher` or `lower`, so their p is corrected over the metrics (Holm).
    """
    corrected = dict(zip(p_outside, holm([1.0 if math.isnan(p) else p for p in p_outside.values()]), strict=True))
    settled: dict[str, tuple[Status, str]] = {}
    for metric, (status, reason) in verdicts.items():
        if status in ("higher", "lower") and corrected[metric] > alpha:
            reason = f"{reason}; corrected over {len(verdicts)} metrics p = {corrected[metric]:.2g}"
            status = "inconclusive"
        settled[metric] = (status, reason)
    worst = min((status for status, _ in settled.values()), key=_WORST_FIRST.index)
    reasons = {metric: reason for metric, (status, reason) in settled.items() if status == worst}
    if len(set(reasons.values())) == 1:
        return worst, next(iter(reasons.values()))
    return worst, "; ".join(f"{metric}: {reason}" for metric, reason in reasons.items())


def compare_to_published(
    samples: Sequence[float], published: Number, tolerance: Number, alpha: float = 0.05
) -> Comparison:
    """Tests whether the mean over seeds is within the tolerance of the published value, or outside it.

    Seeds without any spread leave a t-test nothing to divide by; they are judged by the sign-flip test (p = 2^-n).
    One seed, a score that is not a number and a published value outside 0 to 1 give `inconclusive` with that reason.

    Raises:
        ValueError: a negative tolerance, or an alpha outside 0 to 1.
    """
    _check(tolerance, alpha)
    n, values = len(samples), np.asarray(samples, dtype=float)
    sound = n > 0 and bool(np.isfinite(values).all())
    target = float(published)
    exact_mean = _mean(samples) if sound else exact(0)
    mean = float(exact_mean) if sound else math.nan
    sd = spread(samples) if sound and n > 1 else math.nan
    p_equivalence = p_outside = math.nan
    ci = prediction = NO_INTERVAL
    if math.isfinite(sd):
        ci = t_interval(samples, alpha)
        half = _t_quantile(1 - alpha / 2, n - 1) * sd
        prediction = (mean - half * math.sqrt(1 + 1 / n), mean + half * math.sqrt(1 + 1 / n))
    verdict: Status = "inconclusive"
    if not sound:
        bad = int(n - np.isfinite(values).sum())
        reason = f"{bad} of {_seeds(n)} gave no number, so there is no mean" if n else "no seeds"
    elif not 0 <= target <= 1:
        reason = f"the published value {published} is not a score between 0 and 1"
    elif n == 1:
        reason = "one seed says nothing of the spread between seeds"
    else:
        difference = exact_mean - exact(published)
        tests = equivalence(difference, tolerance, sd / math.sqrt(n), n - 1, flat=0.5**n)
        p_equivalence, p_outside = tests
        verdict = _decide(difference, *tests, alpha)
        reason = _sentence(
            verdict, f"the mean {mean:.4f} of {_seeds(n)}", f"the published {target:.4f}", tolerance, *tests
        )
    return Comparison(
        verdict, reason, n, mean, sd, ci, prediction, target, float(tolerance), alpha, p_equivalence, p_outside
    )


def compare_to_baseline(
    new: Sequence[float], baseline: Sequence[float], tolerance: Number, alpha: float = 0.05
) -> BaselineComparison:
    """Tests two sets of seeds for equal means within a tolerance (two one-sided Welch tests).

    Raises:
        ValueError: a negative tolerance, or an alpha outside 0 to 1.
    """
    _check(tolerance, alpha)
    n, m = len(new), len(baseline)
    if not (n and m and np.isfinite([*new, *baseline]).all()):
        reason = "no seeds on one side" if not (n and m) else "a seed gave no number, so there is no mean"
        return BaselineComparison("inconclusive", reason, (n, m), math.nan, NO_INTERVAL, math.nan, math.nan)
    difference = _mean(new) - _mean(baseline)
    if min(n, m) < 2:
        reason = "one seed says nothing of the spread between seeds"
        return BaselineComparison("inconclusive", reason, (n, m), float(difference), NO_INTERVAL, math.nan, math.nan)
    parts = (spread(new) ** 2 / n, spread(baseline) ** 2 / m)
    se = math.sqrt(sum(parts))
    # Welch and Satterthwaite; without any spread the degrees of freedom have no say.
    df = sum(parts) ** 2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1)) if se else math.inf
    tests = equivalence(difference, tolerance, se, df, flat=1 / math.comb(n + m, n))
    half = _t_quantile(1 - alpha / 2, df) * se
    verdict = _decide(difference, *tests, alpha)
    here, there = f"the mean {float(_mean(new)):.4f} of {_seeds(n)}", f"the baseline's {float(_mean(baseline)):.4f}"
    reason = _sentence(verdict, here, there, tolerance, *tests)
    ci = (float(difference) - half, float(difference) + half)
    return BaselineComparison(verdict, reason, (n, m), float(difference), ci, *tests)


def _check(tolerance: Number, alpha: float) -> None:
    if not float(tolerance) >= 0 or not 0 < alpha < 1:
        raise ValueError(f"tolerance {tolerance} or alpha {alpha} is out of range")


def _decide(difference: Fraction, p_equivalence: float, p_outside: float, alpha: float) -> Status:
    if p_equivalence <= alpha:
        return "replicated"
    if p_outside <= alpha:
        return "higher" if difference > 0 else "lower"
    return "inconclusive"


def _sentence(verdict: Status, here: str, there: str, tolerance: Number, p_equivalence: float, p_outside: float) -> str:
    if verdict == "replicated":
        return f"{here} is shown to lie within {tolerance} of {there} (p = {p_equivalence:.2g})"
    if verdict == "inconclusive":
        return (
            f"{here} is shown to lie neither within {tolerance} of {there} (p = {p_equivalence:.2g}) "
            f"nor further from it (p = {p_outside:.2g})"
        )
    side = "above" if verdict == "higher" else "below"
    return f"{here} is shown to lie more than {tolerance} {side} {there} (p = {p_outside:.2g})"


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"
