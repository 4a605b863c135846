"""How long a run takes by the records that there are, as `--dry-run` says it, and what `--budget` picks of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from replicate.commands.dry import as_trees, as_values
from replicate.runs.ask import selected
from replicate.runs.budget import Rows, within
from replicate.runs.runner import Runner
from replicate.runs.store import Store
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile

SEEDS = (1, 2, 3)
# All seeds descend from one pretrained net: 100 + 3 * 20 + 3 * 1.
SECONDS = {"pretrain": 100.0, "finetune": 20.0, "svm": 1.0}


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """With nothing in its store, no records and none that were accepted."""
    profile = load_profile("smoke").changed(seeds=SEEDS)
    return Runner(profile, Store(tmp_path / "store"), quiet=True, measured=tmp_path / "measured")


@pytest.fixture
def rows() -> Rows:
    """A net and the linear baseline."""
    names = ("ernie3_kuake_qic/base", "ernie3_kuake_qic/svm")
    return [*selected(load_tables(), load_profile("smoke"), names)]


def tell(runner: Runner, rows: Rows, seconds: Mapping[str, float] = SECONDS) -> None:
    """Records that say how long stages took."""
    for table, row in rows:
        for seed in SEEDS:
            stages = [
                {"stage": one.name, "key": one.key, "passed": dict(one.passed), "seconds": seconds[one.name]}
                for one in runner.planned(table, row, seed)
                if one.name in seconds
            ]
            path = runner.measured / "smoke" / table.id / row / f"seed-{seed}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"stages": stages, "machine": {"cpu": "a processor"}}), encoding="utf-8")


@pytest.mark.parametrize(
    ("budget", "workers", "wanted", "seeds", "told"),
    [
        (163, 1, ("base", "svm"), (1, 2, 3), "2 min 43 s: everything fits, in some 2 min 43 s"),
        (162, 1, ("base", "svm"), (1, 2), "2 min 42 s: seeds 1, 2 of 3 fit, in some 2 min 22 s; everything would take"),
        (121, 1, ("base", "svm"), (1,), "2 min 1 s: seed 1 of 3 fits, in some 2 min 1 s; everything would take"),
        (140, 2, ("base", "svm"), (1, 2, 3), "2 min 20 s: everything fits, in some 2 min 20 s"),
        (
            50,
            1,
            ("svm",),
            (1,),
            "50 s: 1 of 2 rows fit with seed 1: svm, in some 1 s; everything would take 2 min 43 s",
        ),
        (0.5, 1, ("base",), (1,), "0 s: 1 of 2 rows fit with seed 1: base, in some 2 min"),
    ],
)
def test_a_budget_picks(
    budget: float, workers: int, wanted: tuple[str, ...], seeds: tuple[int, ...], told: str, runner: Runner, rows: Rows
) -> None:
    """As many seeds of all rows as fit; else rows of the first seed, the first row where none does."""
    tell(runner, rows)
    fit = within(runner, rows, budget, workers)
    assert tuple(row for _, row in fit.rows) == wanted
    assert fit.runner.profile.seeds == seeds
    assert fit.told.startswith(told)


def test_what_no_record_knows_is_told(runner: Runner, rows: Rows) -> None:
    """Where none knows anything, all run until the time is over."""
    fit = within(runner, rows, 60.0, 1)
    assert fit.rows == rows
    assert fit.runner.profile.seeds == SEEDS
    assert "no record says how long anything takes" in fit.told
    tell(runner, rows, {"svm": 1.0})
    assert within(runner, rows, 60.0, 1).told.endswith("of 4 of 7 stages no record says how long they take")


def test_a_dry_run_says_how_long_it_takes(runner: Runner, rows: Rows) -> None:
    """By kind of stage, in all, and with several at once; a kind that no record knows is told."""
    plans = [(table, row, {seed: runner.last(table, row, seed) for seed in SEEDS}) for table, row in rows]
    assert [*as_trees(runner, plans, 1)][-1] == "no record says how long that takes"
    tell(runner, rows)
    *_, table, _, last = as_trees(runner, plans, 1)
    assert [line.split(maxsplit=2) for line in table.splitlines()[2:]] == [
        ["pretrain", "1", "1 min 40 s"],
        ["finetune", "3", "1 min"],
        ["svm", "3", "3 s"],
    ]
    assert last == "expected time: 2 min 43 s, by records on a processor"
    *_, last = as_trees(runner, plans, 2)
    # Pretraining, and of three nets two side by side.
    assert last == "expected time: 2 min 20 s with 2 stages at once, 2 min 43 s in all, by records on a processor"
    seconds = {(one["row"], one["seed"], one["stage"]): one["seconds"] for one in as_values(runner, plans)}
    assert seconds["base", 1, "pretrain"] == 100.0
    assert seconds["svm", 2, "svm"] == 1.0
    tell(runner, rows, {"svm": 1.0, "pretrain": 100.0})
    *_, last = as_trees(runner, plans, 1)
    assert last.endswith("by records on a processor; of 3 of them no record says anything")
    assert [one["seconds"] for one in as_values(runner, plans) if one["stage"] == "finetune"] == [None] * 3
