"""Stages that make a training set of another: a random part of it, all but a part, or plain copies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replicate.common.checks import check_not_negative
from replicate.common.errors import UserError
from replicate.corpus.dev_split import dev_indices
from replicate.corpus.formats import Split, labelled_lines, read_split
from replicate.stages.kind import TRAIN, Inputs, Kind

# Beside a training set: the lines that were taken out of it.
HELD_OUT = "held.txt"


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


@dataclass(frozen=True)
class HoldoutOptions:
    """What is kept from those that train: it is for weighing them afterwards.

    Attributes:
        share: of each label's lines, about so many.
    """

    share: float = 0.2

    def __post_init__(self) -> None:
        """Refuse what leaves nothing (UserError)."""
        if not 0 < self.share < 1:
            raise UserError(f"share is {self.share}", hint="it must be above 0 and below 1")


SAMPLE = Kind("sample", SampleOptions, "examples", "replicate.stages.sets:sample", (TRAIN,))
DUPLICATE = Kind("duplicate", DuplicateOptions, "examples", "replicate.stages.sets:duplicate", (TRAIN,))

# All seeds hold the same lines out, so that what descends from several seeds has one set that none of them has seen.
HOLDOUT = Kind(
    "holdout",
    HoldoutOptions,
    "examples",
    "replicate.stages.sets:holdout",
    (TRAIN,),
    frozen={"share": 0.2},
    seeded=False,
)


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
    return write_train(inputs, split.at(chosen))


def duplicate(inputs: Inputs) -> dict[str, Any]:
    """Write the training set with plain copies of each line: as many steps as with augmentation, and nothing new."""
    split, times = inputs.split(), 1 + inputs.options.copies
    texts = tuple(text for text in split.texts for _ in range(times))
    return write_train(inputs, Split(texts, tuple(label for label in split.labels for _ in range(times))))


def holdout(inputs: Inputs) -> dict[str, Any]:
    """Write the training set without a share of each label's lines, and these beside it; equal texts stay together."""
    split = inputs.split()
    held = dev_indices(split.texts, split.labels, inputs.options.share, inputs.seed)
    for name, places in ((HELD_OUT, sorted(held)), ("train.txt", [at for at in range(len(split)) if at not in held])):
        summary = write_train(inputs, split.at(places), name)
    return {**summary, "held": len(held)}


def held_out(inputs: Inputs) -> Split | None:
    """The lines that `holdout` took out of the training set of this stage; None where it did not."""
    train = inputs.sources.get("train", ())
    path = Path(train[0]) / HELD_OUT if train else None
    return read_split(path, inputs.dataset.labels) if path is not None and path.is_file() else None


def write_train(inputs: Inputs, split: Split, name: str = "train.txt") -> dict[str, Any]:
    """Write a training set as the next stage reads it, or labelled lines of another name; the summary counts them."""
    lines = (f"{line}\n" for line in labelled_lines(split, inputs.dataset.labels))
    (inputs.folder / name).write_text("".join(lines), encoding="utf-8")
    return {"examples": len(split)}
