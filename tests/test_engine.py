"""How an engine is chosen, and how many processes of which device it has."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from replicate.common.errors import UserError
from replicate.runs import engine as engines
from replicate.runs.ask import Ask
from replicate.runs.engine import Engine, hired, open_executor
from replicate.runs.local import Process, Processes
from replicate.runs.lock_test import held_lock, lock_fault
from replicate.runs.pool import Pool
from replicate.runs.runner import Runner
from replicate.runs.sameness import visible_gpus
from replicate.runs.sequential import Sequential
from replicate.runs.store import Store
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """Under smoke, with a store of its own."""
    return Runner(load_profile("smoke"), Store(tmp_path / "store"), quiet=True, offline=True)


def size(pool: object) -> int:
    """How many stages an engine runs at once."""
    assert isinstance(pool, Pool)
    return pool._crew.size


def test_one_after_another_unless_somebody_asks(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several processes, or an engine's name, are a question; without a number it is one a core."""
    monkeypatch.setattr(engines, "cores", lambda: 7)
    assert isinstance(open_executor(Engine(), runner), Sequential)
    assert isinstance(open_executor(Engine(processes=1), runner), Sequential)
    assert size(open_executor(Engine(processes=2), runner)) == 2
    assert size(open_executor(Engine("local"), runner)) == 7
    assert size(open_executor(Engine("local", 1), runner)) == 1


def test_a_session_without_rows_starts_nobody(runner: Runner) -> None:
    """Nor does it write anything."""
    engine = open_executor(Engine(processes=3), runner)
    try:
        assert [*engine.execute([])] == []
        assert not runner.store.root.exists()
    finally:
        engine.close()


def test_only_what_is_asked_for_is_run(runner: Runner) -> None:
    """Of some rows not every seed is run: the seed between two others, and the other rows, are left alone."""
    table = load_tables()["ernie3_kuake_qic"]
    one = replace(runner, profile=runner.profile.changed(seeds=(4, 5, 6)))
    engine = open_executor(Engine(processes=2), one)
    try:
        records = [*one.drive([Ask(table, "svm", seed) for seed in (4, 6)], engine)]
    finally:
        engine.close()
    assert sorted((record.row, record.seed, record.status) for record in records) == [
        ("svm", 4, "ok"),
        ("svm", 6, "ok"),
    ]
    keys = {one.last(table, "svm", seed).key for seed in (4, 6)}
    assert {path.name for path in (one.store.root / "svm").iterdir()} == keys
    assert {path.name for path in one.store.root.iterdir()}.isdisjoint({"finetune", "pretrain", "augment"})


def test_how_far_they_are_is_told(runner: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """What is to make, each stage that is made, and what it came to; again, nothing is made and nothing told."""
    table, one = load_tables()["ernie3_kuake_qic"], replace(runner, quiet=False)
    engine = open_executor(Engine(processes=2), one)
    try:
        assert len([*one.drive([Ask(table, "svm", seed) for seed in (4, 5, 6)], engine)]) == 3
        first, *made, last = capsys.readouterr().err.splitlines()
        assert first.startswith("replicate: 3 of 3 stages to make: ")
        assert first.endswith(" with 2 workers")
        assert len(made) == 3
        assert all(re.search(rf" \({at} of 3, .* left\)$", line) for at, line in enumerate(made, 1))
        assert last.startswith("replicate: 3 stages made in ")
        assert len([*one.drive([Ask(table, "svm", 5)], engine)]) == 1
        assert capsys.readouterr().err == ""
    finally:
        engine.close()


def test_what_this_process_was_told_its_workers_are(runner: Runner) -> None:
    """No network, the store's and the records' folders; any GPU is a GPU to them."""
    told = hired(replace(runner, profile=runner.profile.changed(device="gpu:1")))()
    assert (told["offline"], told["profile"]["device"]) == (True, "gpu")
    assert (told["store"], told["measured"]) == (str(runner.store.root.resolve()), str(runner.measured.resolve()))
    assert not hired(replace(runner, offline=False))()["offline"]


def test_a_worker_finds_the_data_from_any_folder(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of somebody's own by its whole path; what the project knows by name keeps it."""
    monkeypatch.chdir(tmp_path)
    one = replace(runner, profile=runner.profile.changed(dataset="mine"))
    assert Path(hired(one)()["profile"]["dataset"]) == tmp_path / "mine"
    assert hired(runner)()["profile"]["dataset"] == runner.profile.dataset == "generated"


@pytest.mark.parametrize(
    ("device", "options", "wanted"),
    [
        ("gpu", {}, 4),
        ("gpu", {"gpus_per_stage": 0.5}, 8),
        ("gpu", {"processes": 3}, 3),
        ("gpu:1", {}, 1),
        ("cpu", {"processes": 5}, 5),
    ],
)
def test_one_process_a_gpu(
    device: str, options: dict[str, float], wanted: int, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or as many as share it; a GPU that is named is the only one."""
    monkeypatch.setattr(engines, "visible_gpus", lambda: ["0", "1", "2", "3"])
    one = replace(runner, profile=runner.profile.changed(device=device))
    engine = Engine("local", **options)  # type: ignore[arg-type]
    assert size(open_executor(engine, one)) == wanted


def test_a_gpu_that_is_not_there(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line."""
    monkeypatch.setattr(engines, "visible_gpus", lambda: ["0"])
    one = replace(runner, profile=runner.profile.changed(device="gpu:3"))
    with pytest.raises(UserError, match="may use 1 GPU"):
        open_executor(Engine("local"), one)


@pytest.mark.parametrize(
    ("named", "wanted"), [("2,3", ["2", "3"]), ("", []), ("-1", []), ("GPU-ab, MIG-c", ["GPU-ab", "MIG-c"])]
)
def test_gpus_that_a_variable_names(named: str, wanted: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As CUDA reads it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == wanted


def test_each_worker_sees_its_own_gpu(runner: Runner) -> None:
    """Two on each of two GPUs, in turn; what wants none sees none; there is room for no more."""
    crew = Processes(hired(runner), runner.store, 4, ["0", "7"])
    try:
        workers = [crew.hire(True) for _ in range(5)] + [crew.hire(False)]
        seen = [variables(one.pid).get("CUDA_VISIBLE_DEVICES") if isinstance(one, Process) else None for one in workers]
        assert seen == ["0", "7", "0", "7", None, ""]
        assert workers[4] is None
    finally:
        crew.close()


def variables(pid: int) -> dict[str, str]:
    """A process's environment."""
    lines = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_a_lock_that_another_process_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is seen to be held; what does nothing, or is elsewhere, is told; what a killed driver left goes."""
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "test-1-left").touch()
    with held_lock(tmp_path) as path:
        assert [one.name for one in (tmp_path / "locks").iterdir()] == [Path(path).name]
        # Another opening of the file is as another process here.
        assert lock_fault(path) == ""
        monkeypatch.setattr("fcntl.flock", lambda *_: None)
        assert "locks have no effect" in lock_fault(path)
        monkeypatch.setattr("fcntl.flock", failing)
        assert "can't be locked: " in lock_fault(path)
    assert lock_fault("") == ""
    assert "isn't the one here" in lock_fault(str(tmp_path / "locks" / "test-elsewhere"))


def failing(file: int, operation: int) -> None:
    """A file system whose locks fail."""
    raise OSError(37, os.strerror(37))
