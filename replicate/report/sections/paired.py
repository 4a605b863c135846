"""Differences of two rows as a table, with the word that the seeds call for; and such words counted in a sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from replicate.findings.rows import Difference, RowResult
from replicate.report.blocks import Line, Plain, Prose, Table
from replicate.report.words import difference, figure, interval, minus, named

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


def counted(words: Sequence[str], predicates: Predicates) -> str:
    """How many rows each predicate is of: "3 gain accuracy, 1 loses it"; in the order of the predicates."""
    said = []
    for word, (of_one, of_several) in predicates.items():
        if count := words.count(word):
            said.append(f"{count} {of_one if count == 1 else of_several}")
    return ", ".join(said)


def mean_and_interval(one: Difference | None) -> Prose:
    """A mean difference, with its interval in brackets if it has one."""
    if one is None or not math.isfinite(one.found.difference):
        return ""
    bounds = interval(one.found.ci)
    return f"{one.found.difference:+.4f}" + (f" ({bounds})" if bounds else "")
