"""Speed-ups as words: a median of paired ratios with its interval."""

from __future__ import annotations

from replicate.report.blocks import Cell
from replicate.verdicts.equivalence import RatioInterval


def ratio(found: RatioInterval) -> str:
    """A ratio with its interval, and the coverage of that where it is below 95 %."""
    coverage = "" if found.coverage >= 0.95 else f", {found.coverage:.0%}"
    return f"{found.median:.2f} ({found.low:.2f} to {found.high:.2f}{coverage})"


def ratio_cell(found: RatioInterval | None) -> Cell:
    """A ratio as a cell, a dash for none."""
    return Cell("-") if found is None else Cell(ratio(found), found.median)
