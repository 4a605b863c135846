"""Self-training: a net labels text without labels, and what it is surest of joins the training set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from replicate.common.checks import check_positive
from replicate.common.errors import UserError
from replicate.corpus.formats import DATA, Split
from replicate.nets.classifier import load_classifier
from replicate.nets.logits import network_logits, probabilities
from replicate.nets.tokens import encode
from replicate.stages.distill.transfer_set import spare_texts
from replicate.stages.kind import MODEL, TRAIN, Inputs, Kind
from replicate.stages.sets import write_train
from replicate.training.options import check_length


@dataclass(frozen=True)
class PseudoOptions:
    """How much text without a label is given one.

    Attributes:
        per_class: texts of each label at most, those that the net is surest of.
        candidates: texts that it is asked about at most, drawn by the seed.
        max_seq_length: tokens of a text, [CLS] and [SEP] included; longer texts are cut.
    """

    per_class: int = 32
    candidates: int = 4000
    max_seq_length: int = 128

    def __post_init__(self) -> None:
        """Refuse less than one (UserError)."""
        check_positive(self, "per_class", "candidates")


KIND = Kind(
    "pseudo",
    PseudoOptions,
    "examples",
    "replicate.stages.fewshot.pseudo:run",
    (TRAIN, MODEL),
    frozen={"per_class": 32, "candidates": 4000, "max_seq_length": 128},
    reads=lambda options: (*DATA, "unlabelled", "queries"),
    wants_device=lambda options: True,
)


def run(inputs: Inputs) -> dict[str, Any]:
    """Write the training set with text that the model has labelled; the summary counts it.

    Raises:
        UserError: there is no model, it is no classifier of these labels, or there is no text without a label.
    """
    split, options = inputs.split(), inputs.options
    model = inputs.model("pseudo: there is no model to label texts")
    classifier = load_classifier(model)
    if classifier.labels != inputs.dataset.labels:
        raise UserError("the model has other labels than the data", path=model)
    check_length(classifier.network, options.max_seq_length)
    there = spare_texts((*inputs.dataset.unlabelled, *inputs.unlabelled()), split, inputs.dataset.dev.texts)
    if not there:
        raise UserError("pseudo: there is no text without a label", hint="put some into data.txt")
    drawn = np.sort(np.random.default_rng(inputs.seed).permutation(len(there))[: options.candidates])
    texts = [there[i] for i in drawn]
    rows = encode(classifier.tokenizer, texts, options.max_seq_length)
    found = probabilities(network_logits(classifier.network), rows, classifier.tokenizer.pad_token_id)
    likeliest, sure = found.argmax(axis=1), found.max(axis=1)
    order = np.argsort(-sure, kind="stable")
    taken = np.sort(
        np.concatenate([order[likeliest[order] == label][: options.per_class] for label in range(found.shape[1])])
    )
    texts, labels = [texts[i] for i in taken], [int(likeliest[i]) for i in taken]
    summary = write_train(inputs, Split((*split.texts, *texts), (*split.labels, *labels)))
    return {**summary, "unlabelled": len(taken), "sure": float(sure[taken].mean())}
