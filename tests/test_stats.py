"""Verdicts, each test statistic against an independent implementation."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW, ttost_ind

from replicate.verdicts import equivalence, published

SEEDS = [0.8010, 0.7992, 0.8051, 0.8003, 0.8077, 0.8036]


def draws(seed: int, n: int = 6, mean: float = 0.8, sd: float = 0.01) -> list[float]:
    """Random scores."""
    return np.random.default_rng(seed).normal(mean, sd, n).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_interval_and_equivalence_agree_with_statsmodels(seed: int) -> None:
    """Mean, sd, t interval and the two one-sided tests, on random seeds."""
    samples = draws(seed)
    found = published.compare_to_published(samples, 0.795, 0.018)
    reference = DescrStatsW(samples)
    assert found.mean == pytest.approx(np.mean(samples), abs=1e-14)
    assert found.sd == pytest.approx(np.std(samples, ddof=1), abs=1e-14)
    assert found.ci == pytest.approx(reference.tconfint_mean(0.05), abs=1e-12)
    assert found.p_equivalence == pytest.approx(reference.ttost_mean(0.795 - 0.018, 0.795 + 0.018)[0], rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_outside_agrees_with_scipy(seed: int) -> None:
    """The p of lying outside is that of a one-sample t-test against the nearer bound, doubled."""
    samples = draws(seed)
    above = scipy_stats.ttest_1samp(samples, 0.78 + 0.01, alternative="greater").pvalue
    below = scipy_stats.ttest_1samp(samples, 0.78 - 0.01, alternative="less").pvalue
    found = published.compare_to_published(samples, 0.78, 0.01)
    assert found.p_outside == pytest.approx(min(1, 2 * min(above, below)), rel=1e-9)


def test_without_a_tolerance_outside_is_the_plain_t_test() -> None:
    """A tolerance of 0 leaves the two-sided one-sample t-test, and nothing can be shown equivalent."""
    found = published.compare_to_published(SEEDS, 0.81, 0)
    assert found.p_outside == pytest.approx(scipy_stats.ttest_1samp(SEEDS, 0.81).pvalue, rel=1e-9)
    assert found.p_equivalence >= 0.5


def test_a_prediction_interval_holds_one_further_seed_as_often_as_it_says() -> None:
    """Of 4,000 simulated rows of five seeds, 95 % of the sixth seeds fall inside (binomial, 4 standard errors)."""
    rows = np.random.default_rng(0).normal(0.8, 0.01, size=(4000, 6))
    found = [published.compare_to_published(row[:5].tolist(), float(row[5]), 0.018) for row in rows]
    inside = [one.prediction_interval[0] <= one.published <= one.prediction_interval[1] for one in found]
    assert np.mean(inside) == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))


@pytest.mark.parametrize(
    ("printed", "verdict"),
    [("0.8025", "replicated"), ("0.7800", "higher"), ("0.8250", "lower"), ("0.8200", "inconclusive")],
)
def test_each_verdict_can_come_out(printed: str, verdict: str) -> None:
    """The same six seeds (0.7992 to 0.8077, tolerance 0.018) against four printed values."""
    found = published.compare_to_published(SEEDS, printed, "0.018")
    assert found.verdict == verdict
    assert found.reason.startswith("the mean 0.8028 of 6 seeds is shown")


def test_few_seeds_never_pay() -> None:
    """Two seeds right on the published value show nothing: not replicated for want of evidence against it."""
    assert published.compare_to_published([0.79, 0.81], "0.80", "0.018").verdict == "inconclusive"


def test_the_verdict_is_what_the_intervals_say() -> None:
    """Outside means that the 95 % interval misses the band; replicated, that the 90 % interval lies in it."""
    for seed in range(200):
        found = published.compare_to_published(draws(seed, 4, 0.81), 0.8, 0.018)
        low, high = found.ci
        assert (found.verdict in ("higher", "lower")) == (low > 0.818 or high < 0.782)
        wide = published.compare_to_published(draws(seed, 4, 0.81), 0.8, 0.018, alpha=0.10).ci
        assert (found.verdict == "replicated") == (wide[0] >= 0.782 and wide[1] <= 0.818)


@pytest.mark.parametrize(("n", "verdict"), [(2, "inconclusive"), (4, "inconclusive"), (5, "replicated")])
def test_seeds_without_spread_are_judged_by_their_signs(n: int, verdict: str) -> None:
    """n equal seeds reach p = 2^-n: five are the first below 0.05."""
    found = published.compare_to_published([0.8] * n, "0.8", "0.018")
    assert (found.verdict, found.sd, found.p_equivalence) == (verdict, 0.0, 0.5**n)
    assert published.compare_to_published([0.9] * n, "0.8", "0.018").verdict in ("higher", "inconclusive")


def test_an_edge_does_not_hang_on_a_float() -> None:
    """0.3005 and 0.5232 are each exactly 0.0005 away, though floats put one outside and the other inside."""
    assert abs(0.3005 - 0.3) > 0.0005 > abs(0.5232 - 0.5227)
    for sample, printed in ((0.3005, "0.3000"), (0.5232, "0.5227")):
        edge = published.compare_to_published([sample] * 8, printed, "0.0005")
        assert (edge.verdict, edge.p_equivalence, edge.p_outside) == ("inconclusive", 1.0, 1.0)
    assert published.compare_to_published([0.3004] * 8, "0.3000", "0.0005").verdict == "replicated"
    assert published.compare_to_published([0.3006] * 8, "0.3000", "0.0005").verdict == "higher"


def test_numbers_mean_their_printed_digits() -> None:
    """A float, its text, its decimal and its fraction are one number."""
    forms: tuple[equivalence.Number, ...] = (0.3, "0.3", Decimal("0.3"), Fraction(3, 10))
    assert {equivalence.exact(form) for form in forms} == {Fraction(3, 10)}
    assert equivalence.exact(float(np.float64(1e-7))) == Fraction(1, 10**7)


@pytest.mark.parametrize(
    ("samples", "printed", "reason"),
    [
        ([], 0.8, "no seeds"),
        ([0.8], 0.8, "one seed says nothing"),
        ([0.8, math.nan, 0.81], 0.8, "1 of 3 seeds gave no number"),
        ([0.8, math.inf], 0.8, "1 of 2 seeds gave no number"),
        ([0.8, 0.81], "82.25", "82.25 is not a score between 0 and 1"),
        ([0.8, 0.81], -0.1, "-0.1 is not a score"),
        ([0.8, 0.81], math.nan, "nan is not a score"),
    ],
)
def test_what_cannot_be_judged_is_inconclusive_and_says_why(
    samples: list[float], printed: equivalence.Number, reason: str
) -> None:
    """No crash and no verdict; seeds that diverged are counted in the reason."""
    found = published.compare_to_published(samples, printed, 0.018)
    assert found.verdict == "inconclusive"
    assert reason in found.reason
    assert found.seeds_needed is None or found.n == 2


@pytest.mark.parametrize(("tolerance", "alpha"), [(-0.1, 0.05), (math.nan, 0.05), (0.01, 0.0), (0.01, 1.0)])
def test_an_impossible_rule_is_an_error_of_the_caller(tolerance: float, alpha: float) -> None:
    """Tolerance and level come from a validated table."""
    with pytest.raises(ValueError, match="out of range"):
        published.compare_to_published(SEEDS, 0.8, tolerance, alpha)


def test_power_agrees_with_statsmodels_where_one_bound_is_out_of_reach() -> None:
    """Near one bound the two tests are one, whose power the noncentral t distribution gives."""
    for n in (3, 6, 10):
        theirs = TTestPower().power(effect_size=0.8, nobs=n, alpha=0.05, alternative="larger")
        assert equivalence.equivalence_power(n, 0.01, 1.0, difference=1.0 - 0.008) == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize(("n", "sd"), [(3, 0.006), (6, 0.018), (10, 0.018)])
def test_power_agrees_with_simulation(n: int, sd: float) -> None:
    """With both bounds in reach, against 3,000 simulated verdicts (4 standard errors)."""
    rows = np.random.default_rng(n).normal(0.8, sd, size=(3000, n))
    shown = np.mean([published.compare_to_published(row.tolist(), 0.8, 0.018).verdict == "replicated" for row in rows])
    assert equivalence.equivalence_power(n, sd, 0.018) == pytest.approx(shown, abs=4 * math.sqrt(0.25 / 3000))


@pytest.mark.parametrize("sd", [0.001, 0.005, 0.018, 0.1])
def test_seeds_needed_is_the_first_number_with_the_power(sd: float) -> None:
    """One seed fewer has less than 80 %."""
    n = equivalence.seeds_needed(sd, 0.018)
    assert n is not None
    assert equivalence.equivalence_power(n, sd, 0.018) >= 0.8
    assert n == 2 or equivalence.equivalence_power(n - 1, sd, 0.018) < 0.8


def test_seeds_needed_knows_when_no_number_is_enough() -> None:
    """A true difference at the tolerance, an unknown sd and a huge one have none; no sd takes five equal seeds."""
    assert equivalence.seeds_needed(0.005, 0.018, difference=0.018) is None
    assert equivalence.seeds_needed(math.nan, 0.018) is None
    assert equivalence.seeds_needed(50.0, 0.018) is None
    assert equivalence.seeds_needed(0.0, 0.018) == 5


@pytest.mark.parametrize("seed", range(5))
def test_baseline_comparison_agrees_with_scipy_and_statsmodels(seed: int) -> None:
    """Welch interval and the two one-sided Welch tests."""
    new, baseline = draws(seed, 5), draws(seed + 100, 8, 0.805, 0.004)
    found = published.compare_to_baseline(new, baseline, 0.018)
    welch = scipy_stats.ttest_ind(new, baseline, equal_var=False)
    assert found.ci == pytest.approx(tuple(welch.confidence_interval(0.95)), abs=1e-12)
    assert found.p_equivalence == pytest.approx(ttost_ind(new, baseline, -0.018, 0.018, usevar="unequal")[0], rel=1e-9)
    bare = published.compare_to_baseline(new, baseline, 0)
    assert bare.p_outside == pytest.approx(welch.pvalue, rel=1e-9)


def test_baseline_verdicts() -> None:
    """Near, far above, far below, and too few to say."""
    near, far = [0.800, 0.801, 0.802], [0.900, 0.901, 0.902]
    assert published.compare_to_baseline(near, near, "0.018").verdict == "replicated"
    assert published.compare_to_baseline(far, near, "0.018").verdict == "higher"
    assert published.compare_to_baseline(near, far, "0.018").verdict == "lower"
    assert published.compare_to_baseline([0.7, 0.9], near, "0.018").verdict == "inconclusive"


@pytest.mark.parametrize(
    ("new", "baseline", "reason"),
    [([], [0.8], "no seeds"), ([0.8], [0.8, 0.81], "one seed"), ([0.8, math.nan], [0.8, 0.81], "no number")],
)
def test_a_baseline_that_cannot_be_compared_says_why(new: list[float], baseline: list[float], reason: str) -> None:
    """No crash and no verdict."""
    found = published.compare_to_baseline(new, baseline, 0.018)
    assert found.verdict == "inconclusive"
    assert reason in found.reason


def test_two_sets_without_spread_are_judged_by_permutation() -> None:
    """3 against 3 equal seeds reach 1 in 20, 2 against 2 only 1 in 6."""
    assert published.compare_to_baseline([0.8] * 3, [0.8] * 3, 0.018).p_equivalence == pytest.approx(0.05)
    assert published.compare_to_baseline([0.8] * 2, [0.8] * 2, 0.018).verdict == "inconclusive"


@pytest.mark.parametrize("n", [6, 7, 12, 25])
def test_ratio_interval_agrees_with_scipy(n: int) -> None:
    """scipy's quantile test inverts the same binomial (its two ends are one-sided, each at half the level)."""
    rng = np.random.default_rng(n)
    above, below = rng.lognormal(size=n), rng.lognormal(size=n)
    found = equivalence.ratio_interval(above.tolist(), below.tolist())
    reference = scipy_stats.quantile_test(above / below, p=0.5).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=1e-12)
    assert found.median == pytest.approx(np.median(above / below))
    assert found.coverage >= 0.95


def test_ratio_interval_says_what_few_pairs_cover() -> None:
    """Five pairs, least to largest: 1 - 2/32; one pair covers nothing."""
    five = equivalence.ratio_interval([1, 2, 3, 4, 5], [1, 1, 1, 1, 1])
    assert (five.low, five.high, five.coverage) == (1, 5, 1 - 2 / 32)
    assert equivalence.ratio_interval([2], [1]).coverage == 0


@pytest.mark.parametrize(("above", "below"), [([], []), ([1], [1, 2]), ([0.0], [1]), ([math.nan], [1])])
def test_what_is_no_ratio_is_refused(above: list[float], below: list[float]) -> None:
    """Latencies are positive and paired."""
    with pytest.raises(ValueError, match=r"pairs|positive"):
        equivalence.ratio_interval(above, below)


@pytest.mark.parametrize(
    ("samples", "errors", "status"),
    [
        ([], [], "not-run"),
        ([0.8, 0.8], ["seed 3: out of memory"], "error"),
        (SEEDS[:2], [], "inconclusive"),
        (SEEDS, [], "replicated"),
    ],
)
def test_judge_covers_rows_that_did_not_run(samples: list[float], errors: list[str], status: str) -> None:
    """No record, a failed run, too few seeds, and enough."""
    found = published.judge(samples, "0.8025", "0.018", minimum_seeds=3, errors=errors)
    assert found.status == status
    assert found.reason
