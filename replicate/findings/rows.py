"""What the records say of a row: its scores, seeds that failed, its verdict, and how it differs from another row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from replicate.findings.judged import NOT_RUN, Judged
from replicate.records.run import Record, check_fellows
from replicate.records.selection import RULES, score_of
from replicate.scores.metrics import Ratio, accuracy_ratio, scores
from replicate.scores.packing import unpack_bits
from replicate.tables.table import ResultsTable, Row, Setting
from replicate.verdicts.equivalence import Interval, t_interval
from replicate.verdicts.pairs import RowComparison, compare_rows
from replicate.verdicts.published import Status, Verdict, compare_to_baseline, judge, together

BASELINE_METRICS = ("accuracy", "f1")
OTHER_NETS = "not the pretrained nets of the accepted records"


@dataclass(frozen=True)
class RowResult:
    """A row's records under one profile, by seed."""

    row: Row
    profile: str
    records: tuple[Record, ...]

    @cached_property
    def scores(self) -> Mapping[int, Mapping[str, float]]:
        """Every metric of each seed that gave predictions."""
        return {record.seed: scores(record.counts) for record in self.records if record.counts}

    @property
    def failed(self) -> tuple[Record, ...]:
        """The records whose run did not end well, with or without scores."""
        return tuple(record for record in self.records if record.status != "ok")

    @property
    def predictions(self) -> Mapping[int, tuple[str, str, str]]:
        """Status, predictions and which of them are right, of each seed."""
        return {record.seed: (record.status, record.predictions, record.correct) for record in self.records}

    @property
    def is_deterministic(self) -> bool:
        """Whether there are several seeds, and all give the same predictions."""
        scored = {record.predictions for record in self.records if record.counts}
        return len(scored) == 1 < len(self.scores)

    def score(self, seed: int, metric: str) -> float:
        """The metric of one seed, which may be one by a selection rule; NaN where it gave no predictions."""
        if metric in RULES:
            return next((score_of(record, metric) for record in self.records if record.seed == seed), math.nan)
        return self.scores[seed][metric] if seed in self.scores else math.nan

    def correctness(self, seeds: Sequence[int]) -> Ratio:
        """Which dev examples each of these seeds gets right; every one must have given predictions."""
        of = {record.seed: record for record in self.records}
        bits = [unpack_bits(of[seed].correct, of[seed].counts["examples"]) for seed in seeds]
        return accuracy_ratio(np.stack(bits))

    @property
    def seconds(self) -> float:
        """What a run took on average, with all that it is made from; NaN without any."""
        return float(np.mean([record.seconds for record in self.records])) if self.records else math.nan

    def summary(self, metric: str) -> tuple[float, float, int]:
        """Mean, standard deviation (NaN for one seed) and number of the seeds that gave predictions."""
        values = [found[metric] for found in self.scores.values()]
        mean = float(np.mean(values)) if values else math.nan
        return mean, float(np.std(values, ddof=1)) if len(values) > 1 else math.nan, len(values)

    def interval(self, metric: str, alpha: float) -> Interval:
        """Interval of the mean over other seeds, level 1 - alpha."""
        return t_interval(self.samples(metric), alpha)

    def samples(self, metric: str) -> tuple[float, ...]:
        """The metric of each seed but those that ended in an error, NaN where a seed diverged without predictions."""
        return tuple(self.score(record.seed, metric) for record in self.records if record.status != "error")


@dataclass(frozen=True)
class RowVerdict:
    """A row's verdict with its reason, and the verdict on each metric that it rests on."""

    status: Status
    reason: str
    metrics: Mapping[str, Verdict]


@dataclass(frozen=True)
class Difference:
    """Row a minus row b in one metric, over their pairs of seeds.

    Attributes:
        by_seed: of each pair whose runs both gave a score.
        seeds: of every pair.
        judged: the verdict on it; None where nobody asked for one.
    """

    a: RowResult
    b: RowResult
    metric: str
    found: RowComparison
    by_seed: Mapping[int, float]
    seeds: tuple[int, ...]
    judged: Judged | None = None


def verdict_on(one: Difference | None) -> Judged:
    """The verdict on a difference; `NOT_RUN` where there is none, or nobody asked for one."""
    return one.judged if one and one.judged else NOT_RUN


def row_result(records: Iterable[Record], row: Row, profile: str) -> RowResult:
    """The part of `records` that belongs to a row and a profile.

    Raises:
        UserError: two of its seeds are of different dev sets, labels or pretrained nets; names both.
    """
    own = [record for record in records if (record.table, record.row, record.profile) == (row.table, row.id, profile)]
    check_fellows(own)
    return RowResult(row, profile, tuple(sorted(own, key=lambda record: record.seed)))


def judge_row(table: ResultsTable, result: RowResult) -> RowVerdict:
    """Compares a row's seeds with its published accuracy and F1, where they have a tolerance.

    Precision and recall would have to come out right together, and the average is made of the other two.
    """
    row = result.row
    if not result.records:
        return RowVerdict("not-run", row.not_run or f"no record under `{result.profile}`", {})
    errors = [f"seed {record.seed}: {record.reason}" for record in result.records if record.status == "error"]
    printed = [metric for metric in BASELINE_METRICS if metric in row.published]
    tolerances = {metric: stated.value for metric in printed if (stated := tolerance_of(table, row.id, metric))}
    if not tolerances:
        return RowVerdict("inconclusive", "no published metric has a tolerance", {})
    samples = {metric: result.samples(metric) for metric in tolerances}
    alpha = float(table.statistics.alpha.value)
    verdicts = {
        metric: judge(
            samples[metric],
            row.published[metric].value,
            tolerance,
            alpha=alpha,
            minimum_seeds=int(table.statistics.minimum_seeds.value),
            errors=errors,
        )
        for metric, tolerance in tolerances.items()
    }
    p_outside = {name: one.comparison.p_outside if one.comparison else math.nan for name, one in verdicts.items()}
    found = {name: (one.status, one.reason) for name, one in verdicts.items()}
    return RowVerdict(*together(found, p_outside, alpha), verdicts)


def judge_row_against_baseline(table: ResultsTable, result: RowResult, accepted: RowResult | None) -> RowVerdict:
    """Compares a row's seeds with the accepted ones of the same profile, in accuracy and F1; the worse verdict holds.

    A metric that the table has no tolerance for is not compared. This is what makes a profile without published values
    a regression test.
    """
    for record in result.records:
        if record.status == "error":
            return RowVerdict("error", f"seed {record.seed}: {record.reason}", {})
    if accepted is None:
        return RowVerdict("inconclusive", f"no accepted records under `{result.profile}` to compare with", {})
    # The same seeds are no new sample: where they give the same predictions, there is nothing to test.
    if result.records and result.predictions.items() <= accepted.predictions.items():
        return RowVerdict("replicated", "the same predictions as the accepted records, seed by seed", {})
    alpha, found = float(table.statistics.alpha.value), {}
    for metric in (metric for metric in BASELINE_METRICS if metric in table.tolerances):
        tolerance = table.tolerance(result.row.id, metric).value
        found[metric] = compare_to_baseline(result.samples(metric), accepted.samples(metric), tolerance, alpha)
    verdicts = {metric: (one.verdict, one.reason) for metric, one in found.items()}
    p_outside = {metric: one.p_outside for metric, one in found.items()}
    status, reason = together(verdicts, p_outside, alpha)
    # Another machine pretrains another net: what the two differ by is in no spread.
    nets, before = ({one.pretrained for one in row.records} - {""} for row in (result, accepted))
    other = f"; {OTHER_NETS}" if nets and before and nets != before else ""
    return RowVerdict(status, f"{reason}{other}", {})


def paired_seeds(a: RowResult, b: RowResult) -> list[int]:
    """The seeds that both rows have records of, in order.

    Those that started from different pretrained nets are no pair: another machine pretrains another net.

    Raises:
        UserError: the two were scored on different dev sets or labels; names a file of each.
    """
    check_fellows((*a.records, *b.records), across=True)
    starts = {record.seed: record.pretrained for record in a.records}
    return [
        record.seed for record in b.records if record.seed in starts and _same(starts[record.seed], record.pretrained)
    ]


def difference_of(
    a: RowResult, b: RowResult, metric: str, alpha: float = 0.05, last: int | None = None
) -> Difference | None:
    """Row `a` minus row `b` over their pairs of seeds, up to the last one if given; None where there are none."""
    seeds = [seed for seed in paired_seeds(a, b) if last is None or seed <= last]
    if not seeds:
        return None
    first, second = ([result.score(seed, metric) for seed in seeds] for result in (a, b))
    scored = [seed for seed in seeds if seed in a.scores and seed in b.scores]
    examples = (a.correctness(seeds), b.correctness(seeds)) if metric == "accuracy" and scored == seeds else None
    by_seed = {seed: a.score(seed, metric) - b.score(seed, metric) for seed in scored}
    found = compare_rows(first, second, alpha=alpha, examples=examples)
    return Difference(a, b, metric, found, by_seed, tuple(seeds))


def _same(start: str, other: str) -> bool:
    """Whether two pretrained nets can be one; a record that says of none may have any."""
    return not start or not other or start == other


def tolerance_of(table: ResultsTable, row: str, metric: str) -> Setting | None:
    """The table's tolerance of a metric for a row; None where it states none."""
    try:
        return table.tolerance(row, metric)
    except KeyError:
        return None
