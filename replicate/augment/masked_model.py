"""A masked language model's answers: for each [MASK] the likeliest characters, found for many lines at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from replicate.augment.draws import cumulate
from replicate.common.errors import UserError
from replicate.nets import batching

# What a mask may become, likeliest first, and the running shares to draw it by.
Choices = tuple[tuple[str, ...], tuple[float, ...]]
Ids = tuple[int, ...]

# Characters kept for each mask. With fewer a mask mostly becomes what it was; with more come ones that the model hardly
# believes in, and a word needs all its characters to fit: five make 25 words of two characters, 125 of three.
TOP = 5
# More are compared once their scores are rounded, so that no last bit of a matrix product decides what is kept.
_SPARE = 5
_DECIMALS = 3
_BATCH = 64
# Tokens of a line that the net reads: bounds the memory that a batch takes.
_LONGEST = 256


class MaskedModel:
    """An ERNIE masked language model that fills masks with single characters.

    Scores are rounded to three decimals before they become probabilities, which makes the same choices likely wherever
    the last bits of a matrix product differ, but doesn't promise them: another processor, number of threads or batch
    may round a score the other way, and about one drawn character in 100,000 then differs. On one machine, with as
    many threads and the same lines, choices are the same, bit for bit.
    """

    def __init__(self, source: str | Path) -> None:
        """Load a model folder or PaddleNLP name; UserError where there is no such model, or it has no such head."""
        from replicate.nets import upstream

        upstream.quiet()
        from paddlenlp.transformers import ErnieForMaskedLM

        from replicate.nets.classifier import load_pretrained

        self._network, self._tokenizer = load_pretrained(ErnieForMaskedLM, source, complete=True)
        self._network.eval()
        tokens = self._tokenizer.vocab.token_to_idx
        # Single characters alone: no [PAD], [UNK] or other special token, no ## piece, no Latin word.
        allowed = sorted((index, token) for token, index in tokens.items() if len(token) == 1 and not token.isspace())
        self._characters = tuple(token for _, token in allowed)
        self._allowed = np.asarray([index for index, _ in allowed], dtype=np.int64)
        if not allowed:
            raise UserError("the vocabulary has no characters to fill masks with", path=source)
        self.mask = int(self._tokenizer.mask_token_id)
        # Between [CLS] and [SEP].
        self.room = min(int(self._network.config.max_position_embeddings), _LONGEST) - 2
        self.pieces = lru_cache(maxsize=None)(self._encode)

    def _encode(self, word: str) -> Ids:
        """A word's token ids; one that reads like a mask is unknown."""
        ids = self._tokenizer.convert_tokens_to_ids(self._tokenizer.tokenize(word))
        return tuple(self._tokenizer.unk_token_id if index == self.mask else index for index in ids)

    def fill(self, lines: Sequence[Ids]) -> dict[Ids, tuple[Choices, ...]]:
        """For each line of token ids, without [CLS] and [SEP], the choices of each of its masks in order."""
        # Sorted by length for batches without waste, and by ids for batches that don't depend on the order.
        ordered = sorted(set(lines), key=lambda ids: (len(ids), ids))
        cls, sep = self._tokenizer.cls_token_id, self._tokenizer.sep_token_id
        rows = [np.asarray([cls, *ids, sep], dtype=np.int64) for ids in ordered]
        filled = {}
        for indices in batching.sorted_batches([len(row) for row in rows], _BATCH):
            batch = batching.pad([rows[index] for index in indices], self._tokenizer.pad_token_id)
            choices = iter(self._choices(batch))
            for index in indices:
                ids = ordered[index]
                filled[ids] = tuple(next(choices) for _ in range(ids.count(self.mask)))
        return filled

    def _choices(self, batch: np.ndarray) -> list[Choices]:
        """The choices of each mask of a batch [lines, length], in order."""
        import paddle

        masks = np.flatnonzero(batch.reshape(-1) == self.mask)
        with paddle.no_grad():
            logits = self._network(paddle.to_tensor(batch), masked_positions=paddle.to_tensor(masks))
            scores, near = paddle.topk(
                logits.index_select(paddle.to_tensor(self._allowed), axis=1), min(TOP + _SPARE, len(self._allowed))
            )
        return [
            self._likeliest(row, places)
            for row, places in zip(scores.numpy().round(_DECIMALS), near.numpy(), strict=True)
        ]

    def _likeliest(self, scores: np.ndarray, places: np.ndarray) -> Choices:
        order = np.lexsort((places, -scores))[:TOP]
        weights = np.exp(scores[order].astype(np.float64) - scores.max())
        return tuple(self._characters[place] for place in places[order]), tuple(cumulate(weights.tolist()))


def load_masked_model(model: str | Path | MaskedModel) -> MaskedModel:
    """The net of a model folder or PaddleNLP name; what is loaded stays as it is."""
    return model if isinstance(model, MaskedModel) else MaskedModel(model)
