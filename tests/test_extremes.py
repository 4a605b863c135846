"""Data and settings at the edge of what training can mean: each has an answer, none a traceback."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from replicate.cli import main
from replicate.corpus.formats import Dataset, Split, write_dataset
from replicate.metrics import scores
from replicate.optimisation import Diverged
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
