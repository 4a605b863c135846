"""A linear model with probabilities: logistic regression on character n-grams, which few labels are enough for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from replicate.audit.linear import learn
from replicate.corpus.formats import Split
from replicate.scores.evaluation import RECORDED, evaluate
from replicate.stages.kind import TRAIN, Inputs, Kind


@dataclass(frozen=True)
class LinearOptions:
    """It has no settings: those of `replicate.audit.linear`."""


KIND = Kind("linear", LinearOptions, "scores", "replicate.stages.fewshot.linear:run", (TRAIN,), seeded=False)


def linear(train: Split, dev: Split, classes: int) -> dict[str, Any]:
    """Train it and score it; draws nothing.

    Args:
        train: what it learns from.
        dev: what it is scored on.
        classes: number of labels.
    """
    model = learn(train.texts, np.asarray(train.labels, dtype=np.int64), classes)
    found = evaluate(model(dev.texts).astype(np.float64), dev, classes)
    return {"evaluation": {name: found[name] for name in RECORDED}, "examples": len(train), "parameters": 0}


def run(inputs: Inputs) -> dict[str, Any]:
    """Train and score the linear model."""
    return linear(inputs.split(), inputs.dataset.dev, len(inputs.dataset.labels))
