"""Probabilities of a linear model that has not seen the text: logistic regression on character n-grams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.scores.evaluation import softmax

FOLDS = 5
# A model learns from so many texts at most; what it gains from more is small, and memory stays the same.
MOST = 100_000
_CHUNK = 20_000
_C = 3.0


def out_of_fold(
    texts: Sequence[str],
    labels: NDArray[np.int64],
    classes: int,
    groups: NDArray[np.int64],
    tell: Callable[[int], object] = lambda done: None,
) -> NDArray[np.float32]:
    """Probabilities [texts, classes] of each text by a model that was trained on other texts.

    Args:
        texts: as they stand.
        labels: of the texts.
        classes: their number.
        groups: of each text a number that equal texts share; they are left out together, or one would tell the other's.
        tell: told how many of `FOLDS` rounds are done.
    """
    found = np.full((len(texts), classes), 1 / classes, dtype=np.float32)
    folds = folds_of(labels, groups)
    for fold in range(FOLDS):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if len(inside) and len(outside):
            found[inside] = learn(texts, labels, classes, outside)(_Some(texts, inside))
        tell(fold + 1)
    return found


def learn(
    texts: Sequence[str], labels: NDArray[np.int64], classes: int, of: NDArray[np.int64] | None = None
) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """A model that is trained on some of the texts (all without `of`), as a function from texts to probabilities."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    of = np.arange(len(texts)) if of is None else of
    if len(of) > MOST:
        of = np.sort(np.random.default_rng(0).choice(of, MOST, replace=False))
    known = np.unique(labels[of])
    if len(known) == 1:
        # Nothing can be told apart.
        return lambda asked: np.eye(classes, dtype=np.float32)[np.full(len(asked), known[0])]
    features = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)
    rows = features.fit_transform([texts[at] for at in of])
    # Of scikit-learn's solvers the fastest here, and its primal draws nothing.
    model = OneVsRestClassifier(LogisticRegression(C=_C, solver="liblinear")).fit(rows, labels[of])

    def probabilities(asked: Sequence[str]) -> NDArray[np.float32]:
        found = np.zeros((len(asked), classes), dtype=np.float32)
        for start in range(0, len(asked), _CHUNK):
            part = [asked[at] for at in range(start, min(start + _CHUNK, len(asked)))]
            found[start : start + len(part), known] = _softmax(model.decision_function(features.transform(part)))
        return found

    return probabilities


def _softmax(margins: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Of two classes the model gives the margin of the second alone."""
    return softmax(np.stack([np.zeros_like(margins), margins], axis=1) if margins.ndim == 1 else margins)


def folds_of(labels: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """A fold for each text: the same for equal texts, and as many of each label as the groups allow."""
    first = np.unique(groups, return_index=True)[1]
    order = np.random.default_rng(0).permutation(len(first))
    order = order[np.argsort(labels[first][order], kind="stable")]
    of_group = np.empty(len(first), dtype=np.int64)
    of_group[order] = np.arange(len(first)) % FOLDS
    return of_group[np.searchsorted(groups[first], groups)]


class _Some(Sequence[str]):
    """Some of the texts, without a copy."""

    def __init__(self, texts: Sequence[str], at: NDArray[np.int64]) -> None:
        self._texts, self._at = texts, at

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, at: Any) -> Any:
        return self._texts[self._at[at]]
