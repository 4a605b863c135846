"""Each stage turns its inputs into a folder and a summary."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset, read_split
from replicate.nets.classifier import load_classifier
from replicate.nets.folder import digest_of, weights_of
from replicate.scores.packing import unpack_predictions
from replicate.stages.kind import Inputs
from replicate.stages.registry import KINDS
from tests.tiny import QUIET, Made

FINETUNE = {"learning_rate": 3e-3, "epochs": 1, "batch_size": 50, "max_seq_length": 48}
AUGMENT = {"copies": 2, "mix": {"unk": 0.5, "truncate": 0.5}}


def inputs(dataset: Dataset, folder: Path, options: Any = None, **changes: Any) -> Inputs:
    """A stage's inputs with seed 1; `train` and `model` are what its ports take."""
    folder.mkdir(exist_ok=True)
    sources = {port: (changes.pop(port),) for port in ("train", "model") if changes.get(port) is not None}
    changes = {name: value for name, value in changes.items() if name not in ("train", "model")}
    given: dict[str, Any] = {"seed": 1, "unlabelled": lambda: dataset.unlabelled, **changes}
    return Inputs(options, dataset=dataset, sources=sources, folder=folder, progress=QUIET, **given)


def run(stage: str, dataset: Dataset, folder: Path, passed: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """What a stage gives with these settings."""
    return KINDS[stage](inputs(dataset, folder, KINDS[stage].settings(passed), **changes))


@pytest.mark.parametrize(
    ("stage", "options", "words"),
    [
        ("finetune", {"epochs": "ten"}, "FinetuneOptions: epochs is 'ten', not a whole number"),
        ("finetune", {"epochs": 1.5}, "FinetuneOptions: epochs is 1.5, not a whole number"),
        ("finetune", {"learning_rate": True}, "FinetuneOptions: learning_rate is True, not a number"),
        ("finetune", {"warmup_proportion": float("nan")}, "warmup_proportion is nan; it must be from 0 to 1"),
        ("finetune", {"learning_rate": float("inf")}, "learning_rate is inf; it must be above 0"),
        ("pretrain", {"architecture": 3}, "PretrainOptions: architecture is 3, not a table"),
        ("pretrain", {"architecture": {}, "heldout": 1.0}, "heldout is 1.0; it must be at least 0 and below 1"),
        ("duplicate", {"copies": -1}, "copies is -1; it must be 0 or more"),
        ("mislabel", {"examples": -1}, "examples is -1; it must be 0 or more"),
        ("relabel", {"examples": 1, "chosen": "model"}, "chosen is 'model'; choose one of audit, random"),
        ("prune", {"width": 0.5}, "PruneOptions: width is 0.5, not a text"),
        (
            "distill",
            {"student": "bow", "shape": {"hidden_size": 10**9}},
            "hidden_size is 1000000000; it must be at most",
        ),
    ],
)
def test_a_setting_of_another_kind_is_refused(stage: str, options: dict[str, object], words: str) -> None:
    """Of a profile or a table, too, a value that no run can have is one line before anything runs."""
    with pytest.raises(UserError, match=re.escape(words)):
        KINDS[stage].settings(options)


@pytest.mark.parametrize("name", KINDS)
def test_a_stage_says_everything_about_itself(name: str) -> None:
    """Its frozen defaults are settings that it has, and all that have a default; what runs it can be imported."""
    kind = KINDS[name]
    defaults = {
        one.name for one in fields(kind.options) if one.default is not MISSING or one.default_factory is not MISSING
    }
    assert kind.name == name
    assert set(kind.frozen) == defaults
    module, _, function = kind.run.partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    assert kind.version >= 1


def test_augmented_set_is_what_the_next_stage_reads(dataset: Dataset, tmp_path: Path) -> None:
    """`augment` writes train.txt, each text followed by its copies with its label; `Inputs.split` reads it back."""
    summary = run("augment", dataset, tmp_path, AUGMENT)
    split = read_split(tmp_path / "train.txt", dataset.labels)
    assert summary["examples"] == len(split) > 2 * len(dataset.train)
    assert set(dataset.train.texts) <= set(split.texts)
    assert inputs(dataset, tmp_path, train=tmp_path).split() == split
    assert inputs(dataset, tmp_path).split() == dataset.train


def test_seed_decides_the_copies(dataset: Dataset, tmp_path: Path) -> None:
    """The same seed writes the same bytes, another seed others."""
    written = []
    for number, seed in enumerate((1, 1, 2)):
        run("augment", dataset, tmp_path / str(number), AUGMENT, seed=seed)
        written.append((tmp_path / str(number) / "train.txt").read_bytes())
    assert written[0] == written[1] != written[2]


@pytest.mark.parametrize("strategy", ["w2v_replace", "ernie_replace", "synonym"])
def test_every_source_of_words_is_there_for_a_row(
    dataset: Dataset, pretrained: Made, tmp_path: Path, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipe names a strategy and nothing else: vectors are trained on the set, the model is the row's own."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    written = []
    for number in range(2):
        options = {"copies": 1, "mix": {strategy: 1.0}, "article": True}
        model = pretrained.folder if strategy == "ernie_replace" else None
        summary = run("augment", dataset, tmp_path / str(number), options, model=model)
        written.append((tmp_path / str(number) / "train.txt").read_bytes())
        assert summary["strategies"] == {strategy: len(dataset.train)}
        assert summary["unchanged"] < summary["copies"]
    assert written[0] == written[1]


def test_a_sample_is_drawn_by_the_seed(dataset: Dataset, tmp_path: Path) -> None:
    """So many different lines of the training set, in its order, with their labels; another seed draws others."""
    drawn = []
    for seed in (1, 2):
        summary = run("sample", dataset, tmp_path / str(seed), {"examples": 60}, seed=seed)
        split = read_split(tmp_path / str(seed) / "train.txt", dataset.labels)
        examples = list(zip(dataset.train.texts, dataset.train.labels, strict=True))
        places = [examples.index(one) for one in zip(split.texts, split.labels, strict=True)]
        assert summary == {"examples": 60}
        assert len(split) == 60
        assert places == sorted(places)
        drawn.append(places)
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize("examples", [0, 201])
def test_a_sample_of_none_or_of_more_than_all_is_refused(dataset: Dataset, tmp_path: Path, examples: int) -> None:
    """Both would be another experiment than the row says."""
    with pytest.raises(UserError, match=f"{examples} of 200 training examples"):
        run("sample", dataset, tmp_path, {"examples": examples})
    assert not [*tmp_path.iterdir()]


def test_labels_are_made_wrong_and_corrected(dataset: Dataset, tmp_path: Path) -> None:
    """So many labels are others, drawn by the seed; whoever looks at lines corrects what is wrong in them, no more."""
    right = np.asarray(dataset.train.labels)
    for seed in (1, 2):
        assert run("mislabel", dataset, tmp_path / str(seed), {"examples": 40}, seed=seed) == {
            "examples": 200,
            "wrong": 40,
        }
    spoilt = [read_split(tmp_path / str(seed) / "train.txt", dataset.labels) for seed in (1, 2)]
    assert all(one.texts == dataset.train.texts for one in spoilt)
    wrong = [np.asarray(one.labels) != right for one in spoilt]
    assert [int(one.sum()) for one in wrong] == [40, 40]
    assert (wrong[0] != wrong[1]).any()
    left = {}
    for chosen in ("audit", "random"):
        for seen in (0, 50, 200):
            options = {"examples": seen, "chosen": chosen}
            told = run("relabel", dataset, tmp_path / f"{chosen}{seen}", options, train=tmp_path / "1")
            found = np.asarray(read_split(tmp_path / f"{chosen}{seen}" / "train.txt", dataset.labels).labels)
            assert told["wrong"] == int((found != right).sum())
            assert not (found != right)[~wrong[0]].any()
            assert told["seen"] <= seen
            left[chosen, seen] = told["wrong"]
    assert left["audit", 0] == left["random", 0] == 40
    assert left["random", 200] == 0
    assert left["audit", 50] < left["random", 50] < 40


@pytest.mark.parametrize(
    ("stage", "options", "words"),
    [
        ("mislabel", {"examples": 201}, "201 of 200 training examples"),
        ("relabel", {"examples": 5}, "nobody knows the right labels"),
    ],
)
def test_labels_that_nobody_knows_are_refused(
    stage: str, options: dict[str, int], words: str, dataset: Dataset, tmp_path: Path
) -> None:
    """As are more wrong ones than there are; nothing is written."""
    with pytest.raises(UserError, match=words):
        run(stage, dataset, tmp_path, options)
    assert not [*tmp_path.iterdir()]


def test_duplicates_are_the_same_lines(dataset: Dataset, tmp_path: Path) -> None:
    """Each line stands there with its copies, label included, whatever the seed."""
    for seed in (1, 2):
        run("duplicate", dataset, tmp_path / str(seed), {"copies": 2}, seed=seed)
    split = read_split(tmp_path / "1" / "train.txt", dataset.labels)
    assert split.texts == tuple(text for text in dataset.train.texts for _ in range(3))
    assert split.labels == tuple(label for label in dataset.train.labels for _ in range(3))
    assert (tmp_path / "1" / "train.txt").read_bytes() == (tmp_path / "2" / "train.txt").read_bytes()


def test_a_setting_that_has_no_default_must_be_given(dataset: Dataset, tmp_path: Path) -> None:
    """A recipe that forgets it is refused before anything runs."""
    with pytest.raises(UserError, match="SampleOptions needs the setting 'examples'"):
        run("sample", dataset, tmp_path, {})


def test_scratch_forgets_the_pretraining(dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """`start = "scratch"` keeps vocabulary and shape of the model and none of its weights; the seed decides them."""
    runs = {
        (start, seed): run(
            "finetune",
            dataset,
            tmp_path / f"{start}{seed}",
            {**FINETUNE, "start": start},
            seed=seed,
            model=pretrained.folder,
        )
        for start, seed in (("model", 1), ("scratch", 1), ("scratch", 2))
    }
    assert len({summary["weights_step0"] for summary in runs.values()}) == 3
    assert len({summary["parameters"] for summary in runs.values()}) == 1
    scratch = {**FINETUNE, "start": "scratch"}
    again = run("finetune", dataset, tmp_path / "again", scratch, model=pretrained.folder)
    assert again == runs["scratch", 1]
    default = run("finetune", dataset, tmp_path / "default", FINETUNE, model=pretrained.folder)
    assert default == runs["model", 1]


def test_bad_start_is_refused(dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """A start that is none, and a stage without the model that it needs, are the user's errors."""
    with pytest.raises(UserError, match="start is 'nowhere'; choose one of model, scratch"):
        run("finetune", dataset, tmp_path, {"start": "nowhere"}, model=pretrained.folder)
    with pytest.raises(UserError, match="no model to prune"):
        run("prune", dataset, tmp_path, {"width": "1/2"})


@pytest.mark.parametrize("stage", ["pretrain", "sample", "duplicate", "augment", "finetune", "prune", "distill"])
def test_unknown_setting_is_refused(stage: str, dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """A setting that the stage lacks stops it before it writes."""
    with pytest.raises(UserError, match="has no setting 'speed'"):
        run(stage, dataset, tmp_path, {"speed": 1}, model=pretrained.folder)
    assert not [*tmp_path.iterdir()]


def test_distil_draws_from_both_sources(dataset: Dataset, finetuned: Made, tmp_path: Path) -> None:
    """The data set's own unlabelled text and the profile's are one source; the student is scored like the rest."""
    half = replace(dataset, unlabelled=dataset.unlabelled[:100])
    options = {"student": "bow", "copies": 0, "unlabelled": 0.6, "epochs": 1, "max_seq_length": 48}
    given = {"model": finetuned.folder, "unlabelled": lambda: dataset.unlabelled[100:]}
    summary = run("distill", half, tmp_path, options, **given)
    assert (summary["unlabelled"], summary["examples"]) == (120, 320)
    assert len(unpack_predictions(summary["evaluation"]["predictions"])) == len(dataset.dev)
    assert (tmp_path / "config.json").is_file()


@pytest.mark.parametrize("start", ["model", "scratch"])
def test_named_net_is_told_without_its_head(dataset: Dataset, pretrained: Made, tmp_path: Path, start: str) -> None:
    """A net that a profile names has one digest whatever the seed, which draws its head; one of the store has none."""
    options = {"start": start, "epochs": 1, "batch_size": 64, "learning_rate": 3e-3, "max_seq_length": 48}
    net = digest_of(weights_of(load_classifier(pretrained.folder, dataset.labels).network.base_model))
    summaries: list[dict[str, Any]] = []
    for seed, model in ((1, str(pretrained.folder)), (2, str(pretrained.folder)), (1, pretrained.folder)):
        folder = tmp_path / str(len(summaries))
        summaries.append(run("finetune", dataset, folder, options, model=model, seed=seed))
    assert [summary.get("pretrained") for summary in summaries] == [net, net, None]
    assert summaries[0]["weights_step0"] != summaries[1]["weights_step0"]
    assert summaries[0]["weights"] == summaries[2]["weights"]


def test_distil_wants_a_teacher(dataset: Dataset, tmp_path: Path) -> None:
    """Without a model there is nobody to learn from."""
    with pytest.raises(UserError, match="there is no teacher"):
        run("distill", dataset, tmp_path, {"student": "bow"})


def test_prune_wants_a_classifier(dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """A pretrained net without a head is not pruned with a random one."""
    with pytest.raises(UserError, match=r"label\.txt"):
        run("prune", dataset, tmp_path, {"width": "1/2"}, model=pretrained.folder)


def test_baseline_is_evaluated_like_the_rest(dataset: Dataset, tmp_path: Path) -> None:
    """The SVM's counts follow from its predictions, one for each dev example; it has no confidence."""
    evaluation = run("svm", dataset, tmp_path, {})["evaluation"]
    predicted = unpack_predictions(evaluation["predictions"])
    right = sum(p == gold for p, gold in zip(predicted, dataset.dev.labels, strict=True))
    assert sum(row[i] for i, row in enumerate(evaluation["counts"]["confusion"])) == right
    assert evaluation["confidence"] == evaluation["probabilities"] == ""
