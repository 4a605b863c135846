"""Occlusion: what a logit loses where one piece is hidden behind [MASK]. It needs no gradient: any runtime will do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from replicate.explain.explanation import Explanation, Method
from replicate.explain.pieces import Pieces, pieces_of
from replicate.inference.predict import Labeller
from replicate.inference.runtime import Runtime
from replicate.scores.evaluation import softmax


def hidden(pieces: Pieces, masks: NDArray[np.bool_], mask_id: int) -> NDArray[np.int64]:
    """Token ids [masks, pieces + 2] with [MASK] where `masks` [masks, pieces] says so; [CLS] and [SEP] stay."""
    rows = np.repeat(pieces.ids[None], len(masks), axis=0)
    rows[:, 1:-1][masks] = mask_id
    return rows


def logits_of(labeller: Labeller, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Logits [rows, classes] of token ids of one length, a batch at a time."""
    size = labeller.batch_size
    return np.concatenate([labeller.logits(rows[at : at + size]) for at in range(0, len(rows), size)])


class Occlusion:
    """Occlusion with one model.

    Args:
        labeller: the model.
    """

    def __init__(self, labeller: Labeller) -> None:
        self._labeller = labeller
        self._mask = labeller.runtime.tokenizer.mask_token_id

    def __call__(self, pieces: Pieces, best: int, second: int) -> NDArray[np.float64]:
        """As `Method`."""
        # The first row is the text itself, so that it is computed in the same batch as what it is compared with.
        masks = np.vstack([np.zeros((1, len(pieces)), dtype=bool), np.eye(len(pieces), dtype=bool)])
        logits = logits_of(self._labeller, hidden(pieces, masks, self._mask))
        lead = np.stack([logits[:, best], logits[:, best] - logits[:, second]], axis=1)
        return np.asarray(lead[:1] - lead[1:])


class Explainer:
    """Explains texts one by one; as its model, it is for one thread at a time.

    Args:
        labeller: the model.
        method: what gives scores; occlusion without it.
        name: of the method.
    """

    def __init__(self, labeller: Labeller, method: Method | None = None, name: str = "occlusion") -> None:
        self.labeller = labeller
        self._method = method or Occlusion(labeller)
        self._name = name

    @property
    def runtime(self) -> Runtime:
        """What computes."""
        return self.labeller.runtime

    def explain(self, text: str) -> Explanation:
        """Why the text has its label.

        Raises:
            NoAnswer: the model's answer is not a number, or of another shape than the labels.
        """
        pieces = pieces_of(self.runtime.tokenizer, text, self.labeller.max_seq_length)
        if not len(pieces):
            return Explanation(pieces, (), (), np.zeros((0, 2)), self._name)
        probability = softmax(self.labeller.logits(pieces.ids[None]))[0]
        # Of one label there is no second.
        best, *others = np.argsort(-probability, kind="stable")[:2].tolist()
        chosen = [best, *others]
        return Explanation(
            pieces=pieces,
            labels=tuple(self.runtime.labels[at] for at in chosen),
            probabilities=tuple(float(probability[at]) for at in chosen),
            scores=self._method(pieces, best, others[0] if others else best),
            method=self._name,
        )

    def batches(self, texts: Sequence[str]) -> Iterator[list[tuple[int, Explanation]]]:
        """Explanations beside the indices of their texts, one at a time."""
        for at, text in enumerate(texts):
            yield [(at, self.explain(text))]
