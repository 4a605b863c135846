"""The pruned nets of a race beside the whole one, in the runtime that a user would take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from replicate.records.timing import Contestant, Race, TimingRecord
from replicate.timing.goals import BEST, Pick, pick
from replicate.timing.summary import rows_of

# The whole net in the runtime that is fastest with it.
WHOLE = Pick(BEST, "fp32", "1")


@dataclass(frozen=True)
class Pruned:
    """The pruned nets of a race beside the whole one, all in the runtime that is fastest in fp32.

    Attributes:
        race: where they took turns.
        whole: the fastest whole net in fp32.
        nets: the pruned ones with their rows as `rows_of` makes them, the narrowest first; at least one.
    """

    race: Race
    whole: Contestant
    nets: tuple[tuple[Contestant, dict[str, Any]], ...]

    @property
    def named(self) -> dict[str, dict[str, Any]]:
        """The rows by what the nets are called."""
        return {net_name(self.race, one): row for one, row in self.nets}


def pruned_of(race: Race) -> Pruned | None:
    """The pruned nets in the best fp32 runtime; None where no whole net stands beside a pruned one there."""
    whole = pick(race, WHOLE)
    rows = zip(race.contestants, rows_of(race), strict=True)
    found = [(one, row) for one, row in rows if whole and one.width != "1" and race.base_of(one) == whole]
    nets = tuple(sorted(found, key=lambda pair: pair[0].flops))
    return Pruned(race, whole, nets) if whole and nets else None


def largest(record: TimingRecord) -> list[Pruned]:
    """The races of whole and pruned nets in the record's largest batches."""
    largest = max((one.batch for one in record.comparisons), default=0)
    return [found for one in record.comparisons if one.batch == largest and (found := pruned_of(one))]


def net_name(race: Race, one: Contestant) -> str:
    """A contestant's net: its width, with its name where that is not the shape; a whole one's is its name."""
    if one.model == race.shape:
        return f"width {one.width}"
    return one.model if one.width == "1" else f"{one.model} (width {one.width})"
