"""The one exception that users see."""

from __future__ import annotations

from pathlib import Path


class UserError(Exception):
    """Bad input or a missing prerequisite; printed as one line, exit code 2.

    Args:
        what: what is wrong, in one line.
        path: the file it is in.
        line: 1-based line number in that file.
        hint: what to do next.
    """

    def __init__(self, what: str, *, path: str | Path | None = None, line: int | None = None, hint: str = "") -> None:
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        message = f"{where}{what}" + (f"; {hint}" if hint else "")
        super().__init__(" ".join(message.split()))
