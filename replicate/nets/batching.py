"""Batches of token ids: random ones, and ones of similar length that waste less on padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Batches sorted together: enough of them to leave little padding, few enough to keep an epoch's order random.
POOL = 50


def random_batches(count: int, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """One epoch of shuffled index batches."""
    return np.split(rng.permutation(count), range(size, count, size))


def length_batches(lengths: Sequence[int], size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """One epoch of index batches in which lengths are similar; the order of examples and batches is random.

    Examples are shuffled, sorted by length inside pools of 50 batches, cut into batches, and the batches shuffled.
    """
    of = np.asarray(lengths)
    batches: list[np.ndarray] = []
    for pool in random_batches(len(of), size * POOL, rng):
        ordered = pool[np.argsort(of[pool], kind="stable")]
        batches += np.split(ordered, range(size, len(ordered), size))
    return [batches[i] for i in rng.permutation(len(batches))]


def sorted_batches(lengths: Sequence[int], size: int) -> Iterator[np.ndarray]:
    """Index batches in order of length, for evaluation."""
    order = np.argsort(np.asarray(lengths), kind="stable")
    yield from np.split(order, range(size, len(order), size))


def pad(rows: Sequence[np.ndarray], pad_id: int) -> np.ndarray:
    """Stack token id rows into one int64 array [batch, longest], filled with `pad_id`."""
    out = np.full((len(rows), max(map(len, rows))), pad_id, dtype=np.int64)
    for row, ids in zip(out, rows, strict=True):
        row[: len(ids)] = ids
    return out


def in_order(
    of: Callable[[NDArray[np.int64]], NDArray[Any]], rows: Sequence[NDArray[np.int64]], pad_id: int, size: int
) -> NDArray[Any]:
    """What `of` says of each row of token ids, in their order; it is asked in batches of rows of similar length.

    Args:
        of: token ids [batch, length] to an array [batch, ...].
        rows: token ids of each text, one text at least.
        pad_id: id that fills short rows.
        size: rows in a batch.
    """
    order = list(sorted_batches([len(row) for row in rows], size))
    parts = [of(pad([rows[at] for at in places], pad_id)) for places in order]
    return np.concatenate(parts)[np.argsort(np.concatenate(order), kind="stable")]
