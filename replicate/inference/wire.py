"""Protobuf read strictly and without any library: what a schema does not name is refused, whatever it is.

A message becomes a dictionary of lists. Bytes stay views of the file, so weights take no memory, and the number of
values is bounded, so a small file can't grow into a large tree. Where two readers could disagree about a file (a field
that comes twice, groups, numbers that are too long), it is refused.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Values of one file; the largest nets that are exported have some 50,000.
MOST_VALUES = 400_000
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_WIDTHS = {_EIGHT: 8, _FOUR: 4}

# A field is named, and has a kind: "int", "float" (4 bytes), "text", "bytes", or the schema of a message. One of the
# kind "never" is known and refused by its name.
Schema = Mapping[int, tuple[str, Any]]
Message = dict[str, list[Any]]


class Decoder:
    """Decodes the messages of one file.

    Args:
        most: how many values it may hold.
    """

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._left = most

    def decode(self, data: memoryview, schema: Schema) -> Message:
        """The message in `data`: the values of each field of the schema, in order.

        Raises:
            ValueError: it is none, or has a field that the schema lacks or forbids.
        """
        found: Message = {name: [] for name, _ in schema.values()}
        position = 0
        while position < len(data):
            key, position = _varint(data, position)
            number, wire = key >> 3, key & 7
            name, kind = schema.get(number, (f"field {number}", "never"))
            if kind == "never":
                raise ValueError(f"{name} is not allowed")
            values: list[Any] | None = None
            if wire == _VARINT:
                value, position = _varint(data, position)
                values = [value] if kind == "int" else None
            elif wire in _WIDTHS:
                part, position = _take(data, position, _WIDTHS[wire])
                values = [part] if wire == _FOUR and kind == "float" else None
            elif wire == _BYTES:
                size, position = _varint(data, position)
                part, position = _take(data, position, size)
                values = self._values(part, kind)
            if values is None:
                raise ValueError(f"{name} is of another type")
            self._left -= len(values)
            if self._left < 0:
                raise ValueError("it has too many parts")
            found[name] += values
        return found

    def _values(self, value: memoryview, kind: Any) -> list[Any]:
        """What stands in bytes: text, a message, or numbers that are packed."""
        if kind == "bytes":
            return [value]
        if kind == "text":
            return [str(value, "utf-8")]
        if kind == "float":
            if len(value) % 4 or len(value) > 4 * self._left:
                raise ValueError("numbers are cut off, or too many")
            return [value[start : start + 4] for start in range(0, len(value), 4)]
        if kind == "int":
            numbers: list[int] = []
            position = 0
            while position < len(value):
                if len(numbers) >= self._left:
                    raise ValueError("it has too many parts")
                number, position = _varint(value, position)
                numbers.append(number)
            return numbers
        return [self.decode(value, kind)]


def one(message: Message, name: str, default: Any = None) -> Any:
    """The value of a field that comes once, or the default where it doesn't come.

    Raises:
        ValueError: it comes twice, of which readers may take the first, the last or both.
    """
    values = message[name]
    if len(values) > 1:
        raise ValueError(f"{name} comes {len(values)} times")
    return values[0] if values else default


def signed(number: int) -> int:
    """A varint as the 64-bit number with a sign that it stands for."""
    return number - (1 << 64) if number >> 63 else number


def shown(word: str) -> str:
    """A word of a file that nobody trusts, short and with nothing in it that a terminal would obey."""
    return ascii(word if len(word) <= 40 else f"{word[:40]}…")


def mapped(path: Path) -> memoryview:
    """A file's bytes, that take memory only where they are read, and for as long as somebody has a part of them."""
    with path.open("rb") as file:
        # Nothing can be mapped of an empty file.
        size = os.fstat(file.fileno()).st_size
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b"")


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        if position >= len(data):
            raise ValueError("it is cut off")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            if value >> 64:
                break
            return value, position
    raise ValueError("a number is too long")


def _take(data: memoryview, position: int, size: int) -> tuple[memoryview, int]:
    if size > len(data) - position:
        raise ValueError("it is cut off")
    return data[position : position + size], position + size
