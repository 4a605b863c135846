"""`replicate fewshot`: a net or a linear model of a few lines of one's own, and what is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from replicate.commands.main import main
from replicate.corpus.formats import Dataset, Split, read_split, write_dataset
from replicate.inference.predict import predict
from tests.tiny import Made

LABELS = ("胃", "a label of many words, none of them Chinese")
TRAIN = Split(("胃疼怎么办", "胃胀", "胃酸过多", "headache", "my head", "a head"), (0, 0, 0, 1, 1, 1))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Data of two classes with three lines each, whose labels are of very different length."""
    write_dataset(Dataset("own", LABELS, TRAIN, Split(("胃", "head"), (0, 1))), tmp_path / "data")
    return tmp_path / "data"


@pytest.mark.parametrize("method", ["prompt", "finetune"])
def test_a_net_of_few_lines(
    method: str, data: Path, pretrained: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It writes a model folder that `predict` takes, and says on how much it rests."""
    words = ["--per_class", "2", "--method", method, "--model_name", str(pretrained.folder), "--steps", "20"]
    words += ["--learning_rate", "3e-3", "--max_seq_length", "32", "--save_dir", str(tmp_path / "new")]
    assert main(["fewshot", "--dataset_dir", str(data), *words]) == 0
    told = capsys.readouterr().out
    assert f"{method}, 2 lines of each class, 4 in all" in told
    assert "after 20 steps" in told
    assert {one.label for one in predict(tmp_path / "new", TRAIN.texts)} <= set(LABELS)


def test_a_linear_model(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It writes its scores, and the lines that it learnt from: the data's own."""
    words = ["--per_class", "3", "--method", "linear", "--save_dir", str(tmp_path / "new")]
    assert main(["fewshot", "--dataset_dir", str(data), *words]) == 0
    assert "linear, 3 lines of each class, 6 in all" in capsys.readouterr().out
    found = json.loads((tmp_path / "new" / "scores.json").read_text(encoding="utf-8"))
    assert set(found) == {"per_class", "seed", "accuracy", "macro_f1"}
    assert read_split(tmp_path / "new" / "train.txt", LABELS) == TRAIN


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--per_class", "4"], "4 examples a class, and '胃' has 3 of 6"),
        (["--per_class", "0"], "per_class is 0; it must be above 0"),
        (["--per_class", "1", "--steps", "0"], "steps is 0; it must be above 0"),
        (["--per_class", "1", "--steps", "999999999"], "steps is 999999999; it must be at most 100000"),
        (["--per_class", "1", "--model_name", "no/folder"], "no such model folder"),
        (["--per_class", "1", "--max_seq_length", "129"], "max_seq_length is 129; this net takes 3 to 128 tokens"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str],
    told: str,
    data: Path,
    pretrained: Made,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, one line, and nothing half-written."""
    line = ["fewshot", "--dataset_dir", str(data), "--save_dir", str(tmp_path / "new")]
    assert main([*line, "--model_name", str(pretrained.folder), *words]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_classifier_fills_no_masks(
    data: Path, finetuned: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was fine-tuned can be no cloze any more."""
    words = ["--per_class", "1", "--model_name", str(finetuned.folder), "--save_dir", str(tmp_path / "new")]
    assert main(["fewshot", "--dataset_dir", str(data), *words]) == 2
    assert "a classifier without a prompt" in capsys.readouterr().err
