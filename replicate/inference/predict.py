"""Labels for texts of any number and any length, from whatever runtime holds the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.checks import check_positive
from replicate.common.errors import UserError
from replicate.nets import batching, upstream
from replicate.nets.tokens import CHARACTERS, encode
from replicate.scores.evaluation import softmax

if TYPE_CHECKING:
    from replicate.inference.runtime import Runtime

STATIC = "model"
MAX_LENGTH = 128
BATCH = 64
# Texts are labelled some batches at a time, and fewer where they are long: memory stays the same for any stream.
CHUNK_CHARACTERS = 1 << 22
_BROKEN = "its training diverged, or its files are damaged"
# [CLS] and [SEP].
_NO_TEXT = 2


class NoAnswer(UserError):
    """What a model gives is no answer: numbers that are none, or another number of them."""


@dataclass(frozen=True)
class Prediction:
    """A text's label and the probability that the model gives it.

    Attributes:
        text: as it came.
        label: None where there is nothing in the text that could have one (an empty line).
        probability: of that label; None without one.
        truncated: whether the model saw only the beginning of the text.
    """

    text: str
    label: str | None
    probability: float | None
    truncated: bool = False

    def to_json(self) -> dict[str, Any]:
        """As `replicate predict --json` and the service give it, with four decimals."""
        probability = None if self.probability is None else round(self.probability, 4)
        return {"text": self.text, "label": self.label, "probability": probability, "truncated": self.truncated}


@dataclass(frozen=True)
class Labeller:
    """A model that labels texts; as its runtime, it is for one thread at a time.

    Attributes:
        runtime: what computes.
        max_seq_length: longer texts are cut to this many tokens, [CLS] and [SEP] included.
        batch_size: most texts in one call of the runtime.
    """

    runtime: Runtime
    max_seq_length: int = MAX_LENGTH
    batch_size: int = BATCH

    def __post_init__(self) -> None:
        """Refuse a length that the net can't read and a batch of nothing (UserError)."""
        check_positive(self, "batch_size")
        positions = self.runtime.positions
        if not 3 <= self.max_seq_length <= positions:
            raise UserError(f"max_seq_length is {self.max_seq_length}", hint=f"this net takes 3 to {positions} tokens")

    def batches(self, texts: Sequence[str]) -> Iterator[list[tuple[int, Prediction]]]:
        """Predictions beside the indices of their texts, a batch at a time; texts of similar length go together.

        Raises:
            NoAnswer: the model's answer is not a number, or of another shape than the labels.
        """
        rows, truncated = self.rows(texts)
        empty = [index for index, row in enumerate(rows) if len(row) == _NO_TEXT]
        if empty:
            yield [(index, Prediction(texts[index], None, None)) for index in empty]
        filled = [index for index, row in enumerate(rows) if len(row) > _NO_TEXT]
        if not filled:
            return
        for places in batching.sorted_batches([len(rows[index]) for index in filled], self.batch_size):
            indices = [filled[place] for place in places]
            ids = batching.pad([rows[index] for index in indices], self.runtime.tokenizer.pad_token_id)
            found = []
            for index, row in zip(indices, softmax(self.logits(ids)), strict=True):
                best = int(row.argmax())
                label, probability = self.runtime.labels[best], float(row[best])
                found.append((index, Prediction(texts[index], label, probability, truncated[index])))
            yield found

    def logits(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Logits [batch, classes] of padded token ids [batch, length].

        Raises:
            NoAnswer: the model's answer is not a number, or of another shape than the labels.
        """
        logits, classes = self.runtime.logits(ids), len(self.runtime.labels)
        if logits.shape != (len(ids), classes):
            raise NoAnswer(
                f"the model's answer has the shape {logits.shape}, not ({len(ids)}, {classes})", hint=_BROKEN
            )
        if not np.isfinite(logits).all():
            raise NoAnswer("the model's answer is not a number", hint=_BROKEN)
        return np.asarray(logits, dtype=np.float64)

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities [texts, classes]; those of an empty text mean nothing.

        Raises:
            NoAnswer: as `batches`.
        """
        rows, _ = self.rows(texts)
        found = np.empty((len(rows), len(self.runtime.labels)))
        for places in batching.sorted_batches([len(row) for row in rows], self.batch_size):
            ids = batching.pad([rows[place] for place in places], self.runtime.tokenizer.pad_token_id)
            found[places] = softmax(self.logits(ids))
        return found

    def label(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction for each text, in order."""
        found = dict(pair for batch in self.batches(texts) for pair in batch)
        return [found[index] for index in range(len(texts))]

    def stream(self, texts: Iterable[str]) -> Iterator[list[Prediction]]:
        """One prediction for each text, in order and some thousand at a time; reads no further than it has to."""
        for chunk in chunks(texts, self.batch_size * batching.POOL):
            yield self.label(chunk)

    def rows(self, texts: Sequence[str]) -> tuple[list[NDArray[np.int64]], list[bool]]:
        """Token ids of each text with [CLS] and [SEP], and whether some of it was left out."""
        length, tokenizer = self.max_seq_length, self.runtime.tokenizer
        stripped = [text.lstrip() for text in texts]
        # One token more than fits tells a text that is too long from one that just fits.
        found = encode(tokenizer, [text[: CHARACTERS * length] for text in stripped], length + 1)
        truncated = [
            len(row) > length or len(text) > CHARACTERS * length for row, text in zip(found, stripped, strict=True)
        ]
        end = np.asarray([tokenizer.sep_token_id], dtype=np.int64)
        rows = [row if len(row) <= length else np.concatenate((row[: length - 1], end)) for row in found]
        return rows, truncated


def chunks(texts: Iterable[str], count: int, characters: int = CHUNK_CHARACTERS) -> Iterator[list[str]]:
    """Lists of `count` texts, or fewer where that many have more than `characters` characters."""
    chunk: list[str] = []
    size = 0
    for text in texts:
        chunk.append(text)
        size += len(text)
        if len(chunk) == count or size >= characters:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def predict(
    model: str | Path,
    texts: Iterable[str],
    max_seq_length: int = MAX_LENGTH,
    *,
    runtime: str | None = None,
    device: str = "cpu",
    batch_size: int = BATCH,
) -> Iterator[Prediction]:
    """Label each text with a model folder or an exported folder, in order and in bounded memory.

    Args:
        model: folder that `finetune`, `prune` or `export` wrote.
        texts: queries; one without any text is given no label.
        max_seq_length: longer texts are cut to this many tokens, [CLS] and [SEP] included.
        runtime: one of `runtime.OFFERED`; by default the one that the folder is made for.
        device: `cpu` or `gpu`.
        batch_size: texts that are computed at once.

    Raises:
        UserError: the folder is no classifier, or its net can't read texts of that length.
    """
    from replicate.inference.runtime import open_runtime

    labeller = Labeller(open_runtime(Path(model), runtime, device=device), max_seq_length, batch_size)
    for chunk in labeller.stream(texts):
        yield from chunk


def static_logits(folder: Path) -> Callable[[NDArray[np.int64]], NDArray[np.float32]]:
    """`logits_of` for the static graph in a model folder.

    Raises:
        UserError: the folder holds none, or Paddle can't load it.
    """
    upstream.quiet()
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
