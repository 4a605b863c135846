"""Moderated t: studies of a few seeds borrow their spread from one another and from their examples.

The spread of three differences is often too small by luck. Smyth (2004) mixes each variance with a prior one, worth d0
degrees of freedom. Here the prior of a comparison is what the examples alone would make of it (the floor), times what
the comparisons of the study have on average above their floors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from replicate.verdicts.equivalence import NO_INTERVAL, Interval

PRIOR_DF = 4.0


@dataclass(frozen=True)
class Moderated:
    """One comparison of a study.

    Attributes:
        n: pairs.
        difference: mean over them.
        sd: moderated standard deviation of a difference.
        df: degrees of freedom of its t.
        p: two-sided, uncorrected; NaN where there are fewer than two pairs or a seed gave no number.
        ci: interval of the mean, level 1 - alpha.
    """

    n: int
    difference: float
    sd: float
    df: float
    p: float
    ci: Interval


def floor(a: ArrayLike, b: ArrayLike) -> float:
    """Standard deviation over seeds of an accuracy difference, were the examples independent of each other.

    Args:
        a: which examples row a gets right, shape (seeds, examples).
        b: the same for row b, of the same seeds.

    Raises:
        ValueError: shapes that differ, or fewer than two seeds.
    """
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if first.shape != second.shape or first.ndim != 2 or len(first) < 2:
        raise ValueError(f"a floor takes two rows of at least two seeds: {first.shape} and {second.shape}")
    return float(np.sqrt(np.var(first - second, axis=0, ddof=1).sum()) / first.shape[1])


def moderate(
    differences: Sequence[Sequence[float]], floors: Sequence[float], alpha: float = 0.05, prior_df: float = PRIOR_DF
) -> tuple[Moderated, ...]:
    """Moderated t of every comparison of a study; correct its p over the study (Holm).

    The prior variance of a comparison is its floor squared, times the pooled ratio: the sum of all squared deviations
    over the sum of what the floors would lead one to expect, and at least 1.

    Args:
        differences: of each comparison, one a seed.
        floors: of each comparison, as `floor` gives them; positive.
        alpha: 1 - alpha is the level of the intervals.
        prior_df: what the prior is worth.

    Raises:
        ValueError: not one positive floor for each comparison.
    """
    if len(differences) != len(floors) or not all(one > 0 for one in floors):
        raise ValueError("every comparison needs a positive floor")
    groups = [np.asarray(one, dtype=float) for one in differences]
    sound = [len(x) >= 2 and bool(np.isfinite(x).all()) for x in groups]
    squares = [float(np.sum((x - x.mean()) ** 2)) if ok else 0.0 for x, ok in zip(groups, sound, strict=True)]
    goal = sum((len(x) - 1) * f**2 for x, f, ok in zip(groups, floors, sound, strict=True) if ok)
    ratio = max(1.0, sum(squares) / goal) if goal else math.nan
    return tuple(
        _one(x, square, ratio * f**2, alpha, prior_df)
        if ok
        else Moderated(len(x), math.nan, math.nan, math.nan, math.nan, NO_INTERVAL)
        for x, square, f, ok in zip(groups, squares, floors, sound, strict=True)
    )


def _one(x: np.ndarray, squares: float, prior: float, alpha: float, prior_df: float) -> Moderated:
    n, mean = len(x), float(x.mean())
    df = prior_df + n - 1
    sd = math.sqrt((prior_df * prior + squares) / df)
    se = sd / math.sqrt(n)
    half = float(special.stdtrit(df, 1 - alpha / 2)) * se
    return Moderated(n, mean, sd, df, 2 * float(special.stdtr(df, -abs(mean) / se)), (mean - half, mean + half))
