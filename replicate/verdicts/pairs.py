"""Row against row: paired by seed, and by example."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from replicate.scores.metrics import Ratio
from replicate.verdicts.equivalence import NO_INTERVAL, Interval, exact, spread

EXACT_SIGN_FLIPS = 20
# Patterns drawn at once, since all of them take 9 MB a difference. A multiple of four, which the generator draws
# together, or others would be drawn.
SIGN_BLOCK = 1 << 14


@dataclass(frozen=True)
class McNemar:
    """Two models on the same examples: how many only one of them gets right, and the exact two-sided p."""

    only_a: int
    only_b: int
    p: float


@dataclass(frozen=True)
class RowComparison:
    """Row a minus row b over the same seeds; a number that can't be had is NaN.

    Attributes:
        n: number of seed pairs.
        difference: mean over pairs.
        sd: of the differences (ddof 1).
        ci: t interval of the mean difference, level 1 - alpha.
        p_sign_flip: two-sided permutation test over the signs of the differences.
        mcnemar: one exact test a seed pair, for accuracies with their examples.
        bootstrap_ci: percentile interval of the difference, seeds and examples resampled.
        seed: of the generator behind every resampling.
        resamples: number of bootstrap resamples.
    """

    n: int
    difference: float
    sd: float
    ci: Interval
    p_sign_flip: float
    mcnemar: tuple[McNemar, ...]
    bootstrap_ci: Interval
    seed: int
    resamples: int


@dataclass(frozen=True)
class PublishedPair:
    """What totals alone allow: the exact McNemar p at the most and the least overlap that two rows can have.

    Attributes:
        difference: examples that a gets right more than b.
        examples: of the dev set.
        p_favourable: where one row gets right all that the other does.
        p_unfavourable: where they share as few as the totals allow.
        fewest_disagreements: examples that one gets right and the other doesn't, at the most overlap.
        most_disagreements: the same at the least overlap.
        significant_up_to: most disagreements at which p is at most alpha; None where there are none.
        words: what follows, as a sentence.
    """

    difference: int
    examples: int
    p_favourable: float
    p_unfavourable: float
    fewest_disagreements: int
    most_disagreements: int
    significant_up_to: int | None
    words: str


def compare_rows(
    a: Sequence[float],
    b: Sequence[float],
    *,
    examples: tuple[Ratio, Ratio] | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    resamples: int = 2000,
) -> RowComparison:
    """Compares two rows on the same seeds (in the same order) and the same dev examples.

    Args:
        a: score of row a, one a seed.
        b: score of row b, one a seed.
        examples: both rows' scores split into examples, for McNemar's test and the bootstrap.
        alpha: 1 - alpha is the level of every interval.
        seed: of the random generator.
        resamples: number of bootstrap resamples.

    Raises:
        ValueError: the rows differ in their number of seeds or examples.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} seeds against {len(b)}: rows are compared over the same seeds")
    rng = np.random.default_rng(seed)
    n = len(a)
    sound = n > 0 and bool(np.isfinite([*a, *b]).all())
    differences = [exact(x) - exact(y) for x, y in zip(a, b, strict=True)] if sound else []
    mean = sum(differences) / n if sound else exact(0)
    floats = np.array([float(one) for one in differences])
    sd = spread(floats) if n > 1 and sound else math.nan
    p_sign_flip = math.nan
    ci = bootstrap_ci = NO_INTERVAL
    if math.isfinite(sd):
        half = float(special.stdtrit(n - 1, 1 - alpha / 2)) * sd / math.sqrt(n)
        ci = (float(mean) - half, float(mean) + half)
        p_sign_flip = sign_flip(floats, rng)
    mcnemar_tests: tuple[McNemar, ...] = ()
    if examples is not None:
        first, second = examples
        if first.numerator.shape != second.numerator.shape or len(first.numerator) != n:
            raise ValueError("the rows differ in their seeds or examples")
        if (first.denominator == 1).all() and (second.denominator == 1).all():
            pairs = zip(first.numerator > 0, second.numerator > 0, strict=True)
            mcnemar_tests = tuple(mcnemar(right_a, right_b) for right_a, right_b in pairs)
        if sound:
            low, high = np.quantile(_bootstrap(first, second, rng, resamples), [alpha / 2, 1 - alpha / 2])
            bootstrap_ci = (float(low), float(high))
    return RowComparison(
        n=n,
        difference=float(mean) if sound else math.nan,
        sd=sd,
        ci=ci,
        p_sign_flip=p_sign_flip,
        mcnemar=mcnemar_tests,
        bootstrap_ci=bootstrap_ci,
        seed=seed,
        resamples=resamples,
    )


def sign_flip(differences: ArrayLike, rng: np.random.Generator) -> float:
    """Two-sided p of a zero mean: the share of sign patterns with a mean as far from 0 as the one observed.

    Exact for up to 20 differences, where n of them reach 2^(1-n) at best; beyond that 2^20 patterns are drawn.
    """
    values = np.asarray(differences, dtype=float)
    if len(values) <= EXACT_SIGN_FLIPS:
        sums = np.zeros(1)
        for value in values:
            sums = np.concatenate([sums + value, sums - value])
    else:
        blocks = [values.sum(keepdims=True)]
        for start in range(1, 2**EXACT_SIGN_FLIPS, SIGN_BLOCK):
            size = (min(SIGN_BLOCK, 2**EXACT_SIGN_FLIPS - start), len(values))
            blocks.append((2.0 * rng.integers(0, 2, size=size, dtype=np.int8) - 1) @ values)
        sums = np.concatenate(blocks)
    # Patterns that tie with the observed one must count as reaching it, whatever the order of the additions.
    slack = 1e-9 * np.abs(values).sum()
    return float(np.mean(np.abs(sums) >= abs(values.sum()) - slack))


def mcnemar(correct_a: ArrayLike, correct_b: ArrayLike) -> McNemar:
    """Exact McNemar test of two models on the same examples (booleans, shape (examples,))."""
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    return McNemar(only_a, only_b, mcnemar_p(only_a, only_b))


def published_pair(correct_a: int, correct_b: int, examples: int, alpha: float = 0.05) -> PublishedPair:
    """The bounds on what two published totals can show, whichever examples each row got right.

    Raises:
        ValueError: a total outside 0 to `examples`.
    """
    if not (0 <= correct_a <= examples and 0 <= correct_b <= examples):
        raise ValueError(f"{correct_a} and {correct_b} correct of {examples}")
    difference = correct_a - correct_b
    fewest = abs(difference)
    # With least overlap either no example is wrong for both, or none is right for both.
    most = min(2 * examples - correct_a - correct_b, correct_a + correct_b)

    def p_at(disagreements: int) -> float:
        return mcnemar_p((disagreements + difference) // 2, (disagreements - difference) // 2)

    significant = [count for count in range(fewest, most + 1, 2) if p_at(count) <= alpha]
    p_favourable, p_unfavourable = p_at(fewest), p_at(most)
    up_to = max(significant) if significant else None
    if up_to is None:
        follows = f"no overlap makes that significant (p = {p_favourable:.2g} at best)"
    elif up_to == most:
        follows = f"that is significant at every overlap (p = {p_unfavourable:.2g} at worst)"
    else:
        follows = (
            f"that is significant only if they disagree on at most {up_to:,} examples ({up_to / examples:.1%}); "
            f"the totals allow {fewest:,} to {most:,}, p = {p_favourable:.2g} to {p_unfavourable:.2g}"
        )
    words = f"The rows differ by {fewest:,} of {examples:,} examples: {follows}."
    return PublishedPair(difference, examples, p_favourable, p_unfavourable, fewest, most, up_to, words)


def mcnemar_p(only_a: int, only_b: int) -> float:
    """Exact two-sided p of so many examples that only one of two models gets right."""
    return min(1.0, 2 * float(special.bdtr(min(only_a, only_b), only_a + only_b, 0.5))) if only_a + only_b else 1.0


def _bootstrap(a: Ratio, b: Ratio, rng: np.random.Generator, resamples: int) -> NDArray[Any]:
    """Differences of resampled mean scores, shape (resamples,): one draw of seeds and one of examples for both rows."""
    seeds, examples = a.numerator.shape
    differences = np.empty(resamples)
    for start in range(0, resamples, 250):
        block = min(250, resamples - start)
        draws = rng.integers(examples, size=(block, examples))
        weights = np.stack([np.bincount(draw, minlength=examples) for draw in draws])
        each = [
            np.divide(weights @ r.numerator.T, total, out=np.zeros((block, seeds)), where=total > 0)
            for r in (a, b)
            for total in [weights @ r.denominator.T]
        ]
        chosen = rng.integers(seeds, size=(block, seeds))
        differences[start : start + block] = np.take_along_axis(each[0] - each[1], chosen, axis=1).mean(axis=1)
    return differences
