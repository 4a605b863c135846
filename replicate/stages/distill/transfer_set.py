"""The text that a student learns from: what is labelled, augmented copies of it, and text without labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from replicate.augment import augment_texts
from replicate.common.errors import UserError
from replicate.corpus.formats import Split

if TYPE_CHECKING:
    from replicate.stages.distill.options import DistillOptions

NO_LABEL = -1


@dataclass(frozen=True)
class TransferSet:
    """What a student learns from.

    Attributes:
        texts: the training text, its augmented copies, the unlabelled text, in this order.
        labels: class of each, `NO_LABEL` where nobody knows it.
        augmented: how many are copies.
        unlabelled: how many have no label.
    """

    texts: tuple[str, ...]
    labels: NDArray[np.int64]
    augmented: int
    unlabelled: int


def spare_texts(unlabelled: Iterable[str], train: Split, known: Iterable[str]) -> list[str]:
    """The unlabelled texts that are neither training text nor `known`, each once, in order."""
    seen = {*train.texts, *known}
    # A dict for its order; that of a set differs from process to process.
    return [text for text in dict.fromkeys(unlabelled) if text not in seen]


def check_enough(wanted: int, there: int) -> None:
    """Refuse to draw more unlabelled texts than there are.

    Raises:
        UserError: it would.
    """
    if wanted > there:
        raise UserError(
            f"{wanted} unlabelled texts are asked for, and there are {there} beside the data set's own",
            hint="name a file of more, or lower unlabelled",
        )


def gather(
    train: Split, unlabelled: Sequence[str], known: Sequence[str], options: DistillOptions, seed: int
) -> TransferSet:
    """The text to learn from, in the proportions that the options state.

    Args:
        train: labelled text.
        unlabelled: text without labels, of which what is asked for is drawn; repetitions count once.
        known: text that must not be drawn, such as the dev set's; training text isn't drawn either.
        options: `copies`, `unlabelled` and `mix` are read.
        seed: of the copies and of the draw.

    Raises:
        UserError: there is not that much unlabelled text.
    """
    copies: tuple[str, ...] = ()
    if options.copies:
        made = augment_texts(train.texts, options.mix, options.copies, seed=seed, per_copy=True)
        copies = tuple(copy for changed in made.texts for copy in changed)
    labels = [*train.labels, *(label for label in train.labels for _ in range(options.copies))]
    wanted = round(options.unlabelled * len(train))
    there = spare_texts(unlabelled, train, known) if wanted else []
    check_enough(wanted, len(there))
    drawn = np.sort(np.random.default_rng(seed).permutation(len(there))[:wanted])
    return TransferSet(
        texts=(*train.texts, *copies, *(there[i] for i in drawn)),
        labels=np.asarray([*labels, *[NO_LABEL] * wanted], dtype=np.int64),
        augmented=len(copies),
        unlabelled=wanted,
    )
