"""What the doctor says of one thing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: `ok` where the profile can run with it, else `fix` says what mends it."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
