"""How near a contestant is to what this machine's matrix products give: shares of that rate, in the same rounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median

from replicate.records.timing import Limit, Race, StepRace
from replicate.verdicts.equivalence import RatioInterval, ratio_interval


@dataclass(frozen=True)
class Rate:
    """The fastest matrix products of a race in one precision, in operations a second."""

    limit: Limit
    rate: float


@dataclass(frozen=True)
class Share:
    """How much of the rate of matrix products a contestant's useful operations come to.

    Attributes:
        rate: of the products.
        ratio: of the rounds' rates, with its interval.
    """

    rate: Rate
    ratio: RatioInterval


def rate_of(race: Race | StepRace, precision: str) -> Rate | None:
    """The fastest products of that precision; None where none took part."""
    rates = [
        Rate(one, one.operations / median(race.limit_seconds[one.label]))
        for one in race.limits
        if one.precision == precision
    ]
    return max(rates, key=lambda one: one.rate) if rates else None


def share_of(race: Race | StepRace, label: str, operations: int, precision: str) -> Share | None:
    """The share of a contestant; None where its operations are not known or no products took part."""
    rate = rate_of(race, precision)
    if rate is None or not operations:
        return None
    ratio = ratio_interval(race.limit_seconds[rate.limit.label], race.seconds[label])
    scale = operations / rate.limit.operations
    ends = {name: scale * getattr(ratio, name) for name in ("median", "low", "high")}
    return Share(rate, replace(ratio, **ends))


def shown_rate(rate: Rate | None) -> str:
    """Billions of operations in a second, and whose."""
    return f"{rate.rate / 1e9:,.0f} G/s ({rate.limit.library})" if rate else "-"
