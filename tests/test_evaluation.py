"""Probabilities come back in order, and an evaluation's parts tell one story."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from replicate.corpus.formats import Dataset, Split
from replicate.nets.classifier import load_classifier
from replicate.nets.logits import network_logits, probabilities
from replicate.nets.tokens import encode
from replicate.scores.evaluation import evaluate, history_entry, softmax
from replicate.scores.packing import unpack_bits, unpack_confidence, unpack_predictions, unpack_probabilities
from tests.tiny import Made


def test_softmax_is_a_distribution() -> None:
    """Rows sum to 1, a shift changes nothing, and logits that overflow exp() don't."""
    logits = np.array([[1.0, 2.0, 3.0], [1000.0, 0.0, -1000.0]], dtype=np.float64)
    assert softmax(logits).sum(axis=-1) == pytest.approx([1, 1])
    assert softmax(logits + 7.0) == pytest.approx(softmax(logits))
    assert softmax(logits)[1].tolist() == [1, 0, 0]
    assert softmax(np.log(np.array([[1.0, 3.0]]))) == pytest.approx(np.array([[0.25, 0.75]]))


def test_order_is_kept() -> None:
    """Batches are made by length, the answers stand in the order of the rows."""
    rng = np.random.default_rng(0)
    rows = [np.full(rng.integers(1, 30), number) for number in range(300)]
    sizes = []

    def first_token(ids: NDArray[np.int64]) -> NDArray[np.float32]:
        sizes.append(ids.shape)
        return np.stack([np.zeros(len(ids)), ids[:, 0]], axis=1).astype(np.float32)

    found = probabilities(first_token, rows, pad_id=-1)
    assert found == pytest.approx(softmax(np.stack([np.zeros(300), np.arange(300)], axis=1)))
    assert max(rows for rows, _ in sizes) == 64
    assert [length for _, length in sizes] == sorted(length for _, length in sizes)


def test_padding_changes_nothing(finetuned: Made, dataset: Dataset) -> None:
    """A text gets the same probabilities alone and beside longer ones: padding is masked out of the attention."""
    classifier = load_classifier(finetuned.folder)
    rows = encode(classifier.tokenizer, dataset.dev.texts, 48)
    logits_of = network_logits(classifier.network)
    together = probabilities(logits_of, rows, classifier.tokenizer.pad_token_id)
    alone = np.concatenate([probabilities(logits_of, [row], 0) for row in rows])
    assert np.abs(together - alone).max() < 1e-5
    assert not classifier.network.training


def test_parts_of_an_evaluation_agree() -> None:
    """Counts, predictions, correctness, confidence and probabilities follow from one array of probabilities."""
    rng = np.random.default_rng(1)
    probability = softmax(rng.normal(size=(50, 3)) * 3)
    dev = Split(tuple(map(str, range(50))), tuple(rng.integers(0, 3, 50).tolist()))
    found = evaluate(probability, dev, 3)
    predicted = unpack_predictions(found["predictions"])
    assert np.array_equal(predicted, probability.argmax(axis=1))
    assert np.array_equal(unpack_bits(found["correct"], 50), predicted == np.array(dev.labels))
    assert unpack_confidence(found["confidence"]) == pytest.approx(probability.max(axis=1), abs=1e-5)
    assert unpack_probabilities(found["probabilities"], 50, 3) == pytest.approx(probability, abs=1 / 510 + 1e-12)
    matrix = np.array(found["counts"]["confusion"])
    assert matrix.sum() == found["counts"]["examples"] == 50
    assert np.trace(matrix) == unpack_bits(found["correct"], 50).sum()
    # As upstream, class 1 counts where its probability is above one half, not where it is the largest.
    assert found["counts"]["tp"] == int(((probability[:, 1] > 0.5) & (np.array(dev.labels) == 1)).sum())
    entry = history_entry(found, step=7, epoch=1 / 3, loss=None, select="f1")
    assert (entry["step"], entry["epoch"], entry["loss"], entry["correct"]) == (7, 0.3333, None, found["correct"])
    assert entry["accuracy"] == np.trace(matrix) / 50
    # The F1 of any part of the examples follows from these.
    called, positives = (unpack_bits(entry[name], 50) for name in ("called", "positives"))
    assert entry["f1"] == pytest.approx(2 * (called & positives).sum() / (called.sum() + positives.sum()))
    assert not {"called", "positives"} & set(history_entry(found, 7, 1 / 3, None, "accuracy"))


def test_one_class_has_no_class_one() -> None:
    """A task of a single class can be evaluated."""
    assert evaluate(np.ones((2, 1)), Split(("a", "b"), (0, 0)), 1)["counts"]["confusion"] == [[2]]
