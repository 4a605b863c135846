"""The primitives of every verdict: intervals, one-sided tests, equivalence, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down correction; a NaN stays one but still counts as a member of the family."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    factors = np.arange(len(p), 0, -1)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1, np.maximum.accumulate(np.nan_to_num(p[order], nan=1.0) * factors))
    return np.where(np.isnan(p), np.nan, corrected)


Number = float | str | Decimal | Fraction

Interval = tuple[float, float]

NO_INTERVAL: Interval = (math.nan, math.nan)


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


def t_interval(samples: Sequence[float], alpha: float = 0.05) -> Interval:
    """Two-sided t interval of the mean, level 1 - alpha; NaN for fewer than two samples or one that is no number."""
    n = len(samples)
    if n < 2 or not np.isfinite(samples).all():
        return NO_INTERVAL
    mean, half = float(_mean(samples)), _t_quantile(1 - alpha / 2, n - 1) * spread(samples) / math.sqrt(n)
    return mean - half, mean + half


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


def _mean(samples: Sequence[float]) -> Fraction:
    return sum(map(exact, samples), Fraction()) / len(samples)


def _t_quantile(probability: float, df: float) -> float:
    return float(special.ndtri(probability) if math.isinf(df) else special.stdtrit(df, probability))
