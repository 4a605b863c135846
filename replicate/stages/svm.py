"""The baseline that every transformer row is read beside: a linear SVM on character n-grams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.corpus.formats import Split
from replicate.scores.calibration import as_probabilities, fit_scale
from replicate.scores.evaluation import evaluate
from replicate.scores.metrics import count
from replicate.scores.packing import pack_bits, pack_predictions
from replicate.stages.kind import TRAIN, Inputs, Kind
from replicate.stages.sets import held_out

# Files of probabilities [texts, classes]: of the dev set, and of the lines that were held out of training.
DEV = "dev.npy"
HELD = "held.npy"


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
    return np.asarray(margins(train, dev.texts, labels, seed).argmax(axis=1), dtype=np.int64)


def margins(train: Split, texts: Sequence[str], labels: int, seed: int) -> NDArray[np.float64]:
    """Distances [texts, classes] from the plane of each class, as `svm` decides by them; -inf of a class without text.

    Args:
        train: training texts and class indices.
        texts: to be told apart.
        labels: number of classes, which no training label may exceed.
        seed: of the solver's coordinate order.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    if not all(0 <= label < labels for label in train.labels):
        raise ValueError(f"a training label is outside 0 … {labels - 1}")
    found = np.full((len(texts), labels), -np.inf)
    known = np.unique(train.labels)
    if len(known) == 1:
        found[:, known] = 0
        return found
    features = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), sublinear_tf=True)
    model = make_pipeline(features, LinearSVC(C=0.3, random_state=seed))
    told = np.asarray(model.fit(train.texts, train.labels).decision_function(texts), dtype=np.float64)
    # Of two classes it tells the distance of the second alone.
    found[:, known] = np.stack([-told, told], axis=1) if told.ndim == 1 else told
    return found


def scale_of(train: Split, labels: int, seed: int) -> float:
    """The factor that makes margins probabilities, from those of training texts by models that have not seen them."""
    from replicate.audit.folding import groups_of
    from replicate.audit.linear import FOLDS, folds_of

    gold = np.asarray(train.labels, dtype=np.int64)
    folds = folds_of(gold, groups_of(train.texts))
    told, seen = np.zeros((len(gold), labels)), np.zeros(len(gold), dtype=bool)
    for number in range(FOLDS):
        inside, outside = np.flatnonzero(folds == number), np.flatnonzero(folds != number)
        if len(inside) and len(outside):
            rest = train.at(outside)
            told[inside], seen[inside] = margins(rest, [train.texts[at] for at in inside], labels, seed), True
    # A label that stands in one fold only has no margin in it.
    seen &= np.isfinite(told[np.arange(len(gold)), gold])
    return fit_scale(told[seen], gold[seen]) if seen.any() else 1.0


@dataclass(frozen=True)
class SvmOptions:
    """What the baseline gives.

    Attributes:
        probabilities: those of every class too, for whoever mixes it with others.
    """

    probabilities: bool = False


KIND = Kind("svm", SvmOptions, "scores", "replicate.stages.svm:run", (TRAIN,), frozen={"probabilities": False})


def run(inputs: Inputs) -> dict[str, Any]:
    """Train and score the baseline; with `probabilities` they lie beside its result, those of held-out lines too."""
    train, dev, classes = inputs.split(), inputs.dataset.dev, len(inputs.dataset.labels)
    if inputs.options.probabilities:
        scale = scale_of(train, classes, inputs.seed)
        held = held_out(inputs)
        for name, part in ((DEV, dev), *([(HELD, held)] if held else [])):
            found = as_probabilities(margins(train, part.texts, classes, inputs.seed), scale)
            np.save(inputs.folder / name, found, allow_pickle=False)
            if name == DEV:
                evaluation = evaluate(found, dev, classes)
        return {"evaluation": evaluation, "scale": scale, "parameters": 0}
    predicted = svm(train, dev, classes, inputs.seed)
    evaluation = {
        "counts": count(dev.labels, predicted, classes),
        "predictions": pack_predictions(predicted),
        "correct": pack_bits(predicted == np.asarray(dev.labels)),
        "confidence": "",
        "probabilities": "",
    }
    return {"evaluation": evaluation, "parameters": 0}
