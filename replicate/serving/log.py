"""What the service tells its operator: a few lines, however many clients there are."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections import Counter


class Log(logging.Handler):
    """Lines on standard error. The first of each kind is told at once; more of it within ten seconds is counted.

    It takes what uvicorn and asyncio log too: warnings in the same way, failures with their traceback.

    Args:
        seconds: how long is counted before the number is told.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        super().__init__(logging.WARNING)
        self._seconds = seconds
        self._counted: Counter[str] = Counter()
        self._guard = threading.Lock()

    def tell(self, what: str) -> None:
        """Print a line, or count it where the same was told just before."""
        with self._guard:
            if what in self._counted:
                self._counted[what] += 1
                return
            self._counted[what] = 0
        timer = threading.Timer(self._seconds, self._told, [what])
        timer.daemon = True
        timer.start()
        _print(what)

    def flush(self) -> None:
        """Tell what is counted and not yet told."""
        with self._guard:
            waiting = list(self._counted)
        for what in waiting:
            self._told(what)

    def emit(self, record: logging.LogRecord) -> None:
        """As `logging` wants it."""
        if record.exc_info and record.exc_info[0] is not None:
            _print(record.getMessage())
            traceback.print_exception(*record.exc_info)
        else:
            self.tell(record.getMessage())

    def _told(self, what: str) -> None:
        with self._guard:
            more = self._counted.pop(what, 0)
        if more:
            _print(f"{what} ({more} times more)")


def _print(what: str) -> None:
    print(f"replicate: {' '.join(what.split())}", file=sys.stderr, flush=True)
