"""Confident learning: which labels a model contradicts more firmly than it usually does.

The rule is that of Northcutt, Jiang and Chuang (Confident Learning, JAIR 70, 2021), section 3: a class is confident
where its probability reaches the mean that texts with this label have for it. `tox -e agreement` holds it beside
cleanlab.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Of a comparison of two means of floats, as in cleanlab.
_EPSILON = 1e-6


@dataclass(frozen=True)
class Doubts:
    """What the probabilities say of the labels.

    Attributes:
        doubted: whether another class is the confident one, [texts].
        suggested: that class; the given one where there is no doubt, [texts].
        given: the probability of the given label, [texts].
        score: the same beside the root of what is usual for its class, [texts]: the lower, the likelier a mistake. Rare
            classes have low probabilities, and would otherwise all come first.
    """

    doubted: NDArray[np.bool_]
    suggested: NDArray[np.int64]
    given: NDArray[np.float64]
    score: NDArray[np.float64]

    def order(self) -> NDArray[np.int64]:
        """The texts in doubt, the likeliest mistake first."""
        at = np.flatnonzero(self.doubted)
        return at[np.argsort(self.score[at], kind="stable")]


def doubts(probability: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> Doubts:
    """Which labels are in doubt.

    Args:
        probability: [texts, classes], by a model that has not seen the label of the text.
        labels: the given classes, [texts].

    Raises:
        ValueError: they are of different length, or no text is there.
    """
    if probability.ndim != 2 or len(probability) != len(labels) or not len(labels):
        raise ValueError(f"probabilities {probability.shape} and {len(labels)} labels")
    classes = probability.shape[1]
    given = np.asarray(probability[np.arange(len(labels)), labels], dtype=np.float64)
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, weights=given, minlength=classes)
    # Of a class without a text nothing is known, so nothing is taken for it.
    threshold = np.divide(sums, counts, out=np.full(classes, np.inf), where=counts > 0)
    confident = np.where(probability >= threshold - _EPSILON, probability, -1.0)
    best = confident.argmax(axis=1)
    doubted = (confident.max(axis=1) >= 0) & (best != labels)
    # What the model itself would call so is no doubt of the model's.
    doubted &= probability.argmax(axis=1) != labels
    usual = np.maximum(threshold[labels], _EPSILON)
    return Doubts(doubted, np.where(doubted, best, labels), given, given / np.sqrt(usual))
