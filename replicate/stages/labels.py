"""Stages that spoil labels on purpose, and that correct those which somebody looks at again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.checks import check_choices, check_not_negative
from replicate.common.errors import UserError
from replicate.corpus.formats import Split, read_split
from replicate.stages.kind import TRAIN, Inputs, Kind
from replicate.stages.sets import write_train

# Beside the training set: the same lines with the labels that they had.
RIGHT = "right.txt"
WAYS = ("audit", "random")


@dataclass(frozen=True)
class MislabelOptions:
    """How many training examples get another label."""

    examples: int

    def __post_init__(self) -> None:
        """Refuse less than nothing (UserError)."""
        check_not_negative(self, "examples")


@dataclass(frozen=True)
class RelabelOptions:
    """Which lines a person looks at, who gives each the label that it had.

    Attributes:
        examples: how many at most.
        chosen: `audit`, those that `replicate audit` doubts, in its order; or `random`.
    """

    examples: int
    chosen: str = field(default="audit", metadata={"choices": WAYS})

    def __post_init__(self) -> None:
        """Refuse less than nothing, and another way of choosing (UserError)."""
        check_choices(self)
        check_not_negative(self, "examples")


MISLABEL = Kind("mislabel", MislabelOptions, "examples", "replicate.stages.labels:mislabel", (TRAIN,))
RELABEL = Kind(
    "relabel", RelabelOptions, "examples", "replicate.stages.labels:relabel", (TRAIN,), frozen={"chosen": "audit"}
)


def mislabel(inputs: Inputs) -> dict[str, Any]:
    """Write the training set with some labels that are others, each of those as likely; the summary counts them.

    Raises:
        UserError: there are not so many examples, or only one label.
    """
    split, examples, classes = inputs.split(), inputs.options.examples, len(inputs.dataset.labels)
    if examples > len(split):
        raise UserError(f"mislabel: {examples} of {len(split)} training examples", hint="take at most all")
    if examples and classes < 2:
        raise UserError("mislabel: there is only one label", hint="with one label none can be wrong")
    rng = _draws(inputs)
    labels = np.asarray(split.labels, dtype=np.int64)
    chosen = rng.permutation(len(split))[:examples]
    wrong = labels.copy()
    wrong[chosen] = (labels[chosen] + 1 + rng.integers(0, max(1, classes - 1), examples)) % classes
    write_train(inputs, split, RIGHT)
    return {**write_train(inputs, _with(split, wrong)), "wrong": examples}


def relabel(inputs: Inputs) -> dict[str, Any]:
    """Write the training set once a person has corrected the lines that are looked at; counts those, and what is left.

    Raises:
        UserError: the stage before is not `mislabel`, so nobody knows the right labels.
    """
    split, options = inputs.split(), inputs.options
    before = inputs.sources.get("train", ())
    path = Path(before[0]) / RIGHT if before else None
    if path is None or not path.is_file():
        raise UserError("relabel: nobody knows the right labels here", hint="let `mislabel` stand right before it")
    right = np.asarray(read_split(path, inputs.dataset.labels).labels, dtype=np.int64)
    labels = np.asarray(split.labels, dtype=np.int64)
    order = _doubted(split, len(inputs.dataset.labels)) if options.chosen == "audit" else _random(inputs, len(split))
    seen = order[: options.examples]
    labels[seen] = right[seen]
    return {**write_train(inputs, _with(split, labels)), "seen": len(seen), "wrong": int((labels != right).sum())}


def _doubted(split: Split, classes: int) -> NDArray[np.int64]:
    """The lines that an audit doubts, in its order."""
    from replicate.audit.confident import doubts
    from replicate.audit.folding import groups_of
    from replicate.audit.linear import out_of_fold

    labels = np.asarray(split.labels, dtype=np.int64)
    return doubts(out_of_fold(split.texts, labels, classes, groups_of(split.texts)), labels).order()


def _random(inputs: Inputs, count: int) -> NDArray[np.int64]:
    return np.asarray(_draws(inputs).permutation(count))


def _draws(inputs: Inputs) -> np.random.Generator:
    """Other draws for each stage than those of `sample` with the same seed."""
    stage = 1 if isinstance(inputs.options, MislabelOptions) else 2
    return np.random.default_rng((inputs.seed, stage))


def _with(split: Split, labels: NDArray[np.int64]) -> Split:
    return Split(split.texts, tuple(labels.tolist()))
