"""Probabilities of a network on texts, and the counts that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate import batching
from replicate.corpus.formats import Split
from replicate.metrics import count, scores
from replicate.record import pack_bits, pack_confidence, pack_predictions

BATCH = 64


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Probabilities over the last axis."""
    exponent = np.exp(np.asarray(logits, dtype=np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponent / exponent.sum(axis=-1, keepdims=True))


def probabilities(
    logits_of: Callable[[NDArray[np.int64]], NDArray[np.float32]], rows: Sequence[NDArray[np.int64]], pad_id: int
) -> NDArray[np.float64]:
    """Class probabilities [texts, classes] in the order of the rows; batches of 64 are made by length.

    Args:
        logits_of: token ids [batch, length] to logits [batch, classes].
        rows: token ids of each text.
        pad_id: id that fills short rows.
    """
    parts: list[NDArray[np.float64]] = []
    order: list[NDArray[np.int64]] = []
    for indices in batching.sorted_batches([len(row) for row in rows], BATCH):
        parts.append(softmax(logits_of(batching.pad([rows[i] for i in indices], pad_id))))
        order.append(indices)
    found = np.concatenate(parts)
    result = np.empty_like(found)
    result[np.concatenate(order)] = found
    return result


def network_logits(network: Any) -> Callable[[NDArray[np.int64]], NDArray[np.float32]]:
    """`logits_of` for a dynamic-graph network; it is left in evaluation mode."""
    import paddle

    network.eval()

    def logits_of(ids: NDArray[np.int64]) -> NDArray[np.float32]:
        with paddle.no_grad():
            return np.asarray(network(paddle.to_tensor(ids)).numpy())

    return logits_of


def evaluate(probability: NDArray[np.float64], dev: Split, classes: int) -> dict[str, Any]:
    """What a record keeps of one evaluation: counts, predictions, correctness and confidence.

    Args:
        probability: [examples, classes].
        dev: the examples, in the same order.
        classes: number of classes.
    """
    predicted = probability.argmax(axis=1)
    positive = probability[:, 1] if classes > 1 else None
    return {
        "counts": count(dev.labels, predicted, classes, positive),
        "predictions": pack_predictions(predicted),
        "correct": pack_bits(predicted == np.asarray(dev.labels)),
        "confidence": pack_confidence(probability.max(axis=1).clip(0, 1)),
    }


def history_entry(evaluation: dict[str, Any], step: int, epoch: float, loss: float | None) -> dict[str, Any]:
    """One line of a training history: step, epoch, scores and correctness.

    `loss` is the mean since the last line, None where it is not known.
    """
    found = scores(evaluation["counts"])
    return {
        "step": step,
        "epoch": round(epoch, 4),
        "loss": loss,
        "accuracy": found["accuracy"],
        "f1": found["f1"],
        "correct": evaluation["correct"],
    }
