"""What timing records say: what pruning buys at inference beside int8 and another runtime, each machine by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from replicate.findings.evidence import Evidence
from replicate.records.timing import BATCHINGS, Contestant, DatasetRace, Race, ServiceRace, TimingRecord
from replicate.tables.table import LATENCY, Provenance, ResultsTable
from replicate.timing.goals import GoalResult, goals, pick, whole_and_pruned
from replicate.timing.pruned import WHOLE, net_name
from replicate.timing.race import speed_up, unstable
from replicate.timing.summary import ANSWERS, dataset_rows, rows_of, service_rows
from replicate.verdicts.equivalence import RatioInterval

# Whether something is more speed than pruning buys; `alike` where the intervals overlap.
Beside = Literal["more", "less", "alike"]


@dataclass(frozen=True)
class PublishedRatio:
    """What a source prints of the speed of a smaller net and of the net that it was made from."""

    title: str
    whole: str
    small: str
    ratio: float


@dataclass(frozen=True)
class PublishedSpeed:
    """The ratios that one source prints, with what it tells of how its latency was measured; at least one."""

    source: Provenance
    ratios: tuple[PublishedRatio, ...]


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


@dataclass(frozen=True)
class NetSize:
    """Size of a net: millions of parameters, megabytes of weights; and the runtimes that read as much."""

    model: str
    width: str
    precision: str
    millions: float
    megabytes: float
    runtimes: tuple[str, ...]


@dataclass(frozen=True)
class Padding:
    """A contestant on a data set, with either batching.

    Attributes:
        contestant: what ran.
        seconds: median, by batching.
        padded: share of the computed tokens that are padding, by batching.
        speed_up: by length over file order.
        stable: whether its seconds don't wander.
        accuracy: of its labels; None with random weights.
        equal: share of labels equal to those of the same net's first line; None with random weights.
        p: exact McNemar, that both are as accurate; None for that first line and with random weights.
    """

    contestant: Contestant
    seconds: Mapping[str, float]
    padded: Mapping[str, float]
    speed_up: RatioInterval
    stable: bool
    accuracy: float | None
    equal: float | None
    p: float | None


@dataclass(frozen=True)
class Service:
    """A service under load: answers in a second, milliseconds of answers, and the rate over the first's."""

    contestant: Contestant
    rate: float
    p50: float
    p99: float
    over_first: RatioInterval | None
    stable: bool


@dataclass(frozen=True)
class Unstable:
    """How many contestants of a race have times that wander."""

    race: Race | DatasetRace | ServiceRace
    count: int
    of: int


@dataclass(frozen=True)
class TimingFinding:
    """What one record says.

    Attributes:
        record: how and on what it was measured.
        races: in its order.
        largest: the pruned nets of the races with the largest batches.
        goals: those that the record measures.
        lacking: reasons why it measures others, with the number of goals.
        sizes: of every net.
        datasets: races over data sets.
        services: races of services.
        left_out: contestants that could not take part, by the reason.
        unstable: the races with times that wander.
    """

    record: TimingRecord
    races: tuple[TimedRace, ...]
    largest: tuple[PrunedNets, ...]
    goals: tuple[GoalResult, ...]
    lacking: Mapping[str, int]
    sizes: tuple[NetSize, ...]
    datasets: tuple[tuple[DatasetRace, tuple[Padding, ...]], ...]
    services: tuple[tuple[ServiceRace, tuple[Service, ...]], ...]
    left_out: Mapping[str, tuple[str, ...]]
    unstable: tuple[Unstable, ...]


@dataclass(frozen=True)
class InferenceFinding:
    """What sources print of the speed of smaller nets, and what each record says."""

    published: tuple[PublishedSpeed, ...]
    records: tuple[TimingFinding, ...]


def compute_inference(evidence: Evidence) -> InferenceFinding:
    """What pruning buys at inference."""
    published = tuple(one for table in evidence.tables if (one := _published(table)))
    return InferenceFinding(published, tuple(timing_finding(record) for record in evidence.timings))


def timing_finding(record: TimingRecord) -> TimingFinding:
    """What a record says; it is compared with no other record."""
    races = tuple(_timed(race) for race in record.comparisons)
    batch = max((one.batch for one in record.comparisons), default=0)
    judged = goals(record) if record.comparisons else []
    return TimingFinding(
        record=record,
        races=races,
        largest=tuple(one.pruned for one in races if one.pruned and one.race.batch == batch),
        goals=tuple(one for one in judged if one.status != "not measured"),
        lacking=Counter(one.words for one in judged if one.status == "not measured"),
        sizes=_sizes(record.comparisons),
        datasets=tuple((race, _padding(race)) for race in record.datasets),
        services=tuple((race, _services(race)) for race in record.services),
        left_out=_left_out(record.comparisons),
        unstable=_unstable(record),
    )


def _published(table: ResultsTable) -> PublishedSpeed | None:
    """The ratios of published latencies; None where the table has none."""
    ratios = []
    for row in table.rows:
        own = row.published.get(LATENCY)
        parent = table.row(row.parent).published.get(LATENCY) if row.parent else None
        if own and parent:
            ratios.append(PublishedRatio(row.title, parent.printed, own.printed, float(parent.value / own.value)))
    return PublishedSpeed(table.provenance, tuple(ratios)) if ratios else None


def _timed(race: Race) -> TimedRace:
    best = pick(race, WHOLE)
    nets = tuple(
        TimedNet(
            contestant=one,
            net=net_name(race, one),
            ms=row["ms"],
            speed_up=_ratio(row["speed-up"]),
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


def _sizes(races: Iterable[Race]) -> tuple[NetSize, ...]:
    """Each net once, whatever the number of races; runtimes that read as much share it."""
    found: dict[tuple[str, str, str, float, float], dict[str, None]] = {}
    for race in races:
        for one in race.contestants:
            # As precise as it is shown: what looks the same is told once.
            key = (one.model, one.width, one.precision, round(one.parameters / 1e6, 1), round(one.bytes / 1e6, 1))
            found.setdefault(key, {})[one.runtime] = None
    return tuple(NetSize(*key, tuple(runtimes)) for key, runtimes in found.items())


def _padding(race: DatasetRace) -> tuple[Padding, ...]:
    lines = []
    for one, row in zip(race.contestants, dataset_rows(race), strict=True):
        accuracy, equal, p = (row.get(name) for name in ANSWERS)
        lines.append(
            Padding(
                contestant=one,
                seconds={how: row[f"s, {how}"] for how in BATCHINGS},
                padded={how: row[f"padding, {how}"] for how in BATCHINGS},
                speed_up=RatioInterval(*row["speed-up"]),
                stable=row["stable"],
                accuracy=accuracy,
                equal=equal,
                p=p,
            )
        )
    return tuple(lines)


def _services(race: ServiceRace) -> tuple[Service, ...]:
    return tuple(
        Service(one, row["requests/s"], row["p50 ms"], row["p99 ms"], _ratio(row["over first"]), row["stable"])
        for one, row in zip(race.contestants, service_rows(race), strict=True)
    )


def _left_out(races: Iterable[Race]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for race in races:
        for label, why in race.left_out.items():
            found.setdefault(why, {})[label] = None
    return {why: tuple(labels) for why, labels in found.items()}


def _unstable(record: TimingRecord) -> tuple[Unstable, ...]:
    wandering: list[tuple[Race | DatasetRace | ServiceRace, list[bool]]] = [
        *((race, [unstable(samples) for samples in race.seconds.values()]) for race in record.comparisons),
        *((race, [unstable(samples) for samples in race.seconds.values()]) for race in record.services),
        *((race, [any(map(unstable, by.values())) for by in race.seconds.values()]) for race in record.datasets),
    ]
    return tuple(Unstable(race, sum(found), len(found)) for race, found in wandering if any(found))


def _ratio(figures: list[float] | None) -> RatioInterval | None:
    return None if figures is None else RatioInterval(*figures)
