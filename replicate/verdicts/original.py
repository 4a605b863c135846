"""What a published pair of single runs could show, and whether it goes with ours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from replicate.verdicts.equivalence import NO_INTERVAL, Interval, spread
from replicate.verdicts.pairs import McNemar, mcnemar_p

Telescope = Literal["smaller than it could see", "large enough to see", "not distinguishable"]


@dataclass(frozen=True)
class PublishedDifference:
    """A published difference of two single runs beside our differences over seeds.

    Attributes:
        published: what was printed.
        difference: mean of ours; NaN where there is none.
        sd: spread of ours.
        prediction_interval: where the difference of one more pair of runs falls, level 1 - alpha.
        power: how often one pair of runs is significant at alpha where the published difference is the true one, and
            the spread ours.
        visible: the difference that one pair of runs would find significant in a third of all cases.
        p_smaller: one-sided, that our mean, in the published direction, is below `visible`.
        p_larger: one-sided, that it is above.
        telescope: which of the two is shown at alpha (Simonsohn, 2015).
    """

    published: float
    difference: float
    sd: float
    prediction_interval: Interval
    power: float
    visible: float
    p_smaller: float
    p_larger: float
    telescope: Telescope

    @property
    def plausible(self) -> bool:
        """Whether the published difference could be that of one more pair of ours."""
        return self.prediction_interval[0] <= self.published <= self.prediction_interval[1]


def published_difference(
    differences: Sequence[float], published: float, alpha: float = 0.05, sd: float | None = None
) -> PublishedDifference:
    """Compares a published difference of two single runs with ours over seeds.

    Args:
        differences: ours, one a seed; NaN for a seed that gave no number, which leaves nothing to compare with.
        published: theirs.
        alpha: level of the tests; 1 - alpha that of the interval.
        sd: spread of a difference of theirs, where it isn't taken to be that of ours.
    """
    x, n = np.asarray(differences, dtype=float), len(differences)
    if n < 2 or not np.isfinite(x).all() or (own := spread(x)) == 0:
        mean = float(x.mean()) if n else math.nan
        own = 0.0 if n > 1 and np.isfinite(x).all() else math.nan
        nan = math.nan
        return PublishedDifference(published, mean, own, NO_INTERVAL, nan, nan, nan, nan, "not distinguishable")
    mean, theirs, df = float(x.mean()), own if sd is None else sd, n - 1
    # One further pair differs from our mean by its own spread and by what our mean is off (Patil, Peng and Leek, 2016).
    half = float(special.stdtrit(df, 1 - alpha / 2)) * math.hypot(theirs, own / math.sqrt(n))
    seen = visible(theirs, alpha)
    t = (math.copysign(1.0, published) * mean - seen) / (own / math.sqrt(n))
    p_smaller, p_larger = float(special.stdtr(df, t)), float(special.stdtr(df, -t))
    telescope: Telescope = "not distinguishable"
    if p_smaller <= alpha:
        telescope = "smaller than it could see"
    elif p_larger <= alpha:
        telescope = "large enough to see"
    power = single_run_power(published, theirs, alpha)
    return PublishedDifference(
        published, mean, own, (mean - half, mean + half), power, seen, p_smaller, p_larger, telescope
    )


def single_run_power(difference: float, sd: float, alpha: float = 0.05) -> float:
    """How often one pair of runs is significant (two-sided z test) where the true difference and its spread are these.

    Raises:
        ValueError: a spread that isn't positive.
    """
    if not sd > 0:
        raise ValueError(f"a spread of {sd} leaves nothing to chance")
    z, shift = float(special.ndtri(1 - alpha / 2)), abs(difference) / sd
    return float(special.ndtr(shift - z) + special.ndtr(-shift - z))


def visible(sd: float, alpha: float = 0.05, power: float = 1 / 3) -> float:
    """The true difference that one pair of runs finds significant with this power."""
    low, high = 0.0, 20.0 * sd
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if single_run_power(middle, sd, alpha) < power else (low, middle)
    return high


def mcnemar_at(correct_a: int, correct_b: int, examples: int, disagreement: float) -> McNemar:
    """McNemar's test of two published totals, were their rows to disagree on as large a share of examples as ours do.

    Args:
        correct_a: examples that row a gets right.
        correct_b: the same for row b.
        examples: of the dev set.
        disagreement: share of examples that just one of two such rows gets right, measured over seeds.

    Raises:
        ValueError: totals or a share that can't be.
    """
    if not (0 <= correct_a <= examples and 0 <= correct_b <= examples and 0 <= disagreement <= 1):
        raise ValueError(f"{correct_a} and {correct_b} correct of {examples}, {disagreement} of them apart")
    difference = correct_a - correct_b
    # The disagreements are at least as many as the difference, and odd or even as it is: one more where need be.
    apart = max(abs(difference), round(disagreement * examples))
    only_a = (apart + difference + 1) // 2
    only_b = only_a - difference
    return McNemar(only_a, only_b, mcnemar_p(only_a, only_b))
