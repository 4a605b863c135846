"""`replicate evaluate`: the figures of any model on any labelled file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from replicate.commands.evaluate import _tell
from replicate.commands.main import main
from replicate.corpus.formats import Dataset
from replicate.inference.predict import predict
from replicate.scores.metrics import count, per_class
from tests.tiny import Made


def test_figures_are_those_of_the_predictions(
    finetuned: Made, dataset: Dataset, data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Accuracy, macro-F1 and each class's scores follow from what `predict` says; one label can be asked for."""
    label = dataset.labels[3]
    words = ["evaluate", str(finetuned.folder), str(data_folder / "dev.txt"), "--positive", label, "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    named = [one.label for one in predict(finetuned.folder, dataset.dev.texts)]
    gold = [dataset.labels[at] for at in dataset.dev.labels]
    right = [a == b for a, b in zip(named, gold, strict=True)]
    assert found["examples"] == len(gold)
    assert found["accuracy"] == pytest.approx(np.mean(right))
    matrix = np.zeros((11, 11), dtype=int)
    for a, b in zip(gold, named, strict=True):
        matrix[dataset.labels.index(a), dataset.labels.index(str(b))] += 1
    assert found["f1"] == pytest.approx(per_class(matrix)[3].f1)
    assert [one["label"] for one in found["classes"]] == list(dataset.labels)
    assert main(words[:-1]) == 0
    assert f"accuracy {np.mean(right):.4f}" in capsys.readouterr().out


def test_numbers_stand_for_the_models_labels(
    finetuned: Made, dataset: Dataset, data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file with class numbers in a CSV gives the same figures."""
    lines = "".join(f"{label},{text}\n" for text, label in zip(dataset.dev.texts, dataset.dev.labels, strict=True))
    (tmp_path / "test.csv").write_text(f"label,text\n{lines}", encoding="utf-8")
    told = []
    for path in (data_folder / "dev.txt", tmp_path / "test.csv"):
        assert main(["evaluate", str(finetuned.folder), str(path), "--json"]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert told[0] == told[1]


@pytest.mark.parametrize(("content", "line"), [("头疼\t没有这个\n", 1), ("头疼\t病因分析\n胃疼\t99\n", 2)])
def test_labels_that_the_model_lacks_are_refused(
    content: str, line: int, finetuned: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with file and number, and exit code 2."""
    path = tmp_path / "test.tsv"
    path.write_text(content, encoding="utf-8")
    assert main(["evaluate", str(finetuned.folder), str(path)]) == 2
    assert f"replicate: {path}:{line}: " in capsys.readouterr().err
    assert main(["evaluate", str(finetuned.folder), str(path), "--positive", "none"]) == 2


def test_predict_tells_of_labels_in_its_texts(
    finetuned: Made, dataset: Dataset, data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A labelled file given to `predict` would have its labels read as text; other TABs are nothing to tell of."""
    label = dataset.labels[0]
    for text, warned in ((f"头疼\t{label}", True), ("头疼\t怎么办", False)):
        assert main(["predict", str(finetuned.folder), "--text", text, "--json"]) == 0
        assert ("replicate evaluate" in capsys.readouterr().err) is warned


def test_labels_can_not_colour_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A model folder of somebody else's may call its labels anything."""
    labels, counts = ("\x1b[2Ja", "\u202eb"), count([0, 1], [0, 0], 2)
    _tell(argparse.Namespace(positive=labels[0], json=False), labels, counts)
    told = capsys.readouterr().out
    assert "[2Ja" in told
    assert told.replace("\n", "").isprintable()
