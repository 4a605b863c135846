"""What blocks show, for tests that ask for cells instead of sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from replicate.report.blocks import Block, Cell, Heading, Items, Link, Prose, Runs, Table, Text
from replicate.report.pictures.picture import Picture
from replicate.report.spans import plain


@dataclass(frozen=True)
class Shown:
    """A line of a table.

    Attributes:
        cells: what it shows, by its head.
        values: the numbers behind that.
        runs: the seeds behind that.
        links: where its links lead.
        rows: that it is about.
        profiles: that it is about.
    """

    cells: Mapping[str, str]
    values: Mapping[str, float | None]
    runs: Mapping[str, Runs | None]
    links: tuple[str, ...]
    rows: tuple[str, ...]
    profiles: tuple[str, ...]


def lines(blocks: Iterable[Block], *heads: str) -> list[Shown]:
    """Every line of the tables that have all of these heads."""
    return [line for block in blocks if isinstance(block, Table) for line in _lines(block, heads)]


def line(blocks: Iterable[Block], **wanted: str) -> Shown:
    """The only line with these cells; a head's spaces are written as underlines."""
    cells = {head.replace("_", " "): words for head, words in wanted.items()}
    found = [one for one in lines(blocks, *cells) if all(one.cells[head] == words for head, words in cells.items())]
    assert len(found) == 1, (cells, found)
    return found[0]


def headings(blocks: Iterable[Block]) -> list[Heading]:
    """The headings."""
    return [block for block in blocks if isinstance(block, Heading)]


def pictures(blocks: Iterable[Block]) -> list[Picture]:
    """The pictures."""
    return [block for block in blocks if isinstance(block, Picture)]


def words(blocks: Iterable[Block]) -> str:
    """What paragraphs and lists say, one a line."""
    said = []
    for block in blocks:
        if isinstance(block, Text):
            said.append(plain(block.words))
        elif isinstance(block, Items):
            said += map(plain, block.items)
    return "\n".join(said)


def links(blocks: Iterable[Block]) -> list[str]:
    """Where the links of paragraphs and lists lead."""
    prose = [block.words for block in blocks if isinstance(block, Text)]
    prose += [item for block in blocks if isinstance(block, Items) for item in block.items]
    return [target for one in prose for target in _targets(one)]


def _lines(table: Table, heads: Sequence[str]) -> Iterator[Shown]:
    names = [plain(one) for one in table.head]
    if not set(heads) <= set(names):
        return
    for one in table.lines:
        cells = [cell if isinstance(cell, Cell) else Cell(cell) for cell in one.cells]
        yield Shown(
            {name: plain(cell.shown) for name, cell in zip(names, cells, strict=True)},
            {name: cell.value for name, cell in zip(names, cells, strict=True)},
            {name: cell.runs for name, cell in zip(names, cells, strict=True)},
            tuple(target for cell in cells for target in _targets(cell.shown)),
            one.rows,
            one.profiles,
        )


def _targets(prose: Prose) -> Iterator[str]:
    if isinstance(prose, tuple):
        for part in prose:
            yield from _targets(part)
    elif isinstance(prose, Link):
        yield prose.target
