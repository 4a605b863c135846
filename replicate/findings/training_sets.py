"""Rows that differ in their training set: what each is fine-tuned on, and what its seeds and strategies gave."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from replicate.findings.compared import Pair
from replicate.findings.rows import RowResult
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable, Row
from replicate.verdicts.equivalence import Interval, t_interval

METRIC = "accuracy"
# The stages that make a training set, in every order that a row here may have them.
_CHAINS = ((), ("sample",), ("duplicate",), ("augment",), ("sample", "duplicate"), ("sample", "augment"))


@dataclass(frozen=True)
class TrainingSet:
    """Lines drawn by the seed (None: all there are), copies of each, and what made them.

    `mix` holds the weight of each strategy; copies without any are mere duplicates.
    """

    lines: int | None
    copies: int
    mix: tuple[tuple[str, float], ...]


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


def training_of(table: ResultsTable, row: Row, profile: Profile) -> TrainingSet | None:
    """What a row is fine-tuned on; None for a row that is not only a training set and one fine-tuning."""
    *made, last = table.chain(row.id) or (None,)
    if last is None or last.stage != "finetune" or tuple(step.stage for step in made) not in _CHAINS:
        return None
    found = TrainingSet(None, 0, ())
    for step in made:
        options = {**profile.options.get(step.stage, {}), **step.options}
        if step.stage == "sample":
            found = replace(found, lines=int(options["examples"]))
        else:
            mix = tuple((name, float(weight)) for name, weight in sorted(options.get("mix", {}).items()))
            found = replace(found, copies=int(options["copies"]), mix=mix)
    return found


def controls_of(training: TrainingSet) -> tuple[TrainingSet, TrainingSet]:
    """The same lines without copies, and with as many mere duplicates; a control is one of its own."""
    return TrainingSet(training.lines, 0, ()), TrainingSet(training.lines, training.copies, ())


def control_pairs(table: ResultsTable, profile: Profile) -> list[Pair]:
    """Every row that differs from a control of its own in the training set, with that control, in accuracy."""
    sets = {
        row.id: training
        for row in table.rows
        if row.runs_under(profile.id) and (training := training_of(table, row, profile))
    }
    # Of rows with one training set, the first is the control.
    row_of = {training: row for row, training in reversed(sets.items())}
    return [
        (row, row_of[control], METRIC)
        for row, training in sets.items()
        for control in controls_of(training)
        if control != training and control in row_of
    ]


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
