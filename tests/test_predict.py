"""Predictions come in order, for any text."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicate.corpus.formats import Dataset
from replicate.errors import UserError
from replicate.predict import predict, static_logits
from replicate.record import unpack_predictions
from tests.tiny import Made

ODD = ("", " ", "病" * 5000, "㍿𠮷", "CT 检查 MRI", "a\tb", "胃疼怎么办")


def test_order_is_kept(finetuned: Made, dataset: Dataset) -> None:
    """The labels of the dev texts are those of the evaluation, in the order of the texts."""
    found = list(predict(finetuned.folder, dataset.dev.texts, 48))
    assert [one.text for one in found] == list(dataset.dev.texts)
    expected = unpack_predictions(finetuned.summary["evaluation"]["predictions"])
    assert [one.label for one in found] == [dataset.labels[i] for i in expected]
    backwards = list(predict(finetuned.folder, dataset.dev.texts[::-1], 48))[::-1]
    assert [one.label for one in backwards] == [one.label for one in found]


def test_pruned_folder_predicts(pruned: Made, dataset: Dataset) -> None:
    """A pruned folder is a model like any other: its predictions are those of the exported graph."""
    found = predict(pruned.folder, dataset.dev.texts, 48)
    expected = unpack_predictions(pruned.summary["evaluation"]["predictions"])
    assert [one.label for one in found] == [dataset.labels[i] for i in expected]


def test_any_text_is_labelled(finetuned: Made, dataset: Dataset) -> None:
    """Empty, very long, unknown and mixed texts each get one label and a probability."""
    found = list(predict(finetuned.folder, ODD))
    assert [one.text for one in found] == list(ODD)
    for one in found:
        assert one.label in dataset.labels
        assert 1 / len(dataset.labels) <= one.probability <= 1
    assert list(predict(finetuned.folder, [])) == []


def test_long_text_is_cut(finetuned: Made) -> None:
    """Beyond the maximum length nothing counts."""
    one, two = predict(finetuned.folder, ["病" * 46 + "胃疼", "病" * 46 + "怎么办"], 48)
    assert one.probability == pytest.approx(two.probability, abs=1e-6)


@pytest.mark.parametrize("length", [-1, 0, 2, 129])
def test_length_must_fit(finetuned: Made, length: int) -> None:
    """A length without room for text, or beyond the net's positions, is refused in words."""
    with pytest.raises(UserError, match=f"max_seq_length is {length}; this net takes 3 to 128 tokens"):
        list(predict(finetuned.folder, ["胃疼"], length))


def test_encoder_is_no_classifier(pretrained: Made) -> None:
    """A pretrained folder, which has no labels, can't predict."""
    with pytest.raises(UserError, match=r"label\.txt"):
        list(predict(pretrained.folder, ["胃疼"]))


def test_static_graph_must_be_there(finetuned: Made, tmp_path: Path) -> None:
    """A folder without a graph, and a graph that is none, are refused in words."""
    with pytest.raises(UserError, match=r"no static graph \(model\.pdmodel\) here"):
        static_logits(finetuned.folder)
    (tmp_path / "model.pdmodel").write_bytes(b"\xff" * 32)
    (tmp_path / "model.pdiparams").write_bytes(b"")
    with pytest.raises(UserError, match="static graph can't be loaded"):
        static_logits(tmp_path)
