"""What counts as one text: letters alone, whatever their case, their width, and the marks and blanks between them."""

from __future__ import annotations

import unicodedata


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
