"""Probabilities of a network on texts, and the counts that follow from them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.corpus.formats import Split
from replicate.scores.metrics import count, scores
from replicate.scores.packing import pack_bits, pack_confidence, pack_predictions, pack_probabilities

# Of an evaluation, what a record has; the rest is for histories.
RECORDED = ("counts", "predictions", "correct", "confidence", "probabilities")


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Probabilities over the last axis."""
    exponent = np.exp(np.asarray(logits, dtype=np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponent / exponent.sum(axis=-1, keepdims=True))


def evaluate(probability: NDArray[np.float64], dev: Split, classes: int) -> dict[str, Any]:
    """What is kept of one evaluation: counts, predictions, correctness, confidence, probabilities, and what F1 counts.

    Args:
        probability: [examples, classes].
        dev: the examples, in the same order.
        classes: number of classes.
    """
    predicted = probability.argmax(axis=1)
    positive = probability[:, 1] if classes > 1 else None
    labels = np.asarray(dev.labels)
    called = np.zeros(len(labels), dtype=bool) if positive is None else positive > 0.5
    return {
        "counts": count(dev.labels, predicted, classes, positive),
        "predictions": pack_predictions(predicted),
        "correct": pack_bits(predicted == labels),
        "confidence": pack_confidence(probability.max(axis=1).clip(0, 1)),
        "probabilities": pack_probabilities(probability.clip(0, 1)),
        "called": pack_bits(called),
        "positives": pack_bits(labels == 1),
    }


def history_entry(
    evaluation: dict[str, Any], step: int, epoch: float, loss: float | None, select: str
) -> dict[str, Any]:
    """One line of a training history: step, epoch, scores and correctness.

    Args:
        evaluation: from `evaluate`.
        step: steps done.
        epoch: epochs done.
        loss: mean since the last line; None where it is not known.
        select: the score that picks the step. Where that is F1, what it counts is kept too: which examples were called
            class 1, and which are.
    """
    found = scores(evaluation["counts"])
    return {
        "step": step,
        "epoch": round(epoch, 4),
        "loss": loss,
        "accuracy": found["accuracy"],
        "f1": found["f1"],
        "macro_f1": found["macro_f1"],
        "correct": evaluation["correct"],
        **({name: evaluation[name] for name in ("called", "positives")} if select == "f1" else {}),
    }
