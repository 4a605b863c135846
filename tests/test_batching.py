"""Batches cover every example once, and those made by length waste little."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from replicate.nets.batching import in_order, length_batches, pad, random_batches, sorted_batches

LENGTHS = np.random.default_rng(0).integers(3, 60, size=1003)
LISTED: list[int] = LENGTHS.tolist()


def padding(batches: list[np.ndarray]) -> int:
    """Tokens that a shorter row of each batch is filled with."""
    return sum(int((LENGTHS[batch].max() - LENGTHS[batch]).sum()) for batch in batches)


@pytest.mark.parametrize("size", [1, 16, 59, 2000])
@pytest.mark.parametrize("count", [1, 32, 1003])
def test_every_index_comes_once(count: int, size: int) -> None:
    """Random, length and sorted batches each hold every index exactly once, in as few batches as the size allows."""
    rng = np.random.default_rng(1)
    lengths = LISTED[:count]
    for batches in (
        random_batches(count, size, rng),
        length_batches(lengths, size, rng),
        [*sorted_batches(lengths, size)],
    ):
        assert sorted(np.concatenate(batches).tolist()) == list(range(count))
        assert max(map(len, batches)) <= size
    assert len(random_batches(count, size, rng)) == -(-count // size)
    assert len(length_batches(lengths, size, rng)) == -(-count // size)


def test_length_batches_pad_less() -> None:
    """Batches made by length need less than a tenth of the padding of random ones."""
    rng = np.random.default_rng(2)
    assert padding(length_batches(LISTED, 16, rng)) < 0.1 * padding(random_batches(len(LENGTHS), 16, rng))


def test_length_batches_come_in_random_order() -> None:
    """Lengths neither rise nor fall through an epoch, and the next epoch is another one; the seed decides both."""
    rng = np.random.default_rng(3)
    first, second = (length_batches(LISTED, 16, rng) for _ in range(2))
    longest = [LENGTHS[batch].max() for batch in first]
    rises = sum(b > a for a, b in pairwise(longest))
    assert 0.3 < rises / len(longest) < 0.7
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in second]
    again = length_batches(LISTED, 16, np.random.default_rng(3))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in again]


def test_sorted_batches_rise() -> None:
    """Evaluation reads the shortest first."""
    order = np.concatenate([*sorted_batches(LISTED, 64)])
    assert (np.diff(LENGTHS[order]) >= 0).all()


def test_pad_fills_the_right_side() -> None:
    """Rows become one int64 array as wide as the longest, filled on the right."""
    rows = [np.array([5, 6, 7]), np.array([8])]
    assert pad(rows, 9).tolist() == [[5, 6, 7], [8, 9, 9]]
    assert pad(rows, 9).dtype == np.int64


def test_rows_are_asked_by_length_and_answered_in_their_order() -> None:
    """What is asked of rows by length comes back in their own order."""
    rows = [np.arange(length) + 10 * length for length in (5, 2, 7, 2, 3)]
    asked: list[tuple[int, ...]] = []

    def sums(ids: np.ndarray) -> np.ndarray:
        asked.append(ids.shape)
        return np.stack([ids.sum(axis=1), (ids != 0).sum(axis=1)], axis=1)

    found = in_order(sums, rows, 0, 2)
    assert found.tolist() == [[row.sum(), len(row)] for row in rows]
    assert asked == [(2, 2), (2, 5), (1, 7)]
