"""The gain from choosing the best step on the set that is the score."""

from __future__ import annotations

import numpy as np
import pytest

from replicate.verdicts.optimism import Counted, optimism


def test_one_evaluation_leaves_nothing_to_choose() -> None:
    """With a single evaluation both halves score alike but for the luck of the halving."""
    run = np.random.default_rng(0).random((1, 2000)) < 0.8
    assert abs(optimism([run]).drop) < 0.002


def test_the_best_of_equal_evaluations_is_luck() -> None:
    """Independent evaluations of one true accuracy: the chosen half shows the expected maximum, the other the truth."""
    runs = [np.random.default_rng(seed).random((20, 2000)) < 0.8 for seed in range(5)]
    found = optimism(runs, splits=300)
    # The expected maximum of 20 normal draws lies 1.87 standard deviations up.
    assert found.drop == pytest.approx(1.87 * np.sqrt(0.8 * 0.2 / 1000), abs=0.006)
    assert found.other_half == pytest.approx(0.8, abs=0.006)
    assert found.seeds == 5
    assert found.evaluations == 20


def test_a_better_evaluation_is_better_on_both_halves() -> None:
    """Where one evaluation is truly better, choosing it is no optimism."""
    rng = np.random.default_rng(1)
    run = np.stack([rng.random(2000) < 0.6, rng.random(2000) < 0.9])
    found = optimism([run])
    assert abs(found.drop) < 0.003
    assert found.other_half == pytest.approx(run[1].mean(), abs=0.002)


def test_the_same_seed_gives_the_same_halvings() -> None:
    """Two calls agree to the last bit."""
    runs = [np.random.default_rng(seed).random((5, 301)) < 0.7 for seed in range(2)]
    assert optimism(runs) == optimism(runs)


def test_f1_chooses_where_it_is_the_rule() -> None:
    """Of two evaluations the one that finds class 1, though the other has more examples right."""
    rng = np.random.default_rng(2)
    positives = np.arange(2000) < 400
    called = np.stack([np.zeros(2000, dtype=bool), positives])
    right = np.stack([~positives, positives | (rng.random(2000) < 0.5)])
    assert right[0].mean() > right[1].mean()
    by_f1 = optimism([right], [Counted(called, positives)])
    assert by_f1.other_half == pytest.approx(right[1].mean(), abs=0.002)
    assert optimism([right]).other_half == pytest.approx(right[0].mean(), abs=0.002)


def test_nothing_to_choose_from_is_refused() -> None:
    """No run, or one without evaluations, is the caller's mistake."""
    with pytest.raises(ValueError, match="at least one run"):
        optimism([])
    with pytest.raises(ValueError, match="at least one run"):
        optimism([np.zeros((0, 10), dtype=bool)])
