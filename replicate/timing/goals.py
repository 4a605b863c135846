"""What the inference of two CPU cores should reach, and what a record says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from replicate.inference.runtime import RUNTIMES
from replicate.records.timing import Contestant, Race, TimingRecord
from replicate.timing.race import speed_up
from replicate.verdicts.equivalence import RatioInterval

GoalStatus = Literal["reached", "missed", "undecided", "not measured"]
SHAPE, BATCH, THREADS = "ernie-3.0-base", 32, 2
BEST = "best"


@dataclass(frozen=True)
class Pick:
    """A contestant: a runtime's name or `best`, its precision and width.

    The best runtime of a precision is the one whose full width has the smallest median in that race.
    """

    runtime: str
    precision: str
    width: str


@dataclass(frozen=True)
class Goal:
    """`of` should be at least so many times as fast as `over`, at each of the lengths, in batches of 32."""

    id: str
    words: str
    of: Pick
    over: Pick
    at_least: float
    lengths: tuple[int, ...] = (32, 128)


@dataclass(frozen=True)
class GoalResult:
    """A goal at one length: `reached` or `missed` where the whole interval is on that side of it."""

    goal: Goal
    length: int
    status: GoalStatus
    found: RatioInterval | None
    words: str


# The whole net in the runtime that is fastest with it.
WHOLE = Pick(BEST, "fp32", "1")
GOALS = (
    Goal("half", "width 1/2 over Base, in Base's best fp32 runtime", Pick(BEST, "fp32", "1/2"), WHOLE, 1.9),
    Goal("two-thirds", "width 2/3 over Base, in Base's best fp32 runtime", Pick(BEST, "fp32", "2/3"), WHOLE, 1.42),
    Goal(
        "default",
        "best fp32 Base over PaddleNLP's dynamic graph as installed",
        WHOLE,
        Pick("dygraph-as-installed", "fp32", "1"),
        4.0,
        (32,),
    ),
    Goal("pytorch", "best fp32 Base over PyTorch with SDPA", WHOLE, Pick("pytorch", "fp32", "1"), 1.0),
    Goal("int8", "int8 Base over best fp32 Base", Pick(BEST, "int8", "1"), WHOLE, 1.8),
    Goal("int8-half", "int8 width 1/2 over best fp32 Base", Pick(BEST, "int8", "1/2"), WHOLE, 3.2),
)


def goals(record: TimingRecord) -> list[GoalResult]:
    """Every goal at each of its lengths; what was not measured is said to be so, never estimated."""
    return [_judge(goal, length, record) for goal in GOALS for length in goal.lengths]


def whole_and_pruned(race: Race) -> list[Contestant]:
    """The contestants of the first net, which is the whole one, and of pruned ones: no student."""
    whole = race.contestants[0].model
    return [one for one in race.contestants if one.width != "1" or one.model == whole]


def net_name(race: Race, one: Contestant) -> str:
    """A contestant's net: its width, with its name where that is not the shape; a whole one's is its name."""
    if one.model == race.shape:
        return f"width {one.width}"
    return one.model if one.width == "1" else f"{one.model} (width {one.width})"


def pick(race: Race, wanted: Pick) -> Contestant | None:
    """The contestant that `wanted` means; None where it did not take part."""
    known = whole_and_pruned(race)
    runtime: str | None = wanted.runtime
    if runtime == BEST:
        full = [
            one for one in known if one.runtime in RUNTIMES and (one.precision, one.width) == (wanted.precision, "1")
        ]
        runtime = min(full, key=lambda one: median(race.seconds[one.label])).runtime if full else None
    alike = (runtime, wanted.precision, wanted.width)
    return next((one for one in known if (one.runtime, one.precision, one.width) == alike), None)


def _judge(goal: Goal, length: int, record: TimingRecord) -> GoalResult:
    def missing(why: str) -> GoalResult:
        return GoalResult(goal, length, "not measured", None, why)

    if record.device.get("kind") != "cpu" or record.threads != THREADS:
        return missing(f"the goals are about {THREADS} threads of a CPU")
    here = (SHAPE, BATCH, length)
    comparisons = [one for one in record.comparisons if (one.shape, one.batch, one.length) == here]
    if not comparisons:
        return missing(f"no comparison of {SHAPE} at {BATCH} × {length}")
    # Should there be several, one that has both sides.
    for race in comparisons:
        of, over = pick(race, goal.of), pick(race, goal.over)
        if of and over:
            found = speed_up(race.seconds, of.label, over.label)
            return GoalResult(goal, length, _status(found, goal.at_least), found, f"{of.label} over {over.label}")
    lacking = goal.over if of else goal.of
    return missing(_reason(lacking, comparisons))


def _status(found: RatioInterval, at_least: float) -> GoalStatus:
    if found.low >= at_least:
        return "reached"
    return "missed" if found.high < at_least else "undecided"


def _reason(lacking: Pick, comparisons: Sequence[Race]) -> str:
    what = f"{lacking.runtime} {lacking.precision} {lacking.width}"
    for race in comparisons:
        for label, why in race.left_out.items():
            if label.startswith(what):
                return f"{what} was left out: {why}"
    return f"no {what}"
