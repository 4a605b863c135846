"""Another number of CPU threads trains another net, so it is part of what is trained, and of nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from replicate.common.cores import computing_with
from replicate.common.paths import MEASURED
from replicate.runs.ask import selected
from replicate.runs.plan import Sources, Stage, plan
from replicate.runs.runner import Runner
from replicate.runs.shipped import shipped
from replicate.runs.store import Store
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile, profile_ids

TABLES = load_tables()
ARTICLE = TABLES["ernie3_kuake_qic"]
SOURCES = Sources({"train": "t", "dev": "d", "labels": "l"}, "u", {"paddlepaddle": "2.6.2"})
TRAIN = {"pretrain", "finetune", "prune", "distill", "fuse", "pseudo", "prompt", "contrast", "head"}
# Of these only augmentation by a language model computes with a net.
OTHERS = {"sample", "holdout", "duplicate", "shots", "choose", "mislabel", "relabel", "svm", "linear"}
NETS = sorted(MEASURED.glob("*/nets/*/manifest.json"))


def stages_of(profile_id: str, threads: int) -> Iterator[Stage]:
    """Every stage of every row that a profile runs, with one seed."""
    profile = load_profile(profile_id)
    sources = replace(SOURCES, threads=threads)
    for table, row in selected(TABLES, profile, ()):
        yield from plan(table, row, profile, profile.seeds[0], sources).chain()


@pytest.mark.parametrize("name", [one for one in profile_ids() if load_profile(one).device == "cpu"])
def test_what_trains_has_them_in_its_key(name: str) -> None:
    """By kind of stage, in every row of every profile on a CPU; one, of the first results, is in no key."""
    assert not any("threads" in stage.identity for stage in stages_of(name, 1))
    found = {stage.name: stage.identity.get("threads") for stage in stages_of(name, 3)}
    assert {kind for kind, threads in found.items() if threads == 3} - {"augment"} == {*found} & TRAIN
    assert {*found} <= TRAIN | OTHERS | {"augment"}


def test_only_a_language_model_needs_them_to_augment() -> None:
    """Cutting and replacing words is no matter of threads."""
    found = {
        bool(stage.options["mix"].get("ernie_replace")): "threads" in stage.identity
        for stage in stages_of("exploratory", 3)
        if stage.name == "augment"
    }
    assert found == {True: True, False: False}


def keys(folder: Path, row: str) -> dict[str, str]:
    """The keys of a row's stages as `replicate run` has them now."""
    runner = Runner(load_profile("smoke"), Store(folder), quiet=True, offline=True)
    return {stage.name: stage.key for stage in runner.planned(ARTICLE, row, 1)}


def test_the_variable_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of `OMP_NUM_THREADS`; without it a stage has one thread, however many cores there are."""
    with computing_with(1):
        one = keys(tmp_path, "base")
    with computing_with(2):
        two, baseline = keys(tmp_path, "base"), keys(tmp_path, "svm")
    assert {name for name in one if one[name] != two[name]} == {"pretrain", "finetune"}
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert keys(tmp_path, "base") == one
    assert keys(tmp_path, "svm") == baseline


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("path", NETS, ids=lambda path: path.parent.name)
def test_committed_nets_are_taken(path: Path, threads: int, tmp_path: Path) -> None:
    """A net that the checkout carries is the one that seeds descend from, also where another number is named."""
    identity: dict[str, Any] = json.loads(path.read_bytes())["identity"]
    profile = load_profile(path.parents[2].name)
    sources = Sources(
        SOURCES.digests,
        identity["inputs"]["unlabelled"],
        identity["environment"],
        threads=threads,
        carried=lambda stage: shipped(stage, MEASURED) is not None,
    )
    found = [next(plan(ARTICLE, "base", profile, seed, sources).chain()) for seed in range(1, profile.nets + 1)]
    assert path.parent.name in {stage.key for stage in found}
    assert all(stage.name == "pretrain" and "threads" not in stage.identity for stage in found)
    # Elsewhere it is pretrained anew, with that number.
    elsewhere = [
        next(plan(ARTICLE, "base", profile, seed, replace(sources, carried=lambda _: False)).chain())
        for seed in range(1, profile.nets + 1)
    ]
    assert (path.parent.name in {stage.key for stage in elsewhere}) == (threads == 1)
    runner = Runner(profile, Store(tmp_path), quiet=True, offline=True)
    wanted = next(stage for stage in found if stage.key == path.parent.name)
    artefact = runner.there(wanted, "base")
    assert artefact is not None
    assert artefact.key == path.parent.name


def test_there_are_committed_nets() -> None:
    """Else the test before this one says nothing."""
    assert len(NETS) == 2
