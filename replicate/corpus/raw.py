"""Labelled texts as a file holds them, before anybody knows which labels there are."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.limits import MOST_LINE
from replicate.corpus.cells import Grid, read_grid
from replicate.corpus.columns import Columns, find_columns

_HALF = re.compile("[\ud800-\udfff]")
_MANY = "one label a text can be learnt here; keep the main one, or make a row of each"


@dataclass(frozen=True)
class Reading:
    """How the user says that files are to be read; what is None is found out.

    Attributes:
        encoding: of every file.
        delimiter: of cells, a name of `cells.DELIMITERS`.
        columns: text and label, by name or number.
        label_first: of two columns.
        header: whether the first row holds names.
        dev: share of the labelled texts that becomes the dev set where there is none.
        seed: of that draw.
    """

    encoding: str | None = None
    delimiter: str | None = None
    columns: tuple[str, str] | None = None
    label_first: bool | None = None
    header: bool | None = None
    dev: float = 0.2
    seed: int = 0


@dataclass(frozen=True)
class Raw:
    """One text, its label (None where it has none) and where it stands."""

    text: str
    label: str | None
    path: Path
    line: int


def read_raw(path: Path, reading: Reading, known: Collection[str] = ()) -> tuple[list[Raw], list[str]]:
    """The texts of one file, with notes of what was taken for what and changed.

    Args:
        path: the file.
        reading: what the user says.
        known: label names that a file beside it lists.

    Raises:
        UserError: a line is at fault, or the file is of another task; names file and line.
    """
    grid = read_grid(path, reading.encoding, reading.delimiter)
    columns = find_columns(grid, reading.columns, reading.label_first, reading.header, known)
    notes = [f"{path}: {grid.kind}" + (f"; {columns.guessed}" if columns.guessed else "")]
    found = [_one(grid, columns, number, cells) for number, cells in _body(grid, columns)]
    if not found:
        raise UserError("no text in the file", path=path)
    broken = sum(joined for _, joined in found)
    if broken:
        notes.append(f"{path}: {broken} texts had line breaks, which are spaces now")
    return [raw for raw, _ in found], notes


def _body(grid: Grid, columns: Columns) -> Sequence[tuple[int, Sequence[Any]]]:
    return grid.rows[1:] if columns.header else grid.rows


def _one(grid: Grid, columns: Columns, number: int, cells: Sequence[Any]) -> tuple[Raw, bool]:
    wide = len(grid.names or grid.rows[0][1])
    if len(cells) != wide:
        what = f"{len(cells)} columns, and the first line has {wide}"
        hint = "a text with such a sign in it has to be quoted" if "CSV" in grid.kind else "a line of another kind"
        raise UserError(what, path=grid.path, line=number, hint=hint)
    text = cells[columns.text]
    if not isinstance(text, str) or not text.replace("\ufeff", "").strip():
        raise UserError("empty text" if text is None or text == "" else "no text", path=grid.path, line=number)
    text = text.replace("\ufeff", "")
    if len(text) > MOST_LINE:
        raise UserError(f"a text of more than {MOST_LINE} characters", path=grid.path, line=number)
    joined = " ".join(text.split("\n")) if "\n" in text or "\r" in text else text
    label = None if columns.label is None else _label(cells[columns.label], grid.path, number)
    if _HALF.search(joined) or (label and _HALF.search(label)):
        raise UserError("half of a character (a lone surrogate)", path=grid.path, line=number)
    return Raw(joined.replace("\r", " "), label, grid.path, number), joined != text


def _label(value: Any, path: Path, line: int) -> str | None:
    if isinstance(value, list):
        if any(isinstance(one, list | dict) for one in value):
            raise UserError("labels of parts of a text, which is another task", path=path, line=line)
        if len(value) > 1:
            raise UserError(f"{len(value)} labels for one text", path=path, line=line, hint=_MANY)
        value = value[0] if value else None
    # Not a number is how pandas says that a cell is empty.
    if value is None or isinstance(value, dict) or value != value:
        return None
    label = " ".join(str(value).replace("\ufeff", "").split())
    if len(label) > MOST_LINE:
        raise UserError(f"a label of more than {MOST_LINE} characters", path=path, line=line)
    return label or None
