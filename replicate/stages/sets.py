"""Stages that make a training set of another: a random part of it, or plain copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from replicate.common.checks import check_not_negative
from replicate.common.errors import UserError
from replicate.corpus.formats import Split
from replicate.stages.kind import TRAIN, Inputs, Kind


@dataclass(frozen=True)
class SampleOptions:
    """How many training examples are drawn."""

    examples: int


@dataclass(frozen=True)
class DuplicateOptions:
    """How many copies stand beside each training example."""

    copies: int

    def __post_init__(self) -> None:
        """Refuse less than nothing (UserError)."""
        check_not_negative(self, "copies")


SAMPLE = Kind("sample", SampleOptions, "examples", "replicate.stages.sets:sample", (TRAIN,))
DUPLICATE = Kind("duplicate", DuplicateOptions, "examples", "replicate.stages.sets:duplicate", (TRAIN,))


def sample(inputs: Inputs) -> dict[str, Any]:
    """Write a random part of the training set, drawn by the seed, in the order of the whole.

    Raises:
        UserError: there are not so many.
    """
    import numpy as np

    split, examples = inputs.split(), inputs.options.examples
    if not 0 < examples <= len(split):
        raise UserError(f"sample: {examples} of {len(split)} training examples", hint="take at least 1 and at most all")
    chosen = np.sort(np.random.default_rng(inputs.seed).permutation(len(split))[:examples])
    return write_train(inputs, Split(tuple(split.texts[i] for i in chosen), tuple(split.labels[i] for i in chosen)))


def duplicate(inputs: Inputs) -> dict[str, Any]:
    """Write the training set with plain copies of each line: as many steps as with augmentation, and nothing new."""
    split, times = inputs.split(), 1 + inputs.options.copies
    texts = tuple(text for text in split.texts for _ in range(times))
    return write_train(inputs, Split(texts, tuple(label for label in split.labels for _ in range(times))))


def write_train(inputs: Inputs, split: Split, name: str = "train.txt") -> dict[str, Any]:
    """Write a training set as the next stage reads it, or labelled lines of another name; the summary counts them."""
    names = inputs.dataset.labels
    lines = (f"{text}\t{names[label]}\n" for text, label in zip(split.texts, split.labels, strict=True))
    (inputs.folder / name).write_text("".join(lines), encoding="utf-8")
    return {"examples": len(split)}
