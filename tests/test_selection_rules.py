"""The score of a run by each selection rule, from the evaluations that its record holds."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from replicate.records.run import Record
from replicate.records.selection import RULES, score_of
from tests.synthetic import failure, record


def with_history(one: Record, evaluations: list[tuple[float, float]]) -> Record:
    """A run whose last stage was evaluated so often: accuracy and F1."""
    history = [{"step": n, "accuracy": a, "f1": f} for n, (a, f) in enumerate(evaluations)]
    return replace(one, stages=({**one.stages[0], "summary": {"history": history}},))


def test_each_rule_chooses_its_own_step() -> None:
    """The first of equals, as training does; without a rule the record's own predictions count."""
    run = with_history(record("base", 1, 20), [(0.7, 0.9), (0.8, 0.6), (0.8, 0.7), (0.75, 0.8)])
    found = {metric: score_of(run, metric) for metric in (*RULES, "accuracy")}
    assert found == {
        "accuracy_by_accuracy": 0.8,
        "f1_by_accuracy": 0.6,
        "accuracy_by_f1": 0.7,
        "f1_by_f1": 0.9,
        "accuracy_last": 0.75,
        "f1_last": 0.8,
        "accuracy": 0.8,
    }


@pytest.mark.parametrize("run", [failure("base", 1, "error"), failure("base", 1, "diverged")])
def test_a_run_that_failed_has_no_score(run: Record) -> None:
    """By no rule, and not by its own."""
    assert all(math.isnan(score_of(run, metric)) for metric in (*RULES, "accuracy", "macro_f1"))


def test_without_a_history_a_rule_gives_no_score() -> None:
    """A support vector machine has no steps to choose from."""
    run = record("svm", 1, 20)
    assert math.isnan(score_of(run, "accuracy_by_f1"))
    assert score_of(run, "accuracy") == 0.8
