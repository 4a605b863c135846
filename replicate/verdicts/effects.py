"""What follows from the words of several comparisons: whether a conclusion holds, and from which size on it stops."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import takewhile
from typing import Literal

ClaimStatus = Literal["supported", "contradicted", "undecided", "not-run"]
# The words of intervals (`sequential.Word`), and one for rows that have none.
Effect = Literal["above", "below", "no difference", "not worse", "undecided", "not-run"]
# Each of these shows that a change does not help, and each of those that it costs less than the margin.
NO_HELP: frozenset[Effect] = frozenset({"below", "no difference"})
KEPT: frozenset[Effect] = frozenset({"above", "no difference", "not worse"})
# What a word leaves possible; a clause holds where all of that is expected, and fails where none of it is.
_POSSIBLE = {
    "above": {"gain"},
    "below": {"loss"},
    "no difference": {"neither"},
    "not worse": {"gain", "neither"},
    "undecided": {"gain", "loss", "neither"},
    "not-run": {"gain", "loss", "neither"},
}


def judge_clause(words: Collection[Effect], expects: Iterable[str]) -> ClaimStatus:
    """Whether a clause holds that expects some of these words of each row; the words are those that its rows have.

    It is supported where whatever the words leave possible is expected, and contradicted where nothing of it is, be it
    for one row.
    """
    expected = set().union(*(_POSSIBLE[word] for word in expects))
    if all(_POSSIBLE[word] <= expected for word in words):
        return "supported"
    if any(_POSSIBLE[word].isdisjoint(expected) for word in words):
        return "contradicted"
    return "not-run" if set(words) == {"not-run"} else "undecided"


Pattern = Literal["not-run", "always", "never", "until", "no order", "until, then open", "open"]


def where_it_stops(words: Sequence[Effect]) -> tuple[Pattern, int]:
    """How the words along rising sizes follow each other, and at how many sizes from the first on the word is `above`.

    `until`: it helps up to a size and is shown not to help from the next one on. `no order`: it helps again at a larger
    size. `open`: the seeds can't tell.
    """
    helped = len(list(takewhile(lambda word: word == "above", words)))
    rest = words[helped:]
    if not words or set(words) == {"not-run"}:
        return "not-run", 0
    if set(rest) <= NO_HELP:
        return "always" if not rest else "until" if helped else "never", helped
    if "above" in rest:
        return "no order", helped
    return "until, then open" if helped else "open", helped
