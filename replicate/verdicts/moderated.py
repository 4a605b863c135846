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
# What is nearer than this is the same score: they are whole numbers over a few thousand.
FUZZ = 1e-9


@dataclass(frozen=True)
class Cells:
    """A comparison as a weighted sum of means, whose spread within the cells is one spread.

    Pairs are one cell of differences with weight 1; two samples are two cells with weights 1 and -1; and with k
    pretrained nets, which are strata, each weight is divided by k and stands for each net.

    Attributes:
        weights: of each cell's mean.
        values: of each cell, one a seed; NaN for a seed that gave no number.
        floor: what the examples alone make of the spread within a cell; 0 where no seed changes any example.
    """

    weights: tuple[float, ...]
    values: tuple[Sequence[float], ...]
    floor: float

    @property
    def df(self) -> int:
        """Degrees of freedom within the cells."""
        return sum(len(one) - 1 for one in self.values)

    @property
    def squares(self) -> float:
        """Sum of the squared deviations within the cells; NaN where a seed gave no number."""
        found = sum(float(np.sum((x - x.mean()) ** 2)) for x in map(np.asarray, self.values))
        return 0.0 if found < FUZZ**2 else found


@dataclass(frozen=True)
class Moderated:
    """One comparison of a study.

    Attributes:
        n: pairs; of two samples, the seeds of the smaller one.
        difference: mean over them.
        sd: moderated standard deviation within a cell.
        df: degrees of freedom of its t.
        p: two-sided, uncorrected; NaN where no cell has two seeds or a seed gave no number.
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
    return floor_within([first - second])


def floor_within(cells: Sequence[ArrayLike]) -> float:
    """Standard deviation within cells, were the examples independent of each other.

    Args:
        cells: what each seed makes of each example, shape (seeds, examples) each.

    Raises:
        ValueError: no cell has two seeds.
    """
    arrays = [np.asarray(one, dtype=float) for one in cells]
    df = sum(len(one) - 1 for one in arrays)
    if df < 1:
        raise ValueError("a floor takes a cell of at least two seeds")
    squares = sum(float(np.sum((one - one.mean(axis=0)) ** 2)) for one in arrays)
    return math.sqrt(squares / df) / arrays[0].shape[1]


def moderate(
    differences: Sequence[Sequence[float]], floors: Sequence[float], alpha: float = 0.05, prior_df: float = PRIOR_DF
) -> tuple[Moderated, ...]:
    """`moderate_cells` of comparisons that are paired on one net.

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
    study = [Cells((1.0,), (x,), f) for x, f in zip(differences, floors, strict=True)]
    return moderate_cells(study, alpha, prior_df)


def moderate_cells(study: Sequence[Cells], alpha: float = 0.05, prior_df: float = PRIOR_DF) -> tuple[Moderated, ...]:
    """Moderated t of every comparison of a study, each by itself; correct p or alpha over the study.

    The prior variance of a comparison is its floor squared, times the pooled ratio: the sum of all squared deviations
    over the sum of what the floors would lead one to expect, and at least 1. A comparison without any spread, whose
    examples have none either, leaves a t statistic nothing to divide by: n equal differences have a two-sided p of
    2^(1-n) by their signs, and the interval is their value once that is at most alpha, else the whole line.

    Args:
        study: its comparisons.
        alpha: 1 - alpha is the level of each interval.
        prior_df: what the prior is worth; 0 takes each comparison's own spread.
    """
    known = [one for one in study if one.df > 0 and math.isfinite(one.squares)]
    goal = sum(one.df * one.floor**2 for one in known)
    ratio = max(1.0, sum(one.squares for one in known) / goal) if goal else 1.0
    return tuple(_one(one, ratio * one.floor**2, alpha, prior_df) for one in study)


def _one(cells: Cells, prior: float, alpha: float, prior_df: float) -> Moderated:
    n = sum(len(x) for x, weight in zip(cells.values, cells.weights, strict=True) if weight > 0)
    n = min(n, sum(len(x) for x, weight in zip(cells.values, cells.weights, strict=True) if weight < 0) or n)
    if cells.df < 1 or not math.isfinite(cells.squares):
        return Moderated(n, math.nan, math.nan, math.nan, math.nan, NO_INTERVAL)
    means = [float(np.mean(x)) for x in cells.values]
    mean = sum(weight * one for weight, one in zip(cells.weights, means, strict=True))
    df = prior_df + cells.df
    sd = math.sqrt((prior_df * prior + cells.squares) / df)
    if sd == 0:
        p = 2.0 ** (1 - n)
        half = 0.0 if p <= alpha else math.inf
        return Moderated(n, mean, sd, df, p if mean else 1.0, (mean - half, mean + half))
    se = sd * math.sqrt(sum(w**2 / len(x) for w, x in zip(cells.weights, cells.values, strict=True)))
    half = float(special.stdtrit(df, 1 - alpha / 2)) * se
    return Moderated(n, mean, sd, df, 2 * float(special.stdtr(df, -abs(mean) / se)), (mean - half, mean + half))
