"""Margins of a linear model as probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replicate.scores.evaluation import softmax

# Between these the best factor is looked for; margins of an SVM need some 4.
SCALES = (1e-2, 1e2)


def as_probabilities(margins: ArrayLike, scale: float) -> NDArray[np.float64]:
    """Softmax of `scale` times the margins, [texts, classes]; a class with margin -inf gets none."""
    return softmax(scale * np.asarray(margins, dtype=np.float64))


def fit_scale(margins: ArrayLike, labels: ArrayLike) -> float:
    """The factor under which the softmax of the margins gives the labels the highest likelihood (temperature scaling).

    Args:
        margins: [texts, classes] of texts that the model was not trained on.
        labels: classes, [texts].
    """
    # Stages are listed by `--help`, which needs no SciPy and answers sooner without.
    from scipy.optimize import minimize_scalar

    values, gold = np.asarray(margins, dtype=np.float64), np.asarray(labels, dtype=np.int64)

    def loss(scale: float) -> float:
        of_label = as_probabilities(values, scale)[np.arange(len(gold)), gold]
        return float(-np.log(np.maximum(of_label, np.finfo(float).tiny)).mean())

    # The loss has one minimum; the search goes over the factor's logarithm.
    found = minimize_scalar(lambda power: loss(float(np.exp(power))), bounds=np.log(SCALES), method="bounded")
    return float(np.exp(found.x))
