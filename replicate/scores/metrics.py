"""Scores, each derived from whole-number counts.

The article's precision, recall and F1 are those of class index 1 alone: it used `paddlenlp.metrics.AccuracyAndF1`,
which is made for binary tasks and calls class 1 predicted where its softmax probability is above one half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

METRICS = ("accuracy", "precision", "recall", "f1", "average", "macro_f1")
POSITIVE = 1
# Of more classes records keep the cells of a confusion matrix that hold examples, or it would outgrow all the rest.
MOST_WHOLE = 40
CELLS = ("true", "predicted", "counts")


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class against all others; `support` is its number of examples."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Ratio:
    """A score of several seeds, split into examples: the sum of `numerator` over the sum of `denominator`.

    Both are of shape (seeds, examples); a resampled score is the ratio of resampled sums.
    """

    numerator: NDArray[np.float64]
    denominator: NDArray[np.float64]

    def scores(self) -> NDArray[np.float64]:
        """The score of each seed, 0 where the denominator is."""
        return _divide(self.numerator.sum(axis=1), self.denominator.sum(axis=1))


def confusion(gold: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Counts of shape (classes, classes), indexed [gold, predicted].

    Raises:
        ValueError: the two differ in length, or an index is not one of `classes`.
    """
    gold, predicted = np.asarray(gold, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    if gold.shape != predicted.shape or gold.ndim != 1:
        raise ValueError(f"gold {gold.shape} and predicted {predicted.shape} are not two vectors of one length")
    both = np.concatenate([gold, predicted])
    if both.size and not (both.min() >= 0 and both.max() < classes):
        raise ValueError(f"a class index is outside 0 … {classes - 1}")
    return np.bincount(gold * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def binary_counts(probability: ArrayLike, gold: ArrayLike) -> dict[str, int]:
    """True positives, false positives and false negatives of class 1, as `AccuracyAndF1` counts them.

    A probability of exactly one half is negative here; upstream's recall agrees, its precision calls it positive.

    Args:
        probability: of class 1, shape (examples,).
        gold: class indices, shape (examples,).
    """
    return positive_counts(np.asarray(probability) > 0.5, gold)


def positive_counts(predicted_positive: ArrayLike, gold: ArrayLike) -> dict[str, int]:
    """As `binary_counts`, for a model that decides without a probability (booleans, shape (examples,))."""
    predicted, positive = np.asarray(predicted_positive, dtype=bool), np.asarray(gold) == POSITIVE
    if predicted.shape != positive.shape or predicted.ndim != 1:
        raise ValueError(f"predicted {predicted.shape} and gold {positive.shape} are not two vectors of one length")
    return {
        "tp": int(np.sum(predicted & positive)),
        "fp": int(np.sum(predicted & ~positive)),
        "fn": int(np.sum(~predicted & positive)),
    }


def count(gold: ArrayLike, predicted: ArrayLike, classes: int, probability: ArrayLike | None = None) -> dict[str, Any]:
    """The counts of a run record: `examples`, `confusion` (as `kept_matrix` gives it), `tp`, `fp`, `fn`.

    Args:
        gold: class indices, shape (examples,).
        predicted: class indices, shape (examples,).
        classes: number of classes.
        probability: of class 1, shape (examples,); without it class 1 is predicted where `predicted` says so.
    """
    matrix = confusion(gold, predicted, classes)
    positive = np.asarray(predicted) == POSITIVE
    binary = positive_counts(positive, gold) if probability is None else binary_counts(probability, gold)
    return {"examples": int(matrix.sum()), "confusion": kept_matrix(matrix), **binary}


def kept_matrix(matrix: NDArray[np.int64]) -> list[list[int]] | dict[str, Any]:
    """A confusion matrix as records keep it: nested lists, of many classes the cells with a count alone.

    Cells are `classes`, their number, and beside each other `true`, `predicted` and `counts`, line by line.
    """
    if len(matrix) <= MOST_WHOLE:
        return list(matrix.tolist())
    true, predicted = np.nonzero(matrix)
    cells = (true.tolist(), predicted.tolist(), matrix[true, predicted].tolist())
    return {"classes": len(matrix), **dict(zip(CELLS, cells, strict=True))}


def matrix_of(kept: Sequence[Sequence[int]] | Mapping[str, Any]) -> NDArray[np.int64]:
    """The confusion matrix [gold, predicted] that a record keeps, whole or by its cells."""
    if not isinstance(kept, Mapping):
        return np.asarray(kept, dtype=np.int64)
    true, predicted, counts = (np.asarray(kept[name], dtype=np.int64) for name in CELLS)
    matrix = np.zeros((kept["classes"], kept["classes"]), dtype=np.int64)
    matrix[true, predicted] = counts
    return matrix


def article_scores(*, correct: int, examples: int, tp: int, fp: int, fn: int) -> dict[str, float]:
    """The five figures of `AccuracyAndF1.accumulate`, to the last bit."""
    accuracy = correct / examples if examples else 0.0
    precision = tp / (tp + fp) if tp + fp else 0.0
    recall = tp / (tp + fn) if tp + fn else 0.0
    f1 = (2 * precision * recall) / (precision + recall) if tp else 0.0
    return {"accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1, "average": (accuracy + f1) / 2}


def per_class(matrix: ArrayLike) -> tuple[ClassScores, ...]:
    """One `ClassScores` a class of a confusion matrix [gold, predicted]; a score without a denominator is 0."""
    counts = np.asarray(matrix, dtype=np.int64)
    hit, predicted, support = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)
    columns = (_divide(hit, predicted), _divide(hit, support), _divide(2 * hit, predicted + support), support)
    return tuple(ClassScores(float(p), float(r), float(f), int(n)) for p, r, f, n in zip(*columns, strict=True))


def scores(counts: Mapping[str, Any]) -> dict[str, float]:
    """Every metric of `METRICS` from the counts of a run record.

    Macro-F1 averages over the classes that occur among the labels or the predictions, as scikit-learn's does.
    """
    matrix = matrix_of(counts["confusion"])
    correct, examples = int(np.trace(matrix)), int(counts["examples"])
    binary = {name: int(counts[name]) for name in ("tp", "fp", "fn")}
    occurs = (matrix.sum(axis=0) + matrix.sum(axis=1)) > 0
    f1 = [one.f1 for one, here in zip(per_class(matrix), occurs, strict=True) if here]
    macro_f1 = float(np.mean(f1)) if f1 else 0.0
    return {**article_scores(correct=correct, examples=examples, **binary), "macro_f1": macro_f1}


def accuracy_ratio(correct: ArrayLike) -> Ratio:
    """Accuracy as a `Ratio`, from booleans of shape (seeds, examples)."""
    right = np.asarray(correct, dtype=np.float64)
    return Ratio(right, np.ones_like(right))


def f1_ratio(predicted_positive: ArrayLike, gold: ArrayLike) -> Ratio:
    """Class-1 F1 as a `Ratio`: 2 tp over 2 tp + fp + fn.

    Args:
        predicted_positive: booleans, shape (seeds, examples).
        gold: class indices, shape (examples,).
    """
    predicted, positive = np.asarray(predicted_positive, dtype=np.float64), np.asarray(gold) == POSITIVE
    return Ratio(2 * predicted * positive, predicted + positive)


def _divide(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """Elementwise ratio, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator != 0)
