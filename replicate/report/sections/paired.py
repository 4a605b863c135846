"""Differences of two rows as a table, with the word that the seeds call for; and such words counted in a sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from replicate.findings.rows import Difference, RowResult
from replicate.report.blocks import Line, Plain, Prose, Table
from replicate.report.words import difference, figure, interval, listed, minus, named

# A word of a verdict as a predicate: of one row, of several.
Predicates = Mapping[str, tuple[str, str]]
OPEN: Predicates = {
    "not distinguishable": ("can't be distinguished", "can't be distinguished"),
    "not-run": ("has not been run", "have not been run"),
}


@dataclass(frozen=True)
class Paired:
    """A line of the table: row a minus row b (None where there is no such row), and what the seeds show of it."""

    a: RowResult
    b: RowResult | None
    difference: Difference | None
    p: float
    word: str
    reason: str


def difference_table(lines: Iterable[Paired]) -> Table:
    """Differences in accuracy, each with its seeds, its p alone and corrected, and its verdict."""
    head = ("difference", "mean (pairs)", "interval", "p", "p, corrected", "verdict")
    return Table(head, tuple(map(_line, lines)))


def _line(one: Paired) -> Line:
    found = one.difference.found if one.difference else None
    return Line(
        (
            minus(one.a, one.b) if one.b else (named(one.a), ", no row is its parent"),
            difference(one.difference),
            interval(found.ci) if found else "",
            figure(found.p if found else math.nan, ".2g"),
            figure(one.p if found else math.nan, ".2g"),
            (f"**{one.word}**: ", Plain(one.reason)),
        ),
        rows=tuple(side.row.id for side in (one.a, one.b) if side),
        profiles=(one.a.profile,),
    )


def counted(
    words: Sequence[str],
    predicates: Predicates,
    nouns: tuple[str, str] = ("row", "rows"),
    later: Predicates | None = None,
) -> str:
    """How many rows each predicate is of, in the order of the predicates: "3 of 9 rows gain accuracy and 6 keep it".

    Args:
        words: of the rows.
        predicates: by word.
        nouns: what the rows are called, one and several.
        later: predicates behind another one, where they differ.
    """
    if len(words) == 1:
        return f"the only {nouns[0]} {predicates[words[0]][0]}"
    said: list[str] = []
    for word in predicates:
        if count := words.count(word):
            one, several = (later or {}).get(word, predicates[word]) if said else predicates[word]
            of = "" if said else f" of {len(words)} {nouns[1]}"
            said.append(f"{count}{of} {one if count == 1 else several}")
    return listed(said)


def opening(text: str) -> str:
    """The text as a sentence begins."""
    return text[:1].upper() + text[1:]


def mean_and_interval(one: Difference | None) -> Prose:
    """A mean difference, with its interval in brackets if it has one."""
    if one is None or not math.isfinite(one.found.difference):
        return "no score"
    bounds = interval(one.found.ci)
    return f"{one.found.difference:+.4f}" + (f" ({bounds})" if bounds else "")
