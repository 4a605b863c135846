"""How many CPU cores this process may use, and how many threads compute."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_NAME = "OMP_NUM_THREADS"


@dataclass
class _Default:
    """What this process has put into the variable where nobody had named a number; empty for nothing."""

    value: str = ""


_DEFAULT = _Default()


def threads() -> int:
    """How many threads compute: OMP_NUM_THREADS where that is a number above 0, else one a core.

    OpenMP takes no other number either.
    """
    return named_threads() or cores()


def stage_threads() -> int:
    """How many threads train a stage of a plan: OMP_NUM_THREADS where that is a number above 0, else one.

    Another number gives other last bits, so it is part of what a stage is on a CPU. Nets that fit there are too small
    for a second thread to pay: stages that run side by side do.
    """
    return named_threads() or 1


def named_threads() -> int:
    """What somebody has named in OMP_NUM_THREADS; 0 where that is nothing that OpenMP takes, or only our default."""
    text = os.environ.get(_NAME, "")
    # Of `4,2`, the outer level.
    named = text.partition(",")[0].strip()
    return int(named) if named.isdecimal() and text != _DEFAULT.value else 0


def default_threads() -> None:
    """Put a thread for each core into OMP_NUM_THREADS, which Paddle else sets to one, unless there is a number."""
    if _NAME not in os.environ:
        os.environ[_NAME] = _DEFAULT.value = str(cores())


@contextmanager
def computing_with(number: int) -> Iterator[None]:
    """Have OMP_NUM_THREADS say this number for a while, as if somebody had named it."""
    before, default = os.environ.get(_NAME), _DEFAULT.value
    os.environ[_NAME], _DEFAULT.value = str(number), ""
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_NAME, None)
            # Paddle may have been imported meanwhile, and wants to see one.
            default_threads()
        else:
            os.environ[_NAME], _DEFAULT.value = before, default


def cores() -> int:
    """How many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
