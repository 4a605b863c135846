"""What counts as one text: letters alone, whatever their case, their width, and the marks and blanks between them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


class _Marks(dict[int, str | None]):
    """A table for `str.translate` without marks and blanks, filled as characters come."""

    def __missing__(self, code: int) -> str | None:
        found = None if unicodedata.category(chr(code))[0] in "PZC" else chr(code)
        self[code] = found
        return found


_MARKS = _Marks()


def fold(text: str) -> str:
    """A text in small letters of one width (NFKC), without marks and blanks; one that has nothing else stays whole."""
    plain = unicodedata.normalize("NFKC", text).lower()
    return plain.translate(_MARKS) or plain.strip()


def groups_of(texts: Iterable[str]) -> NDArray[np.int64]:
    """A number for each text, [texts]: the same for those that count as one."""
    return np.unique([fold(text) for text in texts], return_inverse=True)[1]
