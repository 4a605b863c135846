"""How many CPU cores this process may use."""

from __future__ import annotations

import os


def threads() -> int:
    """How many threads compute: OMP_NUM_THREADS where that is a number above 0, else one a core.

    OpenMP takes no other number either.
    """
    # Of `4,2`, the outer level.
    named = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(named) if named.isdecimal() and int(named) > 0 else cores()


def cores() -> int:
    """How many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
