"""Moderated t for studies of a few seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy import stats as scipy_stats

from replicate.verdicts.equivalence import holm
from replicate.verdicts.moderated import PRIOR_DF, Cells, floor, floor_within, moderate, moderate_cells


def study(seed: int, comparisons: int = 8, pairs: int = 3, sd: float = 0.007) -> list[list[float]]:
    """Differences without any true one."""
    return np.random.default_rng(seed).normal(0, sd, (comparisons, pairs)).tolist()


def test_one_comparison_by_hand() -> None:
    """Variance (d0 prior + d s^2) / (d0 + d), where the prior is the floor squared times the pooled ratio."""
    x = [[0.001, 0.003, 0.002], [0.02, -0.01, 0.005]]
    floors = [0.004, 0.006]
    squares = [float(np.var(one) * 3) for one in x]
    ratio = sum(squares) / sum(2 * f**2 for f in floors)
    assert ratio > 1
    for one, square, f, found in zip(x, squares, floors, moderate(x, floors), strict=True):
        sd = math.sqrt((PRIOR_DF * ratio * f**2 + square) / (PRIOR_DF + 2))
        assert (found.n, found.df) == (3, PRIOR_DF + 2)
        assert found.sd == pytest.approx(sd)
        t = np.mean(one) / (sd / math.sqrt(3))
        assert found.p == pytest.approx(2 * stats.t.sf(abs(t), PRIOR_DF + 2))
        assert found.ci == pytest.approx(stats.t.interval(0.95, PRIOR_DF + 2, np.mean(one), sd / math.sqrt(3)))


def test_without_a_prior_it_is_the_plain_t_test() -> None:
    """A prior worth nothing leaves the spread of the comparison itself."""
    x = study(0)
    for one, found in zip(x, moderate(x, [0.006] * 8, prior_df=0.0), strict=True):
        assert found.p == pytest.approx(stats.ttest_1samp(one, 0).pvalue)


def test_a_lucky_spread_no_longer_decides() -> None:
    """Three differences within 0.0003 of each other: the plain t test is sure, the moderated one isn't."""
    x = [[0.0041, 0.0043, 0.0040], *study(1)]
    assert stats.ttest_1samp(x[0], 0).pvalue < 0.001
    assert moderate(x, [0.0065] * 9)[0].p > 0.1


def test_a_study_quieter_than_its_floors_keeps_them() -> None:
    """The ratio is never below 1: seeds can't be surer than their examples."""
    quiet = study(2, sd=0.0005)
    assert all(one.sd > 0.0065 * math.sqrt(PRIOR_DF / (PRIOR_DF + 2)) for one in moderate(quiet, [0.0065] * 8))


def test_a_study_is_rarely_wrong() -> None:
    """Spreads that differ as much as a chi-square of 8 degrees: at most 5 % of 2,000 studies hold a false word."""
    rng = np.random.default_rng(3)
    false = 0
    for _ in range(2000):
        sd = 0.0065 * np.sqrt(7.2 / rng.chisquare(8, 8))
        found = moderate(rng.normal(0, sd[:, None], (8, 3)).tolist(), [0.0065] * 8)
        false += bool((holm([one.p for one in found]) <= 0.05).any())
    assert false >= 2
    assert stats.binomtest(false, 2000).proportion_ci(0.999).low <= 0.05
    assert false / 2000 < 0.03


def test_a_floor_is_what_independent_examples_make() -> None:
    """Accuracies over seeds whose examples are right or wrong on their own have that spread."""
    rng = np.random.default_rng(4)
    chance = rng.uniform(0.5, 1, 400)
    a, b = rng.random((2, 500, 400)) < chance
    assert floor(a, b) == pytest.approx(np.std(a.mean(axis=1) - b.mean(axis=1), ddof=1), rel=0.1)
    assert floor(a, a) == 0


@pytest.mark.parametrize("bad", [[], [0.1], [0.1, math.nan, 0.2]])
def test_what_cannot_be_compared_has_no_p_and_lends_nothing(bad: list[float]) -> None:
    """The others are as they would be without it."""
    x = study(5)
    with_bad = moderate([*x, bad], [0.0065] * 9)
    assert with_bad[:-1] == moderate(x, [0.0065] * 8)
    assert math.isnan(with_bad[-1].p)


def test_impossible_floors_are_an_error() -> None:
    """One positive floor for each comparison; two rows of the same seeds."""
    with pytest.raises(ValueError, match="positive floor"):
        moderate(study(6), [0.0065] * 7)
    with pytest.raises(ValueError, match="positive floor"):
        moderate(study(6), [0.0] * 8)
    with pytest.raises(ValueError, match="at least two seeds"):
        floor(np.ones((1, 5)), np.ones((1, 5)))


def test_two_samples_are_those_of_students_t() -> None:
    """With no prior: SciPy's two-sample t, interval and p, whatever the numbers of seeds."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(0.8, 0.005, 4), rng.normal(0.79, 0.005, 7)
    (found,) = moderate_cells([Cells((1.0, -1.0), (a.tolist(), b.tolist()), 0.001)], prior_df=0.0)
    reference = scipy_stats.ttest_ind(a, b)
    assert found.p == pytest.approx(reference.pvalue)
    interval = reference.confidence_interval(0.95)
    assert found.ci == pytest.approx((interval.low, interval.high))
    assert (found.n, found.df) == (4, 9)


def test_nets_are_strata() -> None:
    """What two nets differ by is in the mean, and in no spread."""
    rng = np.random.default_rng(4)
    near, far = rng.normal(0, 0.005, 5), rng.normal(0, 0.005, 5)
    (one,) = moderate_cells([Cells((0.5, 0.5), (near.tolist(), (far + 1).tolist()), 0.005)])
    (other,) = moderate_cells([Cells((0.5, 0.5), (near.tolist(), far.tolist()), 0.005)])
    assert one.difference == pytest.approx(other.difference + 0.5)
    assert one.sd == pytest.approx(other.sd)
    assert one.df == other.df == PRIOR_DF + 8


@pytest.mark.parametrize(("seeds", "alpha", "known"), [(6, 0.05, True), (6, 0.01, False), (8, 0.01, True)])
def test_without_any_spread_signs_decide(seeds: int, alpha: float, known: bool) -> None:
    """n equal differences have a p of 2^(1-n); before that is small enough the interval is the whole line."""
    (found,) = moderate_cells([Cells((1.0,), ([0.01] * seeds,), 0.0)], alpha)
    assert found.p == 2.0 ** (1 - seeds)
    assert found.ci == ((0.01, 0.01) if known else (-math.inf, math.inf))


def test_a_floor_takes_two_seeds() -> None:
    """In some cell."""
    with pytest.raises(ValueError, match="at least two seeds"):
        floor_within([np.zeros((1, 5)), np.ones((1, 5))])
