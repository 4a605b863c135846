"""What pages are made of, whether Markdown or HTML: both are rendered from these, and nothing is parsed back.

Prose is a sequence of parts. A plain string is this project's own text and may hold `code`, **strong** and *emphasis*,
nothing else. Text from outside (labels, names, reasons that quote a file) stands in `Plain` or `Code` and is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from replicate.report.pictures.picture import Picture


@dataclass(frozen=True)
class Plain:
    """Text from outside, shown letter by letter."""

    text: str


@dataclass(frozen=True)
class Code:
    """Text from outside, shown letter by letter as code."""

    text: str


@dataclass(frozen=True)
class Link:
    """Words that lead somewhere.

    Attributes:
        words: what is shown.
        target: `#id` of a heading on any page, the path of a page, or a path from the checkout's root such as
            `measured/exploratory/…`.
    """

    words: Prose
    target: str


Part = str | Plain | Code | Link
Prose = Part | tuple["Prose", ...]


@dataclass(frozen=True)
class Runs:
    """The records behind a figure.

    Attributes:
        scores: what each seed gave (a score, or a difference of two), by seed; what is shown is made of these.
        form: how one of them is printed.
    """

    scores: Mapping[int, float]
    form: str = ".4f"


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        shown: what is printed.
        value: the number behind it, by which a column is sorted; None where there is none.
        runs: the seeds behind it.
    """

    shown: Prose
    value: float | None = None
    runs: Runs | None = None


@dataclass(frozen=True)
class Line:
    """One line of a table, with the rows and profiles that it is about, by which the HTML page filters."""

    cells: tuple[Cell | Prose, ...]
    rows: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table; every line has as many cells as the head."""

    head: tuple[Prose, ...]
    lines: tuple[Line, ...]

    def __post_init__(self) -> None:
        """Refuse a line of another width (ValueError)."""
        for line in self.lines:
            if len(line.cells) != len(self.head):
                raise ValueError(f"a line of {len(line.cells)} cells under a head of {len(self.head)}")


@dataclass(frozen=True)
class Heading:
    """A heading; `id` is unique among all pages, so that a `Link` to `#id` finds it wherever it stands."""

    level: int
    words: Prose
    id: str
    profiles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    words: Prose


@dataclass(frozen=True)
class Items:
    """A list of points."""

    items: tuple[Prose, ...]


Block = Heading | Text | Items | Table | Picture


@dataclass(frozen=True)
class Page:
    """One page: its path from the checkout's root, its title (the first-level heading) and its blocks.

    `brief` names the page where all are listed, in a word or two.
    """

    path: str
    title: Prose
    blocks: tuple[Block, ...] = field(default=())
    brief: str = ""
