"""Columns of Parquet, or of Arrow as Hugging Face's `datasets` writes it; classes by name where it has names.

A small file may speak of billions of cells, and an Arrow file of places outside itself. So it is read in parts, each
checked and counted before Python's own values are made of it, and only columns that can hold texts or labels are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.limits import parse_json
from replicate.corpus.encoding import unpacked_most

# Cells of a file; the largest public sets of this kind have some millions.
MOST_CELLS = 20_000_000
MOST_COLUMNS = 10_000
# Older ones run code that a file may hold (CVE-2023-47248).
_SAFE = (14, 0, 1)
# Rows that are decoded at a time.
_ROWS = 128


def read_columns(path: Path, suffix: str) -> dict[str, list[Any]]:
    """The columns of a `.parquet` or `.arrow` file, by name; what is no text, number or list of such is None.

    Raises:
        UserError: it can't be read, or is too large; or pyarrow is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        what = f"{suffix} needs pyarrow, which is not installed"
        raise UserError(what, path=path, hint="pip install pyarrow") from None
    if tuple(map(int, re.findall(r"\d+", pyarrow.__version__)[:3])) < _SAFE:
        what = f"pyarrow {pyarrow.__version__} runs code that such a file may hold"
        raise UserError(what, path=path, hint="pip install -U pyarrow")
    if not path.is_file():
        raise UserError("not a file", path=path)
    try:
        with _parts(path, suffix) as (schema, parts):
            if len(schema.names) > MOST_COLUMNS or len(set(schema.names)) != len(schema.names):
                raise ValueError(f"{len(schema.names)} columns, two of them of one name, or more than {MOST_COLUMNS}")
            columns: dict[str, list[Any]] = {name: [] for name in schema.names}
            cells = size = 0
            for part in parts:
                # Else it may lead to other memory of this process.
                part.validate(full=True)
                cells += sum(_cells(column) for column in part.columns)
                size += sum(_size(column) for column in part.columns)
                if cells > MOST_CELLS or size > unpacked_most(path):
                    raise UserError("unpacks to too much", path=path, hint="split it, and name the parts")
                for name, column in zip(schema.names, part.columns, strict=True):
                    columns[name] += column.to_pylist() if _is_read(column.type) else [None] * len(column)
            for name, classes in _classes(schema.metadata).items():
                columns[name] = [_named(classes, value) for value in columns.get(name, ())]
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"not {suffix[1:]} ({reason})", path=path) from error
    return {name: columns[name] for name in schema.names}


@contextmanager
def _parts(path: Path, suffix: str) -> Iterator[tuple[Any, Iterator[Any]]]:
    """The schema, and the rows in parts."""
    import pyarrow.ipc
    import pyarrow.parquet

    if suffix != ".parquet":
        with pyarrow.memory_map(str(path)) as mapped, pyarrow.ipc.open_stream(mapped) as stream:
            yield stream.schema, iter(stream)
        return
    with pyarrow.parquet.ParquetFile(path) as file:
        groups = [file.metadata.row_group(at) for at in range(file.num_row_groups)]
        told = sum(group.column(at).total_uncompressed_size for group in groups for at in range(group.num_columns))
        if file.metadata.num_rows * file.metadata.num_columns > MOST_CELLS or told > unpacked_most(path):
            raise UserError("unpacks to too much", path=path, hint="split it, and name the parts")
        yield file.schema_arrow, file.iter_batches(batch_size=_ROWS)


def _is_read(kind: Any) -> bool:
    """Whether a column may be a text's or a label's."""
    from pyarrow import types

    if types.is_list(kind) or types.is_large_list(kind):
        # Labels; lists of other numbers are vectors.
        return _is_plain(kind.value_type) and not types.is_floating(kind.value_type)
    if types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    return _is_plain(kind)


def _is_plain(kind: Any) -> bool:
    from pyarrow import types

    texts = types.is_string(kind) or types.is_large_string(kind)
    return bool(texts or types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _cells(column: Any) -> int:
    """How many values Python would have to make."""
    from pyarrow import types

    listed = types.is_list(column.type) or types.is_large_list(column.type)
    return len(column) + (len(column.flatten()) if listed and _is_read(column.type) else 0)


def _size(column: Any) -> int:
    """Bytes of those values: of a dictionary each of its texts may stand in every row."""
    from pyarrow import compute, types

    if not types.is_dictionary(column.type):
        return int(column.nbytes)
    values = column.dictionary
    if types.is_string(values.type) or types.is_large_string(values.type):
        longest = compute.max(compute.binary_length(values)).as_py() or 0
        return int(values.nbytes + len(column) * longest)
    return int(values.nbytes + 8 * len(column))


def _classes(metadata: Mapping[bytes, bytes] | None) -> dict[str, Sequence[str]]:
    """By column, the class names that `datasets` keeps; ValueError where they are none."""
    kept: Any = parse_json((metadata or {}).get(b"huggingface", b"{}"))
    try:
        features = dict(kept.get("info", {}).get("features") or {})
        found = {name: one["names"] for name, one in features.items() if isinstance(one, dict) and one.get("names")}
    except (AttributeError, TypeError) as error:
        raise ValueError(f"what it says of its columns is none: {json.dumps(kept)[:60]}") from error
    if not all(isinstance(names, list) and all(isinstance(one, str) for one in names) for names in found.values()):
        raise ValueError("a column's classes have no names")
    return found


def _named(classes: Sequence[str], value: Any) -> Any:
    return classes[value] if isinstance(value, int) and 0 <= value < len(classes) else None
