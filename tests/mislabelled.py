"""Labels that are wrong on purpose, and how well an audit tells them from the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from replicate.audit.confident import doubts
from replicate.audit.linear import out_of_fold


def flipped(
    labels: NDArray[np.int64], classes: int, share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Labels of which a share is another one, and which those are."""
    rng = np.random.default_rng(seed)
    count = round(share * len(labels))
    at = rng.choice(len(labels), count, replace=False)
    wrong = labels.copy()
    wrong[at] = (labels[at] + 1 + rng.integers(0, classes - 1, count)) % classes
    return wrong, np.isin(np.arange(len(labels)), at)


def auroc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """The share of pairs of a positive and another text in which the positive one scores lower."""
    rank = np.empty(len(score))
    rank[np.argsort(score, kind="stable")] = np.arange(len(score))
    few = int(positive.sum())
    more = float((len(score) - 1 - rank[positive]).sum()) - few * (few - 1) / 2
    return more / (few * (len(score) - few))


def found_of(texts: tuple[str, ...], labels: NDArray[np.int64], classes: int, seed: int) -> tuple[float, float]:
    """AUROC of 5 % labels that were flipped on purpose, and the share of them among the first 2n."""
    wrong, positive = flipped(labels, classes, 0.05, seed)
    score = doubts(out_of_fold(texts, wrong, classes, np.arange(len(texts))), wrong).score
    first = np.argsort(score, kind="stable")[: 2 * int(positive.sum())]
    return auroc(score, positive), float(positive[first].sum() / positive.sum())
