"""What a published pair of single runs could show."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.power import NormalIndPower

from replicate.verdicts import original
from replicate.verdicts.sequential_rates import MEASURED, PUBLISHED

RIGHT = {row: np.array(counts) / 1955 for row, counts in MEASURED.items()}


def published(a: str, b: str) -> float:
    """The difference that the article prints."""
    return (PUBLISHED[a] - PUBLISHED[b]) / 1955


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.5, 4.0])
def test_power_of_a_single_run_agrees_with_statsmodels(shift: float) -> None:
    """A two-sided z test of one observation with known spread."""
    theirs = NormalIndPower(ddof=0).power(effect_size=shift, nobs1=1, alpha=0.05, ratio=0)
    assert original.single_run_power(-0.01 * shift, 0.01) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize(
    ("a", "b", "shared", "power"),
    [
        ("augment", "base", False, 0.09),
        ("prune-1-2", "augment", True, 0.05),
        ("prune-2-3", "augment", True, 0.45),
        ("prune-2-3", "base", False, 0.09),
    ],
)
def test_the_articles_runs_could_hardly_show_their_claims(a: str, b: str, shared: bool, power: float) -> None:
    """With the spread of our six seeds: of differences where rows share a chain, of both rows where they don't."""
    spread = (RIGHT[a] - RIGHT[b]).std(ddof=1) if shared else math.hypot(RIGHT[a].std(ddof=1), RIGHT[b].std(ddof=1))
    assert original.single_run_power(published(a, b), float(spread)) == pytest.approx(power, abs=0.005)


def test_what_a_single_run_could_see() -> None:
    """At a third of power, as Simonsohn (2015) takes it: about 1.53 spreads."""
    assert original.visible(0.01) == pytest.approx(0.01529, abs=2e-5)
    assert original.single_run_power(original.visible(0.01), 0.01) == pytest.approx(1 / 3)


def test_a_prediction_interval_holds_a_further_difference_as_often_as_it_says() -> None:
    """Of 4,000 simulated studies of six pairs, 95 % of the seventh pairs (binomial, 4 standard errors)."""
    rows = np.random.default_rng(0).normal(0.002, 0.01, (4000, 7))
    inside = [original.published_difference(row[:6].tolist(), float(row[6])).plausible for row in rows]
    assert np.mean(inside) == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))


def test_small_telescopes_are_a_t_test_against_what_was_visible() -> None:
    """One-sided, in the direction of the published difference, whichever way it points."""
    x = np.random.default_rng(1).normal(0.004, 0.004, 10)
    seen = original.visible(0.02)
    up = original.published_difference(x.tolist(), 0.03, sd=0.02)
    down = original.published_difference((-x).tolist(), -0.03, sd=0.02)
    assert up.p_smaller == pytest.approx(stats.ttest_1samp(x, seen, alternative="less").pvalue)
    assert (up.p_smaller, up.p_larger, up.telescope) == (down.p_smaller, down.p_larger, down.telescope)
    assert up.telescope == "smaller than it could see"
    large = original.published_difference((x + 0.1).tolist(), 0.03, sd=0.02)
    assert large.telescope == "large enough to see"


@pytest.mark.parametrize("x", [[], [0.1], [0.1, 0.1], [0.1, math.nan, 0.2]])
def test_without_a_spread_nothing_is_said(x: list[float]) -> None:
    """No interval, no p, and nothing plausible."""
    found = original.published_difference(x, 0.01)
    assert math.isnan(found.power)
    assert math.isnan(found.p_smaller)
    assert not found.plausible
    assert found.telescope == "not distinguishable"


@pytest.mark.parametrize(
    ("a", "b", "disagreement", "apart"),
    [
        (1582, 1560, 0.0592, (69, 47)),
        (1560, 1569, 0.1179, (111, 120)),
        (1569, 1560, 0.0, (9, 0)),
        (10, 10, 0.0, (0, 0)),
    ],
)
def test_mcnemar_at_a_measured_disagreement(a: int, b: int, disagreement: float, apart: tuple[int, int]) -> None:
    """The totals' difference among that many disagreements, one more where they would be odd and the other even."""
    found = original.mcnemar_at(a, b, 1955, disagreement)
    assert (found.only_a, found.only_b) == apart
    theirs = reference_mcnemar([[0, apart[0]], [apart[1], 0]], exact=True).pvalue if sum(apart) else 1.0
    assert found.p == pytest.approx(theirs)


@pytest.mark.parametrize(("a", "b", "share"), [(-1, 2, 0.1), (1956, 2, 0.1), (1, 2, 1.1), (1, 2, math.nan)])
def test_impossible_totals_are_an_error(a: int, b: int, share: float) -> None:
    """They come from a validated table."""
    with pytest.raises(ValueError, match="correct of 1955"):
        original.mcnemar_at(a, b, 1955, share)


def test_a_spread_of_nothing_is_an_error() -> None:
    """There is no power to speak of."""
    with pytest.raises(ValueError, match="leaves nothing to chance"):
        original.single_run_power(0.01, 0.0)
