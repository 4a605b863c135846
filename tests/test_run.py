"""Rows run through the store, and each run leaves a record from which everything can be derived."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset
from replicate.corpus.unlabelled import UNLABELLED, unlabelled_lines
from replicate.inference.predict import predict
from replicate.nets.upstream import TF32
from replicate.records.facts import device_facts
from replicate.records.run import Record, load_records, read_record
from replicate.runs.artefact import Artefact
from replicate.runs.ask import selected
from replicate.runs.plan import Stage
from replicate.runs.runner import Runner
from replicate.runs.store import Store
from replicate.scores.metrics import scores
from replicate.scores.packing import unpack_bits, unpack_confidence, unpack_predictions, unpack_probabilities
from replicate.stages.finetune import FinetuneOptions
from replicate.stages.kind import Inputs
from replicate.stages.prune.options import PruneOptions
from replicate.stages.registry import KINDS
from replicate.tables.file import load_tables
from replicate.tables.profile import Profile
from tests.tiny import ARCHITECTURE

TABLES = load_tables()
ARTICLE = TABLES["ernie3_kuake_qic"]
ROW = "prune-1-2"
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "pretrain": {"architecture": ARCHITECTURE, "passes": 1, "batch_size": 16, "max_seq_length": 48},
    # Without part-of-speech replacement LAC isn't loaded.
    "augment": {"copies": 1, "mix": {"unk": 0.5, "truncate": 0.5}},
    "finetune": {"learning_rate": 3e-3, "batch_size": 32, "epochs": 2, "max_seq_length": 48, "batching": "length"},
    "prune": {"learning_rate": 1e-3, "batch_size": 32, "epochs": 1, "max_seq_length": 48},
}


@pytest.fixture(scope="module")
def profile(data_folder: Path) -> Profile:
    """A profile of seconds."""
    return Profile(
        id="tiny",
        question="Does it run?",
        comparable=False,
        reason="a test",
        device="cpu",
        dataset=str(data_folder),
        seeds=(1,),
        tables=(ARTICLE.id,),
        model=None,
        unlabelled=str(data_folder / "data.txt"),
        options=OPTIONS,
    )


@pytest.fixture(scope="module")
def runner(profile: Profile, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """A runner with a store of its own."""
    return Runner(profile, Store(tmp_path_factory.mktemp("store")), quiet=True)


@pytest.fixture(scope="module")
def record(runner: Runner) -> Record:
    """The pruned row, run with every stage that it descends from."""
    return runner.run(ARTICLE, ROW, 1)


def written(store: Store) -> dict[Path, int]:
    """When each file of the store was written."""
    return {path: path.stat().st_mtime_ns for path in store.root.rglob("*") if path.is_file()}


def test_record_holds_the_chain(record: Record, runner: Runner, data_folder: Path) -> None:
    """Stages with their keys and resolved settings, digests of data and weights, versions, device and command."""
    assert (record.status, record.reason, record.table, record.row, record.seed) == ("ok", "", ARTICLE.id, ROW, 1)
    assert [stage["stage"] for stage in record.stages] == ["augment", "pretrain", "finetune", "prune"]
    assert [stage["key"] for stage in record.stages] == [one.key for one in runner.planned(ARTICLE, ROW, 1)]
    passed = {stage["stage"]: stage["passed"] for stage in record.stages}
    assert passed["prune"] == {**OPTIONS["prune"], "width": "1/2", "select": "macro_f1"}
    assert passed["finetune"]["evaluations_per_epoch"] == 5
    settings = {stage["stage"]: stage["config"] for stage in record.stages}
    assert settings["prune"] == asdict(PruneOptions(**passed["prune"]))
    assert set(settings["finetune"]) == {"start", *FinetuneOptions.__dataclass_fields__}
    assert settings["augment"] == {
        **passed["augment"],
        "unk_token": "😄",
        "article": False,
        "per_copy": False,
        "emptied": "dropped",
    }
    pretrained = next(stage["summary"] for stage in record.stages if stage["stage"] == "pretrain")
    assert record.pretrained == pretrained["weights"]
    assert record.digests["train"] == runner.dataset.digests["train"]
    parent = next(stage["summary"] for stage in record.stages if stage["stage"] == "finetune")
    assert record.digests["weights_step0"] == parent["weights"] != record.digests["weights"]
    assert record.versions["paddlepaddle"] == version("paddlepaddle")
    assert record.device["kind"] == "cpu"
    assert record.seconds == sum(stage["seconds"] for stage in record.stages) > 0
    assert record.command[-6:] == ("--profile", "tiny", "--seeds", "1", "--dataset_dir", str(data_folder))


def test_a_net_of_the_checkout_is_taken_and_not_made_again(
    record: Record, runner: Runner, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its key, from whichever profile's folder, with one line; one that is damaged is refused, and nothing runs."""
    (stage,) = (one for one in runner.planned(ARTICLE, ROW, 1) if one.name == "pretrain")
    kept = runner.store.find("pretrain", stage.key)
    assert kept is not None
    folder = tmp_path / "measured" / "other" / "nets" / stage.key
    shutil.copytree(kept.path, folder)
    here = replace(runner, store=Store(tmp_path / "store"), measured=tmp_path / "measured")
    monkeypatch.setitem(KINDS, "pretrain", replace(KINDS["pretrain"], run="no.such:module"))
    assert here.kept(stage)
    taken = here.make(stage, "base · seed 1")
    assert (taken.seconds, taken.summary["weights"]) == (kept.seconds, record.pretrained)
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if str(folder) in line] == told[:1]
    here.make(stage, "base · seed 1")
    assert capsys.readouterr().err == ""
    (folder / "model.safetensors").write_bytes(b"")
    there = replace(here, store=Store(tmp_path / "third"))
    with pytest.raises(UserError) as caught:
        there.make(stage, "base · seed 1")
    assert str(caught.value).startswith(f"{folder}: ")
    assert load_records(tmp_path / "measured") == []


def test_scores_are_those_of_the_exported_model(record: Record, runner: Runner, dataset: Dataset) -> None:
    """Counts and predictions are what the kept model folder gives when it is loaded afresh."""
    stage = runner.planned(ARTICLE, ROW, 1)[-1]
    kept = runner.store.find("prune", stage.key)
    assert kept is not None
    found = list(predict(kept.path, dataset.dev.texts, 48))
    predicted = unpack_predictions(record.predictions)
    assert [one.label for one in found] == [record.labels[i] for i in predicted]
    right = unpack_bits(record.correct, len(dataset.dev))
    assert np.array_equal(right, predicted == np.array(dataset.dev.labels))
    assert scores(record.counts)["accuracy"] == right.mean()
    assert scores(record.counts) == scores(kept.summary["evaluation"]["counts"])
    assert unpack_confidence(record.confidence) == pytest.approx([one.probability for one in found], abs=1e-4)
    probability = unpack_probabilities(record.probabilities, len(dataset.dev), len(record.labels))
    assert probability.max(axis=1) == pytest.approx([one.probability for one in found], abs=1 / 510 + 1e-4)
    assert record.parameters == kept.summary["parameters"]


def test_record_round_trip(record: Record, runner: Runner, tmp_path: Path) -> None:
    """The record is valid, lies in its place, and reads back the same; by default it is kept in the store."""
    path = runner.keep(record, tmp_path)
    assert path == tmp_path / "tiny" / ARTICLE.id / ROW / "seed-1.json"
    back = read_record(path)
    assert replace(back, stages=()) == replace(record, stages=())
    assert [stage["summary"]["history"] for stage in back.stages[1:]] == [
        stage["summary"]["history"] for stage in record.stages[1:]
    ]
    assert runner.keep(record).is_relative_to(runner.records)


def test_second_run_reuses_everything(record: Record, runner: Runner, profile: Profile) -> None:
    """Another process would find every stage: no file is written again, and the record says the same."""
    before = written(runner.store)
    again = Runner(profile, Store(runner.store.root), quiet=True)
    assert all(again.kept(stage) for stage in again.planned(ARTICLE, ROW, 1))
    repeated = again.run(ARTICLE, ROW, 1)
    assert replace(repeated, started=record.started, finished=record.finished) == record
    assert {path: time for path, time in written(runner.store).items() if path in before} == before


def test_stage_of_an_older_version_has_no_probabilities(
    record: Record, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the store has kept since before they were is reused, and the record says that it has none."""
    make = runner.make

    def older(stage: Stage, label: str) -> Artefact:
        made = make(stage, label)
        evaluation = {key: value for key, value in made.summary.get("evaluation", {}).items() if key != "probabilities"}
        return replace(made, summary={**made.summary, "evaluation": evaluation} if evaluation else made.summary)

    monkeypatch.setattr(runner, "make", older)
    found = runner.run(ARTICLE, ROW, 1)
    assert replace(found, probabilities=record.probabilities) == record
    assert read_record(runner.keep(found, tmp_path)).probabilities == ""


def test_other_rows_reuse_what_they_share(record: Record, runner: Runner) -> None:
    """The augmented row is done with the pruned one; the base row lacks only its own fine-tuning."""
    assert record.status == "ok"
    assert [runner.kept(stage) for stage in runner.planned(ARTICLE, "augment", 1)] == [True, True, True]
    assert [runner.kept(stage) for stage in runner.planned(ARTICLE, "base", 1)] == [True, False]
    assert [runner.kept(stage) for stage in runner.planned(ARTICLE, ROW, 2)] == [False, True, False, False]
    shared = runner.run(ARTICLE, "augment", 1)
    assert [stage["key"] for stage in shared.stages] == [stage["key"] for stage in record.stages[:3]]


def test_changed_setting_runs_again(record: Record, runner: Runner, profile: Profile) -> None:
    """With another setting of the last stage, only that stage is not kept."""
    assert record.status == "ok"
    changed = replace(profile, options={**OPTIONS, "prune": {**OPTIONS["prune"], "epochs": 2}})
    other = Runner(changed, runner.store, quiet=True)
    assert [other.kept(stage) for stage in other.planned(ARTICLE, ROW, 1)] == [True, True, True, False]


def test_seeds_end_differently(record: Record, runner: Runner) -> None:
    """Two seeds of the base row start from one pretrained net and differ from step 0 on."""
    assert record.status == "ok"
    one, two = (runner.run(ARTICLE, "base", seed) for seed in (1, 2))
    assert one.stages[0]["key"] == two.stages[0]["key"]
    assert one.digests["weights_step0"] != two.digests["weights_step0"]
    assert one.digests["weights"] != two.digests["weights"]


def test_divergence_is_a_record(record: Record, runner: Runner, profile: Profile, tmp_path: Path) -> None:
    """A run that diverged is a valid record without predictions; the stages before it are in it, its own isn't kept."""
    assert record.status == "ok"
    broken = replace(profile, options={**OPTIONS, "finetune": {**OPTIONS["finetune"], "learning_rate": 1e9}})
    other = Runner(broken, runner.store, quiet=True)
    diverged = other.run(ARTICLE, "base", 1)
    assert diverged.status == "diverged"
    assert re.fullmatch(r"finetune: .*loss.* step \d+", diverged.reason)
    assert [stage["stage"] for stage in diverged.stages] == ["pretrain"]
    assert (diverged.predictions, diverged.counts, diverged.parameters) == ("", {}, 0)
    assert read_record(other.keep(diverged, tmp_path)).status == "diverged"
    assert [other.kept(stage) for stage in other.planned(ARTICLE, "base", 1)] == [True, False]
    assert not [*(runner.store.root / "partial").iterdir()]


def test_baseline_row_has_no_confidence(runner: Runner, tmp_path: Path) -> None:
    """The SVM's record is valid without probabilities or weights."""
    found = runner.run(ARTICLE, "svm", 1)
    assert (found.confidence, found.probabilities, found.pretrained, found.parameters) == ("", "", "", 0)
    assert "weights" not in found.digests
    assert read_record(runner.keep(found, tmp_path)) == found


def test_lost_stage_is_told(runner: Runner) -> None:
    """A stage whose source is not in the store says so, with what to do."""
    with pytest.raises(UserError, match="the store lost augment/.*; run again"):
        runner.make(runner.planned(ARTICLE, ROW, 77)[-1], "x")


def test_rows_are_selected_in_the_order_of_the_table(profile: Profile) -> None:
    """By id or full id; without names every row that the profile runs."""
    chosen = [row for _, row in selected(TABLES, profile, (ROW, f"{ARTICLE.id}/base"))]
    assert chosen == ["base", ROW]
    everything = [row for _, row in selected(TABLES, profile, ())]
    assert everything == [row.id for row in ARTICLE.rows if row.runs_under("tiny")]
    assert {"base", "augment", ROW, "prune-2-3", "svm"} <= set(everything)


def test_unknown_rows_and_tables_are_refused(profile: Profile) -> None:
    """A name that fits no row, a row of other profiles and a table that isn't there are each named."""
    foreign = next(row.id for row in ARTICLE.rows if row.profiles and "tiny" not in row.profiles)
    for name in ("nothing", foreign):
        with pytest.raises(UserError, match=f"profile tiny runs no row '{name}'; rows: base, "):
            list(selected(TABLES, profile, (name,)))
    with pytest.raises(UserError, match="profile tiny: no table 'other'; tables: augmentation, compression, "):
        list(selected(TABLES, replace(profile, tables=("other",)), ()))


def test_unlabelled_text_is_found(monkeypatch: pytest.MonkeyPatch, data_folder: Path, dataset: Dataset) -> None:
    """Generated, a file, or the file that the variable names; an unset variable is named with what it wants."""
    assert len(unlabelled_lines("generated")) == 6000
    assert unlabelled_lines(str(data_folder / "data.txt")) == dataset.unlabelled
    monkeypatch.setenv(UNLABELLED, str(data_folder / "data.txt"))
    assert unlabelled_lines(UNLABELLED) == dataset.unlabelled
    monkeypatch.delenv(UNLABELLED)
    with pytest.raises(UserError, match=f"{UNLABELLED} is not set; set it to a UTF-8 file"):
        unlabelled_lines(UNLABELLED)
    with pytest.raises(UserError, match=r"none\.txt"):
        unlabelled_lines(str(data_folder / "none.txt"))


def test_device_facts_tell_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of threads is the one that Paddle was given."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert device_facts("cpu")["threads"] == 7
    assert os.environ["OMP_NUM_THREADS"] == "7"


@pytest.mark.parametrize(("value", "key"), [("0", {}), ("1", {"tf32": "1"})])
def test_tf32_is_on_record(value: str, key: dict[str, str], profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU the record tells NVIDIA's switch either way, and products in TF32 are another key."""
    cuda = SimpleNamespace(device_count=lambda: 1, get_device_capability=lambda: (8, 0), get_device_name=lambda: "A100")
    monkeypatch.setitem(sys.modules, "paddle", SimpleNamespace(device=SimpleNamespace(cuda=cuda)))
    monkeypatch.setenv(TF32, value)
    assert device_facts("gpu")["nvidia_tf32_override"] == value
    found = Runner(replace(profile, device="gpu"), Store(Path("none"))).sources.environment
    assert {name: found[name] for name in found if name == "tf32"} == key
    assert "tf32" not in Runner(profile, Store(Path("none"))).sources.environment


@pytest.mark.parametrize("stage", ["pretrain", "augment", "finetune", "prune"])
def test_a_misspelt_setting_is_refused_before_anything_runs(stage: str, profile: Profile, tmp_path: Path) -> None:
    """A setting that the last stage lacks is found while the row is planned, not after hours of the first."""
    wrong = replace(profile, options={**OPTIONS, stage: {**OPTIONS[stage], "sped": 1}})
    runner = Runner(wrong, Store(tmp_path), quiet=True)
    with pytest.raises(UserError, match="has no setting 'sped'"):
        runner.run(ARTICLE, ROW, 1)
    assert not [*tmp_path.iterdir()]


def test_the_baseline_needs_no_text_to_pretrain_on(profile: Profile, tmp_path: Path) -> None:
    """A row that pretrains nothing doesn't ask for the unlabelled text."""
    runner = Runner(replace(profile, unlabelled=str(tmp_path / "none.txt")), Store(tmp_path / "store"), quiet=True)
    assert runner.run(ARTICLE, "svm", 1).status == "ok"
    with pytest.raises(UserError, match=r"none\.txt"):
        runner.planned(ARTICLE, "base", 1)


def accident(inputs: Inputs) -> dict[str, Any]:
    """A stage with a fault that nobody foresaw."""
    raise TypeError("unforeseen\nand more")


def test_an_accident_is_on_record(
    profile: Profile, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage that dies of something unforeseen ends its own row, with its reason on record, and no other."""
    runner = Runner(profile, Store(tmp_path), quiet=True)
    monkeypatch.setitem(KINDS, "augment", replace(KINDS["augment"], run="tests.test_run:accident"))
    found = runner.run(ARTICLE, ROW, 1)
    assert (found.status, found.counts) == ("error", {})
    assert found.reason == "augment: TypeError: unforeseen"
    assert "Traceback" in capsys.readouterr().err
    assert runner.run(ARTICLE, "svm", 1).status == "ok"


def test_a_setting_that_no_run_can_have_names_row_stage_and_profile(profile: Profile, tmp_path: Path) -> None:
    """It is refused before anything runs."""
    wrong = replace(profile, options={**OPTIONS, "augment": {**OPTIONS["augment"], "copies": "many"}})
    where = rf"row {ARTICLE.id}/augment, stage augment under profile {profile.id}: .*copies is 'many'"
    with pytest.raises(UserError, match=where):
        Runner(wrong, Store(tmp_path), quiet=True).run(ARTICLE, ROW, 1)
    assert not [*tmp_path.iterdir()]
