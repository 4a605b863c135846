"""The most memory that a process has held by itself; `ru_maxrss` begins with the peak of the one that started it."""

from __future__ import annotations

import re
from pathlib import Path

_OF_SELF = Path("/proc/self")


def peak_kib() -> int:
    """KiB that this process has held at most, since it began or since `forget_peak`."""
    found = re.search(r"VmHWM:\s*(\d+) kB", (_OF_SELF / "status").read_text())
    assert found
    return int(found[1])


def forget_peak() -> int:
    """KiB that this process holds now, which is its peak from here on."""
    (_OF_SELF / "clear_refs").write_text("5")
    return peak_kib()
