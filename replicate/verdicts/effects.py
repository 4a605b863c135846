"""What a change does to a score, in a word: copies of training lines, or a smaller net; and what follows from words."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Generic, Literal, TypeVar

from replicate.verdicts.claims import ClaimStatus
from replicate.verdicts.equivalence import Number, holm
from replicate.verdicts.pairs import RowComparison

Effect = Literal["helps", "hurts", "no difference", "no gain", "not distinguishable", "not-run"]
Cost = Literal["gains", "loses", "keeps", "loses little", "not distinguishable", "not-run"]
Word = TypeVar("Word", Effect, Cost)
NOT_RUN = "there are no records of both rows over the same seeds"
# Each of these shows that a change does not help, and each of those that a smaller net loses less than the tolerance.
NO_HELP: frozenset[Effect] = frozenset({"hurts", "no difference", "no gain"})
KEPT: frozenset[Cost] = frozenset({"keeps", "gains", "loses little"})
# What a word leaves possible; a clause holds where all of that is expected, and fails where none of it is.
_POSSIBLE = {
    "helps": {"gain"},
    "hurts": {"loss"},
    "no difference": {"neither"},
    "no gain": {"loss", "neither"},
    "not distinguishable": {"gain", "loss", "neither"},
    "not-run": {"gain", "loss", "neither"},
}


@dataclass(frozen=True)
class WordVerdict(Generic[Word]):
    """A word with its reason, and the p that it rests on, corrected over its family (Holm; NaN where there is none)."""

    word: Word
    reason: str
    p: float = math.nan


def judge_effects(
    family: Sequence[RowComparison | None], tolerance: Number, alpha: float, minimum_seeds: int
) -> list[WordVerdict[Effect]]:
    """What each of several changes does to a score; None is one that was not run.

    `helps` and `hurts` need p, corrected over them all (Holm; two-sided paired t-test), to be at most alpha: one of
    many rows is soon lucky. Else `no difference` needs the difference shown to lie within the tolerance (two one-sided
    tests), or `no gain` at least that it lies below it (one of them). These two are not corrected, as `replicated` is
    not over a table's rows: each is wrong with probability alpha at most.
    """
    return [
        WordVerdict("not-run", NOT_RUN) if found is None else _effect(found, p, tolerance, alpha, minimum_seeds)
        for found, p in _corrected(family)
    ]


def _effect(found: RowComparison, p: float, tolerance: Number, alpha: float, minimum_seeds: int) -> WordVerdict[Effect]:
    within = found.p_equivalence <= alpha
    if open_ := _undecided(found, p, minimum_seeds):
        return WordVerdict("not distinguishable", open_, p)
    if p <= alpha:
        return WordVerdict("helps" if found.difference > 0 else "hurts", _differs(p, within, tolerance), p)
    if within:
        return WordVerdict("no difference", _lies_within(found, tolerance), p)
    if found.p_no_gain <= alpha:
        return WordVerdict("no gain", f"a gain of {tolerance} or more is ruled out (p = {found.p_no_gain:.2g})", p)
    reason = f"shown neither to differ (p = {p:.2g}) nor to gain less than {tolerance} (p = {found.p_no_gain:.2g})"
    return WordVerdict("not distinguishable", reason, p)


def judge_costs(
    family: Sequence[RowComparison | None], tolerance: Number, alpha: float, minimum_seeds: int
) -> list[WordVerdict[Cost]]:
    """What each of several smaller nets loses beside the net that it was made from; None is one that was not run.

    `gains` and `loses` need p, corrected over them all (Holm), to be at most alpha; `loses little` is a loss shown to
    lie within the tolerance too. Else `keeps` needs the difference shown to lie within it (two one-sided tests, not
    corrected).
    """
    return [
        WordVerdict("not-run", NOT_RUN) if found is None else _cost(found, p, tolerance, alpha, minimum_seeds)
        for found, p in _corrected(family)
    ]


def _cost(found: RowComparison, p: float, tolerance: Number, alpha: float, minimum_seeds: int) -> WordVerdict[Cost]:
    within = found.p_equivalence <= alpha
    if open_ := _undecided(found, p, minimum_seeds):
        return WordVerdict("not distinguishable", open_, p)
    if p <= alpha:
        word: Cost = "gains" if found.difference > 0 else "loses little" if within else "loses"
        return WordVerdict(word, _differs(p, within, tolerance), p)
    if within:
        return WordVerdict("keeps", _lies_within(found, tolerance), p)
    reason = f"shown neither to differ (p = {p:.2g}) nor to be within ± {tolerance} (p = {found.p_equivalence:.2g})"
    return WordVerdict("not distinguishable", reason, p)


def _corrected(family: Sequence[RowComparison | None]) -> Iterable[tuple[RowComparison | None, float]]:
    corrected = holm([math.nan if one is None else one.p for one in family])
    return zip(family, map(float, corrected), strict=True)


def _undecided(found: RowComparison, p: float, minimum_seeds: int) -> str:
    """Why no word can be said of these seeds, if so."""
    if found.n < minimum_seeds:
        return f"{found.n} of the {minimum_seeds} seeds that a verdict takes"
    return "a seed gave no number" if math.isnan(p) else ""


def _differs(p: float, within: bool, tolerance: Number) -> str:
    return f"shown to differ (p = {p:.2g})" + (f", by less than {tolerance}" if within else "")


def _lies_within(found: RowComparison, tolerance: Number) -> str:
    return f"shown to be within ± {tolerance} (p = {found.p_equivalence:.2g})"


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
    return "not-run" if set(words) == {"not-run"} else "not distinguishable"


Pattern = Literal["not-run", "always", "never", "until", "no order", "until, then open", "open"]


def where_it_stops(words: Sequence[Effect]) -> tuple[Pattern, int]:
    """How the words along rising sizes follow each other, and at how many sizes from the first on the word is `helps`.

    `until`: it helps up to a size and is shown not to help from the next one on. `no order`: it helps again at a larger
    size. `open`: the seeds can't tell.
    """
    helped = len(list(takewhile(lambda word: word == "helps", words)))
    rest = words[helped:]
    if not words or set(words) == {"not-run"}:
        return "not-run", 0
    if set(rest) <= NO_HELP:
        return "always" if not rest else "until" if helped else "never", helped
    if "helps" in rest:
        return "no order", helped
    return "until, then open" if helped else "open", helped
