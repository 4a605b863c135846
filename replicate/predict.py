"""Labels for texts, from a model folder: its dynamic net, or the static graph that pruning exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from replicate import compat
from replicate.errors import UserError
from replicate.evaluation import network_logits, probabilities
from replicate.finetune import check_length
from replicate.model import encode, load_classifier

STATIC = "model"


@dataclass(frozen=True)
class Prediction:
    """A text's label and the probability that the model gives it."""

    text: str
    label: str
    probability: float


def static_logits(folder: Path) -> Callable[[NDArray[np.int64]], NDArray[np.float32]]:
    """`logits_of` for the static graph in a model folder.

    Raises:
        UserError: the folder holds none, or Paddle can't load it.
    """
    compat.quiet()
    import paddle

    prefix = folder / STATIC
    if not prefix.with_suffix(".pdmodel").is_file():
        raise UserError("no static graph (model.pdmodel) here", path=folder, hint="name a folder that prune wrote")
    try:
        network = paddle.jit.load(str(prefix))
    except (ValueError, RuntimeError, OSError) as error:
        raise UserError("the static graph can't be loaded", path=prefix.with_suffix(".pdmodel")) from error
    network.eval()

    def logits_of(ids: NDArray[np.int64]) -> NDArray[np.float32]:
        with paddle.no_grad():
            return np.asarray(network(paddle.to_tensor(ids), paddle.to_tensor(np.zeros_like(ids))).numpy())

    return logits_of


def predict(model: str | Path, texts: Sequence[str], max_seq_length: int = 128) -> Iterator[Prediction]:
    """Label each text with a fine-tuned or pruned model folder, in order.

    Args:
        model: folder that `finetune` or `prune` wrote.
        texts: queries; an empty one is labelled like any other.
        max_seq_length: longer texts are cut to this many tokens, [CLS] and [SEP] included.

    Raises:
        UserError: the folder is no classifier, or its net can't read texts of that length.
    """
    classifier = load_classifier(model)
    check_length(classifier.network, max_seq_length)
    rows = encode(classifier.tokenizer, texts, max_seq_length)
    if not rows:
        return
    found = probabilities(network_logits(classifier.network), rows, classifier.tokenizer.pad_token_id)
    for text, row in zip(texts, found, strict=True):
        best = int(row.argmax())
        yield Prediction(text, classifier.labels[best], float(row[best]))
