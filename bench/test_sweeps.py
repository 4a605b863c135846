"""How much of the time of one process two workers take, for twelve stages of some 15 seconds, with one thread each.

The net that they start from is there. Both sides run as commands, one after the other in one run of this test, and must
leave the same records. `pytest -m speed bench/test_sweeps.py` on two quiet cores; with `-m sweeps` half an hour of work
for two workers, beside the time that list scheduling would take for it. Ray takes part where it is installed. A race
that misses its goal is an expected failure that tells its ratio, and with pytest's `--strict` a failure.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from replicate.common.paths import ROOT
from replicate.records.run import load_records
from replicate.runs.schedule import makespan
from tests.goals import hold

SEEDS = ",".join(map(str, range(1, 13)))
# By engine, the share of the time of one process that two workers may take.
GOALS = {"local": 0.56, "ray": 0.60}
# The share of their time that list scheduling would take for half an hour of work, and seconds that Ray may start for.
BOUND, WORK, START = 0.95, 1800.0, 10.0
# Of one stage on the machine where the goals were set.
EPOCHS = 12
# What a clock, a host or a checkout's state decides.
TIMINGS = ("started", "finished", "seconds", "commit", "dirty", "origin", "command")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code with a profile of longer stages, and a store with the net that they start from."""
    root = tmp_path_factory.mktemp("sweeps")
    for folder in ("replicate", "expected"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "profiles").mkdir()
    text = (ROOT / "profiles" / "smoke.toml").read_text(encoding="utf-8")
    text = text.replace('id = "smoke"', 'id = "longer"').replace("epochs = 4\n", f"epochs = {EPOCHS}\n")
    text = text.replace("early_stop_nums = 2\n", "early_stop_nums = 0\n")
    (root / "profiles" / "longer.toml").write_text(text, encoding="utf-8")
    seconds(root, root / "first", "--seeds", "99")
    return root


def seconds(root: Path, store: Path, *words: str) -> float:
    """Of the wall, for the base row with more words."""
    command = [sys.executable, "-m", "replicate", "run", "base", "--profile", "longer", "--quiet", "--offline", *words]
    variables = {"PYTHONPATH": str(root), "REPLICATE_STORE": str(store), "OMP_NUM_THREADS": "1"}
    begun = time.perf_counter()
    subprocess.run(command, cwd=root, env={**os.environ, **variables}, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def records(store: Path) -> list[Any]:
    """Without what a clock decides."""
    return [plain(json.loads(path.read_bytes())) for path in sorted((store / "records").rglob("seed-*.json"))]


def plain(value: Any) -> Any:
    """A record with what a clock decides taken out."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key not in TIMINGS}
    return [plain(item) for item in value] if isinstance(value, list) else value


def raced(root: Path, name: str, *words: str) -> tuple[float, list[Any]]:
    """Seconds and records of a run with these words, on a store of its own."""
    store = root / name
    shutil.copytree(root / "first" / "pretrain", store / "pretrain")
    return seconds(root, store, *words), records(store)


@pytest.fixture(scope="module")
def alone(checkout: Path) -> tuple[float, list[Any]]:
    """One process, one stage after another."""
    return raced(checkout, "alone", "--seeds", SEEDS)


def check_installed(engine: str) -> None:
    """Skip what needs Ray where there is none."""
    if engine == "ray" and find_spec("ray") is None:
        pytest.skip("Ray isn't installed: pip install '.[ray]'")


@pytest.mark.speed
@pytest.mark.parametrize("engine", GOALS)
def test_two_workers(
    engine: str, checkout: Path, alone: tuple[float, list[Any]], request: pytest.FixtureRequest
) -> None:
    """The same records in little more than half of the time."""
    check_installed(engine)
    taken, found = raced(checkout, engine, "--seeds", SEEDS, "--engine", engine, "-j", "2")
    assert found == alone[1]
    ratio = taken / alone[0]
    told = f"{engine}: {taken:.0f} s beside {alone[0]:.0f} s, ratio {ratio:.3f}, goal {GOALS[engine]}"
    hold(told, GOALS[engine] / ratio, request)


@pytest.mark.sweeps
@pytest.mark.parametrize("engine", GOALS)
def test_half_an_hour_of_work(engine: str, checkout: Path, request: pytest.FixtureRequest) -> None:
    """Of two workers, their start included, beside what list scheduling would take for these stages."""
    check_installed(engine)
    (first,) = load_records(checkout / "first" / "records")
    a_seed = sum(one["seconds"] for one in first.stages if one["stage"] != "pretrain")
    seeds = ",".join(map(str, range(1, math.ceil(WORK / a_seed) + 1)))
    taken, _ = raced(checkout, f"long-{engine}", "--seeds", seeds, "--engine", engine, "-j", "2")
    stages = [one for record in load_records(checkout / f"long-{engine}" / "records") for one in record.stages]
    work = {one["key"]: one["seconds"] for one in stages if one["stage"] != "pretrain"}
    bound = makespan(work, {one["key"]: [*one["inputs"].values()] for one in stages}, 2)
    told = f"{engine}: {taken:.0f} s for {sum(work.values()):.0f} s of work, bound {bound:.0f} s"
    hold(f"{told}, share {bound / taken:.3f}, goal {BOUND}", bound / taken / BOUND, request)


@pytest.mark.speed
def test_ray_starts(request: pytest.FixtureRequest) -> None:
    """A Ray of this machine's own, from nothing."""
    check_installed("ray")
    code = (
        "import time; from replicate.runs.ray import connect; begun = time.perf_counter(); "
        "folder = connect('', 2, 0); print(time.perf_counter() - begun); "
        "import ray, shutil; ray.shutdown(); shutil.rmtree(folder)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    taken = float(done.stdout)
    hold(f"Ray: started in {taken:.1f} s, goal {START:.0f}", START / taken, request)
