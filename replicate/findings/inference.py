"""What timing records say of inference, each machine by itself, and what sources print of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from replicate.findings.evidence import Evidence
from replicate.findings.limits import NearLimit, near_limits
from replicate.findings.raced import PrunedNets, TimedRace, ratio_of, timed_race
from replicate.records.timing import BATCHINGS, Contestant, DatasetRace, Race, ServiceRace, TimingRecord
from replicate.tables.table import LATENCY, Provenance, ResultsTable
from replicate.timing.goals import GoalResult, goals
from replicate.timing.race import unstable
from replicate.timing.summary import ANSWERS, dataset_rows, service_rows
from replicate.verdicts.equivalence import RatioInterval


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
    """What sources print of the speed of smaller nets, what each record says, and how near the limit all stages are."""

    published: tuple[PublishedSpeed, ...]
    records: tuple[TimingFinding, ...]
    limits: tuple[NearLimit, ...] = ()


def compute_inference(evidence: Evidence) -> InferenceFinding:
    """What pruning buys at inference."""
    published = tuple(one for table in evidence.tables if (one := _published(table)))
    findings = tuple(timing_finding(record) for record in evidence.timings)
    return InferenceFinding(published, findings, near_limits(evidence.timings))


def timing_finding(record: TimingRecord) -> TimingFinding:
    """What a record says; it is compared with no other record."""
    races = tuple(timed_race(race) for race in record.comparisons)
    batch = max((one.batch for one in record.comparisons), default=0)
    judged = goals(record)
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
        Service(one, row["requests/s"], row["p50 ms"], row["p99 ms"], ratio_of(row["over first"]), row["stable"])
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
