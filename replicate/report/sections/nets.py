"""How the nets behave, by their records: training curves, reliability of the probabilities, confused classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replicate.common.markdown import number, plural, table_of
from replicate.findings.evidence import Material
from replicate.findings.rows import RowResult
from replicate.records.run import Record
from replicate.report.pictures.panels import Line, Panel, matrix, panels
from replicate.report.pictures.picture import Block
from replicate.scores.metrics import per_class
from replicate.scores.packing import unpack_bits, unpack_confidence
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable

BINS = 10
# Stages whose history is of the classifier that is scored.
TRAINED = ("finetune", "prune")


def nets(material: Material, table: ResultsTable, profile: Profile) -> list[Block]:
    """The blocks on a table's nets under a profile; none where no record has what they need."""
    results = [material.result(row, profile) for row in table.rows]
    blocks = [
        *_curves(material, table, profile, results),
        *_reliability(material, table, profile, results),
        *_confusion(material, table, profile, results),
    ]
    return blocks


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


def mean_confusion(records: Iterable[Record]) -> NDArray[np.float64] | None:
    """Counts [true, predicted], averaged over the records that gave predictions; None where none did."""
    found = [np.asarray(record.counts["confusion"], dtype=np.float64) for record in records if record.counts]
    return np.mean(found, axis=0) if found else None


def _curves(material: Material, table: ResultsTable, profile: Profile, results: Sequence[RowResult]) -> list[Block]:
    """Accuracy on dev at each evaluation of the last stage, a panel a row, a line a seed."""
    parts, words, lines = [], [], []
    for result in results:
        runs = [(record, found) for record in result.records if len(found := _history(record)) > 1]
        if not runs:
            continue
        marks = []
        for record, found in runs:
            best = record.stages[-1]["summary"].get("best_step")
            marks += [(epoch, accuracy) for step, epoch, accuracy in found if step == best]
        drawn = tuple(Line(tuple(e for _, e, _ in found), tuple(a for *_, a in found)) for _, found in runs)
        parts.append(Panel(result.row.id, drawn, tuple(marks)))
        firsts, tops = ([pick(a for *_, a in found) for _, found in runs] for pick in (next, max))
        first, top = float(np.mean(firsts)), float(np.mean(tops))
        words.append(f"{result.row.id} from {first:.3f} to {top:.3f}")
        stage = runs[0][0].stages[-1]["stage"]
        steps = {record.stages[-1]["summary"]["steps"] for record, _ in runs}
        taken = [record.stages[-1]["summary"].get("best_step", 0) for record, _ in runs]
        cells = [stage, _span(steps), _span(taken), number(first), number(top)]
        lines.append([material.named(result), *cells])
    if not parts:
        return []
    head = ["row", "last stage", "steps", "steps at the state that was kept", "first evaluation", "best"]
    return [
        "### How training went",
        "Accuracy on dev at each evaluation of a row's last stage, one line a seed. Rows choose the state that is kept "
        "by accuracy or by F1 of class 1 on this same dev set.",
        panels(
            f"training-{table.id}-{profile.id}",
            "Accuracy on dev while training",
            f"Accuracy on dev during the last stage of each row, mean over seeds: {'; '.join(words)}.",
            ("epochs of the row's last stage", "accuracy on dev, one line a seed"),
            parts,
            mark="the state that was kept",
        ),
        table_of(head, lines),
    ]


def _history(record: Record) -> list[tuple[int, float, float]]:
    """Step, epoch and accuracy of each evaluation of the record's last stage, where that trained the classifier."""
    if not record.stages or record.stages[-1]["stage"] not in TRAINED:
        return []
    history = record.stages[-1]["summary"].get("history", [])
    return [(one["step"], one["epoch"], one["accuracy"]) for one in history if "epoch" in one]


def _reliability(
    material: Material, table: ResultsTable, profile: Profile, results: Sequence[RowResult]
) -> list[Block]:
    """Confidence beside accuracy."""
    parts, words, lines = [], [], []
    for result in results:
        found = reliability(result.records)
        if found is None:
            continue
        total = sum(count for *_, count in found.bins)
        sizes = tuple(6 + 110 * count / total for *_, count in found.bins)
        shown = Line(tuple(sure for sure, *_ in found.bins), tuple(right for _, right, _ in found.bins), sizes)
        parts.append(Panel(result.row.id, (shown,)))
        words.append(f"{result.row.id} {found.confidence:.3f} beside {found.accuracy:.3f}")
        cells = [number(found.confidence), number(found.accuracy), number(found.confidence - found.accuracy, "+.4f")]
        lines.append([material.named(result), *cells, number(found.gap)])
    if not parts:
        return []
    head = ["row", "mean confidence", "accuracy", "confidence minus accuracy", "calibration error"]
    return [
        "### How far the probabilities can be trusted",
        "A net that says 0.9 should be right nine times in ten: points on the diagonal. All seeds of a row together, "
        f"in {BINS} equal parts of the confidence in the predicted class; the larger a point, the more examples. The "
        "calibration error is the mean distance from the diagonal, weighted by examples. The support vector machine "
        "gives no probabilities.",
        panels(
            f"reliability-{table.id}-{profile.id}",
            "Confidence and accuracy on dev",
            f"Reliability diagrams; mean confidence beside accuracy: {'; '.join(words)}.",
            ("confidence in the predicted class", "share of right predictions"),
            parts,
            diagonal=True,
        ),
        table_of(head, lines),
    ]


def _confusion(material: Material, table: ResultsTable, profile: Profile, results: Sequence[RowResult]) -> list[Block]:
    """The confusion matrix of the table's first row that was run, and its classes by number and name."""
    result = next((result for result in results if result.scores), None)
    counts = mean_confusion(result.records) if result else None
    if result is None or counts is None:
        return []
    records = [record for record in result.records if record.counts]
    labels = records[0].labels
    if any(record.labels != labels for record in records):
        return []
    wrong = counts - np.diag(np.diag(counts))
    most = sorted(((value, at) for at, value in np.ndenumerate(wrong) if value), reverse=True)[:3]
    told = "; ".join(f"{labels[true]} taken for {labels[taken]} {value:.1f} times" for value, (true, taken) in most)
    per_seed = [per_class(record.counts["confusion"]) for record in records]
    lines = []
    for at, label in enumerate(labels):
        scores = [[one[at].precision, one[at].recall, one[at].f1] for one in per_seed]
        lines.append([str(at), label, str(per_seed[0][at].support), *map(number, np.mean(scores, axis=0))])
    where = f"{material.named(result)}, mean over {plural(len(records), 'seed')}"
    return [
        "### Which classes are taken for which",
        f"Dev examples by true and predicted class: {where}.",
        matrix(
            f"confusion-{table.id}-{profile.id}",
            f"Confusion matrix of {result.row.id} under {profile.id}",
            f"Confusion matrix of {result.row.id}, mean over seeds. Most often confused: {told or 'none'}.",
            ("true class", "predicted class, by number; mean number of dev examples"),
            labels,
            counts,
        ),
        "The classes of the picture by number, with their scores (means over the same seeds):",
        table_of(["class", "label", "dev examples", "precision", "recall", "F1"], lines),
    ]


def _span(values: Iterable[int]) -> str:
    """The least and the most of some numbers, one where they are equal."""
    found = sorted(values)
    return f"{found[0]:,}" if found[0] == found[-1] else f"{found[0]:,} to {found[-1]:,}"
