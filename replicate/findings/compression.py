"""Rows whose last stage makes a smaller net: each beside the net that it was made from, in score, size and speed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from replicate.findings.evidence import Material
from replicate.findings.rows import RowResult, compare
from replicate.inference.runtime import RUNTIMES
from replicate.records.timing import Contestant, Race, TimingRecord
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable, Row, Step
from replicate.timing.race import speed_up
from replicate.verdicts.equivalence import RatioInterval, holm
from replicate.verdicts.pairs import RowComparison

METRIC = "accuracy"
# Settings with which a last stage leaves out what the method is: teacher, parent's weights, distilled data.
_CONTROLS = {"targets": "labels", "start": "scratch", "alpha": 0}
# Stages that make a smaller net, with what their rows are called, and stages that only make its training set.
KINDS = {"prune": "pruned", "distill": "distilled"}
_SETS = ("sample", "duplicate", "augment")
BYTES = 4
Word = Literal["gains", "loses", "keeps", "loses little", "not distinguishable", "not-run"]


@dataclass(frozen=True)
class Latency:
    """Seconds of two nets of these sizes that took turns, each in the runtime in which it is the fastest in fp32.

    Attributes:
        record: where they were timed.
        comparison: of which batch and length.
        small: the net of the row's size.
        whole: the net of its parent's size.
    """

    record: TimingRecord
    comparison: Race
    small: Contestant
    whole: Contestant

    @property
    def ratio(self) -> RatioInterval:
        """How many times as fast the small one is."""
        return speed_up(self.comparison.seconds, self.small.label, self.whole.label)

    @property
    def seconds(self) -> float:
        """Median of the small one's."""
        return median(self.comparison.seconds[self.small.label])

    @property
    def seconds_of_whole(self) -> float:
        """Median of the whole one's."""
        return median(self.comparison.seconds[self.whole.label])


@dataclass(frozen=True)
class Compressed:
    """A row that ends in a smaller net, under one profile.

    Attributes:
        table: its table.
        kind: `pruned` or `distilled`.
        result: its seeds.
        parent: those of the net that it was made from; None where no row is that.
        comparison: paired difference in accuracy to the parent; None without pairs of seeds.
        p: of that difference, corrected over the compressed rows of the table (Holm).
        word: what the seeds show.
        reason: why that word.
        latency: the record that timed both sizes; None where none did.
    """

    table: ResultsTable
    kind: str
    result: RowResult
    parent: RowResult | None
    comparison: RowComparison | None = None
    p: float = math.nan
    word: Word = "not-run"
    reason: str = "there are no records of both rows over the same seeds"
    latency: Latency | None = None

    @property
    def row(self) -> Row:
        """The row itself."""
        return self.result.row

    @property
    def is_control(self) -> bool:
        """Whether the row is there to tell what the method does, since it does without."""
        options = self.table.chain(self.row.id)[-1].options
        return any(name in options and options[name] == value for name, value in _CONTROLS.items())


def compressed_rows(material: Material, table: ResultsTable, profile: Profile) -> list[Compressed]:
    """Every row of the table that the profile runs and that ends in a smaller net, compared with its parent."""
    alpha = float(table.statistics.alpha.value)
    tolerance = table.tolerances.get(METRIC) or material.tables[0].tolerances[METRIC]
    found = []
    for row in table.rows:
        if not row.runs_under(profile.id) or table.chain(row.id)[-1].stage not in KINDS:
            continue
        result, of = material.result(row, profile), parent_of(table, row)
        parent = material.result(of, profile) if of else None
        comparison = compare(result, parent, METRIC, tolerance.value, alpha) if parent else None
        latency = latency_of(material.timings, parameters(result), parameters(parent)) if parent else None
        kind = KINDS[table.chain(row.id)[-1].stage]
        found.append(Compressed(table, kind, result, parent, comparison, latency=latency))
    corrected = holm([math.nan if one.comparison is None else one.comparison.p for one in found])
    minimum = int(table.statistics.minimum_seeds.value)
    return [
        _judge(one, float(p), str(tolerance.value), alpha, minimum) for one, p in zip(found, corrected, strict=True)
    ]


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
    """The comparison in the largest batches that timed nets of both sizes, each in the runtime that is its fastest.

    Speed does not depend on the values of weights, so a net is known by its number of parameters.
    """
    found = [
        Latency(record, comparison, one, base)
        for record in timings
        for comparison in record.comparisons
        for base in _fastest(comparison, whole)
        for one in _fastest(comparison, small)
    ]
    # The first of equals: records are in order of their names, comparisons in that of their record.
    order = [-one.comparison.batch for one in found]
    return found[order.index(min(order))] if found else None


def _fastest(comparison: Race, count: int | None) -> list[Contestant]:
    """The contestant of that many parameters that is the fastest in fp32 of this package's runtimes, if any is."""
    own = [one for one in comparison.contestants if one.runtime in RUNTIMES and one.precision == "fp32"]
    sized = [one for one in own if one.parameters == count]
    return sorted(sized, key=lambda one: median(comparison.seconds[one.label]))[:1]


def pareto(points: Iterable[tuple[float, float]]) -> set[tuple[float, float]]:
    """Of (cost, score) those that no other beats in one without being worse in the other."""
    front: set[tuple[float, float]] = set()
    best = -math.inf
    for cost, score in sorted(points, key=lambda point: (point[0], -point[1])):
        if score > best:
            front.add((cost, score))
            best = score
    return front


def _judge(one: Compressed, p: float, tolerance: str, alpha: float, minimum_seeds: int) -> Compressed:
    """The row with its word.

    `gains` and `loses` need the corrected p to be at most alpha. Else `keeps` needs the difference shown to lie within
    the tolerance (two one-sided tests, not corrected).
    """
    found = one.comparison
    if found is None:
        return one
    word: Word = "not distinguishable"
    within = found.p_equivalence <= alpha
    if found.n < minimum_seeds:
        reason = f"{found.n} of the {minimum_seeds} seeds that a verdict takes"
    elif math.isnan(p):
        reason = "a seed gave no number"
    elif p <= alpha:
        word = "gains" if found.difference > 0 else "loses little" if within else "loses"
        reason = f"shown to differ (p = {p:.2g})" + (f", by less than {tolerance}" if within else "")
    elif within:
        word, reason = "keeps", f"shown to be within ± {tolerance} (p = {found.p_equivalence:.2g})"
    else:
        reason = f"shown neither to differ (p = {p:.2g}) nor to be within ± {tolerance} (p = {found.p_equivalence:.2g})"
    return replace(one, p=p, word=word, reason=reason)
