"""What a file may hold before it is taken apart: bytes, depth, digits, and the length of one line."""

from __future__ import annotations

import json
import math
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from replicate.common.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Of a JSON or TOML file: the largest record of ours has a hundredth of the first, the largest table a hundredth of the
# second.
MOST_JSON = 32 << 20
MOST_TOML = 2 << 20
# Brackets within brackets; ours have 8.
MOST_DEPTH = 64
# Of a dotted name in TOML; ours have 3.
MOST_PARTS = 16
# Of a whole number; a random generator's state has 39.
MOST_DIGITS = 40
# Characters of a line of text: 4 Mi, which is a long book.
MOST_LINE = 1 << 22
# Digits of a decimal number, and of its exponent's size: 1e-100 is nothing that anybody measures.
MOST_EXPONENT = 100
_BRACKET = str.maketrans("", "", "".join(map(chr, {*range(128)} - {*map(ord, "[]{}")})))
_JSON_TEXT = re.compile(r'"[^"]*"')
# Texts and comments, in the order in which they would be met. One that doesn't end is taken to the end of what could be
# in it, so that nothing is looked at twice.
_TOML_TEXT = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*(?:""")?|"(?:[^"\\\n]|\\.)*"?' r"|'''.*?(?:'''|\Z)|'[^'\n]*'?|#[^\n]*", re.DOTALL
)
_DOTTED = re.compile(r"(?<![\w-])(?:[\w-]+[ \t]*\.[ \t]*){%d}" % MOST_PARTS, re.ASCII)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_whole(path: Path, most: int) -> bytes:
    """The bytes of a regular file that has at most `most` of them.

    Raises:
        UserError: it can't be read, is no file (a pipe would be waited for) or is larger.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(handle)
            if stat.S_ISDIR(found.st_mode):
                raise UserError("can't be read: Is a directory", path=path)
            if not stat.S_ISREG(found.st_mode):
                raise UserError("can't be read: not a file", path=path)
            with open(handle, "rb", closefd=False) as file:
                data = b"" if found.st_size > most else file.read(most + 1)
        finally:
            os.close(handle)
    except OSError as error:
        raise UserError(f"can't be read: {error.strerror}", path=path) from error
    if found.st_size > most or len(data) > most:
        raise UserError(f"larger than {most >> 20} MiB", path=path, hint="no such file of ours is")
    return data


def check_depth(text: str) -> None:
    """Refuse brackets within brackets deeper than `MOST_DEPTH` (ValueError); what is not ASCII is no bracket."""
    depth = 0
    for bracket in text.translate(_BRACKET):
        if bracket in "[{":
            depth += 1
            if depth > MOST_DEPTH:
                raise ValueError(f"nested deeper than {MOST_DEPTH}")
        elif bracket in "]}":
            depth -= 1


def parse_json(data: bytes) -> Any:
    """The value of strict JSON in UTF-8: no NaN, no infinity, no lone half of a character, nothing deep or endless.

    Raises:
        ValueError: it is none; a `json.JSONDecodeError` where the grammar says so.
    """
    text = data.decode("utf-8").removeprefix("\ufeff")
    # Without escapes a text ends at the next quotation mark. No bracket in it counts.
    check_depth(_JSON_TEXT.sub("", text.replace("\\\\", "").replace('\\"', "")))
    value = json.loads(text, parse_int=_whole, parse_float=_real, parse_constant=_constant)
    if _SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode()
    return value


def parse_toml(data: bytes) -> dict[str, Any]:
    """The tables of TOML in UTF-8: nothing deep or endless, and no number that is none.

    Raises:
        ValueError: it is none; a `tomllib.TOMLDecodeError` where the grammar says so.
    """
    text = data.decode("utf-8")
    bare = _TOML_TEXT.sub("s", text)
    check_depth(bare)
    # Its parser takes the square of their number.
    if _DOTTED.search(bare):
        raise ValueError(f"a name of more than {MOST_PARTS} parts")
    found = tomllib.loads(text, parse_float=_real)
    _check_values(found)
    return found


def _check_values(top: dict[str, Any]) -> None:
    """Refuse whole numbers that are too long, and depth by tables within tables (ValueError)."""
    waiting: list[tuple[Any, int]] = [(top, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MOST_DEPTH:
            raise ValueError(f"nested deeper than {MOST_DEPTH}")
        if isinstance(value, dict | list):
            waiting += [(one, depth + 1) for one in (value.values() if isinstance(value, dict) else value)]
        elif isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
            raise ValueError(f"a number of more than {MOST_DIGITS} digits")


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:MOST_DIGITS]} is too large a number")
    return value


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def numbered_lines(file: IO[str], path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file without their ends, from 1; of a line that is too long no more is read than is allowed.

    Raises:
        UserError: a line has more than `MOST_LINE` characters; names file and line.
        UnicodeDecodeError: as the file says.
    """
    number = 0
    while line := file.readline(MOST_LINE + 1):
        number += 1
        if len(line) > MOST_LINE and not line.endswith("\n"):
            raise UserError(f"a line of more than {MOST_LINE} characters", path=path, line=number)
        yield number, line.removesuffix("\n")
