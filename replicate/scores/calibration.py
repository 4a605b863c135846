"""Margins of a linear model as probabilities. NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replicate.scores.evaluation import softmax

# Between these the best factor is looked for; margins of an SVM need some 4.
SCALES = (1e-2, 1e2)
_GOLDEN = (np.sqrt(5) - 1) / 2
_ROUNDS = 60


def as_probabilities(margins: ArrayLike, scale: float) -> NDArray[np.float64]:
    """Softmax of `scale` times the margins, [texts, classes]; a class with margin -inf gets none."""
    return softmax(scale * np.asarray(margins, dtype=np.float64))


def fit_scale(margins: ArrayLike, labels: ArrayLike) -> float:
    """The factor under which the softmax of the margins gives the labels the highest likelihood (temperature scaling).

    Args:
        margins: [texts, classes] of texts that the model was not trained on.
        labels: classes, [texts].
    """
    values, gold = np.asarray(margins, dtype=np.float64), np.asarray(labels, dtype=np.int64)

    def loss(scale: float) -> float:
        of_label = as_probabilities(values, scale)[np.arange(len(gold)), gold]
        return float(-np.log(np.maximum(of_label, np.finfo(float).tiny)).mean())

    # Golden section on the logarithm: the loss has one minimum.
    low, high = np.log(SCALES)
    for _ in range(_ROUNDS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if loss(float(np.exp(left))) <= loss(float(np.exp(right))):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))
