"""The training texts that are nearest to a text in the eyes of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.inference.exported import MANIFEST
from replicate.inference.predict import Labeller
from replicate.nets import batching
from replicate.nets.classifier import load_classifier
from replicate.nets.folder import WEIGHTS

_CHUNK = 2048

# From token ids [batch, length] to what the model knows of each text, [batch, features].
Features = Callable[[NDArray[np.int64]], NDArray[np.floating[Any]]]


@dataclass(frozen=True)
class Near:
    """A training text near to the one in question: where it stands, counted from 0, and its cosine."""

    index: int
    similarity: float


class Evidence:
    """Training texts as a model sees them.

    Args:
        labeller: the model.
        features: what is compared.
        texts: the training texts; some thousand at a time are in the model.
    """

    def __init__(self, labeller: Labeller, features: Features, texts: Sequence[str]) -> None:
        self._labeller, self._features = labeller, features
        self._known = np.concatenate([self._vectors(texts[at : at + _CHUNK]) for at in range(0, len(texts), _CHUNK)])

    def nearest(self, text: str, count: int) -> list[Near]:
        """The nearest training texts, the nearest first."""
        cosine = self._known @ self._vectors([text])[0]
        order = np.argsort(-cosine, kind="stable")[:count]
        return [Near(int(at), round(float(cosine[at]), 4)) for at in order]

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows, _ = self._labeller.rows(texts)
        pad_id, size = self._labeller.runtime.tokenizer.pad_token_id, self._labeller.batch_size
        found = batching.in_order(self._features, rows, pad_id, size).astype(np.float32, copy=False)
        # Centred logits and features point somewhere; where everything is 0 nothing is near.
        return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12))


def features_of(folder: Path, labeller: Labeller) -> Features:
    """What the classifier of a model folder reads; of an exported graph, which shows no more, the centred logits."""
    if (folder / MANIFEST).exists() and not (folder / WEIGHTS).exists():

        def logits(ids: NDArray[np.int64]) -> NDArray[np.float64]:
            found = labeller.logits(ids)
            return np.asarray(found - found.mean(axis=1, keepdims=True))

        return logits
    network = load_classifier(folder).network
    network.eval()

    def features(ids: NDArray[np.int64]) -> NDArray[np.float32]:
        import paddle

        seen: list[NDArray[np.float32]] = []
        hook = network.classifier.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].numpy()))
        try:
            with paddle.no_grad():
                network(paddle.to_tensor(ids))
        finally:
            hook.remove()
        return seen[0]

    return features
