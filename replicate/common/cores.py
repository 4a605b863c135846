"""How many CPU cores this process may use."""

from __future__ import annotations

import os


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
    """What OMP_NUM_THREADS says; 0 where it says nothing that OpenMP takes."""
    # Of `4,2`, the outer level.
    named = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(named) if named.isdecimal() else 0


def cores() -> int:
    """How many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
