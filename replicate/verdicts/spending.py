"""How much of its level a plan has spent up to each look: the power family of Kim and DeMets (1987)."""

from __future__ import annotations

RHO = 2.0


def spent(level: float, look: int, most: int, rho: float = RHO) -> float:
    """How much of the level is spent up to this look."""
    return float(level * (look / most) ** rho)
