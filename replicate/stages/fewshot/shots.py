"""Stages that say which lines have labels: so many of each class, and more of them, chosen or at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.checks import check_choices, check_positive
from replicate.common.errors import UserError
from replicate.corpus.formats import Split
from replicate.stages.kind import TRAIN, Inputs, Kind
from replicate.stages.sets import write_train

WAYS = ("uncertain", "random")


@dataclass(frozen=True)
class ShotsOptions:
    """How many training examples of each class there are."""

    per_class: int

    def __post_init__(self) -> None:
        """Refuse less than one (UserError)."""
        check_positive(self, "per_class")


@dataclass(frozen=True)
class ChooseOptions:
    """Which lines somebody labels next.

    Attributes:
        examples: how many.
        chosen: `uncertain`, those between whose two likeliest labels a linear model that has learnt from the lines so
            far sees least difference; or `random`.
    """

    examples: int
    chosen: str = field(default="uncertain", metadata={"choices": WAYS})

    def __post_init__(self) -> None:
        """Refuse less than one, and another way of choosing (UserError)."""
        check_positive(self, "examples")
        check_choices(self)


SHOTS = Kind("shots", ShotsOptions, "examples", "replicate.stages.fewshot.shots:shots", (TRAIN,))
CHOOSE = Kind(
    "choose",
    ChooseOptions,
    "examples",
    "replicate.stages.fewshot.shots:choose",
    (TRAIN,),
    frozen={"chosen": "uncertain"},
)


def shots(inputs: Inputs) -> dict[str, Any]:
    """Write so many examples of each class, drawn by the seed; more of them hold all that fewer hold.

    Raises:
        UserError: a class has fewer.
    """
    split = inputs.split()
    return write_train(inputs, split.at(draw(split, inputs.dataset.labels, inputs.options.per_class, inputs.seed)))


def draw(split: Split, labels: Sequence[str], per_class: int, seed: int) -> NDArray[np.int64]:
    """Indices of so many examples of each class, in the order of the whole; with one seed, fewer are among more.

    Raises:
        UserError: a class has fewer; names the one with the fewest.
    """
    classes = np.asarray(split.labels, dtype=np.int64)
    there = np.bincount(classes, minlength=len(labels))
    if there[least := int(there.argmin())] < per_class:
        what = f"{per_class} examples a class, and {labels[least]!r} has {there[least]} of {len(split)}"
        raise UserError(what, hint="take fewer, or label more")
    order = np.random.default_rng(seed).permutation(len(split))
    of_each = [order[classes[order] == label][:per_class] for label in range(len(labels))]
    return np.sort(np.concatenate(of_each))


def choose(inputs: Inputs) -> dict[str, Any]:
    """Write the training set with so many more of the data set's own lines, each with its label.

    Raises:
        UserError: there are not so many that it doesn't have.
    """
    split, whole, options = inputs.split(), inputs.dataset.train, inputs.options
    known = set(split.texts)
    rest = np.asarray([at for at, text in enumerate(whole.texts) if text not in known], dtype=np.int64)
    if len(rest) < options.examples:
        raise UserError(f"choose: {options.examples} more lines, and there are {len(rest)}", hint="take at most all")
    if options.chosen == "random":
        # Other draws than those of `sample` with the same seed.
        order = np.random.default_rng((inputs.seed, 3)).permutation(len(rest))
    else:
        order = _uncertain(split, [whole.texts[at] for at in rest], len(inputs.dataset.labels))
    added = whole.at(np.sort(rest[order[: options.examples]]))
    return write_train(inputs, Split(split.texts + added.texts, split.labels + added.labels))


def _uncertain(split: Split, texts: Sequence[str], classes: int) -> NDArray[np.int64]:
    """Indices of the texts, first those whose two likeliest labels are closest."""
    from replicate.audit.linear import learn

    found = np.sort(learn(split.texts, np.asarray(split.labels, dtype=np.int64), classes)(texts), axis=1)
    margins = found[:, -1] - found[:, -2] if classes > 1 else found[:, -1]
    return np.asarray(np.argsort(margins, kind="stable"), dtype=np.int64)
