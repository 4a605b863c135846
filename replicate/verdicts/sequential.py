"""Repeated confidence intervals: one interval at each look, right at all looks together, and the word that it allows.

Every function takes leading dimensions for many studies at once: the simulations call what judges real records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replicate.verdicts.boundaries import nominal_levels, quantile
from replicate.verdicts.plan import DIGITS, Kind, Plan

Word = Literal["above", "below", "no difference", "not worse", "undecided"]
WORDS: tuple[Word, ...] = get_args(Word)
# What ends a claim: a claim that a row keeps its score has its answer as soon as it is not worse.
DECIDING: dict[Kind, tuple[Word, ...]] = {
    "lowers": ("above", "below", "no difference"),
    "keeps": ("above", "below", "no difference", "not worse"),
    "raises": ("above", "below", "no difference"),
}
STEP = 10.0**-DIGITS
# Levels between which sequential p is found, beside the one of the plan.
GRID = (0.9, 0.5, 0.2, 0.1, 0.05, 0.025, 0.0125, 0.005, 0.001, 0.0001)
# Scores are sums of a few thousand whole numbers over another: what is nearer than this is the same number.
FUZZ = 1e-9

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimates:
    """A difference at every look: its mean and standard error, shape (..., looks), NaN where a seed gave no number.

    `df` belongs to the standard error, `look` is the number of seeds; both go with those shapes.
    """

    mean: Array
    se: Array
    df: Array
    look: NDArray[np.int_]


def paired(differences: ArrayLike, first: int) -> Estimates:
    """Estimates from differences of runs with one seed number, shape (..., seeds), at each look from `first` on."""
    mean, variance, look = _moments(differences, first)
    return Estimates(mean, np.sqrt(variance / look), look - 1.0, look)


def separate(a: ArrayLike, b: ArrayLike, first: int) -> Estimates:
    """Estimates from two samples that share nothing, shape (..., seeds) each: Welch's standard error and degrees.

    Right only where the seeds of one row say nothing about those of the other.
    """
    (mean_a, var_a, look), (mean_b, var_b, _) = _moments(a, first), _moments(b, first)
    total, squares = var_a + var_b, var_a**2 + var_b**2
    df = np.divide(total**2, squares, out=np.ones_like(total), where=squares > 0) * (look - 1)
    return Estimates(mean_a - mean_b, np.sqrt(total / look), df, look)


def up_to(estimates: Estimates, look: int) -> Estimates:
    """The looks up to this one."""
    kept = estimates.look <= look
    return Estimates(estimates.mean[..., kept], estimates.se[..., kept], estimates.df[..., kept], estimates.look[kept])


def intervals(estimates: Estimates, plan: Plan, level: float | None = None) -> tuple[Array, Array]:
    """Both ends of the repeated confidence interval at every look, shape (..., looks), outward to the printed digits.

    Differences without any spread leave a t statistic nothing to divide by. n equal ones have a two-sided p of 2^(1-n)
    by their signs: once that is spent at a look, the interval is their value; until then it is the whole line.

    Args:
        estimates: at looks from `plan.first` on.
        plan: gives the looks and the spending.
        level: of one claim; the plan's where none is given.
    """
    level = plan.level if level is None else level
    nominal = np.asarray(nominal_levels(plan.first, plan.most, level, plan.rho))[: len(estimates.look)]
    half = quantile(estimates.df, nominal) * estimates.se
    flat = 2.0 ** (1 - estimates.look) <= level * (estimates.look / plan.most) ** plan.rho
    half = np.where(estimates.se > 0, half, np.where(flat, 0.0, np.inf))
    half = np.where(np.isnan(estimates.se), np.inf, half)
    mean = np.nan_to_num(estimates.mean)
    return outward(mean - half, mean + half)


def outward(low: Array, high: Array) -> tuple[Array, Array]:
    """Both ends to the printed digits, the low one down and the high one up."""
    down, up = np.floor(low / STEP + FUZZ) * STEP, np.ceil(high / STEP - FUZZ) * STEP
    # A negative zero would be printed as one.
    return np.round(down, DIGITS) + 0.0, np.round(up, DIGITS) + 0.0


def repeated_interval(
    differences: Sequence[float], plan: Plan, look: int, level: float | None = None
) -> tuple[float, float]:
    """The repeated confidence interval after `look` paired differences; the whole line before the first look.

    Raises:
        ValueError: a look at more differences than there are, or after the plan's last.
    """
    if not look <= min(len(differences), plan.most):
        raise ValueError(f"a look at {look} seeds: there are {len(differences)}, and the plan ends at {plan.most}")
    if look < plan.first:
        return -np.inf, np.inf
    low, high = intervals(paired(differences[:look], plan.first), plan, level)
    return float(low[-1]), float(high[-1])


def word(low: float, high: float, margin: float) -> Word:
    """The one word that an interval allows: what a reader sees in the printed interval is the rule."""
    return WORDS[int(codes(np.asarray(low), np.asarray(high), margin))]


def codes(low: Array, high: Array, margin: float) -> NDArray[np.int_]:
    """`word` for arrays: the word's place in WORDS."""
    inside, above_margin = (low > -margin) & (high < margin), low > -margin
    return np.select([low > 0, high < 0, inside, above_margin], [0, 1, 2, 3], default=4)


def decided_at(found: NDArray[np.int_], kind: Kind) -> NDArray[np.int_]:
    """Place of the first look at which a claim of this kind is decided, -1 for none; `found` is (..., looks)."""
    decided = np.isin(found, [WORDS.index(one) for one in DECIDING[kind]])
    return np.where(decided.any(axis=-1), decided.argmax(axis=-1), -1)


def sequential_p(estimates: Estimates, plan: Plan, kind: Kind, margin: float) -> float:
    """The smallest level at which this claim would have been decided by the last of these looks.

    At most a claim's level exactly where the plan has decided it. Between the levels of GRID it is interpolated;
    below the smallest it is that one, and 1 where even the largest decides nothing.
    """
    reach = [estimates.mean - STEP, -estimates.mean - STEP, margin - STEP - np.abs(estimates.mean)]
    if kind == "keeps":
        reach.append(estimates.mean + margin - STEP)
    # Rounding outward costs up to one step, so the distance that an interval has is in whole steps.
    room = np.max([np.where(np.isnan(one), -np.inf, one) for one in reach], axis=0) + FUZZ * STEP
    levels = sorted({*GRID, plan.level})
    best = 1.0
    tables = np.array([nominal_levels(plan.first, plan.most, level, plan.rho) for level in levels])
    for place, (distance, se, df, look) in enumerate(
        zip(room, estimates.se, estimates.df, estimates.look, strict=True)
    ):
        if np.isnan(se) or distance < 0:
            continue
        if se == 0:
            best = min(best, 2.0 ** (1 - look) * (plan.most / look) ** plan.rho)
            continue
        need = quantile(df, tables[:, place]) * se
        enough = need <= distance
        if enough.any():
            best = min(best, _between(levels, need, float(distance), int(enough.argmax())))
    return min(1.0, best)


def _between(levels: Sequence[float], need: Array, distance: float, place: int) -> float:
    """The level that needs just this distance: linear in the logarithm of the level below the first that is enough."""
    if place == 0 or need[place] == distance:
        return levels[place]
    share = (distance - need[place]) / (need[place - 1] - need[place])
    return float(np.exp(np.log(levels[place]) + share * (np.log(levels[place - 1]) - np.log(levels[place]))))


def _moments(values: ArrayLike, first: int) -> tuple[Array, Array, NDArray[np.int_]]:
    """Mean and variance (ddof 1) of the first n values, for n from `first` to all, and those n."""
    x = np.asarray(values, dtype=float)
    look = np.arange(1, x.shape[-1] + 1)
    # Scores lie close together: squares are taken about the first one.
    centred = x - x[..., :1]
    mean = np.cumsum(centred, axis=-1) / look
    squares = np.cumsum(centred**2, axis=-1) - look * mean**2
    variance = np.where(squares < FUZZ**2, 0.0, squares) / np.maximum(look - 1, 1)
    variance = np.where(np.isnan(squares), np.nan, variance)
    kept = slice(first - 1, None)
    return mean[..., kept] + x[..., :1], variance[..., kept], look[kept]
