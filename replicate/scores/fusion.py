"""What several models say of the same texts, as one answer. NumPy only.

Every array of probabilities is [members, texts, classes]; weights are of the members, at least 0, and sum to 1.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Of a vote's answer, the share that is the mean of probabilities: too little to overrule a vote of fewer than a
# thousand members, and enough to settle a tie.
TIE = 1e-3
# Before a logarithm: no probability is 0, and none that matters changes.
FLOOR = 1e-30
# Of `fit_weights`: it ends where no weight moves by more than this in a round.
STILL = 1e-9
MOST_ROUNDS = 10_000


def mean(probabilities: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Weighted mean of the members' probabilities, [texts, classes]; equal weights without any."""
    members = np.asarray(probabilities, dtype=np.float64)
    return np.asarray(np.tensordot(_weights(weights, len(members)), members, axes=1))


def vote(probabilities: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Share of the votes that each class gets, [texts, classes]; a tie goes to the larger mean probability.

    For that, `TIE` of what is given is the mean of the probabilities.
    """
    members = np.asarray(probabilities, dtype=np.float64)
    votes = members == members.max(axis=-1, keepdims=True)
    return np.asarray((1 - TIE) * mean(votes, weights) + TIE * mean(members, weights))


def fit_weights(probabilities: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """Weights of the mean that gives these labels the highest likelihood, found by expectation maximisation.

    The likelihood has one maximum only, and each round comes nearer to it. Texts without whose members' agreement no
    label could be told apart (none, or one member) give equal weights.

    Args:
        probabilities: on texts that no member was trained on.
        labels: classes, [texts].
    """
    members, gold = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    of_label = np.maximum(members[:, np.arange(len(gold)), gold], FLOOR)
    weights = _weights(None, len(members))
    for _ in range(MOST_ROUNDS if len(gold) else 0):
        shares = weights[:, None] * of_label
        found = (shares / shares.sum(axis=0)).mean(axis=1)
        moved, weights = np.abs(found - weights).max(), found
        if moved < STILL:
            break
    return weights


def disagreement(predictions: ArrayLike) -> float:
    """Share of the texts that two members label differently, over all pairs of members.

    Args:
        predictions: class indices, [members, texts], of at least two members.
    """
    members = np.asarray(predictions)
    return float(np.mean([(a != b).mean() for a, b in combinations(members, 2)]))


def most_votes(predictions: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Of each text, how many members agree with the largest group among them, [texts].

    Args:
        predictions: class indices, [members, texts].
        classes: number of classes.
    """
    members = np.asarray(predictions)
    counts = np.stack([(members == label).sum(axis=0) for label in range(classes)])
    return np.asarray(counts.max(axis=0), dtype=np.int64)


def _weights(weights: ArrayLike | None, members: int) -> NDArray[np.float64]:
    return np.full(members, 1 / members) if weights is None else np.asarray(weights, dtype=np.float64)
