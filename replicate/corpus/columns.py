"""Which column holds the text and which the label: as the user says, by their names, or by what stands in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from replicate.common.errors import UserError
from replicate.corpus.cells import Grid

# Names that public sets give their columns, the first that is there counts; those of a label in words come before those
# of its number.
TEXTS = (
    "text sentence query content review utterance question title data text_a 文本 内容 评论 句子 标题 问题 review_body"
).split()
LABELS = (
    "label_desc label_des label_name label_text category intent label labels class target tag 标签 类别 分类 意图 cat"
).split()
_PAIRS = (("sentence1", "sentence2"), ("text1", "text2"), ("text_a", "text_b"), ("query1", "query2"))
# Cells of a toutiao line: number, code, category, title, keywords.
_TOUTIAO = (3, 2)


@dataclass(frozen=True)
class Columns:
    """Places of text and label in a row, from 0; the label's is None where no row has one.

    Attributes:
        header: whether the first row holds names.
        guessed: what was taken for what, in words; empty where the user said it.
    """

    text: int
    label: int | None
    header: bool
    guessed: str


def find_columns(
    grid: Grid,
    named: tuple[str, str] | None = None,
    label_first: bool | None = None,
    header: bool | None = None,
    known: Collection[str] = (),
) -> Columns:
    """The columns of a file.

    Args:
        grid: its rows.
        named: text and label column as the user calls them, by name or by number from 1.
        label_first: of two columns, whether the label is the first.
        header: whether the first row holds names; found out without it.
        known: the label names, where a file of them is there.

    Raises:
        UserError: no column can be the text, or the file is of another task; names it.
    """
    if not grid.rows:
        raise UserError("no line with anything in it", path=grid.path)
    first = [str(cell).strip() for cell in grid.rows[0][1]]
    names = list(grid.names) or first
    lower = [name.lower() for name in names]
    is_header = not grid.names and (any(one in TEXTS or one in LABELS for one in lower) if header is None else header)
    has_names = bool(grid.names) or is_header
    width = len(names)
    if named is not None:
        text, label = (_place(grid, one, names if has_names else [], width) for one in named)
        return Columns(text, label, is_header, "")
    if has_names:
        for pair in _PAIRS:
            if set(pair) <= set(lower):
                what = f"pairs of texts ({' and '.join(pair)}), which no net here reads"
                raise UserError(what, path=grid.path, hint="--columns TEXT,LABEL takes one of them")
        found_text = next((lower.index(name) for name in TEXTS if name in lower), None)
        found_label = next((lower.index(name) for name in LABELS if name in lower), None)
        flags = _flags(grid, is_header)
        if found_label is None and len(flags) > 1:
            what = f"{len(flags)} columns of 0 and 1: texts with several labels, of which one has to be chosen"
            raise UserError(what, path=grid.path, hint="--columns TEXT,LABEL takes one of the columns")
        if found_text is not None and found_text != found_label:
            told = f"text in {names[found_text]!r}"
            told += f", label in {names[found_label]!r}" if found_label is not None else ", no label"
            return Columns(found_text, found_label, is_header, told)
    if width == 1:
        return Columns(0, None, is_header, "no label")
    if width == 5 and "toutiao" in grid.kind and label_first is None:
        return Columns(_TOUTIAO[0], _TOUTIAO[1], False, "text in column 4, label in column 3")
    if width == 2 and label_first is not None:
        text, label = (1, 0) if label_first else (0, 1)
        return Columns(text, label, is_header, "")
    text, label = _by_content(grid, is_header, width, known)
    return Columns(text, label, is_header, f"text in column {text + 1}, label in column {label + 1}")


def _place(grid: Grid, one: str, names: Sequence[str], width: int) -> int:
    if one in names:
        return names.index(one)
    if one.isdecimal() and 1 <= int(one) <= width:
        return int(one) - 1
    there = ", ".join(names) if names else f"1 to {width}"
    raise UserError(f"no column {one!r}", path=grid.path, hint=f"columns: {there}")


def _flags(grid: Grid, header: bool) -> list[int]:
    """Columns that hold nothing but 0 and 1, and both."""
    rows = grid.rows[1:] if header else grid.rows
    width = len(grid.rows[0][1])
    return [
        at
        for at in range(width)
        if {str(cells[at]) for _, cells in rows if at < len(cells)} == {"0", "1"} and len(rows) > 1
    ]


def _by_content(grid: Grid, header: bool, width: int, known: Collection[str]) -> tuple[int, int]:
    """Text: the longest cells. Label: the column that repeats itself most, or whose cells are all known labels."""
    rows = [cells for _, cells in (grid.rows[1:] if header else grid.rows) if len(cells) == width]
    columns = [[_shown(cells[at]) for cells in rows] for at in range(width)]
    length = [sum(map(len, column)) for column in columns]
    distinct = [len(Counter(column)) for column in columns]
    fits = [sum(cell in known for cell in column) for column in columns]
    if known and fits.count(max(fits)) == 1:
        label = fits.index(max(fits))
        return max((at for at in range(width) if at != label), key=lambda at: length[at]), label
    # Names rather than their numbers, where both stand there.
    # Of two columns alike the last, as in the local format.
    label = min(
        range(width),
        key=lambda at: (width > 2 and distinct[at] == 1, distinct[at], _numbers(columns[at]), length[at], -at),
    )
    if width == 2 and distinct[0] == distinct[1]:
        label = 1
    return max((at for at in range(width) if at != label), key=lambda at: length[at]), label


def _numbers(cells: Sequence[str]) -> bool:
    return all(cell.removeprefix("-").isdecimal() for cell in cells)


def _shown(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()
