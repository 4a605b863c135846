"""The two biases of the protocol, and the tests beside a difference, from small synthetic records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from replicate.findings.apart import TableApart
from replicate.findings.biases import Biases, evaluations
from replicate.findings.compute import compute
from replicate.findings.evidence import gather
from replicate.findings.rows import OTHER_NETS, difference_of, judge_row_against_baseline, row_result
from replicate.records.run import Record
from replicate.report.sections.apart import section_apart
from replicate.report.sections.biases import section_biases
from replicate.scores.packing import pack_bits
from replicate.tables.file import load_table
from replicate.tables.table import ResultsTable
from replicate.verdicts.published import Status, together
from tests.shown import line
from tests.synthetic import PROFILES, TABLE, failure, record, runs

TWIN = """
[[rows]]
id = "prune-train"
title = "Pruned by training data"
parent = "base"
recipe = [{ stage = "prune", width = "1/2", select = "f1", importance = "train" }]
profiles = ["small"]
"""


@pytest.fixture
def table(tmp_path: Path) -> ResultsTable:
    """The report's table with a row that differs from another in its importance only."""
    head, claims, tail = TABLE.partition("[[claims]]")
    (tmp_path / "article.toml").write_text(head + TWIN.strip() + "\n" + claims + tail, encoding="utf-8")
    return load_table(tmp_path / "article.toml")


def with_history(one: Record, wrongs: list[int]) -> Record:
    """The record as if each evaluation had got another number of the first examples wrong."""
    history = [{"step": n, "correct": pack_bits(np.arange(100) >= wrong)} for n, wrong in enumerate(wrongs, start=1)]
    return replace(one, stages=({**one.stages[0], "summary": {"history": history}},))


def test_evaluations_are_those_of_the_last_stage() -> None:
    """One line an evaluation, which examples it got right; a run without predictions or history has none."""
    found = evaluations(with_history(record("base", 1, 10), [30, 20, 10]))
    assert found is not None
    assert found.sum(axis=1).tolist() == [70, 80, 90]
    assert evaluations(record("base", 1, 10)) is None
    assert evaluations(failure("base", 1, "diverged")) is None


def of_small(table: ResultsTable, records: Sequence[Record]) -> TableApart:
    """What there is to say of the table's rows under the profile that is not comparable."""
    (apart,) = compute(gather({table.id: table}, records, PROFILES)).apart
    return apart.tables[0]


def test_the_gain_from_choosing_is_shown_for_rows_with_a_history(table: ResultsTable) -> None:
    """A clearly best evaluation is best on both halves: no gain, the number of evaluations and seeds beside it."""
    records = [with_history(one, [30, 20, 10]) for one in runs("base", [10, 11, 12], "small")]
    found = of_small(table, records).biases
    (selection,) = found.selections
    assert (selection.result.row.id, selection.found.evaluations, selection.found.seeds) == ("base", 3.0, 3)
    assert selection.found.other_half == pytest.approx(0.9, abs=0.01)
    assert list(selection.by_seed) == [1, 2, 3]
    shown = line(section_biases(found, "name", "small"), row="base")
    assert shown.cells["evaluations"] == "3.0"
    assert shown.cells["gain from choosing (seeds)"].endswith("(3)")
    assert of_small(table, runs("base", [10, 11, 12], "small")).biases == Biases((), ())
    assert section_biases(Biases((), ()), "name", "small") == []


def test_rows_that_choose_by_f1_are_told_where_records_hold_it(table: ResultsTable) -> None:
    """By F1, not by accuracy; records without what it counts leave their row untold."""
    positives = np.arange(100) < 20
    records = []
    for one in runs("prune", [20, 21, 22], "small"):
        marked = with_history(one, [30, 20])
        # The first evaluation finds class 1, the second is right more often.
        for entry, called in zip(marked.stages[0]["summary"]["history"], (positives, ~positives), strict=True):
            entry |= {"called": pack_bits(called), "positives": pack_bits(positives)}
        records.append(marked)
    found = of_small(table, records).biases
    assert found.untold == ()
    assert found.selections[0].found.other_half == pytest.approx(0.7, abs=0.01)
    bare = of_small(table, [with_history(one, [30, 20]) for one in records]).biases
    assert [one.row.id for one in bare.untold] == ["prune"]


def test_rows_that_differ_in_importance_only_are_paired(table: ResultsTable) -> None:
    """The control stands against the row whose recipe is its own but for the importance."""
    records = runs("prune", [20, 21, 25], "small") + runs("prune-train", [18, 20, 22], "small")
    found = of_small(table, records).biases
    (both,) = found.importance
    assert (both["accuracy"].a.row.id, both["accuracy"].b.row.id) == ("prune-train", "prune")
    assert both["accuracy"].found.difference == pytest.approx(0.02)
    shown = line(section_biases(found, "name", "small"), difference="prune-train minus prune")
    assert (shown.cells["metric"], shown.cells["mean (pairs)"]) == ("accuracy", "+0.0200 (3)")


def test_a_row_of_some_profiles_stays_out_of_the_published_table(table: ResultsTable) -> None:
    """A control that the comparable profile does not run is not listed beside the published rows."""
    findings = compute(gather({table.id: table}, runs("prune-train", [18, 20, 22], "small"), PROFILES))
    assert "prune-train" not in [row.id for row, _ in findings.published[0].rows]
    shown = line(section_apart(findings.apart[0]), row="prune-train")
    assert shown.cells["stages"].endswith("importance train")
    assert shown.cells["accuracy"] == "0.8000 ± 0.0200 (3)"


@pytest.mark.parametrize(("p", "status"), [(0.012, "lower"), (0.013, "inconclusive")])
def test_one_metric_far_off_is_corrected_over_the_metrics(p: float, status: str) -> None:
    """What one of four metrics shows alone at 0.05 it shows for the row at a quarter of that."""
    names = ("accuracy", "precision", "recall", "f1")
    found: dict[str, tuple[Status, str]] = {name: ("replicated", "close") for name in names}
    found["recall"] = ("lower", "far")
    assert together(found, {name: p if name == "recall" else 1.0 for name in names}, 0.05)[0] == status


@pytest.mark.parametrize("metrics", [("accuracy", "f1"), ("accuracy",)])
def test_new_seeds_against_the_accepted_ones(table: ResultsTable, metrics: tuple[str, ...]) -> None:
    """Like its baseline a row is replicated, worse it is lower, without one inconclusive, and an error is an error.

    A metric without a tolerance is not compared.
    """
    wide = replace(table, tolerances={name: table.tolerances["accuracy"] for name in metrics})
    row = table.row("base")

    def verdict(new: list[Record], old: list[Record]) -> str:
        accepted = row_result(old, row, "small") if old else None
        return judge_row_against_baseline(wide, row_result(new, row, "small"), accepted).status

    accepted = runs("base", [20, 21, 20, 21], "small")
    elsewhere = [replace(one, pretrained="another") for one in runs("base", [21, 20, 21, 20], "small")]
    here = [replace(one, pretrained="this") for one in accepted]
    told = judge_row_against_baseline(wide, row_result(elsewhere, row, "small"), row_result(here, row, "small")).reason
    assert told.endswith(OTHER_NETS)
    # Two seeds with this spread could show nothing, but they are the accepted ones to the last prediction.
    assert verdict(runs("base", [10, 30], "small"), runs("base", [10, 30], "small")) == "replicated"
    assert verdict(runs("base", [10, 30], "small"), runs("base", [10, 31], "small")) == "inconclusive"
    assert verdict(runs("base", [21, 20, 21, 20], "small"), accepted) == "replicated"
    assert verdict(runs("base", [40, 41, 40, 41], "small"), accepted) == "lower"
    assert verdict(runs("base", [2, 1, 2, 1], "small"), accepted) == "higher"
    assert verdict(runs("base", [20, 21], "small"), []) == "inconclusive"
    assert (
        verdict([*runs("base", [20, 21], "small"), failure("base", 3, "error", profile="small")], accepted) == "error"
    )
    assert verdict([*runs("base", [20], "small"), failure("base", 3, "diverged", profile="small")], accepted) == (
        "inconclusive"
    )


def test_paired_differences_name_every_test(table: ResultsTable) -> None:
    """The t-test, the sign flip, the resampled interval and McNemar's p of each seed stand beside a difference."""
    records = runs("base", [18, 20, 25], "small") + runs("prune", [20, 23, 29], "small")
    (apart,) = compute(gather({table.id: table}, records, PROFILES)).apart
    shown = line(section_apart(apart), difference="prune minus base", metric="accuracy").cells
    prune, base = (row_result(records, table.row(name), "small") for name in ("prune", "base"))
    one = difference_of(prune, base, "accuracy")
    assert one is not None
    found = one.found
    assert one.judged is None
    assert shown["word"] == "below"
    assert shown["p, sign flip"] == f"{found.p_sign_flip:.4f}"
    resampled = f"{found.bootstrap_ci[0]:.4f} to {found.bootstrap_ci[1]:.4f}"
    assert shown["seeds and examples resampled"] == resampled
    assert shown["p, McNemar, one a seed"] == "0.12 to 0.5"
    assert min(test.p for test in found.mcnemar) == pytest.approx(0.125)
