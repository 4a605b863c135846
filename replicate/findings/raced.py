"""A race of nets, contestant by contestant, and what pruning buys in it beside other precisions and runtimes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from replicate.records.timing import Contestant, Race
from replicate.timing.goals import WHOLE, net_name, pick, whole_and_pruned
from replicate.timing.race import speed_up, unstable
from replicate.timing.summary import rows_of
from replicate.verdicts.equivalence import RatioInterval

# Whether something is more speed than pruning buys; `alike` where the intervals overlap.
Beside = Literal["more", "less", "alike"]


@dataclass(frozen=True)
class TimedNet:
    """A contestant of a race.

    Attributes:
        contestant: what ran.
        net: what its net is called: its width, or its name.
        ms: median milliseconds of a call.
        speed_up: over the first net of the same runtime and precision; None for that one.
        ideal: what the operations promise of that; None where they promise nothing.
        over_best: over the whole net in the runtime that is the fastest in fp32; None for that one and without it.
        stable: whether its milliseconds don't wander.
    """

    contestant: Contestant
    net: str
    ms: float
    speed_up: RatioInterval | None
    ideal: float | None
    over_best: RatioInterval | None
    stable: bool


@dataclass(frozen=True)
class Way:
    """What something but pruning gives the whole net.

    Attributes:
        runtime: in which the net is faster.
        precision: the other precision over fp32; None where the runtime is another one.
        instead_of: the slower runtime; None where the precision is another one.
        ratio: how many times as fast.
        stable: whether neither side's milliseconds wander.
        beside: whether that is more than the narrowest pruned net buys.
    """

    runtime: str
    precision: str | None
    instead_of: str | None
    ratio: RatioInterval
    stable: bool
    beside: Beside


@dataclass(frozen=True)
class Together:
    """Pruning and another precision at once, over the whole net in fp32."""

    runtime: str
    precision: str
    ratio: RatioInterval
    stable: bool


@dataclass(frozen=True)
class OverWhole:
    """One runtime, precision and net over the whole net in the runtime that is the fastest in fp32."""

    contestant: Contestant
    net: str
    ratio: RatioInterval


@dataclass(frozen=True)
class PrunedNets:
    """The pruned nets of a race beside the whole one, all in the runtime that is the fastest in fp32.

    Attributes:
        race: where they took turns.
        whole: the whole net.
        whole_ms: its median milliseconds.
        nets: the pruned ones, the narrowest first; at least one.
        ways: what other precisions and runtimes give the whole net.
        together: the narrowest net in another precision.
        everyone: every runtime and precision of whole and pruned nets.
    """

    race: Race
    whole: Contestant
    whole_ms: float
    nets: tuple[TimedNet, ...]
    ways: tuple[Way, ...]
    together: tuple[Together, ...]
    everyone: tuple[OverWhole, ...]

    @property
    def named(self) -> Mapping[str, TimedNet]:
        """The pruned nets by what they are called."""
        return {one.net: one for one in self.nets}

    @property
    def less_precise(self) -> tuple[Way, ...]:
        """The ways that are another precision."""
        return tuple(one for one in self.ways if one.precision)


@dataclass(frozen=True)
class TimedRace:
    """A race with a line for each contestant, and its pruned nets; None where no whole net stands beside one."""

    race: Race
    nets: tuple[TimedNet, ...]
    pruned: PrunedNets | None


def timed_race(race: Race) -> TimedRace:
    """What a race says of each contestant, and of its pruned nets."""
    best = pick(race, WHOLE)
    nets = tuple(
        TimedNet(
            contestant=one,
            net=net_name(race, one),
            ms=row["ms"],
            speed_up=ratio_of(row["speed-up"]),
            ideal=row["ideal"],
            over_best=speed_up(race.seconds, one.label, best.label) if best and one != best else None,
            stable=row["stable"],
        )
        for one, row in zip(race.contestants, rows_of(race), strict=True)
    )
    return TimedRace(race, nets, _pruned(race, best, nets) if best else None)


def _pruned(race: Race, whole: Contestant, nets: Iterable[TimedNet]) -> PrunedNets | None:
    """The pruned nets in the runtime of the whole one; None where there are none."""
    found = [one for one in nets if one.contestant.width != "1" and race.base_of(one.contestant) == whole]
    if not found:
        return None
    found.sort(key=lambda one: one.contestant.flops)
    narrowest = found[0]
    full = [one for one in race.contestants if (one.model, one.width) == (whole.model, "1") and one != whole]
    kinds = dict.fromkeys(one.precision for one in full if one.precision != "fp32")
    best = [one for kind in kinds if (one := pick(race, replace(WHOLE, precision=kind))) in full and one]
    ways = [_way(race, one, whole, narrowest) for one in best]
    ways += [_way(race, whole, one, narrowest) for one in full if one.precision == "fp32"]
    halves = [
        one
        for half in best
        for one in race.contestants
        if (one.runtime, one.precision, one.model, one.width)
        == (half.runtime, half.precision, narrowest.contestant.model, narrowest.contestant.width)
    ]
    return PrunedNets(
        race=race,
        whole=whole,
        whole_ms=1000 * median(race.seconds[whole.label]),
        nets=tuple(found),
        ways=tuple(ways),
        together=tuple(
            Together(
                one.runtime, one.precision, speed_up(race.seconds, one.label, whole.label), _steady(race, one, whole)
            )
            for one in halves
        ),
        everyone=tuple(
            OverWhole(one, net_name(race, one), speed_up(race.seconds, one.label, whole.label))
            for one in whole_and_pruned(race)
        ),
    )


def _way(race: Race, one: Contestant, over: Contestant, narrowest: TimedNet) -> Way:
    """One whole net over another, which differ in precision or in runtime, beside the narrowest pruned net."""
    ratio, pruned = speed_up(race.seconds, one.label, over.label), narrowest.speed_up
    beside: Beside = "alike"
    if pruned and ratio.low > pruned.high:
        beside = "more"
    elif pruned and ratio.high < pruned.low:
        beside = "less"
    precision = one.precision if one.precision != over.precision else None
    return Way(one.runtime, precision, None if precision else over.runtime, ratio, _steady(race, one, over), beside)


def _steady(race: Race, *sides: Contestant) -> bool:
    return not any(unstable(race.seconds[one.label]) for one in sides)


def ratio_of(figures: list[float] | None) -> RatioInterval | None:
    """A ratio of a row as `timing.summary` makes it; None for none."""
    return None if figures is None else RatioInterval(*figures)
