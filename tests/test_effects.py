"""Words for what a change does to a score, and what follows from several of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

import pytest

from replicate.verdicts.effects import (
    KEPT,
    NO_HELP,
    Cost,
    Effect,
    Pattern,
    judge_clause,
    judge_costs,
    judge_effects,
    where_it_stops,
)
from replicate.verdicts.pairs import RowComparison, compare_rows

BASE = (0.80, 0.78, 0.79, 0.80, 0.78, 0.79)


def compared(by: Sequence[float], margin: float = 0.03) -> RowComparison:
    """Seeds that differ from the base's by these numbers, in hundredths."""
    base = BASE[: len(by)]
    return compare_rows([a + b / 100 for a, b in zip(base, by, strict=True)], base, margin=margin)


UP, SAME, WIDE = (6, 7, 6, 7, 6, 7), (1, -1, 0, 0, 1, -1), (12, -12, 9, -9, 3, -3)
DOWN, BELOW = tuple(-one for one in UP), (-9, -1, -1, -7, 2, -2)


@pytest.mark.parametrize(
    ("by", "effect", "cost"),
    [
        (UP, "helps", "gains"),
        (DOWN, "hurts", "loses"),
        (SAME, "no difference", "keeps"),
        (BELOW, "no gain", "not distinguishable"),
        (WIDE, "not distinguishable", "not distinguishable"),
        ((-1, -1, -1, -2, -1, -1), "hurts", "loses little"),
        ((9, 9), "not distinguishable", "not distinguishable"),
    ],
)
def test_the_same_seeds_in_both_vocabularies(by: tuple[int, ...], effect: str, cost: str) -> None:
    """What a way of augmenting does, and what a smaller net costs, from the same differences."""
    found = compared(by)
    (of_copies,) = judge_effects([found], 0.03, 0.05, 3)
    (of_size,) = judge_costs([found], 0.03, 0.05, 3)
    assert (of_copies.word, of_size.word) == (effect, cost)
    assert of_copies.p == of_size.p == pytest.approx(found.p)
    assert of_copies.reason


def test_what_was_not_run_counts_in_the_correction() -> None:
    """Its p is none and its word `not-run`, but the others are corrected over it too."""
    found = compared((3, 1, 4, 0, 3, 4))
    one, none = judge_effects([found, None], 0.03, 0.05, 3)
    assert one.p == pytest.approx(2 * found.p)
    assert none.word == "not-run"
    assert math.isnan(none.p)
    assert judge_costs([None], 0.03, 0.05, 3) == judge_effects([None], 0.03, 0.05, 3)
    assert judge_effects([], 0.03, 0.05, 3) == []


def test_a_seed_without_a_number_decides_nothing() -> None:
    """However far apart the others are."""
    (broken,) = judge_effects([compared((9, 9, 9, math.nan))], 0.03, 0.05, 3)
    assert broken.word == "not distinguishable"
    assert math.isnan(broken.p)


def test_groups_of_words_are_words() -> None:
    """Each group names words that a verdict can have."""
    assert set(get_args(Effect)) > NO_HELP
    assert set(get_args(Cost)) > KEPT


@pytest.mark.parametrize(
    ("words", "expects", "verdict"),
    [
        (["hurts", "hurts"], ["hurts"], "supported"),
        (["hurts", "helps"], ["hurts"], "contradicted"),
        (["hurts", "not-run"], ["hurts"], "not distinguishable"),
        (["not-run", "not-run"], ["hurts"], "not-run"),
        (["no gain"], ["hurts", "no difference"], "supported"),
        (["no gain"], ["helps"], "contradicted"),
        (["not distinguishable"], ["helps", "no gain"], "supported"),
    ],
)
def test_a_clause_holds_by_what_its_words_leave_possible(words: list[Effect], expects: list[str], verdict: str) -> None:
    """Each row has to show what is expected; one that shows the opposite is enough against it."""
    assert judge_clause(words, expects) == verdict


def test_every_pattern_is_reached() -> None:
    """Of no words at all there is none but `not-run`; sizes that help count from the first on."""
    assert where_it_stops([]) == ("not-run", 0)
    cases: dict[Pattern, tuple[list[Effect], int]] = {
        "always": (["helps", "helps"], 2),
        "never": (["hurts", "no gain"], 0),
        "until": (["helps", "no difference"], 1),
        "no order": (["no gain", "helps"], 0),
        "until, then open": (["helps", "not-run"], 1),
        "open": (["not-run", "no gain"], 0),
        "not-run": (["not-run"], 0),
    }
    assert set(cases) == set(get_args(Pattern))
    for pattern, (words, helped) in cases.items():
        assert where_it_stops(words) == (pattern, helped)
