"""What simulated trials show of a stated rate of false words."""

from __future__ import annotations

from replicate.verdicts.rates import Rate


def refuted(rate: Rate) -> bool:
    """Whether the trials show a rate above the stated 5 %: its 99.9 % interval lies above."""
    return rate.interval(0.999)[0] > 0.05
