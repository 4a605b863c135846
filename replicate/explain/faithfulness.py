"""Whether the pieces with the highest scores are those that the model goes by.

Comprehensiveness and sufficiency are those of ERASER (DeYoung et al., ACL 2020): the probability of the predicted label
less what is left without the highest pieces, and less what those alone give, each a mean over several shares of the
pieces. What is taken away is hidden behind [MASK]. Raw values can't be compared across models (arXiv 2408.08137), so
random orders of the same texts give each model a floor of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replicate.explain.explanation import Explanation
from replicate.explain.occlusion import Explainer, hidden, logits_of
from replicate.inference.predict import Labeller
from replicate.scores.evaluation import softmax

SHARES = (0.1, 0.2, 0.5)
# Random orders of each text.
FLOOR = 5
# Of the pieces of a text, those that two models are compared by.
TOP = 0.2


@dataclass(frozen=True)
class Faithfulness:
    """Of one model on a sample of texts, each figure a mean over the texts.

    Attributes:
        comprehensiveness: the higher, the more the label hangs on the highest pieces.
        sufficiency: the lower, the more those alone are enough.
        floor: the two for random orders.
        texts: how many there were.
    """

    comprehensiveness: float
    sufficiency: float
    floor: tuple[float, float]
    texts: int


def faithfulness(explainer: Explainer, texts: Sequence[str], seed: int = 0) -> tuple[Faithfulness, list[Explanation]]:
    """The figures, and the explanations that they are made of; texts of fewer than two pieces are left out.

    Args:
        explainer: of one model.
        texts: a sample.
        seed: of the random orders.

    Raises:
        ValueError: no text has two pieces.
    """
    rng = np.random.default_rng(seed)
    found, floors, explained = [], [], []
    for text in texts:
        one = explainer.explain(text)
        count = len(one.pieces)
        explained.append(one)
        if count < 2:
            continue
        best = explainer.runtime.labels.index(one.labels[0])
        orders = [np.argsort(-one.scores[:, 0], kind="stable"), *(rng.permutation(count) for _ in range(FLOOR))]
        figures = erased(explainer.labeller, one, orders, best)
        found.append(figures[0])
        floors.append(figures[1:].mean(axis=0))
    if not found:
        raise ValueError("no text has two pieces")
    own, floor = np.mean(found, axis=0), np.mean(floors, axis=0)
    return Faithfulness(float(own[0]), float(own[1]), (float(floor[0]), float(floor[1])), len(found)), explained


def erased(
    labeller: Labeller, one: Explanation, orders: Sequence[NDArray[np.int64]], label: int
) -> NDArray[np.float64]:
    """Comprehensiveness and sufficiency, [orders, 2], where pieces are taken in each of the orders."""
    count = len(one.pieces)
    without = np.zeros((len(orders) * len(SHARES), count), dtype=bool)
    for at, (order, share) in enumerate((order, share) for order in orders for share in SHARES):
        without[at, order[: max(1, round(share * count))]] = True
    masks = np.vstack([np.zeros((1, count), dtype=bool), without, ~without])
    rows = hidden(one.pieces, masks, labeller.runtime.tokenizer.mask_token_id)
    probability = softmax(logits_of(labeller, rows))[:, label]
    lost = probability[0] - probability[1:].reshape(2, len(orders), len(SHARES)).mean(axis=2)
    return np.asarray(lost.T)


@dataclass(frozen=True)
class Alike:
    """Whether two models look at the same pieces of the same texts, each figure a mean over the texts.

    Attributes:
        rank: Spearman's correlation of the scores, from -1 to 1; 0 by chance.
        top: share of the highest 20 % of the one that are among those of the other.
        by_chance: that share for two random orders.
        same_label: share of the texts to which both give one label.
        texts: how many there were.
    """

    rank: float
    top: float
    by_chance: float
    same_label: float
    texts: int


def alike(first: Sequence[Explanation], second: Sequence[Explanation]) -> Alike:
    """The figures of two models' explanations of the same texts, each of its own label; single pieces are left out.

    Raises:
        ValueError: they are of other texts, or of other pieces, or no text has two pieces.
    """
    ranks, tops, chance, same = [], [], [], []
    for one, other in zip(first, second, strict=True):
        if one.pieces.text != other.pieces.text or one.pieces.spans != other.pieces.spans:
            raise ValueError("explanations of other texts, or of other pieces")
        count = len(one.pieces)
        if count < 2:
            continue
        scores = one.scores[:, 0], other.scores[:, 0]
        ranks.append(spearman(*scores))
        most = max(1, round(TOP * count))
        highest = [set(np.argsort(-score, kind="stable")[:most].tolist()) for score in scores]
        tops.append(len(highest[0] & highest[1]) / most)
        chance.append(most / count)
        same.append(one.labels[0] == other.labels[0])
    if not ranks:
        raise ValueError("no text has two pieces")
    rank, top, by_chance, same_label = (float(np.mean(values)) for values in (ranks, tops, chance, same))
    return Alike(rank, top, by_chance, same_label, len(ranks))


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Correlation of the ranks; equal values share a rank, and it is 0 where all are equal."""
    ranks = [_ranks(values) for values in (one, other)]
    spread = [values.std() for values in ranks]
    if not all(spread):
        return 0.0
    return float(np.mean((ranks[0] - ranks[0].mean()) * (ranks[1] - ranks[1].mean())) / (spread[0] * spread[1]))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[at])
