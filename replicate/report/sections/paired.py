"""Differences of two rows as a table, with the word that the seeds call for; and such words counted in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from replicate.findings.judged import Judged
from replicate.findings.rows import Difference, RowResult
from replicate.report.blocks import Line, Prose, Table
from replicate.report.words import difference, ends, listed, minus, named, number, verdict

# A word of a verdict as a predicate: of one row, of several.
Predicates = Mapping[str, tuple[str, str]]
OPEN: Predicates = {
    "undecided": ("is undecided", "are undecided"),
    "not-run": ("has not been run", "have not been run"),
}
# What a word of a study is.
STUDY = (
    "Each interval is about other seeds on this dev set, and wide enough that all of the table hold at once in 95 % of "
    "such studies. It is the rule: `above` 0, `below` 0, `no difference` within the margin, `not worse` by the margin "
    "or more, else `undecided`. Nobody planned these comparisons, so they are ideas and no decisions."
)


@dataclass(frozen=True)
class Paired:
    """A line of the table: row a minus row b (None where there is no such row), and what the seeds show of it."""

    a: RowResult
    b: RowResult | None
    difference: Difference | None
    judged: Judged


def difference_table(lines: Iterable[Paired]) -> Table:
    """Differences in accuracy, each with its seeds, its interval and the word that this allows."""
    return Table(("difference", "mean (pairs)", "interval", "word"), tuple(map(_line, lines)))


def _line(one: Paired) -> Line:
    return Line(
        (
            minus(one.a, one.b) if one.b else (named(one.a), ", no row is its parent"),
            difference(one.difference),
            ends(one.judged),
            verdict(one.judged),
        ),
        rows=tuple(side.row.id for side in (one.a, one.b) if side),
        profiles=(one.a.profile,),
    )


def counted(words: Sequence[str], predicates: Predicates, nouns: tuple[str, str] = ("row", "rows")) -> str:
    """How many rows each predicate is of, in the order of the predicates: "3 of 9 rows lie above and 6 are undecided".

    Args:
        words: of the rows.
        predicates: by word.
        nouns: what the rows are called, one and several.
    """
    if len(words) == 1:
        return f"the only {nouns[0]} {predicates[words[0]][0]}"
    said: list[str] = []
    for word in predicates:
        if count := words.count(word):
            one, several = predicates[word]
            of = "" if said else f" of {len(words)} {nouns[1]}"
            said.append(f"{count}{of} {one if count == 1 else several}")
    return listed(said)


def opening(text: str) -> str:
    """The text as a sentence begins."""
    return text[:1].upper() + text[1:]


def mean_and_interval(judged: Judged) -> Prose:
    """A mean difference, with its interval in brackets if it has one."""
    bounds = ends(judged).shown
    mean = number(judged.difference, "+.4f") or "no score"
    return f"{mean} ({bounds})" if bounds else mean
