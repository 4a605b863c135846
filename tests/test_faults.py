"""Killed anywhere, a run that is started again ends with what it would have been: bit for bit, timings apart."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from replicate.runs.store import Store
from tests.killable import Run, contents

# Rows with their stages that are killed: the article's way of pruning, ours, distillation, fusion, and a cloze.
CHAINS = {
    "ernie3_kuake_qic/prune-1-2": ("augment", "finetune", "prune", "report"),
    "compression/native-1-2": ("augment", "finetune", "prune", "report"),
    "distillation/bilstm-distilled": ("finetune", "distill", "report"),
    "fusion/base-soup": ("finetune", "fuse", "report"),
    "few_shot/prompt-16": ("shots", "prompt", "report"),
}
ARTICLE = "ernie3_kuake_qic/prune-1-2"


Undisturbed = Callable[[str], tuple[dict[str, Any], dict[str, float]]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, data_folder: Path) -> Undisturbed:
    """What a row gives whose run nobody disturbs, and the seconds of its stages."""

    @cache
    def run(row: str) -> tuple[dict[str, Any], dict[str, float]]:
        work = tmp_path_factory.mktemp("undisturbed")
        seconds = Run(work, data_folder, row).stages()
        assert set(CHAINS[row]) <= set(seconds)
        return contents(work), seconds

    return run


def killed(
    work: Path, data: Path, row: str, seconds: dict[str, float], stages: tuple[str, ...], rng: random.Random
) -> Counter[str]:
    """Kill one run after another, each at a random moment of the next stage; how many died in each."""
    deaths: Counter[str] = Counter()
    for stage in stages:
        if Run(work, data, row).kill(stage, rng.uniform(0, seconds[stage])):
            deaths[stage] += 1
        # A reader beside it never takes a part for the whole.
        store = Store(work / "store")
        assert not list(filter(None, (store.damage(*one) for one in store.artefacts())))
    return deaths


def test_killed_twice(tmp_path: Path, data_folder: Path, undisturbed: Undisturbed) -> None:
    """SIGKILL during fine-tuning and pruning; the third start ends with the undisturbed run's bytes."""
    whole, seconds = undisturbed(ARTICLE)
    assert killed(tmp_path, data_folder, ARTICLE, seconds, ("finetune", "prune"), random.Random(7)).total() == 2
    Run(tmp_path, data_folder, ARTICLE).stages()
    assert contents(tmp_path) == whole


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("row", CHAINS)
def test_thirty_kills(tmp_path: Path, data_folder: Path, undisturbed: Undisturbed, row: str) -> None:
    """Five rows, each killed ten times or more: three times in a stage, report included, before it may end."""
    whole, seconds = undisturbed(row)
    rng, deaths, stages = random.Random(row), Counter[str](), tuple(s for s in CHAINS[row] for _ in range(3))
    while deaths.total() < 10:
        deaths += killed(tmp_path, data_folder, row, seconds, stages, rng)
        if deaths.total() < 10:
            # It was done sooner than its seconds said; begin again with nothing.
            Run(tmp_path, data_folder, row).stages()
            assert contents(tmp_path) == whole
            tmp_path = tmp_path / "again"
    print(f"{row}: killed in {dict(deaths)}")
    Run(tmp_path, data_folder, row).stages()
    assert contents(tmp_path) == whole
