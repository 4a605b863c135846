"""Rows of cells, whichever way a file parts them: TAB, comma, `_!_`, JSON objects, or columns of Parquet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.limits import MOST_LINE
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
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split(" ")
        labels = [word.removeprefix(_FASTTEXT) for word in words if word.startswith(_FASTTEXT)]
        if line.strip():
            rows.append((number, [" ".join(word for word in words if not word.startswith(_FASTTEXT)), labels]))
    return Grid(path, "fastText lines", rows, ("text", "label"))


def _delimited(path: Path, text: str, delimiter: str) -> Grid:
    name = next(name for name, value in DELIMITERS.items() if value == delimiter)
    if len(delimiter) > 1 or (delimiter == "\t" and not _is_quoted(text)):
        found = ((number, line.split(delimiter)) for number, line in enumerate(text.split("\n"), start=1))
        rows = [(number, cells) for number, cells in found if any(cell.strip() for cell in cells)]
        return Grid(path, f"lines of cells parted by {name}", rows)
    csv.field_size_limit(MOST_LINE)
    reader, rows, number = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True), [], 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((number, cells))
            number = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"not CSV ({error})", path=path, line=number) from error
    return Grid(path, f"CSV parted by {name}", rows)


def _is_quoted(text: str) -> bool:
    """Whether TAB-separated text has cells in quotation marks, as pandas writes them, not just such marks in texts."""
    marked = [line for line in text.split("\n") if '"' in line]
    return any('""' in line for line in marked) and all(_QUOTED.search(line) for line in marked)


def _json(path: Path, text: str) -> Grid:
    objects = [*_objects(path, text)]
    names = tuple(dict.fromkeys(name for _, one in objects for name in one))
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
    while (at := _skip(text, at, ",")) < len(text) and not (listed and text[at] == "]"):
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


def _skip(text: str, at: int, signs: str = "") -> int:
    while at < len(text) and (text[at].isspace() or text[at] in signs):
        at += 1
    return at


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _arrow(path: Path, suffix: str) -> Grid:
    """Rows of Parquet, or of Arrow as Hugging Face's `datasets` writes it; classes by name where it has names."""
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            f"{suffix} needs pyarrow, which is not installed", path=path, hint="pip install pyarrow"
        ) from None
    try:
        if suffix == ".parquet":
            table = pyarrow.parquet.read_table(path)
        else:
            with pyarrow.memory_map(str(path)) as file:
                table = pyarrow.ipc.open_stream(file).read_all()
        columns = table.to_pydict()
        kept = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
        features = kept.get("info", {}).get("features", {})
    except (pyarrow.ArrowException, OSError, ValueError, AttributeError) as error:
        raise UserError(f"not {suffix[1:]} ({str(error).splitlines()[0]})", path=path) from error
    for name, values in columns.items():
        classes = features.get(name, {}).get("names") if isinstance(features.get(name), dict) else None
        if classes:
            columns[name] = [classes[value] if isinstance(value, int) and value >= 0 else None for value in values]
    rows = list(enumerate(zip(*columns.values(), strict=True), start=1))
    return Grid(path, suffix[1:].capitalize(), rows, tuple(columns))
