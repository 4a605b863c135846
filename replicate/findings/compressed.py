"""Rows whose last stage makes a smaller net: each with the net that it was made from, its word and its speed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from replicate.findings.compared import Compared
from replicate.findings.evidence import Evidence
from replicate.findings.judged import Judged
from replicate.findings.pairs import ACCURACY, KINDS, parent_of
from replicate.findings.rows import Difference, RowResult, verdict_on
from replicate.inference.runtime import RUNTIMES
from replicate.records.timing import Contestant, Race, TimingRecord
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable, Row, Step
from replicate.timing.race import speed_up
from replicate.verdicts.effects import KEPT
from replicate.verdicts.equivalence import RatioInterval


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
class Speed:
    """A net of some size, timed in the runtime in which it is the fastest in fp32.

    Attributes:
        batch: texts a call.
        length: tokens a text.
        threads: that computed.
        runtime: of the net.
        seconds: median of a call.
    """

    batch: int
    length: int
    threads: int
    runtime: str
    seconds: float


@dataclass(frozen=True)
class Compressed:
    """A row that ends in a smaller net, under one profile.

    Attributes:
        table: its table.
        kind: `pruned` or `distilled`.
        made: the stage that made it smaller.
        result: its seeds.
        parent: those of the net that it was made from; None where no row is that.
        difference: to the parent in accuracy, over the seeds that both have; None without any.
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
    parameters: int | None
    share: float | None
    latency: Latency | None
    is_control: bool

    @property
    def row(self) -> Row:
        """The row itself."""
        return self.result.row

    @property
    def judged(self) -> Judged:
        """The verdict on the difference."""
        return verdict_on(self.difference)

    @property
    def is_kept(self) -> bool:
        """Whether it is shown to lose less than the margin."""
        return self.judged.word in KEPT


def compressed_rows(evidence: Evidence, compared: Compared, profile: Profile) -> tuple[Compressed, ...]:
    """Every row of the table that the profile runs and that ends in a smaller net, compared with its parent."""
    table = compared.table
    chosen = [row for row in table.rows if row.runs_under(profile.id) and _made_smaller(table, row)]
    if not chosen:
        return ()
    results = [compared.results[row.id] for row in chosen]
    parents = [compared.results[of.id] if (of := parent_of(table, row)) else None for row in chosen]
    differences = [
        compared.difference(result.row.id, parent.row.id, ACCURACY) if parent else None
        for result, parent in zip(results, parents, strict=True)
    ]
    found = []
    for result, parent, difference in zip(results, parents, differences, strict=True):
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
                parameters=own,
                share=own / whole if own and whole else None,
                latency=latency_of(evidence.timings, own, whole) if parent else None,
                is_control=result.row.role == "control",
            )
        )
    return tuple(found)


def _made_smaller(table: ResultsTable, row: Row) -> bool:
    """Whether a row ends in a smaller net of one other; students of an ensemble are told with the ensembles."""
    stages = [step.stage for step in table.chain(row.id)]
    return stages[-1] in KINDS and "fuse" not in stages


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


def speed_of(timings: Sequence[TimingRecord], count: int | None) -> Speed | None:
    """A net with so many parameters in the largest batches that it was timed in; None where it was not."""
    found = [
        Speed(race.batch, race.length, record.threads, one.runtime, median(race.seconds[one.label]))
        for record in timings
        for race in record.comparisons
        for one in _fastest(race, count)
    ]
    return max(found, key=lambda one: one.batch) if found else None


def _fastest(race: Race, count: int | None) -> list[Contestant]:
    """The contestant of that many parameters that is the fastest in fp32 of this package's runtimes, if any is."""
    own = [one for one in race.contestants if one.runtime in RUNTIMES and one.precision == "fp32"]
    sized = [one for one in own if one.parameters == count]
    return sorted(sized, key=lambda one: median(race.seconds[one.label]))[:1]
