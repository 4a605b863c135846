"""The report's blocks on training curves, reliability and confusion, from records made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from replicate.findings.nets import Nets, confusion, nets_of, reliability
from replicate.findings.rows import RowResult, row_result
from replicate.records.run import Record
from replicate.report.sections.nets import section_nets
from replicate.scores.packing import pack_confidence
from replicate.tables.table import ResultsTable
from tests.shown import line, pictures
from tests.synthetic import GOLD, article, record, runs


@pytest.fixture
def table(tmp_path: Path) -> ResultsTable:
    """The synthetic table."""
    return article(tmp_path)


def confident(run: Record, confidence: Sequence[float]) -> Record:
    """The run with a confidence for each of its 100 examples."""
    return replace(run, confidence=pack_confidence(confidence))


def trained(run: Record, accuracies: Sequence[float]) -> Record:
    """The run with an evaluation each ten steps; the second was kept."""
    history = [
        {"step": 10 * n, "epoch": n / 2, "accuracy": accuracy, "f1": 0.0, "loss": 0.1, "correct": run.correct}
        for n, accuracy in enumerate(accuracies, start=1)
    ]
    summary = {"history": history, "best_step": 20, "steps": 10 * len(accuracies)}
    return replace(run, stages=({**run.stages[0], "summary": summary},))


def of(table: ResultsTable, records: Sequence[Record]) -> Nets:
    """What is known of the nets of the table's rows."""
    return nets_of(table.id, "small", [row_result(records, row, "small") for row in table.rows])


def test_nothing_without_records(table: ResultsTable) -> None:
    """A table that nobody ran has no such blocks."""
    assert of(table, []) == Nets("article", "small", (), (), None)
    assert section_nets(of(table, [])) == []


def test_reliability_by_hand() -> None:
    """Two bins worked out by hand: 10 examples at 0.55 of which none is right, 90 at 0.95 that all are."""
    found = reliability([confident(record("base", 1, 10), [0.55] * 10 + [0.95] * 90)])
    assert found is not None
    assert [count for *_, count in found.bins] == [10, 90]
    assert [right for _, right, _ in found.bins] == [0.0, 1.0]
    assert found.confidence == pytest.approx(0.91, abs=1e-4)
    assert found.accuracy == 0.9
    assert found.gap == pytest.approx(0.1 * 0.55 + 0.9 * 0.05, abs=1e-4)


def test_reliability_counts_certainty() -> None:
    """A confidence of exactly 1 belongs to the last bin; a row without confidences has no reliability."""
    found = reliability([confident(record("base", 1, 0), [1.0] * 100)])
    assert found is not None
    assert found.bins == ((1.0, 1.0, 100),)
    assert found.gap == 0.0
    assert reliability([record("base", 1, 0)]) is None


def test_confusion_is_the_mean_over_seeds(table: ResultsTable) -> None:
    """Counts are averaged, classes have their labels, and the most frequent confusion is told."""
    found = of(table, runs("base", [10, 20], "small"))
    mean = found.confusion
    assert mean is not None
    np.testing.assert_array_equal(mean.counts, [[25, 0, 15], [0, 30, 0], [0, 0, 30]])
    assert mean.most == ((15.0, 0, 2),)
    assert mean.labels == ("diagnosis", "treatment", "other")
    blocks = section_nets(found)
    (picture,) = pictures(blocks)
    assert (picture.name, "diagnosis taken for other 15.0 times" in picture.finding) == (
        "confusion-article-small",
        True,
    )
    treatment, diagnosis = (line(blocks, label=label) for label in ("treatment", "diagnosis"))
    assert [treatment.cells[head] for head in ("class", "dev examples", "F1")] == ["1", "30", "1.0000"]
    assert [diagnosis.values[head] for head in ("class", "dev examples", "precision", "recall")] == [0, 40, 1, 0.625]
    assert diagnosis.runs["recall"] is not None
    assert diagnosis.runs["recall"].scores == {1: 0.75, 2: 0.5}
    assert int(np.sum(GOLD == 0)) == 40


def test_confusion_needs_the_same_labels(table: ResultsTable) -> None:
    """Seeds with other label lists are not added up."""
    first, second = runs("base", [10, 20], "small")
    assert confusion(RowResult(table.row("base"), "small", (first, second))) is not None
    other = replace(second, labels=("a", "b", "c"))
    assert confusion(RowResult(table.row("base"), "small", (first, other))) is None


def test_training_curves(table: ResultsTable) -> None:
    """First and best accuracy are means over seeds; steps are those of the records, with links."""
    records = [trained(record("base", 1, 10, profile="small"), [0.5, 0.7]), record("svm", 1, 10, profile="small")]
    records.append(trained(record("base", 2, 10, profile="small"), [0.6, 0.9, 0.8]))
    found = of(table, records)
    (course,) = found.courses
    assert (course.firsts, course.tops) == ({1: 0.5, 2: 0.6}, {1: 0.7, 2: 0.9})
    assert (course.steps, course.kept_at, course.kept) == ((20, 30), (20, 20), ((1.0, 0.7), (1.0, 0.9)))
    shown = line(section_nets(found), row="base", last_stage="finetune")
    assert shown.links == ("measured/small/article/base",)
    assert [shown.cells[head] for head in ("steps", "first evaluation", "best")] == ["20 to 30", "0.5500", "0.8000"]
    assert "base from 0.550 to 0.800" in pictures(section_nets(found))[0].finding
