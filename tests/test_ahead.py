"""Seeds that other processes run ahead: what they make lies in the store, and what they leave out is made here."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from replicate.commands.ahead import run_ahead
from replicate.runs.runner import Runner
from replicate.runs.store import Store
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile

TABLES = load_tables()
SMOKE = load_profile("smoke").changed(seeds=(4, 5, 6))
ROW = "ernie3_kuake_qic/svm"


def kept(folder: Path) -> list[bool]:
    """Whether the store has the row, seed by seed."""
    runner = Runner(SMOKE, Store(folder), quiet=True, offline=True)
    stages = [runner.planned(TABLES["ernie3_kuake_qic"], "svm", seed)[-1] for seed in SMOKE.seeds]
    return [runner.kept(stage) for stage in stages]


def test_every_seed_is_in_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More seeds than processes: all of them are run, and nothing is printed."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path))
    run_ahead({seed: [ROW] for seed in SMOKE.seeds}, SMOKE, processes=2, offline=True)
    assert kept(tmp_path) == [True, True, True]


def test_a_seed_without_rows_runs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of some rows not every seed is run, and a process that is told no row would take all of them."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path))
    run_ahead({4: [ROW], 5: [], 6: [ROW]}, SMOKE, processes=2, offline=True)
    assert kept(tmp_path) == [True, False, True]
    assert {one.name for one in tmp_path.iterdir() if one.is_dir()}.isdisjoint({"finetune", "pretrain"})


def test_how_far_they_are_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While they run, with the time left as soon as one is done; and nothing where nobody asked."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path))
    monkeypatch.setattr("replicate.commands.ahead._EVERY", 0.05)
    monkeypatch.setattr("replicate.common.progress.LOG_SECONDS", 0.0)
    asked = {seed: [ROW] for seed in SMOKE.seeds}
    looks = iter([0, 0, *(2 for _ in range(100_000))])
    run_ahead(asked, SMOKE, 3, True, lambda: next(looks), quiet=False)
    told = capsys.readouterr().err
    assert "rows of 3 seeds, 3 at once step 2/3" in told
    assert "step 0/3" not in told
    assert " s left" in told
    run_ahead(asked, SMOKE, 3, True, lambda: 1)
    assert capsys.readouterr().err == ""


def test_what_fails_there_is_left_to_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that they can't run is no error here: whoever runs it next tells of it."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path))
    run_ahead({seed: ["ernie3_kuake_qic/nobody"] for seed in SMOKE.seeds}, SMOKE, processes=3, offline=True)
    assert kept(tmp_path) == [False, False, False]


@pytest.mark.parametrize(("rows", "processes"), [([ROW], 1), ([], 3)])
def test_one_process_runs_nothing_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[str], processes: int
) -> None:
    """Neither does a session without rows."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    run_ahead({seed: rows for seed in SMOKE.seeds}, SMOKE, processes, offline=True)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("processes", [2, 3])
def test_whoever_stops_this_process_stops_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    """None of them outlives an interrupt, whether all have begun or another seed waits for the first one's end."""
    started: list[subprocess.Popen[bytes]] = []

    class Interrupted(subprocess.Popen[bytes]):
        waited = False

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            started.append(self)

        def wait(self, timeout: float | None = None) -> int:
            if not Interrupted.waited:
                Interrupted.waited = True
                raise KeyboardInterrupt
            return super().wait(timeout)

    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path))
    monkeypatch.setattr("subprocess.Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_ahead({seed: ["ernie3_kuake_qic/base"] for seed in SMOKE.seeds}, SMOKE, processes, offline=True)
    assert len(started) == processes
    assert all(one.poll() is not None for one in started)
