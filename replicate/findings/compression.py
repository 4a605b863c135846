"""Rows whose last stage makes a smaller net: each beside the net that it was made from, in score, size and speed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from replicate.common.errors import UserError
from replicate.findings.compared import AllCompared, ClaimResult, Compared, Pair
from replicate.findings.evidence import Evidence
from replicate.findings.rows import Difference, RowResult
from replicate.inference.runtime import RUNTIMES
from replicate.records.timing import Contestant, Race, TimingRecord
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable, Row, Step
from replicate.timing.race import speed_up
from replicate.verdicts.effects import KEPT, Cost, judge_costs
from replicate.verdicts.equivalence import Interval, RatioInterval, t_interval

METRIC = "accuracy"
# Settings with which a last stage leaves out what the method is: teacher, parent's weights, distilled data.
_CONTROLS = {"targets": "labels", "start": "scratch", "alpha": 0}
# Stages that make a smaller net, with what their rows are called, and stages that only make its training set.
KINDS = {"prune": "pruned", "distill": "distilled"}
_SETS = ("sample", "duplicate", "augment")
BYTES = 4
Lead = Literal["not-run", "kept", "at a price", "open"]


@dataclass(frozen=True)
class Latency:
    """Two nets of these sizes that took turns, each in the runtime in which it is the fastest in fp32.

    Attributes:
        record: name of the record that timed them.
        batch: texts a call.
        length: tokens a text.
        runtime: of the small one.
        whole_runtime: of the whole one.
        seconds: median of the small one's.
        whole_seconds: median of the whole one's.
        ratio: how many times as fast the small one is.
    """

    record: str
    batch: int
    length: int
    runtime: str
    whole_runtime: str
    seconds: float
    whole_seconds: float
    ratio: RatioInterval


@dataclass(frozen=True)
class Compressed:
    """A row that ends in a smaller net, under one profile.

    Attributes:
        table: its table.
        kind: `pruned` or `distilled`.
        made: the stage that made it smaller.
        result: its seeds.
        parent: those of the net that it was made from; None where no row is that.
        difference: to the parent in accuracy, paired by seed; None without pairs.
        p: of that difference, corrected over the compressed rows of the table (Holm).
        word: what the seeds show.
        reason: why that word.
        parameters: number of scalars; None where its records say of none, or of several.
        share: its parameters over its parent's.
        latency: how fast both sizes are; None where no record timed both.
        is_control: whether the row is there to tell what the method does, since it does without.
    """

    table: ResultsTable
    kind: str
    made: Step
    result: RowResult
    parent: RowResult | None
    difference: Difference | None
    p: float
    word: Cost
    reason: str
    parameters: int | None
    share: float | None
    latency: Latency | None
    is_control: bool

    @property
    def row(self) -> Row:
        """The row itself."""
        return self.result.row

    @property
    def is_kept(self) -> bool:
        """Whether it is shown to lose less than the tolerance."""
        return self.word in KEPT


@dataclass(frozen=True)
class CompressedTable:
    """The compressed rows of one table.

    Attributes:
        table: the table.
        rows: at least one.
        parents: the nets that they were made from, each once, with its parameters.
        claims: of the rows; none of a published table, whose claims stand beside its rows.
    """

    table: ResultsTable
    rows: tuple[Compressed, ...]
    parents: tuple[tuple[RowResult, int | None], ...]
    claims: tuple[ClaimResult, ...]

    @property
    def is_run(self) -> bool:
        """Whether one of the rows has a record."""
        return any(one.result.records for one in self.rows)


@dataclass(frozen=True)
class KindAnswer:
    """Whether nets made smaller in one way keep their parent's accuracy.

    Attributes:
        kind: `pruned` or `distilled`.
        rows: those of the kind, no controls among them; the same stages in two tables once.
        lead: `kept` where one is shown to lose less than the tolerance, `at a price` where each is shown to lose more.
        told: the row that the answer is told of: the smallest that is kept, else the one that loses least; None where
            none was run.
        against_controls: the claims that such a row beats its controls.
        shown: the other claims about such rows that the seeds support.
    """

    kind: str
    rows: tuple[Compressed, ...]
    lead: Lead
    told: Compressed | None
    against_controls: tuple[ClaimResult, ...]
    shown: tuple[ClaimResult, ...]


@dataclass(frozen=True)
class Place:
    """A net by what it costs and what it scores.

    Attributes:
        row: id of its row.
        cost: milliseconds, or megabytes of fp32 weights.
        accuracy: mean over its seeds.
        interval: of that mean.
    """

    row: str
    cost: float
    accuracy: float
    interval: Interval


@dataclass(frozen=True)
class Plane:
    """Nets by cost and accuracy.

    Attributes:
        by: what the cost is.
        latency: where the nets were timed; None for sizes.
        level: of the intervals.
        kinds: the nets by what they are: `whole`, `pruned`, `distilled`.
        front: those that no other beats in one without being worse in the other, the cheapest first.
    """

    by: Literal["latency", "size"]
    latency: Latency | None
    level: float
    kinds: Mapping[str, tuple[Place, ...]]
    front: tuple[Place, ...]


@dataclass(frozen=True)
class Compression:
    """The compressed rows under one profile.

    Attributes:
        profile: the profile.
        tables: those with such rows.
        smallest: of the rows that are kept and no controls, the one with the smallest share; None without one.
        fastest: of them the one that is the most times as fast as its parent; None where none was timed.
        kinds: an answer for each way of making nets smaller.
        planes: nets by latency where nets were timed together, and by size where some net was not timed.
    """

    profile: Profile
    tables: tuple[CompressedTable, ...]
    smallest: Compressed | None
    fastest: Compressed | None
    kinds: tuple[KindAnswer, ...]
    planes: tuple[Plane, ...]

    @property
    def rows(self) -> tuple[Compressed, ...]:
        """Those of all tables."""
        return tuple(one for table in self.tables for one in table.rows)


@dataclass(frozen=True)
class CompressionFinding:
    """What a smaller net costs and buys, under every profile that runs such rows."""

    profiles: tuple[Compression, ...]


def compute_compression(evidence: Evidence, compared: AllCompared) -> CompressionFinding:
    """What a smaller net costs and buys.

    Args:
        evidence: tables, profiles and records.
        compared: the rows of each table under each profile, those of `parent_pairs` among the pairs.

    Raises:
        UserError: no table states a tolerance of accuracy.
    """
    found = []
    for profile in evidence.profiles:
        tables = tuple(
            one
            for table in evidence.tables
            if table.id in profile.tables and evidence.same_data(table, profile)
            if (one := compressed_table(evidence, compared[table.id, profile.id], profile))
        )
        if tables:
            found.append(_compression(evidence, profile, tables))
    return CompressionFinding(tuple(found))


def compressed_table(evidence: Evidence, compared: Compared, profile: Profile) -> CompressedTable | None:
    """The rows of the table that the profile runs and that end in a smaller net; None where there are none."""
    rows = compressed_rows(evidence, compared, profile)
    if not rows:
        return None
    parents = {one.parent.row.id: one.parent for one in rows if one.parent}
    claims = () if compared.table.is_published else compared.claims
    return CompressedTable(compared.table, rows, tuple((one, parameters(one)) for one in parents.values()), claims)


def compressed_rows(evidence: Evidence, compared: Compared, profile: Profile) -> tuple[Compressed, ...]:
    """Every row of the table that the profile runs and that ends in a smaller net, compared with its parent.

    Raises:
        UserError: neither the table nor the main one states a tolerance.
    """
    table = compared.table
    chosen = [row for row in table.rows if row.runs_under(profile.id) and table.chain(row.id)[-1].stage in KINDS]
    if not chosen:
        return ()
    tolerance = evidence.tolerance(table, METRIC)
    if tolerance is None:
        what = f"table {table.id}: states no tolerance of {METRIC}, and the main table doesn't either"
        raise UserError(what, hint="say in `[tolerances]` which difference is none to speak of")
    results = [compared.results[row.id] for row in chosen]
    parents = [compared.results[of.id] if (of := parent_of(table, row)) else None for row in chosen]
    differences = [
        compared.difference(result.row.id, parent.row.id, METRIC) if parent else None
        for result, parent in zip(results, parents, strict=True)
    ]
    statistics = table.statistics
    verdicts = judge_costs(
        [one.found if one else None for one in differences],
        tolerance.value,
        float(statistics.alpha.value),
        int(statistics.minimum_seeds.value),
    )
    found = []
    for result, parent, difference, verdict in zip(results, parents, differences, verdicts, strict=True):
        made = table.chain(result.row.id)[-1]
        own, whole = parameters(result), parameters(parent) if parent else None
        found.append(
            Compressed(
                table=table,
                kind=KINDS[made.stage],
                made=made,
                result=result,
                parent=parent,
                difference=difference,
                p=verdict.p,
                word=verdict.word,
                reason=verdict.reason,
                parameters=own,
                share=own / whole if own and whole else None,
                latency=latency_of(evidence.timings, own, whole) if parent else None,
                is_control=any(
                    name in made.options and made.options[name] == value for name, value in _CONTROLS.items()
                ),
            )
        )
    return tuple(found)


def parent_pairs(table: ResultsTable) -> list[Pair]:
    """Every row that ends in a smaller net with the row that it was made from, to be compared in accuracy."""
    rows = [row for row in table.rows if row.recipe and table.chain(row.id)[-1].stage in KINDS]
    return [(row.id, of.id, METRIC) for row in rows if (of := parent_of(table, row))]


def parent_of(table: ResultsTable, row: Row) -> Row | None:
    """The row whose net this one's last stage made smaller, found by its stages, or the row's parent in the table."""
    before: tuple[Step, ...] = table.chain(row.id)[:-1]
    while before:
        for one in table.rows:
            if one.recipe and table.chain(one.id) == before:
                return one
        # The student may have had another training set than its teacher.
        if before[-1].stage not in _SETS:
            break
        before = before[:-1]
    return table.row(row.parent) if row.parent else None


def parameters(result: RowResult) -> int | None:
    """Number of scalars of the row's net; None where its records say of none, or of several."""
    found = {record.parameters for record in result.records if record.counts}
    return found.pop() if len(found) == 1 else None


def latency_of(timings: Sequence[TimingRecord], small: int | None, whole: int | None) -> Latency | None:
    """The race in the largest batches of nets of both sizes, each in the runtime that is its fastest.

    Speed does not depend on the values of weights, so a net is known by its number of parameters.
    """
    found = [
        (record, race, one, base)
        for record in timings
        for race in record.comparisons
        for base in _fastest(race, whole)
        for one in _fastest(race, small)
    ]
    if not found:
        return None
    # The first of equals: records are in order of their names, races in that of their record.
    record, race, one, base = max(found, key=lambda entry: entry[1].batch)
    return Latency(
        record=record.name,
        batch=race.batch,
        length=race.length,
        runtime=one.runtime,
        whole_runtime=base.runtime,
        seconds=median(race.seconds[one.label]),
        whole_seconds=median(race.seconds[base.label]),
        ratio=speed_up(race.seconds, one.label, base.label),
    )


def _fastest(race: Race, count: int | None) -> list[Contestant]:
    """The contestant of that many parameters that is the fastest in fp32 of this package's runtimes, if any is."""
    own = [one for one in race.contestants if one.runtime in RUNTIMES and one.precision == "fp32"]
    sized = [one for one in own if one.parameters == count]
    return sorted(sized, key=lambda one: median(race.seconds[one.label]))[:1]


def pareto(points: Iterable[tuple[float, float]]) -> set[tuple[float, float]]:
    """Of (cost, score) those that no other beats in one without being worse in the other."""
    front: set[tuple[float, float]] = set()
    best = -math.inf
    for cost, score in sorted(points, key=lambda point: (point[0], -point[1])):
        if score > best:
            front.add((cost, score))
            best = score
    return front


def _compression(evidence: Evidence, profile: Profile, tables: tuple[CompressedTable, ...]) -> Compression:
    rows = [one for table in tables for one in table.rows]
    kept = [one for one in rows if one.is_kept and not one.is_control]
    sized = [(one, one.share) for one in kept if one.share]
    timed = [(one, one.latency) for one in kept if one.latency]
    return Compression(
        profile=profile,
        tables=tables,
        smallest=min(sized, key=lambda pair: pair[1])[0] if sized else None,
        fastest=max(timed, key=lambda pair: pair[1].ratio.median)[0] if timed else None,
        kinds=tuple(answer for kind in KINDS.values() if (answer := _kind_answer(kind, tables))),
        planes=_planes(rows, float(evidence.main.statistics.alpha.value)),
    )


def _kind_answer(kind: str, tables: Sequence[CompressedTable]) -> KindAnswer | None:
    """What the rows of a kind come to; None where there are none."""
    rows: list[Compressed] = []
    seen: list[tuple[Step, ...]] = []
    for table in tables:
        for one in table.rows:
            chain = table.table.chain(one.row.id)
            # The same stages in two tables are one net.
            if one.kind == kind and chain not in seen:
                seen.append(chain)
                rows.append(one)
    if not rows:
        return None
    own = tuple(one for one in rows if not one.is_control)
    run = [(one, one.difference.found.difference) for one in own if one.difference]
    kept = [one for one, _ in run if one.is_kept]
    lead: Lead = "not-run"
    told = None
    if kept:
        lead, told = "kept", min(kept, key=lambda one: one.share or math.inf)
    elif run:
        lead = "at a price" if all(one.word == "loses" for one, _ in run) else "open"
        told = max(run, key=lambda pair: pair[1])[0]
    controls = {(one.table.id, one.row.id) for one in rows if one.is_control}
    claims = [
        (result, (table.table.id, result.claim.against) in controls)
        for table in tables
        if any(one.table.id == table.table.id for one in rows)
        for result in table.claims
        if KINDS.get(table.table.chain(result.claim.row)[-1].stage) == kind
    ]
    return KindAnswer(
        kind=kind,
        rows=own,
        lead=lead,
        told=told,
        against_controls=tuple(result for result, control in claims if control),
        shown=tuple(result for result, control in claims if not control and result.verdict.status == "supported"),
    )


def _planes(rows: Sequence[Compressed], alpha: float) -> tuple[Plane, ...]:
    """Nets by latency, of those that took turns where most of them did, and by size if some net is not among them."""
    of_race: dict[tuple[str, int, int], tuple[Latency, dict[str, float]]] = {}
    for one in rows:
        if one.latency and one.parent:
            key = (one.latency.record, one.latency.batch, one.latency.length)
            _, costs = of_race.setdefault(key, (one.latency, {}))
            costs[one.row.full_id] = 1000 * one.latency.seconds
            costs[one.parent.row.full_id] = 1000 * one.latency.whole_seconds
    latency, timed = max(of_race.values(), key=lambda found: len(found[1]), default=(None, {}))
    nets = [result for one in rows for result in (one.result, one.parent) if result and result.scores]
    sizes = {net.row.full_id: BYTES * count / 1e6 for net in nets if (count := parameters(net))}
    found = [_plane("latency", latency, timed, rows, alpha)] if latency else []
    if not set(sizes) <= set(timed):
        found.append(_plane("size", None, sizes, rows, alpha))
    return tuple(one for one in found if one)


def _plane(
    by: Literal["latency", "size"],
    latency: Latency | None,
    costs: Mapping[str, float],
    rows: Sequence[Compressed],
    alpha: float,
) -> Plane | None:
    """The nets whose cost is known; None where there are fewer than two."""
    kinds: dict[str, dict[str, Place]] = {}
    for one in rows:
        for kind, result in (("whole", one.parent), (one.kind, one.result)):
            if result is None or result.row.full_id not in costs or not result.scores:
                continue
            cost, values = costs[result.row.full_id], tuple(score[METRIC] for score in result.scores.values())
            place = Place(result.row.id, cost, result.summary(METRIC)[0], t_interval(values, alpha))
            # The same stages in two tables are one net, whose seeds have the same scores.
            kinds.setdefault(kind, {}).setdefault(f"{cost} {values}", place)
    places = [place for of_kind in kinds.values() for place in of_kind.values()]
    if len(places) < 2:
        return None
    chosen = pareto((place.cost, place.accuracy) for place in places)
    front = [place for place in places if (place.cost, place.accuracy) in chosen]
    return Plane(
        by=by,
        latency=latency,
        level=1 - alpha,
        kinds={kind: tuple(of_kind.values()) for kind, of_kind in kinds.items()},
        front=tuple(sorted(front, key=lambda place: place.cost)),
    )
