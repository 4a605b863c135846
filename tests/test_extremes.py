"""Data and settings at the edge of what training can mean: each has an answer, none a traceback."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from replicate.augment.lac import Tagger
from replicate.commands.main import main
from replicate.corpus.formats import Dataset, Split, write_dataset
from replicate.corpus.generated import generate
from replicate.scores.metrics import scores
from replicate.training.optimisation import Diverged
from tests.tiny import Made, run_finetune


def labelled(split: Split, keep: set[int]) -> Split:
    """The examples of these labels."""
    pairs = [(text, label) for text, label in zip(split.texts, split.labels, strict=True) if label in keep]
    return Split(tuple(text for text, _ in pairs), tuple(label for _, label in pairs))


def test_one_class(dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """With one label every answer is right; there is no class 1 that an F1 could be of."""
    train, dev = (Split(part.texts, (0,) * len(part)) for part in (dataset.train, dataset.dev))
    one = replace(dataset, labels=("all",), train=train, dev=dev)
    made = run_finetune(one, pretrained.folder, tmp_path, 1, epochs=1)
    found = scores(made.summary["evaluation"]["counts"])
    assert found["accuracy"] == found["macro_f1"] == 1
    assert found["f1"] == 0


def test_one_example(dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """One line to train on and one to score are enough for a run."""
    first = Split(dataset.train.texts[:1], dataset.train.labels[:1])
    made = run_finetune(replace(dataset, train=first, dev=first), pretrained.folder, tmp_path, 1, epochs=2)
    assert made.summary["steps"] == 2
    assert made.summary["evaluation"]["counts"]["examples"] == 1


def test_class_that_is_missing(dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """A class that nobody trained on is never right, one that dev lacks counts in no score; both keep their index."""
    known = set(range(1, len(dataset.labels)))
    untrained = replace(dataset, train=labelled(dataset.train, known))
    made = run_finetune(untrained, pretrained.folder, tmp_path / "untrained", 1, epochs=1)
    assert len(made.summary["evaluation"]["counts"]["confusion"]) == len(dataset.labels)
    unscored = replace(dataset, dev=labelled(dataset.dev, known))
    confusion = run_finetune(unscored, pretrained.folder, tmp_path / "unscored", 1, epochs=1).summary["evaluation"][
        "counts"
    ]["confusion"]
    assert sum(confusion[0]) == 0
    assert len(confusion) == len(dataset.labels)


def test_exploding_loss_is_no_result(dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """A learning rate that breaks the net ends as diverged, and no model is written."""
    with pytest.raises(Diverged):
        run_finetune(dataset, pretrained.folder, tmp_path / "model", 1, learning_rate=1e38)
    assert not (tmp_path / "model").exists() or not list((tmp_path / "model").iterdir())


def test_command_tells_divergence_in_one_line(
    dataset: Dataset, pretrained: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`replicate finetune` says at which step, exits with 2 and leaves nothing behind."""
    write_dataset(dataset, tmp_path / "data")
    words = ["finetune", "--dataset_dir", str(tmp_path / "data"), "--init_from_ckpt", str(pretrained.folder)]
    assert main([*words, "--learning_rate", "1e38", "--epochs", "1", "--save_dir", str(tmp_path / "model")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("replicate: ")
    assert told.count("\n") == 1
    assert "step" in told
    assert not (tmp_path / "model").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def one_label(split: Split) -> Split:
    """The examples, all of the first class."""
    return Split(split.texts, (0,) * len(split))


EDGES: dict[str, Callable[[Dataset], Dataset]] = {
    "one class": lambda data: replace(data, train=one_label(data.train), dev=one_label(data.dev)),
    "one label": lambda data: replace(data, labels=("all",), train=one_label(data.train), dev=one_label(data.dev)),
    "one example": lambda data: replace(
        data,
        train=Split(data.train.texts[:1], data.train.labels[:1]),
        dev=Split(data.dev.texts[:1], data.dev.labels[:1]),
    ),
    "a class missing in train": lambda data: replace(data, train=labelled(data.train, set(range(1, 11)))),
    "a class missing in dev": lambda data: replace(data, dev=labelled(data.dev, set(range(1, 11)))),
    "a line of ten megabytes": lambda data: replace(
        data, train=Split(("发热咳嗽" * 850_000, *data.train.texts[1:]), data.train.labels)
    ),
}
# After {}, the data and where the model goes; each is trained from what `finetune` made of the data.
COMMANDS = {
    "finetune": "finetune --init_from_ckpt {start} --epochs 1 --max_seq_length 48 --save_dir {new}",
    "prune": "prune --params_dir {start} --width_mult 1/2 --num_train_epochs 1 --max_seq_length 48 --output_dir {new}",
    "native": "prune --params_dir {start} --width_mult 1/2 --num_train_epochs 1 --max_seq_length 48 --output_dir {new} "
    "--engine native --importance train",
    "distill": "distill --teacher {start} --student bow --copies 1 --epochs 1 --max_seq_length 48 --output_dir {new}",
}


def run(name: str, data: Path, start: Path, new: Path) -> int:
    """The exit code of one of `COMMANDS`."""
    return main([*COMMANDS[name].format(start=start, new=new).split(), "--dataset_dir", str(data)])


@pytest.mark.parametrize("edge", EDGES)
def test_every_stage_at_the_edge(
    edge: str, pretrained: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fine-tuning, both engines of pruning, distilling and the baseline end with a model and scores."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    data, start = tmp_path / "data", pretrained.folder
    write_dataset(EDGES[edge](generate(examples_train=40, examples_dev=20, unlabelled=30)), data)
    for name in COMMANDS:
        assert run(name, data, start, tmp_path / name) == 0, capsys.readouterr().err
        start = tmp_path / "finetune"
    assert main(["run", "svm", "--dataset_dir", str(data), "--seeds", "1", "--quiet"]) == 0
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_net_that_is_not_finite(
    name: str, finetuned: Made, data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A loss that is NaN from the first step is one line, whatever trains, and leaves nothing behind."""
    broken, new = tmp_path / "broken", tmp_path / "new"
    shutil.copytree(finetuned.folder, broken)
    weights = load_file(broken / "model.safetensors")
    save_file({**weights, "classifier.weight": weights["classifier.weight"] * np.nan}, broken / "model.safetensors")
    assert run(name, data_folder, broken, new) == 2
    told = capsys.readouterr().err
    assert re.match(r"replicate: .*diverged: .+ step \d+; .*--learning_rate", told)
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


def test_lac_reads_a_line_of_ten_megabytes() -> None:
    """In pieces, which joined are the line; what is short is read as ever."""
    line, short = "发热咳嗽吃什么药好" * 380_000, "发热咳嗽吃什么药好"
    tagged = Tagger().tag([line, short])
    assert "".join(word for word, _ in tagged[line]) == line
    assert tagged[short] == Tagger().tag([short])[short]
