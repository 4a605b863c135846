"""Rows that differ in their training set: what their seeds and strategies gave."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from replicate.findings.recipes import TrainingSet
from replicate.findings.rows import RowResult
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable, Row
from replicate.verdicts.equivalence import Interval, t_interval

METRIC = "accuracy"


@dataclass(frozen=True)
class Copies:
    """What a strategy made, counted while it ran.

    Attributes:
        per_seed: copies that one seed has on average, those that came out empty left out.
        unchanged: share of the copies that equal their original.
        dropped: share of all that were made that came out empty.
    """

    per_seed: float
    unchanged: float
    dropped: float


@dataclass(frozen=True)
class Arm:
    """A row with its training set and its seeds.

    Attributes:
        row: the row.
        training: what it is fine-tuned on.
        result: its seeds.
        interval: of the mean accuracy, level 1 - alpha.
        finetune: every setting of its fine-tuning, by name.
        steps: of training, mean over seeds; NaN where no record says.
        examples: lines that it was trained on, copies included, mean over seeds; NaN where no record says.
        copies: what its strategies made; None where no record has counted that.
    """

    row: Row
    training: TrainingSet
    result: RowResult
    interval: Interval
    finetune: Mapping[str, Any]
    steps: float
    examples: float
    copies: Copies | None

    @property
    def seeds(self) -> Mapping[int, float]:
        """The accuracy of each seed that gave one."""
        return {seed: score[METRIC] for seed, score in self.result.scores.items()}

    @property
    def is_whole(self) -> bool:
        """Whether it is trained on all lines."""
        return self.training.lines is None


def arm_from(table: ResultsTable, profile: Profile, training: TrainingSet, result: RowResult) -> Arm:
    """The row of these seeds, as the profile fine-tunes it."""
    finetune = {**profile.options.get("finetune", {}), **table.chain(result.row.id)[-1].options}
    values = [score[METRIC] for score in result.scores.values()]
    interval = t_interval(values, float(table.statistics.alpha.value))
    last = [record.stages[-1]["summary"] for record in result.records if record.counts]
    steps, examples = (
        statistics.fmean(found) if (found := [one.get(key, math.nan) for one in last]) else math.nan
        for key in ("steps", "examples")
    )
    return Arm(result.row, training, result, interval, finetune, steps, examples, _copies(result))


def _copies(result: RowResult) -> Copies | None:
    """What the row's strategies made, over all its seeds."""
    counts = [
        stage["summary"]
        for record in result.records
        for stage in record.stages
        if stage["stage"] == "augment" and stage["summary"].get("copies")
    ]
    if not counts:
        return None
    copies, unchanged, dropped = (sum(one[key] for one in counts) for key in ("copies", "unchanged", "dropped"))
    return Copies(copies / len(counts), unchanged / copies, dropped / (copies + dropped))
