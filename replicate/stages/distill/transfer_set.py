"""The text that a student learns from: what is labelled, augmented copies of it, and text without labels."""

from __future__ import annotations

from collections.abc import Sequence
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
    # A dict for its order; that of a set differs from process to process.
    there = list(dict.fromkeys(unlabelled)) if wanted else []
    seen = {*train.texts, *known}
    there = [text for text in there if text not in seen]
    if wanted > len(there):
        raise UserError(
            f"{wanted} unlabelled texts are asked for, and there are {len(there)} beside the data set's own",
            hint="name a file of more, or lower unlabelled",
        )
    drawn = np.sort(np.random.default_rng(seed).permutation(len(there))[:wanted])
    return TransferSet(
        texts=(*train.texts, *copies, *(there[i] for i in drawn)),
        labels=np.asarray([*labels, *[NO_LABEL] * wanted], dtype=np.int64),
        augmented=len(copies),
        unlabelled=wanted,
    )
