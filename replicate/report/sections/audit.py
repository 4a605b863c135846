"""The page of an audit: what was found of a data set, line by line, to sort and to filter."""

from __future__ import annotations

from collections.abc import Iterator

from replicate.audit.audit import Audit
from replicate.audit.faults import KINDS, Fault
from replicate.corpus.checkup import told
from replicate.corpus.formats import Dataset
from replicate.findings.own_data import OwnAudit
from replicate.report.blocks import Block, Cell, Heading, Items, Line, Page, Plain, Prose, Table, Text
from replicate.report.words import plural, quoted

# A browser sorts so many lines without a wait.
MOST = 5000


def audit_page(found: Audit, texts: Dataset | None = None, most: int = MOST) -> Page:
    """The page.

    Args:
        found: what was found.
        texts: the data, where their texts are to be shown.
        most: lines of the table of faults; the likeliest of each kind.
    """
    return Page("audit.md", ("What is wrong with ", quoted(found.name)), tuple(_blocks(found, texts, most)), "Audit")


def section_own_audit(own: OwnAudit) -> list[Block]:
    """What an audit finds in somebody's own data, as numbers, for the report on them."""
    sizes = ", ".join(f"{size:,} {part}" for part, size in own.seen.items())
    part = "" if own.seen == own.sizes else "a random part of "
    whole = "" if own.seen == own.sizes else f", of {sum(own.sizes.values()):,} lines in all"
    return [
        Text(f"Of {part}{sizes} texts{whole}. `replicate audit` tells the lines, and lists them all."),
        *_figures(own.found),
    ]


def faults_table(found: Audit) -> Table:
    """How many lines of each part have a fault of each kind."""
    counts = found.counts()
    parts = [part for part in found.checkup.parts if part != "unlabelled"]
    lines = [
        Line((f"`{kind}`", *(Cell(f"{counts[kind][part]:,}", counts[kind][part]) for part in parts), words))
        for kind, words in KINDS.items()
        if _asked(found, kind)
    ]
    return Table(("finding", *parts, "what it is"), tuple(lines))


def classes_table(found: Audit) -> Table:
    """Each class in train and dev."""
    head = ("class", "train", "dev", "of train", "of dev", "labels in doubt", "note")
    lines = []
    for one in found.classes:
        notes = ", ".join([*(["few texts"] if one.thin else []), *(["its share shifts"] if one.shifted else [])])
        shares = (Cell(f"{share:.1%}", share) for share in one.shares)
        counts = (Cell(f"{count:,}", count) for count in (one.train, one.dev))
        lines.append(Line((Plain(one.label), *counts, *shares, Cell(f"{one.doubted:,}", one.doubted), notes)))
    return Table(head, tuple(lines))


def _figures(found: Audit) -> Iterator[Block]:
    """What is known without a line of it."""
    yield Text(
        "Nothing here is certain: a line that is named may be right, and a mistake may not be named. Nothing was "
        "changed. Look at a line before you change it."
    )
    warnings = list(found.warnings())
    yield Items(tuple(map(Plain, warnings))) if warnings else Text("Nothing threatens the results.")
    yield Heading(2, "What was found", "found")
    yield faults_table(found)
    yield Heading(2, "Classes", "classes")
    yield Text(
        f"For dev to have the shares of train, {found.shift:.1%} of its texts would have to be of other classes."
    )
    yield classes_table(found)


def _blocks(found: Audit, texts: Dataset | None, most: int) -> Iterator[Block]:
    yield from _figures(found)
    yield Heading(2, "The whole", "whole")
    yield Items(tuple(Plain(line) for line in told(found.checkup)))
    yield Heading(2, "Line by line", "lines")
    chosen = _chosen(found, most)
    if len(chosen) < len(found.faults):
        yield Text(f"{len(chosen):,} of {plural(len(found.faults), 'finding')}, of each kind the likeliest.")
    elif not chosen:
        yield Text("There is none.")
    if chosen:
        yield _lines(found, chosen, texts)


def _lines(found: Audit, chosen: list[Fault], texts: Dataset | None) -> Table:
    head: tuple[Prose, ...] = ("finding", "part", "line", "label", "rather", "value", "like")
    parts = {} if texts is None else {name: split.texts for name, split in texts.labelled.items()}
    lines = []
    for one in chosen:
        cells: tuple[Cell | Prose, ...] = (
            f"`{one.kind}`",
            one.part,
            Cell(str(one.line), one.line),
            Plain(found.labels[one.label]),
            "" if one.suggested is None else Plain(found.labels[one.suggested]),
            Cell("" if one.value is None else f"{one.value:g}", one.value),
            "" if one.other is None else f"{one.other[0]} {one.other[1]}",
        )
        if texts is not None:
            like = "" if one.other is None else parts[one.other[0]][one.other[1] - 1]
            cells = (*cells, Plain(parts[one.part][one.line - 1]), Plain(like))
        # Names are parted by blanks where the page's script reads them.
        label = found.labels[one.label].replace(" ", "\N{NO-BREAK SPACE}")
        lines.append(Line(cells, rows=(label,), profiles=(one.kind,)))
    return Table((*head, "text", "the other text") if texts is not None else head, tuple(lines))


def _chosen(found: Audit, most: int) -> list[Fault]:
    """The first of each kind, as many as there is room for."""
    of_kind = {kind: [one for one in found.faults if one.kind == kind] for kind in KINDS}
    room = max(1, most // max(1, sum(map(bool, of_kind.values()))))
    return [one for faults in of_kind.values() for one in faults[:room]]


def _asked(found: Audit, kind: str) -> bool:
    """Whether this kind was looked for."""
    if kind == "contested":
        return found.records > 0
    return kind != "unknown" or found.checkup.unknown is not None
