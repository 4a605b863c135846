"""Signals that ask this process to stop, also where other people's code has made an exception of its own of them."""

from __future__ import annotations

import signal
from types import FrameType

from replicate.common.errors import Stopped

# Those that have come, outside of training loops, which take them themselves.
SEEN: list[int] = []


def stop(number: int, frame: FrameType | None) -> None:
    """The handler of such a signal (Stopped)."""
    SEEN.append(number)
    raise Stopped(number)


def signal_of(error: KeyboardInterrupt) -> int:
    """The signal behind an interrupt: the last one that came where it doesn't say, and SIGINT where none did."""
    if isinstance(error, Stopped):
        return error.code - 128
    return SEEN[-1] if SEEN else signal.SIGINT
