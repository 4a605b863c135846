"""A linear head on what a net says of a text as a whole; the net stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from replicate.common.checks import check_positive
from replicate.common.errors import UserError
from replicate.nets.classifier import load_classifier
from replicate.nets.configuration import is_cloze
from replicate.nets.features import features_of
from replicate.nets.folder import origin_of, scalars_of
from replicate.nets.tokens import encode
from replicate.scores.evaluation import RECORDED, evaluate
from replicate.stages.kind import MODEL, TRAIN, Inputs, Kind
from replicate.training.options import check_length

_ROUNDS = 2000


@dataclass(frozen=True)
class HeadOptions:
    """Settings of the head.

    Attributes:
        strength: inverse of the regularisation of logistic regression, scikit-learn's C.
        max_seq_length: tokens of a text, [CLS] and [SEP] included; longer texts are cut.
    """

    strength: float = 1.0
    max_seq_length: int = 128

    def __post_init__(self) -> None:
        """Refuse a setting that no regression can have (UserError)."""
        check_positive(self, "strength")


KIND = Kind(
    "head",
    HeadOptions,
    "scores",
    "replicate.stages.fewshot.head:run",
    (TRAIN, MODEL),
    frozen={"strength": 1.0, "max_seq_length": 128},
    wants_device=lambda options: True,
)


def run(inputs: Inputs) -> dict[str, Any]:
    """Train logistic regression on the model's mean states, and score it; the two make no folder for `predict`.

    Raises:
        UserError: there is no model, or it is no ERNIE that reads a text as it stands.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    options, split, dev, classes = inputs.options, inputs.split(), inputs.dataset.dev, len(inputs.dataset.labels)
    model = inputs.model("head: there is no model to ask")
    classifier = load_classifier(model, inputs.dataset.labels)
    encoder = classifier.network.base_model
    if not hasattr(encoder, "encoder") or is_cloze(classifier.network.config):
        raise UserError("a head is for an ERNIE without a prompt", path=model)
    check_length(classifier.network, options.max_seq_length)
    tokenizer = classifier.tokenizer
    rows = [encode(tokenizer, part.texts, options.max_seq_length) for part in (split, dev)]
    learnt, asked = (features_of(encoder, part, tokenizer.pad_token_id) for part in rows)
    known = np.unique(split.labels)
    probability = np.zeros((len(dev), classes))
    if len(known) == 1:
        probability[:, known[0]] = 1
    else:
        head = make_pipeline(StandardScaler(), LogisticRegression(C=options.strength, max_iter=_ROUNDS))
        probability[:, known] = head.fit(learnt, split.labels).predict_proba(asked)
    found = evaluate(probability, dev, classes)
    return {
        **origin_of(model, encoder),
        "examples": len(split),
        "parameters": scalars_of(encoder) + classes * (learnt.shape[1] + 1),
        "evaluation": {name: found[name] for name in RECORDED},
    }
