"""Verdicts with a stated error rate: seeds against a published value, and new seeds against earlier ones.

`replicated` needs equivalence *shown* (two one-sided t-tests), `higher` and `lower` need the mean shown to lie outside
the tolerance; the rest is `inconclusive`, so that few seeds never pay. Each test is about the mean over seeds on one
fixed dev set. Distances to a tolerance are taken in exact arithmetic of the printed digits, before anything is a float.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

Number = float | str | Decimal | Fraction
Status = Literal["replicated", "higher", "lower", "inconclusive", "not-run", "error"]
Interval = tuple[float, float]
NO_INTERVAL: Interval = (math.nan, math.nan)


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
    def plausible_seed(self) -> bool:
        """Whether the published value could be one seed of ours; never where there is no prediction interval."""
        return self.prediction_interval[0] <= self.published <= self.prediction_interval[1]

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


@dataclass(frozen=True)
class RatioInterval:
    """Median of paired ratios, and two order statistics that enclose the true one with probability `coverage`."""

    median: float
    low: float
    high: float
    coverage: float


def exact(number: Number) -> Fraction:
    """The number that its printed digits say: 0.3 is three tenths."""
    return Fraction(str(number))


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


def t_interval(samples: Sequence[float], alpha: float = 0.05) -> Interval:
    """Two-sided t interval of the mean, level 1 - alpha; NaN for fewer than two samples or one that is no number."""
    n = len(samples)
    if n < 2 or not np.isfinite(samples).all():
        return NO_INTERVAL
    mean, half = float(_mean(samples)), _t_quantile(1 - alpha / 2, n - 1) * spread(samples) / math.sqrt(n)
    return mean - half, mean + half


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


def equivalence(difference: Fraction, tolerance: Number, se: float, df: float, flat: float) -> tuple[float, float]:
    """p that a mean difference is within ± tolerance (two one-sided tests), and p that it is outside (two-sided).

    Args:
        difference: observed, exact.
        tolerance: half the width of the band.
        se: standard error of the difference.
        df: degrees of freedom of the t distribution.
        flat: the p of a one-sided test on this side of the bound where the standard error is 0.
    """
    above, below = float(difference + exact(tolerance)), float(exact(tolerance) - difference)
    inside = max(one_sided(above, se, df, flat), one_sided(below, se, df, flat))
    outside = min(one_sided(-above, se, df, flat), one_sided(-below, se, df, flat))
    return inside, min(1.0, 2 * outside)


def one_sided(distance: float, se: float, df: float, flat: float) -> float:
    """p of a mean this far above a bound, were the true one on it; `flat` (or 1) where the standard error is 0."""
    if se == 0:
        return flat if distance > 0 else 1.0
    return float(special.stdtr(df, -distance / se))


def spread(samples: Sequence[float] | NDArray[np.float64]) -> float:
    """Standard deviation (ddof 1), exactly 0 for samples that only the last bits of their floats tell apart."""
    sd = float(np.std(samples, ddof=1))
    return sd if sd > 1e-12 else 0.0


def equivalence_power(n: int, sd: float, tolerance: float, alpha: float = 0.05, difference: float = 0.0) -> float:
    """Probability that n normal seeds of this sd show equivalence when the true mean is `difference` away.

    Integrated over the distribution of the observed sd, so right for few seeds, where a normal formula is far off.
    """
    share = (np.arange(1000) + 0.5) / 1000
    observed = sd * np.sqrt(2 * special.gammaincinv((n - 1) / 2, share) / (n - 1))
    room = np.maximum(tolerance - _t_quantile(1 - alpha, n - 1) * observed / math.sqrt(n), 0)
    scale = math.sqrt(n) / sd
    inside = special.ndtr((room - difference) * scale) - special.ndtr((-room - difference) * scale)
    return float(np.mean(inside))


def seeds_needed(
    sd: float, tolerance: float, alpha: float = 0.05, power: float = 0.8, difference: float = 0.0, most: int = 10_000
) -> int | None:
    """Fewest seeds (at least 2) that show equivalence with this power; None without an sd or beyond `most`."""
    if not math.isfinite(sd) or abs(difference) >= tolerance:
        return None
    if sd == 0:
        return math.ceil(math.log2(1 / alpha))
    low, high = 1, 2
    while equivalence_power(high, sd, tolerance, alpha, difference) < power:
        low, high = high, 2 * high
        if low >= most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = equivalence_power(middle, sd, tolerance, alpha, difference) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def ratio_interval(numerator: Sequence[float], denominator: Sequence[float], alpha: float = 0.05) -> RatioInterval:
    """Interval for the median of paired ratios, from order statistics: no assumption but independent pairs.

    Up to five pairs can't reach 95 %; the interval is then from the least to the largest, with the coverage it has.

    Raises:
        ValueError: no pairs, unequal numbers, or a value that is not a positive number.
    """
    above, below = np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    if above.shape != below.shape or above.ndim != 1 or not above.size:
        raise ValueError(f"not pairs: {above.shape} and {below.shape}")
    if not (np.isfinite([above, below]).all() and min(above.min(), below.min()) > 0):
        raise ValueError("a ratio needs positive numbers")
    ratios = np.sort(above / below)
    n = len(ratios)
    # The kth least and kth largest enclose the median unless fewer than k ratios fall on one side of it.
    coverage = [1 - 2 * float(special.bdtr(k, n, 0.5)) for k in range((n + 1) // 2)]
    k = max([k for k, reached in enumerate(coverage) if reached >= 1 - alpha], default=0)
    return RatioInterval(float(np.median(ratios)), float(ratios[k]), float(ratios[n - 1 - k]), max(0.0, coverage[k]))


def _check(tolerance: Number, alpha: float) -> None:
    if not float(tolerance) >= 0 or not 0 < alpha < 1:
        raise ValueError(f"tolerance {tolerance} or alpha {alpha} is out of range")


def _mean(samples: Sequence[float]) -> Fraction:
    return sum(map(exact, samples), Fraction()) / len(samples)


def _t_quantile(probability: float, df: float) -> float:
    return float(special.ndtri(probability) if math.isinf(df) else special.stdtrit(df, probability))


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
