"""How near the limit each stage is: its useful operations as a share of what matrix products alone reach there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median

from replicate.inference.runtime import RUNTIMES
from replicate.records.timing import Contestant, Race, StepRace, TimingRecord
from replicate.timing.goals import whole_and_pruned
from replicate.timing.limit import Share, share_of
from replicate.timing.race import unstable

STEPS = {"finetune": "training step", "prune": "pruning step", "pretrain": "pretraining step"}


@dataclass(frozen=True)
class NearLimit:
    """One stage of one record.

    Attributes:
        record: where it was measured.
        race: in which.
        what: a step's name, or inference, its precision and runtime.
        ms: median milliseconds.
        share: of the limit.
        stable: whether the milliseconds don't wander.
    """

    record: TimingRecord
    race: Race | StepRace
    what: str
    ms: float
    share: Share
    stable: bool


def near_limits(records: Iterable[TimingRecord]) -> tuple[NearLimit, ...]:
    """Every step, and inference with the whole net in our fastest runtime of each precision, record by record."""
    found = []
    for record in records:
        for steps in record.steps:
            for step in steps.contestants:
                what = STEPS.get(step.stage, step.stage)
                # A peer's label is not its stage's.
                what += f", {step.environment}" if step.label != step.stage else ""
                found += _near(record, steps, step.label, step.operations, "fp32", what)
        for race in record.comparisons:
            for one in _fastest(race):
                what = f"inference, {one.precision} in {one.runtime}"
                found += _near(record, race, one.label, one.operations, one.precision, what)
    return tuple(found)


def _near(
    record: TimingRecord, race: Race | StepRace, label: str, operations: int, precision: str, what: str
) -> list[NearLimit]:
    """The stage; none where the race has no limit for it."""
    share, seconds = share_of(race, label, operations, precision), race.seconds[label]
    return [NearLimit(record, race, what, 1000 * median(seconds), share, not unstable(seconds))] if share else []


def _fastest(race: Race) -> Iterator[Contestant]:
    whole = [one for one in whole_and_pruned(race) if one.width == "1" and one.runtime in RUNTIMES]
    for precision in dict.fromkeys(one.precision for one in whole):
        alike = [one for one in whole if one.precision == precision]
        yield min(alike, key=lambda one: median(race.seconds[one.label]))
