"""How the nets of a table behave: accuracy while training, reliability of the probabilities, confused classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replicate.findings.rows import RowResult
from replicate.records.run import Record
from replicate.scores.metrics import ClassScores, matrix_of, per_class
from replicate.scores.packing import unpack_bits, unpack_confidence

BINS = 10
# Stages whose history is of the classifier that is scored.
TRAINED = ("finetune", "prune")
Point = tuple[float, float]


@dataclass(frozen=True)
class Course:
    """How the last stage of a row's seeds went.

    Attributes:
        result: the row.
        stage: its last stage.
        curves: epoch and accuracy on dev of each evaluation, one curve a seed.
        kept: the points of the states that were kept.
        steps: how many each seed took.
        kept_at: the steps at the states that were kept.
    """

    result: RowResult
    stage: str
    curves: Mapping[int, tuple[Point, ...]]
    kept: tuple[Point, ...]
    steps: tuple[int, ...]
    kept_at: tuple[int, ...]

    @property
    def firsts(self) -> Mapping[int, float]:
        """The accuracy of each seed's first evaluation."""
        return {seed: curve[0][1] for seed, curve in self.curves.items()}

    @property
    def tops(self) -> Mapping[int, float]:
        """The accuracy of each seed's best evaluation."""
        return {seed: max(accuracy for _, accuracy in curve) for seed, curve in self.curves.items()}


@dataclass(frozen=True)
class Reliability:
    """Confidence beside accuracy of one row's dev examples, all seeds together.

    Attributes:
        bins: mean confidence, accuracy and number of examples of each of ten equal parts of [0, 1] that has any.
        confidence: mean confidence in the predicted class.
        accuracy: share of right predictions.
        gap: expected calibration error, the mean over examples of their bin's |confidence - accuracy|.
    """

    bins: tuple[tuple[float, float, int], ...]
    confidence: float
    accuracy: float
    gap: float


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix of a row, mean over its seeds.

    Attributes:
        result: the row.
        labels: of the classes.
        counts: [true, predicted].
        most: count, true and predicted class of the three most frequent confusions.
        classes: the scores of each class by seed, in the order of the labels.
    """

    result: RowResult
    labels: tuple[str, ...]
    counts: NDArray[np.float64]
    most: tuple[tuple[float, int, int], ...]
    classes: tuple[Mapping[int, ClassScores], ...]


@dataclass(frozen=True)
class Nets:
    """What is known of the nets of a table's rows under a profile; each part is empty where no record says."""

    table: str
    profile: str
    courses: tuple[Course, ...]
    reliabilities: tuple[tuple[RowResult, Reliability], ...]
    confusion: Confusion | None


def nets_of(table: str, profile: str, results: Sequence[RowResult]) -> Nets:
    """The behaviour of the rows' nets, in the order of the rows."""
    courses = [one for result in results if (one := course(result))]
    reliabilities = [(result, found) for result in results if (found := reliability(result.records))]
    first = next((result for result in results if result.scores), None)
    return Nets(table, profile, tuple(courses), tuple(reliabilities), confusion(first) if first else None)


def course(result: RowResult) -> Course | None:
    """How the row's last stage went; None where no record has two evaluations of it."""
    runs = [(record, found) for record in result.records if len(found := _history(record)) > 1]
    if not runs:
        return None
    summaries = [(record.stages[-1]["summary"], found) for record, found in runs]
    kept = [
        (epoch, accuracy)
        for summary, found in summaries
        for step, epoch, accuracy in found
        if step == summary.get("best_step")
    ]
    return Course(
        result,
        runs[0][0].stages[-1]["stage"],
        {record.seed: tuple((epoch, accuracy) for _, epoch, accuracy in found) for record, found in runs},
        tuple(kept),
        tuple(summary["steps"] for summary, _ in summaries),
        tuple(summary.get("best_step", 0) for summary, _ in summaries),
    )


def reliability(records: Iterable[Record]) -> Reliability | None:
    """Reliability of the records that have confidences; None where none has.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017 (expected calibration error, equal-width bins).
    """
    parts = [
        (unpack_confidence(record.confidence), unpack_bits(record.correct, record.counts["examples"]))
        for record in records
        if record.counts and record.confidence
    ]
    if not parts:
        return None
    confidence = np.concatenate([one for one, _ in parts])
    correct = np.concatenate([one for _, one in parts])
    of_bin = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = []
    for one in range(BINS):
        inside = of_bin == one
        if inside.any():
            bins.append((float(confidence[inside].mean()), float(correct[inside].mean()), int(inside.sum())))
    gap = sum(count * abs(sure - right) for sure, right, count in bins) / len(confidence)
    return Reliability(tuple(bins), float(confidence.mean()), float(correct.mean()), float(gap))


def confusion(result: RowResult) -> Confusion | None:
    """The row's confusions; None where no seed gave predictions, or seeds differ in their labels."""
    records = [record for record in result.records if record.counts]
    if not records or any(record.labels != records[0].labels for record in records):
        return None
    total: NDArray[np.float64] = np.zeros((len(records[0].labels),) * 2)
    of_seed = {}
    for record in records:
        matrix = matrix_of(record.counts["confusion"])
        total += matrix
        of_seed[record.seed] = per_class(matrix)
    counts = total / len(records)
    wrong = counts - np.diag(np.diag(counts))
    cells = np.argwhere(wrong).tolist()
    most = sorted(((float(wrong[true, taken]), true, taken) for true, taken in cells), reverse=True)
    classes = [{seed: scores[at] for seed, scores in of_seed.items()} for at, _ in enumerate(records[0].labels)]
    return Confusion(result, tuple(records[0].labels), counts, tuple(most[:3]), tuple(classes))


def _history(record: Record) -> list[tuple[int, float, float]]:
    """Step, epoch and accuracy of each evaluation of the record's last stage, where that trained the classifier."""
    if not record.stages or record.stages[-1]["stage"] not in TRAINED:
        return []
    history = record.stages[-1]["summary"].get("history", [])
    return [(one["step"], one["epoch"], one["accuracy"]) for one in history if "epoch" in one]
