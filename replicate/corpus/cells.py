"""Rows of cells, whichever way a file parts them: TAB, comma, `_!_`, JSON objects, or columns of Parquet."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.limits import MOST_LINE
from replicate.corpus.arrow import MOST_CELLS, MOST_COLUMNS, read_columns
from replicate.corpus.encoding import read_text

# What parts cells, by what it is called on the command line.
DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "bar": "|", "toutiao": "_!_"}
# A cell in quotation marks, in which one counts double.
_QUOTED = re.compile(r'(?:^|\t)"(?:[^"]|"")*"(?=\t|$)')
_FASTTEXT = "__label__"
_JSON = (".json", ".jsonl", ".ndjson")
_ARROW = (".parquet", ".arrow")
_TEXT = (".txt", ".tsv", ".csv", ".data", "")
SUFFIXES = (*_JSON, *_ARROW, *_TEXT[:-1])
_SPLIT = "split it, and name the parts"
# One by one: a list of all takes many times the text, where most of them are empty.
_LINE = re.compile(r"^.*$", re.MULTILINE)
_BLANK = re.compile(r"\s*")
_BLANK_OR_COMMA = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class Grid:
    """A file's rows.

    Attributes:
        path: of the file.
        kind: what it was taken for, in words.
        rows: line number (from 1; of Parquet the row's) and cells; a JSON object has its keys in place of a header.
        names: of the columns, where the format has them; else the first row may be a header.
    """

    path: Path
    kind: str
    rows: Sequence[tuple[int, Sequence[Any]]]
    names: tuple[str, ...] = ()


def read_grid(path: Path, encoding: str | None = None, delimiter: str | None = None) -> Grid:
    """The rows of a file, by the ending of its name and by what is in it.

    Raises:
        UserError: it can't be read, or a row is not like the others; names file and line.
    """
    suffix = Path(path.stem).suffix.lower() if path.suffix == ".gz" else path.suffix.lower()
    if suffix in _ARROW:
        return _arrow(path, suffix)
    if suffix not in (*_JSON, *_TEXT):
        hint = f"these can be read, also with .gz behind: {' '.join(SUFFIXES)}"
        raise UserError(f"no reader for files that end in {suffix}", path=path, hint=hint)
    text = read_text(path, encoding)
    if delimiter is None and (suffix in _JSON or text.lstrip()[:1] in ("{", "[")):
        return _json(path, text)
    if delimiter is None and text.lstrip().startswith(_FASTTEXT):
        return _fasttext(path, text)
    return _delimited(path, text, DELIMITERS[delimiter] if delimiter else _delimiter(text, suffix))


def _delimiter(text: str, suffix: str) -> str:
    lines = [line for line in text.split("\n", 1000)[:1000] if line.strip()]
    if all("_!_" in line for line in lines):
        return "_!_"
    if suffix == ".csv":
        # The header, or the first line, has no text with commas in it more often than not.
        return max(",;\t|", key=lines[0].count)
    return "," if suffix != ".tsv" and not any("\t" in line for line in lines) and "," in lines[0] else "\t"


def _fasttext(path: Path, text: str) -> Grid:
    """Lines of `__label__NAME` and a text, as fastText reads them; a line may have several labels."""
    rows: list[tuple[int, Sequence[Any]]] = []
    for number, line in _lines(path, text):
        words = line.split(" ")
        labels = [word.removeprefix(_FASTTEXT) for word in words if word.startswith(_FASTTEXT)]
        if line.strip():
            rows.append((number, [" ".join(word for word in words if not word.startswith(_FASTTEXT)), labels]))
    return Grid(path, "fastText lines", rows, ("text", "label"))


def _delimited(path: Path, text: str, delimiter: str) -> Grid:
    name = next(name for name, value in DELIMITERS.items() if value == delimiter)
    if len(delimiter) > 1 or (delimiter == "\t" and not _is_quoted(text)):
        found = ((number, line.split(delimiter)) for number, line in _lines(path, text))
        return Grid(path, f"lines of cells parted by {name}", _counted(path, found))
    return Grid(path, f"CSV parted by {name}", _counted(path, _quoted(path, text, delimiter)))


def _quoted(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows of CSV, in which a cell may go over several lines."""
    csv.field_size_limit(MOST_LINE)
    numbered = _lines(path, text)
    reader, number = csv.reader((f"{line}\n" for _, line in numbered), delimiter=delimiter, strict=True), 1
    try:
        for cells in reader:
            yield number, cells
            number = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"not CSV ({error})", path=path, line=number) from error


def _is_quoted(text: str) -> bool:
    """Whether TAB-separated text has cells in quotation marks, as pandas writes them, not just such marks in texts."""
    marked = [found[0] for found in _LINE.finditer(text) if '"' in found[0]]
    return any('""' in line for line in marked) and all(_QUOTED.search(line) for line in marked)


def _json(path: Path, text: str) -> Grid:
    objects = [*_objects(path, text)]
    names = tuple(dict.fromkeys(name for _, one in objects for name in one))
    # Each object may have names of its own, and each row gets a cell for every name.
    if len(names) > MOST_COLUMNS or len(objects) * len(names) > MOST_CELLS:
        raise UserError(f"{len(objects)} objects with {len(names)} names are too many", path=path, hint=_SPLIT)
    rows = [(number, [one.get(name) for name in names]) for number, one in objects]
    return Grid(path, "JSON objects", rows, names)


def _objects(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each object of JSON Lines, of a list, or of the one list that an object holds, with the line it begins on."""
    decoder = json.JSONDecoder(parse_constant=_no_number)
    at, line, listed = _skip(text, 0), 1, False
    if text[at : at + 1] == "{" and (inner := re.match(r'\{\s*"[^"\\]*"\s*:\s*\[\s*\{', text[at:])):
        # {"data": [{…}, …]}: the list is what is meant.
        at += inner[0].rindex("[")
    if text[at : at + 1] == "[":
        at, listed = at + 1, True
    counted = 0
    while (at := _skip(text, at, _BLANK_OR_COMMA)) < len(text) and not (listed and text[at] == "]"):
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            where = line + text.count("\n", counted, getattr(error, "pos", at))
            raise UserError(f"not JSON ({getattr(error, 'msg', error)})", path=path, line=where) from error
        if not isinstance(value, dict):
            raise UserError("not an object with a text and a label", path=path, line=line)
        yield line, value
    if listed and at >= len(text):
        raise UserError("the list doesn't end", path=path, line=line)


def _skip(text: str, at: int, what: re.Pattern[str] = _BLANK) -> int:
    found = what.match(text, at)
    return found.end() if found else at


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _arrow(path: Path, suffix: str) -> Grid:
    columns = read_columns(path, suffix)
    rows = list(enumerate(zip(*columns.values(), strict=True), start=1))
    return Grid(path, suffix[1:].capitalize(), rows, tuple(columns))


def _lines(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """The lines, numbered from 1; UserError on one that is too long."""
    for number, found in enumerate(_LINE.finditer(text), start=1):
        if found.end() - found.start() > MOST_LINE:
            raise UserError(f"a line of more than {MOST_LINE} characters", path=path, line=number)
        yield number, found[0]


def _counted(path: Path, found: Iterator[tuple[int, list[str]]]) -> list[tuple[int, Sequence[Any]]]:
    """The rows with anything in them; UserError where there are too many cells to be held."""
    rows: list[tuple[int, Sequence[Any]]] = []
    cells = 0
    for number, row in found:
        cells += len(row)
        if len(row) > MOST_COLUMNS:
            raise UserError(f"{len(row)} columns, more than {MOST_COLUMNS}", path=path, line=number)
        if cells > MOST_CELLS:
            raise UserError(f"more than {MOST_CELLS} cells", path=path, line=number, hint=_SPLIT)
        if any(cell.strip() for cell in row):
            rows.append((number, row))
    return rows
