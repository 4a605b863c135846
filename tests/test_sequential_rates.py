"""Sequential plans keep their stated error rates in smaller simulations, and rules that break them are caught.

A rate is refuted where its 99.9 % binomial interval lies above 5 %.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from replicate.verdicts import sequential_rates, sequential_tables
from replicate.verdicts.decisions import decide
from replicate.verdicts.sequential import WORDS
from replicate.verdicts.sequential_rates import ARTICLE, DRAWS, MEASURED, PLAN, any_false, expected, naive, run, scores
from tests.rates import refuted

TRIALS = 1500
CORNERS = sequential_rates.corners()


@pytest.mark.parametrize("draw", [name for name in DRAWS if name != "very skewed"])
@pytest.mark.parametrize("corner", CORNERS)
def test_false_words_are_rare_at_every_corner(corner: str, draw: str) -> None:
    """Four claims, up to sixteen looks, scores that are normal or not: at most 5 % of families hold a false word."""
    means = CORNERS[corner]
    done = run(PLAN, scores(np.random.default_rng(1), means, TRIALS, draw=draw))
    assert not refuted(any_false(done, PLAN, means))
    assert np.mean(done.words != WORDS.index("undecided")) > 0.5, "a rule that never decides would pass too"


def test_the_very_skewed_are_the_known_limit() -> None:
    """Scores as skewed as an exponential: above 5 %, but below 8 %; a larger rho brings them back."""
    drawn = scores(np.random.default_rng(2), {}, 10_000, draw="very skewed")
    assert 0.05 < any_false(run(PLAN, drawn), PLAN, {}).value < 0.08
    slower = replace(PLAN, rho=3.0)
    assert any_false(run(slower, drawn), slower, {}).value < 0.05


@pytest.mark.parametrize(
    "looks", [(3, 6), tuple(range(3, 21)), tuple(range(5, 21))], ids=["3, then 6", "from 3", "from 5"]
)
def test_naive_looks_are_caught(looks: tuple[int, ...]) -> None:
    """Plain intervals at 5 % over the claims, as if each look were the only one."""
    assert refuted(any_false(naive(PLAN, scores(np.random.default_rng(3), {}, 4000), looks), PLAN, {}))


def test_holm_over_decided_claims_is_caught() -> None:
    """A claim with several words has always one that would be false: a true decision frees no level for others."""
    plan = sequential_tables.APART
    drawn = sequential_tables._apart(np.random.default_rng(4), 4000)
    assert refuted(any_false(sequential_rates.holm(plan, drawn), plan, {}))
    assert not refuted(any_false(run(plan, drawn), plan, {}))


def test_welch_is_caught_where_rows_go_against_each_other() -> None:
    """Rows that share a seed can: two separate samples need more than different stages."""
    rng = np.random.default_rng(5)
    z = rng.standard_normal((2, 4000, 20))
    drawn = {"augment": 0.78 + 0.008 * z[0], "base": 0.78 + 0.008 * (0.7 * z[1] - 0.7 * z[0])}
    plan = replace(PLAN, claims=ARTICLE[:1])
    assert refuted(any_false(run(replace(plan, pairing="none"), drawn), plan, {}))
    assert not refuted(any_false(run(plan, drawn), plan, {}))
    apart = {"augment": drawn["augment"], "base": 0.78 + 0.02 * z[1]}
    assert not refuted(any_false(run(replace(plan, pairing="none"), apart), plan, {}))


def test_two_nets_are_pooled_at_the_stated_rate() -> None:
    """Nets that differ by more than a margin, 0 on average; strung together they are caught."""
    rng = np.random.default_rng(6)
    plan = replace(PLAN, claims=ARTICLE[3:])
    each = rng.normal(0, 0.012, (2, 4000, 20)) + np.array([0.008, -0.008])[:, None, None]
    zero = np.zeros((4000, 20))
    assert not refuted(any_false(run(plan, {"prune-2-3": each.mean(axis=0), "base": zero}), plan, {}))
    strung = np.concatenate([each[0, :, :10], each[1, :, :10]], axis=1)
    assert refuted(any_false(run(plan, {"prune-2-3": strung, "base": zero}), plan, {}))


def test_simulations_decide_as_the_suite_does() -> None:
    """Study by study, `decide` has the word and the look that the simulation counts."""
    drawn = scores(np.random.default_rng(7), CORNERS["augment −0.010"], 40)
    done = run(PLAN, drawn)
    for trial in range(40):
        real = {row: {"pretrained": values[trial].tolist()} for row, values in drawn.items()}
        for place, verdict in enumerate(decide(PLAN, {"accuracy": real})):
            word = verdict.word if verdict.decided else "undecided"
            assert (word, verdict.look) == (WORDS[done.words[trial, place]], done.seeds[trial, place])


@pytest.mark.parametrize("draw", DRAWS)
def test_draws_have_the_stated_moments(draw: str) -> None:
    """Mean 0 and variance 1, so that `spread` means the same for all."""
    x = DRAWS[draw](np.random.default_rng(8), (400_000,))
    assert (x.mean(), x.var()) == (pytest.approx(0, abs=0.01), pytest.approx(1, abs=0.05))


def test_scores_have_the_measured_spread_and_correlation() -> None:
    """Over many seeds, those of the six that were measured; `base` alone where it is set apart."""
    measured = np.array(list(MEASURED.values())) / 1955
    for structure in sequential_rates.STRUCTURES:
        drawn = scores(np.random.default_rng(9), {}, 5000, structure=structure)
        flat = np.array([values.ravel() for values in drawn.values()])
        assert flat.std(axis=1) == pytest.approx(measured.std(axis=1, ddof=1), rel=0.03)
        goal = np.corrcoef(measured)
        if structure == "base apart":
            goal[-1, :-1] = goal[:-1, -1] = 0
        assert np.corrcoef(flat) == pytest.approx(goal, abs=0.03)


def test_false_words_are_counted_as_they_are_defined() -> None:
    """At the very margin "no difference" and "not worse" are false; a word for a difference is false of none."""
    claim = (ARTICLE[1],)
    plan = replace(PLAN, claims=claim)
    words = np.arange(len(WORDS))[:, None]
    done = sequential_rates.Outcomes(words, words)
    false = {
        0.0: {"above", "below"},
        0.004: {"below"},
        0.010: {"below", "no difference"},
        -0.010: {"above", "no difference", "not worse"},
        -0.012: {"above", "no difference", "not worse"},
    }
    for truth, expected_false in false.items():
        assert any_false(done, plan, {"prune-1-2": truth}).hits == len(expected_false)
        for place, word in enumerate(WORDS):
            alone = sequential_rates.Outcomes(words[[place]], words[[place]])
            assert any_false(alone, plan, {"prune-1-2": truth}).hits == (word in expected_false)


def test_what_a_plan_expects_before_a_run() -> None:
    """More spread takes more seeds and decides less often; a difference far beyond 0 is decided at once."""
    quiet, wide = (expected(PLAN, ARTICLE[3], 0.0, sd) for sd in (0.004, 0.016))
    assert quiet[0] > 0.99 > 0.5 > wide[0]
    assert quiet[1] < 10 < 15 < wide[1]
    share, seeds = expected(PLAN, ARTICLE[2], 0.05, 0.004)
    assert (share, round(seeds)) == (1.0, 5)
    assert expected(PLAN, ARTICLE[3], 0.0, 0.016) == wide
