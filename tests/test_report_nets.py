"""The report's blocks on training curves, reliability and confusion, from records made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from replicate.records.run import Record
from replicate.report.build import gather
from replicate.report.pictures.picture import Picture
from replicate.report.sections.nets import mean_confusion, nets, reliability
from replicate.scores.packing import pack_confidence
from replicate.tables.table import ResultsTable
from tests.synthetic import GOLD, PROFILES, SMALL, article, record, runs


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


def of(table: ResultsTable, records: Sequence[Record]) -> tuple[str, dict[str, Picture]]:
    """The blocks' text, and the pictures by name."""
    blocks = nets(gather({table.id: table}, records, PROFILES), table, SMALL)
    text = "\n\n".join(block for block in blocks if isinstance(block, str))
    return text, {block.name: block for block in blocks if isinstance(block, Picture)}


def test_nothing_without_records(table: ResultsTable) -> None:
    """A table that nobody ran has no such blocks."""
    assert of(table, []) == ("", {})


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
    """Counts are averaged, the picture's class names are the labels, and the most frequent confusion is told."""
    records = runs("base", [10, 20], "small")
    counts = mean_confusion(records)
    assert counts is not None
    np.testing.assert_array_equal(counts, [[25, 0, 15], [0, 30, 0], [0, 0, 30]])
    text, pictures = of(table, records)
    assert pictures["confusion-article-small"].finding.endswith("diagnosis taken for other 15.0 times.")
    assert "| 1 | treatment | 30 | 1.0000 | 1.0000 | 1.0000 |" in text
    assert "| 0 | diagnosis | 40 | 1.0000 | 0.6250 |" in text
    assert int(np.sum(GOLD == 0)) == 40


def test_training_curves(table: ResultsTable) -> None:
    """First and best accuracy are means over seeds; steps are those of the records, with links."""
    records = [trained(record("base", 1, 10, profile="small"), [0.5, 0.7]), record("svm", 1, 10, profile="small")]
    records.append(trained(record("base", 2, 10, profile="small"), [0.6, 0.9, 0.8]))
    text, pictures = of(table, records)
    assert "base from 0.550 to 0.800" in pictures["training-article-small"].finding
    assert "| [`base`](measured/small/article/base) | finetune | 20 to 30 | 20 | 0.5500 | 0.8000 |" in text
