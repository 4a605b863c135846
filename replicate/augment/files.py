"""Augmentation of files of TAB-separated columns, with the folder behaviour of ERNIE's `data_aug.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from replicate.augment.engine import COPIES, Columns, Options, Summary, augment_rows
from replicate.augment.lac import Tagger
from replicate.augment.masked_model import load_masked_model
from replicate.augment.registry import STRATEGIES
from replicate.common.errors import UserError
from replicate.common.files import write_text
from replicate.corpus.formats import read_lines

if TYPE_CHECKING:
    from typing_extensions import Unpack

# From 1: as `data_aug.py` has it, the first.
TEXT_COLUMNS = (1,)


def augment_path(
    source: Path,
    target: Path,
    mix: Mapping[str, float],
    copies: int = COPIES,
    *,
    columns: Sequence[int] = TEXT_COLUMNS,
    seed: int,
    **options: Unpack[Options],
) -> dict[Path, Summary]:
    """Write `target`/NAME_aug.txt for `source`, a file NAME.txt or a folder of such, each line before its copies.

    `columns` (from 1) hold the texts; what stands in the others is copied. A file's words are its own, and so are its
    draws. For `options` see `augment_rows`.

    Returns:
        The counts of each file that was written.

    Raises:
        UserError: bad input; all files are read before one is written, and a file is written whole or not at all.
    """
    check_columns(columns)
    tables = {path: read_table(path, columns) for path in sources(source)}
    if target.exists() and not target.is_dir():
        raise UserError("not a folder", path=target)
    if any(mix.get(name, 0) > 0 and kind.reads_words for name, kind in STRATEGIES.items()):
        options["lac"] = options.get("lac") or Tagger()
    model = options.get("model")
    if model is not None and mix.get("ernie_replace", 0) > 0:
        options["model"] = load_masked_model(model)
    summaries = {}
    for path, table in tables.items():
        augmented, summary = augment_rows(
            [tuple(row[column - 1] for column in columns) for row in table], mix, copies, seed=seed, **options
        )
        written = target / f"{path.stem}_aug{path.suffix}"
        lines = (
            "\t".join(line)
            for row, changed in zip(table, augmented, strict=True)
            for line in (row, *(_with_texts(row, columns, copy) for copy in changed))
        )
        write_text(written, "".join(f"{line}\n" for line in lines))
        summaries[written] = summary
    return summaries


def columns_of(text: str) -> tuple[int, ...]:
    """`1,2` as numbers of columns; UserError for anything else."""
    try:
        columns = tuple(int(column) for column in text.split(","))
    except ValueError:
        raise UserError(f"not a list of columns: {text!r}", hint="give 1 or 1,2 and so on") from None
    check_columns(columns)
    return columns


def check_columns(columns: Sequence[int]) -> None:
    """Refuse columns that are none, below 1 or named twice.

    Raises:
        UserError: they are.
    """
    if not columns or min(columns) < 1 or len(set(columns)) < len(columns):
        raise UserError(f"not a list of text columns: {','.join(map(str, columns))}", hint="give 1 or 1,2 and so on")


def sources(source: Path) -> list[Path]:
    """A file as it is, or the .txt files of a folder, in the order of their names.

    Raises:
        UserError: the folder has none.
    """
    if not source.is_dir():
        return [source]
    # Hidden ones are what editors and file managers leave beside the data.
    files = sorted(path for path in source.glob("*.txt") if path.is_file() and not path.name.startswith("."))
    if not files:
        raise UserError("no .txt file in the folder", path=source)
    return files


def read_table(path: Path, columns: Sequence[int]) -> list[Columns]:
    """The lines of a file of TAB-separated columns; each must have a text in each of `columns` (from 1).

    Raises:
        UserError: one has not; names file and line.
    """
    table = []
    for number, line in enumerate(read_lines(path), start=1):
        row = tuple(line.split("\t"))
        if len(row) < max(columns):
            raise UserError(f"no column {max(columns)}, the line has {len(row)}", path=path, line=number)
        for column in columns:
            if not row[column - 1].strip():
                raise UserError(f"no text in column {column}", path=path, line=number)
        table.append(row)
    return table


def _with_texts(row: Columns, columns: Sequence[int], texts: Columns) -> Columns:
    changed = list(row)
    for column, text in zip(columns, texts, strict=True):
        changed[column - 1] = text
    return tuple(changed)
