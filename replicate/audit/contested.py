"""Dev lines whose label nearly every record contradicts, with one and the same other label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Share of the records that have to agree on one other label.
AGREED = 0.95
# Fewer records say little: two nets of one start share their mistakes.
LEAST = 10


@dataclass(frozen=True)
class Contested:
    """The lines, and what they are called instead.

    Attributes:
        mask: whether a line is contested, [examples].
        called: the label that the records agree on, [examples]; -1 where they don't.
        agreed: the share of the records that agree on it, [examples]; 0 where they don't.
        records: how many there were.
    """

    mask: NDArray[np.bool_]
    called: NDArray[np.int64]
    agreed: NDArray[np.float64]
    records: int


def contested(
    predicted: NDArray[np.int64], correct: NDArray[np.bool_], agreed: float = AGREED, least: int = LEAST
) -> Contested | None:
    """The dev lines that are contested; None where there are too few records to say so.

    Args:
        predicted: label indices, [records, examples].
        correct: whether each is right, [records, examples].
        agreed: share of the records that must give one other label.
        least: number of records below which nothing is said.
    """
    records = len(predicted)
    if records < least:
        return None
    called = np.full(predicted.shape[1], -1, dtype=np.int64)
    share = np.zeros(predicted.shape[1])
    for at in range(predicted.shape[1]):
        wrong = predicted[~correct[:, at], at]
        if len(wrong) >= agreed * records:
            counts = np.bincount(wrong)
            if counts.max() >= agreed * records:
                called[at], share[at] = counts.argmax(), counts.max() / records
    return Contested(called >= 0, called, share, records)
