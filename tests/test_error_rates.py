"""The stated error rates hold, and rules that break them are caught.

A rate is refuted where its 99.9 % binomial interval lies above 5 %.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats as scipy_stats

from replicate.verdicts import error_rates
from replicate.verdicts.error_rates import Rate

ALPHA = 0.05
EDGE = float(error_rates.TOLERANCE)
SD = error_rates.SPREADS[1]


def refuted(rate: Rate) -> bool:
    """Whether the trials show a rate above the stated one."""
    return rate.interval(0.999)[0] > ALPHA


def at_edge(rule: error_rates.Rule, seeds: int, side: int = 1, trials: int = 2000) -> dict[str, Rate]:
    """Verdicts with the true mean one tolerance from the published value."""
    rng = np.random.default_rng(seeds)
    return error_rates.verdict_rates(rule, difference=side * EDGE, sd=SD, seeds=seeds, trials=trials, rng=rng)


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("seeds", error_rates.SEEDS)
def test_wrong_verdicts_at_the_edge_of_the_tolerance_are_rare(seeds: int, side: int) -> None:
    """`replicated` comes out at most 5 % of the time, `higher` and `lower` together likewise."""
    rates = at_edge(error_rates.published_rule, seeds, side)
    assert not refuted(rates["replicated"])
    assert not refuted(rates["higher or lower"])
    assert rates["replicated"].value > 0.01, "a rule that never says replicated would pass too"


@pytest.mark.parametrize("seeds", error_rates.SEEDS)
def test_a_bare_band_is_caught(seeds: int) -> None:
    """Judging by the mean alone is wrong about half of the time at the edge, either way."""
    rates = at_edge(error_rates.band_rule, seeds, trials=500)
    assert refuted(rates["replicated"])
    assert refuted(rates["higher or lower"])


def test_taking_no_significance_for_replication_is_caught() -> None:
    """With three seeds it calls replicated what is a whole tolerance off."""
    assert refuted(at_edge(error_rates.insignificance_rule, 3, trials=500)["replicated"])


def test_a_normal_quantile_in_place_of_t_is_caught() -> None:
    """The subtle mistake: with three seeds, 1.645 standard errors are too few."""

    def normal_rule(samples: Sequence[float]) -> str:
        mean, se = np.mean(samples), np.std(samples, ddof=1) / np.sqrt(len(samples))
        return "replicated" if abs(mean - 0.8) + 1.645 * se <= EDGE else "inconclusive"

    assert refuted(at_edge(normal_rule, 3)["replicated"])


@pytest.mark.parametrize(("seeds", "baseline"), [(3, 3), (3, 6), (6, 6)])
def test_wrong_verdicts_against_a_baseline_are_rare(seeds: int, baseline: int) -> None:
    """New seeds one tolerance from their baseline: the same two rates."""
    rng = np.random.default_rng(seeds + baseline)
    rates = error_rates.baseline_rates(difference=EDGE, sd=SD, seeds=seeds, baseline=baseline, trials=1500, rng=rng)
    assert not refuted(rates["replicated"])
    assert not refuted(rates["higher or lower"])


def test_power_grows_with_the_seeds() -> None:
    """With no true difference and a wide spread, more seeds show equivalence more often."""
    rates = [
        error_rates.verdict_rates(
            error_rates.published_rule, difference=0, sd=0.016, seeds=n, trials=400, rng=np.random.default_rng(n)
        )["replicated"].value
        for n in error_rates.SEEDS
    ]
    assert rates[0] < 0.3 < rates[1] < 0.7 < rates[2]


@pytest.mark.parametrize(("hits", "trials"), [(0, 40), (3, 40), (40, 40)])
def test_the_binomial_interval_agrees_with_scipy(hits: int, trials: int) -> None:
    """Clopper and Pearson's exact interval."""
    reference = scipy_stats.binomtest(hits, trials).proportion_ci(0.95, method="exact")
    assert Rate(hits, trials).interval() == pytest.approx((reference.low, reference.high), abs=1e-9)


def test_the_report_is_reproducible_markdown() -> None:
    """The same generator seed gives the same tables, each with its rows."""
    text = error_rates.report(trials=20)
    assert text == error_rates.report(trials=20)
    assert text.count("###") == 12
    assert "not significantly different" in text
