"""Words for what a change does to a score, and what follows from several of them."""

from __future__ import annotations

from typing import get_args

import pytest

from replicate.verdicts.effects import KEPT, NO_HELP, Effect, Pattern, judge_clause, where_it_stops
from replicate.verdicts.sequential import WORDS


def test_groups_of_words_are_words() -> None:
    """Each group names words that a verdict can have."""
    assert set(get_args(Effect)) == {*WORDS, "not-run"}
    assert set(WORDS) > NO_HELP
    assert set(WORDS) > KEPT
    assert not {"undecided", "not-run"} & (NO_HELP | KEPT)


@pytest.mark.parametrize(
    ("words", "expects", "verdict"),
    [
        (["below", "below"], ["below"], "supported"),
        (["below", "above"], ["below"], "contradicted"),
        (["below", "not-run"], ["below"], "undecided"),
        (["not-run", "not-run"], ["below"], "not-run"),
        (["not worse"], ["above", "no difference"], "supported"),
        (["not worse"], ["below"], "contradicted"),
        (["not worse"], ["above"], "undecided"),
        (["undecided"], ["below", "not worse"], "supported"),
    ],
)
def test_a_clause_holds_by_what_its_words_leave_possible(words: list[Effect], expects: list[str], verdict: str) -> None:
    """Each row has to show what is expected; one that shows the opposite is enough against it."""
    assert judge_clause(words, expects) == verdict


def test_every_pattern_is_reached() -> None:
    """Of no words at all there is none but `not-run`; sizes that help count from the first on."""
    assert where_it_stops([]) == ("not-run", 0)
    cases: dict[Pattern, tuple[list[Effect], int]] = {
        "always": (["above", "above"], 2),
        "never": (["below", "no difference"], 0),
        "until": (["above", "no difference"], 1),
        "no order": (["no difference", "above"], 0),
        "until, then open": (["above", "not-run"], 1),
        "open": (["not worse", "no difference"], 0),
        "not-run": (["not-run"], 0),
    }
    assert set(cases) == set(get_args(Pattern))
    for pattern, (words, helped) in cases.items():
        assert where_it_stops(words) == (pattern, helped)
