"""A dev set where there is none: drawn by label, with each text on one side only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from replicate.common.errors import UserError


def dev_indices(texts: Sequence[str], labels: Sequence[int], share: float, seed: int) -> frozenset[int]:
    """Which examples become the dev set: of each label about this share, and of equal texts all or none.

    A label with a single text stays in the training set. The same examples and seed give the same draw.

    Args:
        texts: of all examples.
        labels: class of each.
        share: above 0 and below 1.
        seed: of the draw.

    Raises:
        UserError: no such share, or no label has two different texts.
    """
    if not 0 < share < 1:
        raise UserError(f"a dev share of {share}", hint="it must be above 0 and below 1, such as 0.2")
    groups: dict[str, list[int]] = {}
    for at, text in enumerate(texts):
        groups.setdefault(" ".join(text.split()), []).append(at)
    of_label: dict[int, list[list[int]]] = {}
    for group in groups.values():
        of_label.setdefault(labels[group[0]], []).append(group)
    rng = np.random.default_rng(seed)
    drawn: list[int] = []
    for label in sorted(of_label):
        found = of_label[label]
        order = rng.permutation(len(found))
        count = min(len(found) - 1, max(1, round(share * len(found))))
        drawn += [at for place in order[:count] for at in found[place]]
    if not drawn:
        raise UserError("too few texts for a dev set: no label has two different ones")
    return frozenset(drawn)
