"""Plans, repeated intervals and decisions: the word and the printed interval are one rule."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from replicate.verdicts import sequential
from replicate.verdicts.boundaries import nominal_levels, quantile
from replicate.verdicts.decisions import ANSWERS, Scores, Verdict, decide, next_runs
from replicate.verdicts.plan import Claim, Kind, Plan
from replicate.verdicts.sequential import DECIDING, Word, paired, repeated_interval, sequential_p

ROWS = ("base", "augment", "half", "third")
CLAIMS = (
    Claim("lowers", "lowers", "augment", "base"),
    Claim("keeps", "keeps", "half", "augment"),
    Claim("raises", "raises", "third", "augment"),
    Claim("beats", "raises", "third", "base"),
)
PLAN = Plan(CLAIMS, {"accuracy": 0.01}, most=12, nets=("one", "two"))
LIMIT = settings(max_examples=80, deadline=None)


@st.composite
def studies(draw: st.DrawFn, most: int = PLAN.most) -> Scores:
    """Scores of all rows on both nets, whole numbers of 1,955 examples; some rows without spread, some seeds lost."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    seeds = draw(st.integers(0, most + 2))
    spreads = [draw(st.sampled_from([0.0, 0.3, 2, 8, 20])) for _ in ROWS]
    shifts = [draw(st.integers(-40, 40)) for _ in ROWS]
    lost = draw(st.sampled_from([0, 0, 0, 0.05]))
    found = {}
    for row, spread, shift in zip(ROWS, spreads, shifts, strict=True):
        right = np.round(1530 + shift + spread * rng.standard_normal((2, seeds)))
        scores = np.where(rng.random((2, seeds)) < lost, np.nan, right / 1955)
        found[row] = {net: one.tolist() for net, one in zip(PLAN.nets, scores, strict=True)}
    return found


def judged(scores: Scores, plan: Plan = PLAN) -> dict[str, Verdict]:
    """Verdicts by the name of their claim."""
    return {verdict.claim.name: verdict for verdict in decide(plan, {"accuracy": scores})}


def shortened(scores: Scores, seeds: int) -> Scores:
    """The first seeds alone."""
    return {row: {net: one[:seeds] for net, one in nets.items()} for row, nets in scores.items()}


def read(low: str, high: str, margin: float) -> Word:
    """What somebody says who sees the printed interval and the margin, and knows the five words."""
    if float(low) > 0:
        return "above"
    if float(high) < 0:
        return "below"
    if float(low) > -margin:
        return "no difference" if float(high) < margin else "not worse"
    return "undecided"


@LIMIT
@given(studies())
def test_the_word_is_what_the_printed_interval_says(scores: Scores) -> None:
    """Read off the four printed digits; decided just where that word answers the claim and p is at most the level."""
    for verdict in judged(scores).values():
        if math.isnan(verdict.interval[0]):
            assert (verdict.word, verdict.decided) == ("undecided", False)
            continue
        low, high = (f"{end:.4f}" for end in verdict.interval)
        assert verdict.word == read(low, high, 0.01)
        assert verdict.decided == (verdict.word in DECIDING[verdict.claim.kind])
        assert verdict.decided == (verdict.p <= PLAN.level)
        assert (verdict.answer == "undecided") == (not verdict.decided)
        if math.isfinite(verdict.difference):
            assert verdict.interval[0] <= verdict.difference + 1e-9
            assert verdict.difference <= verdict.interval[1] + 1e-9


@LIMIT
@given(studies(), st.permutations(CLAIMS))
def test_the_order_of_claims_changes_nothing(scores: Scores, claims: list[Claim]) -> None:
    """Neither a verdict nor the plan's digest."""
    shuffled = replace(PLAN, claims=tuple(claims))
    assert repr(sorted(judged(scores, shuffled).items())) == repr(sorted(judged(scores).items()))
    assert shuffled.digest == PLAN.digest


@LIMIT
@given(studies(), st.integers(0, PLAN.most))
def test_a_decided_claim_stays_as_it_is(scores: Scores, seeds: int) -> None:
    """Whatever the seeds after it are."""
    later = judged(scores)
    for name, verdict in judged(shortened(scores, seeds)).items():
        if verdict.decided:
            assert repr(later[name]) == repr(verdict)


@LIMIT
@given(studies())
def test_swapping_the_rows_mirrors_the_verdict(scores: Scores) -> None:
    """Of a claim that lowers or raises."""
    mirror: dict[Kind, Kind] = {"lowers": "raises", "raises": "lowers"}
    words = {"above": "below", "below": "above"}
    there = tuple(claim for claim in CLAIMS if claim.kind != "keeps")
    back = tuple(Claim(claim.name, mirror[claim.kind], claim.b, claim.a) for claim in there)
    plan = replace(PLAN, claims=there)
    swapped = judged(scores, replace(plan, claims=back))
    for ours, theirs in ((one, swapped[name]) for name, one in judged(scores, plan).items()):
        assert (ours.decided, ours.answer, ours.look) == (theirs.decided, theirs.answer, theirs.look)
        if ours.decided:
            assert theirs.word == words.get(ours.word, ours.word)
            assert ours.interval == (-theirs.interval[1], -theirs.interval[0])


@LIMIT
@given(studies())
def test_running_what_comes_next_ends_as_one_run_does(scores: Scores) -> None:
    """Seeds in order, rows of open claims together, no run twice; the same verdicts as from all scores at once."""
    whole = {
        row: {net: (list(one) * 12)[:12] or [0.78] * 12 for net, one in nets.items()} for row, nets in scores.items()
    }
    held: dict[str, dict[str, list[float]]] = {row: {net: [] for net in PLAN.nets} for row in ROWS}
    for _ in range(PLAN.most + 1):
        before = judged(held)
        runs = next_runs(PLAN, {"accuracy": held})
        needed = {row for v in before.values() if not v.decided and not v.stuck for row in (v.claim.a, v.claim.b)}
        assert {row for row, _, _ in runs} <= needed
        assert bool(runs) == bool(needed)
        assert [seed for *_, seed in runs] == sorted(seed for *_, seed in runs)
        for row, net, seed in runs:
            assert seed == len(held[row][net]) + 1 <= PLAN.most
            held[row][net].append(whole[row][net][seed - 1])
        if not runs:
            break
    else:
        pytest.fail("runs never end")
    for name, verdict in judged(whole).items():
        ended = judged(held)[name]
        assert (verdict.word, verdict.decided) == (ended.word, ended.decided)
        if verdict.decided:
            assert repr(ended) == repr(verdict)


def test_a_killed_run_goes_on_where_it_was() -> None:
    """A row that has fallen behind is caught up before any row goes on."""
    scores = {row: {net: [0.78, 0.785, 0.77, 0.79, 0.765, 0.8] for net in PLAN.nets} for row in ROWS}
    scores["third"]["two"] = [0.78, 0.785, 0.77]
    plan = replace(PLAN, claims=CLAIMS[3:], margins={"accuracy": 0.001})
    assert next_runs(plan, {"accuracy": scores}) == (("third", "two", 4), ("third", "two", 5))


def test_a_row_that_only_decided_claims_need_stops() -> None:
    """`half` is far above: its claim is decided at the first look; the others go on without it."""
    rng = np.random.default_rng(0)
    scores = {row: {net: (0.78 + 0.01 * rng.standard_normal(5)).tolist() for net in PLAN.nets} for row in ROWS}
    scores["half"] = {net: [x + 0.05 + k / 1000 for k, x in enumerate(one)] for net, one in scores["augment"].items()}
    assert judged(scores)["keeps"].word == "above"
    assert {row for row, _, _ in next_runs(PLAN, {"accuracy": scores})} == {"base", "augment", "third"}


@pytest.mark.parametrize("look", [5, 8, 20])
def test_an_interval_is_the_t_interval_of_its_look(look: int) -> None:
    """Mean and standard error of the first seeds, the boundary of that look, outward to four digits."""
    x = np.random.default_rng(look).normal(0.004, 0.01, 20)
    plan = Plan(CLAIMS, {"accuracy": 0.01})
    p = nominal_levels(5, 20, plan.level)[look - 5]
    half = float(quantile(look - 1, p)) * x[:look].std(ddof=1) / math.sqrt(look)
    low, high = repeated_interval(x.tolist(), plan, look)
    assert low == math.floor((x[:look].mean() - half) * 1e4) / 1e4
    assert high == math.ceil((x[:look].mean() + half) * 1e4) / 1e4


def test_before_the_first_look_there_is_no_interval() -> None:
    """And none beyond the seeds that there are."""
    assert repeated_interval([0.1, 0.2, 0.3], PLAN, 3) == (-math.inf, math.inf)
    with pytest.raises(ValueError, match="a look at 6 seeds: there are 5"):
        repeated_interval([0.1] * 5, PLAN, 6)


@pytest.mark.parametrize("seed", range(20))
def test_sequential_p_is_the_level_at_which_it_would_be_decided(seed: int) -> None:
    """Just above it a claim is decided, just below it isn't; interpolation is off by a tenth at most."""
    rng = np.random.default_rng(seed)
    x = rng.normal(rng.uniform(-0.01, 0.01), 0.008, 12)
    estimates = paired(x, PLAN.first)
    p = sequential_p(estimates, PLAN, "keeps", 0.01)

    def decided(level: float) -> bool:
        codes = sequential.codes(*sequential.intervals(estimates, PLAN, level), 0.01)
        return bool(sequential.decided_at(codes, "keeps") >= 0)

    assert p >= 0.9 or decided(min(0.95, 1.1 * p))
    assert p <= 0.0001 or not decided(0.9 * p)


def test_rows_that_no_seed_changes_are_said_to_be_so() -> None:
    """Two of them have a difference at the first look; one beside a row that varies only lends its value."""
    scores = {row: {net: [0.78, 0.79, 0.775, 0.785, 0.781] for net in PLAN.nets} for row in ROWS}
    scores |= {"third": {net: [0.7712] * 5 for net in PLAN.nets}, "augment": {net: [0.7755] * 5 for net in PLAN.nets}}
    found = judged(scores)
    assert found["raises"].deterministic == ("third", "augment")
    assert (found["raises"].interval, found["raises"].word, found["raises"].p) == ((-0.0043, -0.0043), "below", 0.0)
    assert found["keeps"].deterministic == ("augment",)
    assert not found["keeps"].decided


def test_equal_differences_of_rows_that_vary_need_enough_signs() -> None:
    """n equal differences have a two-sided p of 2^(1-n), which has to be spent first: at 9 of 12 seeds for 0.0125."""
    x = np.random.default_rng(0).normal(0.78, 0.01, 12)
    for seeds in range(5, 13):
        rows = {"base": x[:seeds].tolist(), "augment": (x[:seeds] - 0.02).tolist()}
        scores = {row: dict.fromkeys(PLAN.nets, one) for row, one in rows.items()}
        assert judged(scores)["lowers"].decided == (seeds >= 9)
    assert 2.0**-8 <= PLAN.spent(9) < 2.0**-7
    assert PLAN.spent(8) < 2.0**-7


def test_a_seed_that_gave_no_number_leaves_its_claims_undecided() -> None:
    """It isn't dropped: its claims stop there, others go on, and what was decided before stays."""
    rng = np.random.default_rng(1)
    scores: dict[str, dict[str, list[float]]] = {
        row: {net: (0.78 + 0.01 * rng.standard_normal(6)).tolist() for net in PLAN.nets} for row in ROWS
    }
    scores["half"] = {net: [x + 0.05 + k / 1000 for k, x in enumerate(one)] for net, one in scores["augment"].items()}
    scores["third"]["two"][2] = scores["half"]["one"][5] = math.nan
    found = judged(scores)
    assert found["keeps"].word == "above"
    assert found["keeps"].look == 5
    for name in ("raises", "beats"):
        assert found[name].stuck.startswith("seed 6 of third ")
        assert found[name].interval == (-math.inf, math.inf)
    assert {row for row, *_ in next_runs(PLAN, {"accuracy": scores})} == {"augment", "base"}


def test_a_net_that_is_not_of_the_plan_is_refused() -> None:
    """Never mixed, never chosen between in silence."""
    scores = {row: {"one": [0.78] * 5, "three": [0.78] * 5} for row in ROWS}
    with pytest.raises(ValueError, match="descends from three, which is no net of the plan"):
        decide(PLAN, {"accuracy": scores})


def test_nets_are_pooled_and_told_apart() -> None:
    """What the nets differ by is in no spread: the pooled interval is as if each net had the mean offset."""
    rng = np.random.default_rng(2)
    x = rng.normal(0, 0.005, (4, 2, 9))
    scores = {row: dict(zip(PLAN.nets, x[i].tolist(), strict=True)) for i, row in enumerate(ROWS)}
    base = {net: [s + shift for s in scores["base"][net]] for net, shift in zip(PLAN.nets, (-0.03, 0.03), strict=True)}
    moved = {**scores, "base": base}
    ours, apart = judged(scores)["lowers"], judged(moved)["lowers"]
    assert apart.interval == ours.interval
    assert apart.nets["one"][0] > apart.nets["two"][1]


def test_separate_samples_agree_with_welch() -> None:
    """Degrees of freedom and standard error are those of SciPy's Welch interval, at each look."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(0, 1, 9), rng.normal(0, 3, 9)
    estimates = sequential.separate(a, b, 5)
    for place, look in enumerate(range(5, 10)):
        found = stats.ttest_ind(a[:look], b[:look], equal_var=False)
        assert found.statistic == pytest.approx(estimates.mean[place] / estimates.se[place])
        assert found.df == pytest.approx(estimates.df[place])


def test_the_digest_is_that_of_the_rule() -> None:
    """Any other rule has another digest; spelling of numbers and order of margins make no difference."""
    others: list[dict[str, Any]] = [
        {"first": 6}, {"most": 13}, {"alpha": 0.01}, {"rho": 3.0}, {"pairing": "none"}, {"nets": ("one",)},
        {"claims": CLAIMS[:3]}, {"margins": {"accuracy": 0.011}},
    ]  # fmt: skip
    digests = {replace(PLAN, **other).digest for other in others} | {PLAN.digest}
    assert len(digests) == len(others) + 1
    assert replace(PLAN, margins={"accuracy": 0.0100}, alpha=5e-2).digest == PLAN.digest


@pytest.mark.parametrize(
    "change",
    [
        {"claims": ()},
        {"claims": (CLAIMS[0], CLAIMS[0])},
        {"claims": (Claim("x", "keeps", "a", "a"),)},
        {"claims": (Claim("x", "helps", "a", "b"),)},  # type: ignore[arg-type]
        {"claims": (Claim("x", "keeps", "a", "b", "f1"),)},
        {"margins": {"accuracy": 0.0}},
        {"margins": {"accuracy": 0.01234}},
        {"first": 2},
        {"first": 13},
        {"alpha": 0.0},
        {"rho": 0.0},
        {"pairing": "chain"},
        {"nets": ()},
        {"nets": ("one", "one")},
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(change: dict[str, Any]) -> None:
    """Before there is any data."""
    with pytest.raises(ValueError, match=r"."):
        replace(PLAN, **change)


@pytest.mark.parametrize(("kind", "word"), itertools.product(DECIDING, sequential.WORDS))
def test_every_word_has_one_answer(kind: Kind, word: Word) -> None:
    """A deciding word answers yes or no, any other nothing; `no difference` keeps, and neither lowers nor raises."""
    assert (word in ANSWERS[kind]) == (word in DECIDING[kind])
