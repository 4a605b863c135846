"""What users see when something ends early: one line and an exit code."""

from __future__ import annotations

import signal
from pathlib import Path

# A message of one line, whatever of a file it cites.
_MOST = 2000


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
        super().__init__(shown(" ".join(message.split())))


def shown(line: str) -> str:
    """A line that a terminal takes for nothing but text, cut in the middle where it is long."""
    if len(line) > _MOST:
        line = f"{line[: _MOST // 2]} … {line[-_MOST // 2 :]}"
    return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


class Stopped(KeyboardInterrupt):
    """SIGINT or SIGTERM; the command exits with `code`, 130 or 143.

    Args:
        number: which signal.
        saved: whether the training that was stopped goes on where it is; None where nothing was trained.
    """

    def __init__(self, number: int, saved: bool | None = None) -> None:
        self.code = 128 + number
        self.saved = saved
        where = "the same command goes on from there" if saved else "the same command begins this stage again"
        super().__init__(f"stopped by {signal.Signals(number).name}" + ("" if saved is None else f"; {where}"))


class Spent(Stopped):
    """The time that somebody has given is used up; the command exits with 1.

    Args:
        what: what is left, and how to go on, in one line.
    """

    def __init__(self, what: str) -> None:
        super().__init__(signal.SIGTERM)
        self.code = 1
        self.args = (what,)
