"""The baseline that every transformer row is read beside: a linear SVM on character n-grams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.corpus.formats import Split
from replicate.scores.metrics import count
from replicate.scores.packing import pack_bits, pack_predictions
from replicate.stages.kind import TRAIN, Inputs, Kind


def svm(train: Split, dev: Split, labels: int, seed: int) -> NDArray[np.int64]:
    """Predicts `dev` with scikit-learn's linear SVM (C = 0.3) on sublinear TF-IDF of character 1- and 2-grams.

    Args:
        train: training texts and class indices.
        dev: texts to predict; its labels are not read.
        labels: number of classes, which no training label may exceed.
        seed: of the solver's coordinate order; it hardly changes a prediction.

    Returns:
        Class indices, shape (examples,).
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    if not all(0 <= label < labels for label in train.labels):
        raise ValueError(f"a training label is outside 0 … {labels - 1}")
    if len(set(train.labels)) == 1:
        return np.full(len(dev.texts), train.labels[0], dtype=np.int64)
    features = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), sublinear_tf=True)
    model = make_pipeline(features, LinearSVC(C=0.3, random_state=seed))
    return np.asarray(model.fit(train.texts, train.labels).predict(dev.texts), dtype=np.int64)


@dataclass(frozen=True)
class SvmOptions:
    """The baseline has no settings."""


KIND = Kind("svm", SvmOptions, "scores", "replicate.stages.svm:run", (TRAIN,))


def run(inputs: Inputs) -> dict[str, Any]:
    """Train and score the baseline."""
    dev, classes = inputs.dataset.dev, len(inputs.dataset.labels)
    predicted = svm(inputs.split(), dev, classes, inputs.seed)
    evaluation = {
        "counts": count(dev.labels, predicted, classes),
        "predictions": pack_predictions(predicted),
        "correct": pack_bits(predicted == np.asarray(dev.labels)),
        "confidence": "",
        "probabilities": "",
    }
    return {"evaluation": evaluation, "parameters": 0}
