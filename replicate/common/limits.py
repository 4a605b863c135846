"""What a file may hold before it is taken apart: bytes, depth, digits, and the length of one line."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from replicate.common.errors import UserError

# Of a JSON or TOML file: the largest record of ours has a hundredth of the first, the largest table a hundredth of the
# second.
MOST_JSON = 32 << 20
MOST_TOML = 2 << 20
# Brackets within brackets, and parts of a dotted name; ours have 8.
MOST_DEPTH = 64
# Of a whole number; a random generator's state has 39.
MOST_DIGITS = 40
# Characters of a line of text: 4 Mi, which is a long book.
MOST_LINE = 1 << 22
_BRACKET = str.maketrans("", "", "".join(map(chr, {*range(128)} - {*map(ord, "[]{}")})))
_JSON_TEXT = re.compile(r'"[^"]*"')
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_whole(path: Path, most: int) -> bytes:
    """The bytes of a regular file that has at most `most` of them.

    Raises:
        UserError: it can't be read, is no file (a pipe would be waited for) or is larger.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = os.fstat(file.fileno())
            if stat.S_ISDIR(found.st_mode):
                raise UserError("can't be read: Is a directory", path=path)
            if not stat.S_ISREG(found.st_mode):
                raise UserError("can't be read: not a file", path=path)
            data = b"" if found.st_size > most else file.read(most + 1)
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
