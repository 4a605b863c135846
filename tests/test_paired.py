"""Row against row, each test statistic against an independent implementation."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from replicate.scores import metrics
from replicate.verdicts import equivalence, pairs
from replicate.verdicts.pairs import compare_rows


def rows(seed: int, n: int = 6, shift: float = 0.01) -> tuple[list[float], list[float]]:
    """Two rows whose seeds share most of their spread."""
    rng = np.random.default_rng(seed)
    common = rng.normal(0.8, 0.01, n)
    return (common + shift + rng.normal(0, 0.005, n)).tolist(), common.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_paired_t_test_agrees_with_scipy(seed: int) -> None:
    """The interval that one comparison alone would have."""
    a, b = rows(seed)
    found, reference = compare_rows(a, b), scipy_stats.ttest_rel(a, b)
    assert found.ci == pytest.approx(tuple(reference.confidence_interval(0.95)), abs=1e-12)


@pytest.mark.parametrize("n", [2, 5, 6, 9])
def test_sign_flips_agree_with_scipys_permutation_test(n: int) -> None:
    """Every sign pattern of n differences."""
    differences = np.random.default_rng(n).normal(0.3, 1, n)
    expected = scipy_stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert pairs.sign_flip(differences, np.random.default_rng(0)) == pytest.approx(expected.pvalue, abs=1e-12)


def test_six_pairs_are_the_fewest_that_sign_flips_can_tell() -> None:
    """All of one sign reach 2^(1-n): five pairs stay above 0.05, whatever they show."""
    rng = np.random.default_rng(0)
    assert pairs.sign_flip([1.0] * 5, rng) == 0.0625
    assert pairs.sign_flip([1.0] * 6, rng) == 0.03125


def test_many_sign_flips_are_drawn() -> None:
    """Beyond 20 pairs the drawn patterns come near the t-test's p, and a seed gives them again."""
    a, b = rows(3, n=40, shift=0.002)
    first, second = compare_rows(a, b, seed=5), compare_rows(a, b, seed=5)
    assert first.p_sign_flip == second.p_sign_flip
    assert first.p_sign_flip == pytest.approx(scipy_stats.ttest_rel(a, b).pvalue, abs=0.01)
    assert first.seed == 5


class Told:
    """A generator that notes the shapes that it is asked for."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] = []
        self.rng = np.random.default_rng(3)

    def integers(self, low: int, high: int, size: tuple[int, int], dtype: Any) -> Any:
        """As `Generator.integers`."""
        self.shapes.append(size)
        return self.rng.integers(low, high, size=size, dtype=dtype)


@pytest.mark.parametrize("n", [7, 8, 10, 13])
def test_drawn_patterns_take_no_more_memory_at_once(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """They are drawn block by block, as many as before and the same ones."""
    monkeypatch.setattr(pairs, "EXACT_SIGN_FLIPS", 6)
    values = np.random.default_rng(n).normal(0.2, 1, n)
    found = []
    for block in (16, 64):
        monkeypatch.setattr(pairs, "SIGN_BLOCK", block)
        told = Told()
        found.append((pairs.sign_flip(values, cast(np.random.Generator, told)), told.rng.random()))
        assert max(rows for rows, _ in told.shapes) == min(block, 63)
        assert sum(rows for rows, _ in told.shapes) == 63
    assert found[0] == found[1]


@pytest.mark.parametrize(("only_a", "only_b"), [(13, 0), (12, 5), (5, 12), (7, 7), (0, 0), (40, 20)])
def test_mcnemar_agrees_with_statsmodels(only_a: int, only_b: int) -> None:
    """Exact p from the discordant examples; 30 further ones agree."""
    a = np.array([True] * only_a + [False] * only_b + [True] * 20 + [False] * 10)
    b = np.array([False] * only_a + [True] * only_b + [True] * 20 + [False] * 10)
    found = pairs.mcnemar(a, b)
    assert (found.only_a, found.only_b) == (only_a, only_b)
    if only_a + only_b:
        expected = statsmodels_mcnemar([[20, only_a], [only_b, 10]], exact=True).pvalue
        assert found.p == pytest.approx(expected, rel=1e-9)
    else:
        assert found.p == 1


@pytest.mark.parametrize("seed", range(4))
def test_holm_agrees_with_statsmodels(seed: int) -> None:
    """Random p values, ties included."""
    p = np.round(np.random.default_rng(seed).uniform(0, 0.1, 7), 2)
    assert equivalence.holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


def test_a_claim_without_p_still_counts_in_the_family() -> None:
    """Leaving out what was not run would make the rest look surer."""
    found = equivalence.holm([0.01, math.nan, 0.04])
    assert found[[0, 2]] == pytest.approx([0.03, 0.08])
    assert math.isnan(found[1])


def correctness(seed: int, n: int, chance: float) -> NDArray[np.bool_]:
    """Booleans of shape (n, 400)."""
    return np.random.default_rng(seed).random((n, 400)) < chance


def test_bootstrap_agrees_with_a_plain_loop() -> None:
    """The weighted sums give the interval that redrawn examples and seeds give, one resample at a time."""
    right_a, right_b = correctness(1, 4, 0.8), correctness(2, 4, 0.75)
    a, b = metrics.accuracy_ratio(right_a), metrics.accuracy_ratio(right_b)
    found = compare_rows(a.scores().tolist(), b.scores().tolist(), examples=(a, b), resamples=4000)
    rng, plain = np.random.default_rng(9), []
    for _ in range(4000):
        examples, seeds = rng.integers(400, size=400), rng.integers(4, size=4)
        plain.append(np.mean(right_a[seeds][:, examples]) - np.mean(right_b[seeds][:, examples]))
    assert found.bootstrap_ci == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.004)
    assert found.resamples == 4000


def test_bootstrap_of_f1_takes_the_ratio_of_the_sums() -> None:
    """A resampled F1 is no mean of parts: its interval encloses the observed difference of F1."""
    gold = np.arange(400) % 3
    predicted_a, predicted_b = np.where(correctness(3, 5, 0.9), gold, 0), np.where(correctness(4, 5, 0.7), gold, 0)
    a, b = metrics.f1_ratio(predicted_a == 1, gold), metrics.f1_ratio(predicted_b == 1, gold)
    found = compare_rows(a.scores().tolist(), b.scores().tolist(), examples=(a, b))
    assert 0 < found.bootstrap_ci[0] < found.difference < found.bootstrap_ci[1]
    assert found.mcnemar == ()


def test_the_same_seed_gives_the_same_numbers() -> None:
    """All randomness comes from the generator whose seed is in the result."""
    a, b = metrics.accuracy_ratio(correctness(1, 3, 0.8)), metrics.accuracy_ratio(correctness(2, 3, 0.8))
    scores = a.scores().tolist(), b.scores().tolist()
    first = compare_rows(*scores, examples=(a, b), seed=4)
    assert first == compare_rows(*scores, examples=(a, b), seed=4)
    assert first.bootstrap_ci != compare_rows(*scores, examples=(a, b), seed=5).bootstrap_ci
    assert len(first.mcnemar) == 3


@pytest.mark.parametrize(("a", "b"), [([], []), ([0.8], [0.7]), ([0.8, math.nan], [0.7, 0.7])])
def test_too_few_or_diverged_seeds_give_no_interval(a: list[float], b: list[float]) -> None:
    """Nothing crashes, and there is no interval."""
    found = compare_rows(a, b)
    assert all(map(math.isnan, (found.sd, found.p_sign_flip, *found.ci)))


def test_equal_differences_have_no_spread() -> None:
    """Though the last bits of a float pass for one; signs reach 2^(1-n) there, and no difference reaches nothing."""
    counts = [1569, 1560, 1561, 1582]
    thirteen = compare_rows([(k + 13) / 1955 for k in counts], [k / 1955 for k in counts])
    assert (thirteen.sd, thirteen.p_sign_flip) == (0, 2 ** (1 - 4))
    assert compare_rows([0.8] * 4, [0.8] * 4).p_sign_flip == 1


def test_rows_over_different_seeds_are_refused() -> None:
    """Pairing needs the same seeds."""
    with pytest.raises(ValueError, match="same seeds"):
        compare_rows([0.8, 0.8], [0.8])


def test_thirteen_examples_can_hardly_be_significant() -> None:
    """Hand-worked: 2^-12 at the most overlap; at the least, 373 + 386 disagreements and p near 0.66."""
    found = pairs.published_pair(1582, 1569, 1955)
    assert found.p_favourable == 2**-12
    assert (found.fewest_disagreements, found.most_disagreements) == (13, (1955 - 1582) + (1955 - 1569))
    assert found.p_unfavourable == pytest.approx(scipy_stats.binomtest(373, 759).pvalue, rel=1e-9)
    assert found.significant_up_to == 37
    assert scipy_stats.binomtest(12, 37).pvalue <= 0.05 < scipy_stats.binomtest(13, 39).pvalue
    assert "at most 37 examples" in found.words


def test_a_published_pair_in_words() -> None:
    """One example never is significant, two hundred always are."""
    assert "no overlap" in pairs.published_pair(1561, 1560, 1955).words
    assert "at every overlap" in pairs.published_pair(1500, 1300, 1955).words
    assert pairs.published_pair(5, 5, 10).p_favourable == 1


def test_bounds_are_those_of_every_overlap_there_is() -> None:
    """All overlaps of small totals, enumerated."""
    for right_a in range(9):
        for right_b in range(9):
            p = []
            for both in range(max(0, right_a + right_b - 8), min(right_a, right_b) + 1):
                only_a, only_b = right_a - both, right_b - both
                p.append(scipy_stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0)
            found = pairs.published_pair(right_a, right_b, 8)
            assert (found.p_favourable, found.p_unfavourable) == pytest.approx((min(p), max(p)))


def test_totals_that_cannot_be_are_refused() -> None:
    """More correct than examples."""
    with pytest.raises(ValueError, match="correct of"):
        pairs.published_pair(11, 5, 10)
