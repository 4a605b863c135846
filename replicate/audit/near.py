"""Texts that are almost the same: bigram sets that overlap, found by MinHash and then compared exactly.

Time and memory grow with the number of texts, not with that of pairs: of each text one neighbour in each part is looked
for, which is what a reader asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

# Shared bigrams over all bigrams (Jaccard) from which two texts count as near.
NEAR = 0.7
# 24 groups of three hashes: of two texts that share 0.7, 99.99 % meet in at least one of them.
_BANDS, _ROWS = 24, 3
# Of a long text so many characters are compared.
_MOST = 1024
# Texts that are hashed at once.
_CHUNK = 1 << 15

Neighbours = dict[tuple[int, int], tuple[int, float]]


def neighbours(
    texts: Sequence[str],
    parts: NDArray[np.int8],
    least: float = NEAR,
    tell: Callable[[int], object] = lambda done: None,
) -> Neighbours:
    """For each text at most one near text in each part, as `{(text, part): (other text, similarity)}`.

    Args:
        texts: folded, none twice and none empty.
        parts: of each text, from 0.
        least: Jaccard similarity of their sets of bigrams.
        tell: told how many of all 24 rounds are done.
    """
    found: Neighbours = {}
    if len(texts) < 2:
        return found
    sizes = np.fromiter((min(len(text), _MOST) for text in texts), dtype=np.int64, count=len(texts))
    # Whether a text still lacks a neighbour in a part.
    lacks = np.ones((len(texts), int(parts.max()) + 1), dtype=bool)
    rng = np.random.default_rng(0)
    for band in range(_BANDS):
        factors = rng.integers(1, 1 << 62, size=_ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        for one, other in _candidates(_keys(texts, factors)):
            wanted = lacks[one, parts[other]] | lacks[other, parts[one]]
            # Sets of so different sizes can't overlap enough.
            small, large = np.minimum(sizes[one], sizes[other]), np.maximum(sizes[one], sizes[other])
            wanted &= small >= least * (large - 1) - 1
            for a, b in zip(one[wanted].tolist(), other[wanted].tolist(), strict=True):
                if not (lacks[a, parts[b]] or lacks[b, parts[a]]):
                    continue
                alike = round(similarity(texts[a], texts[b]), 4)
                if alike >= least:
                    for here, there in ((a, b), (b, a)):
                        if lacks[here, parts[there]]:
                            lacks[here, parts[there]] = False
                            found[here, int(parts[there])] = (there, alike)
        tell(band + 1)
    return found


def similarity(one: str, other: str) -> float:
    """Shared bigrams over all bigrams of two texts, from 0 to 1; a text of one character is its own bigram."""
    a, b = _bigrams(one), _bigrams(other)
    return len(a & b) / len(a | b)


def _bigrams(text: str) -> set[str]:
    text = text[:_MOST]
    return {text[at : at + 2] for at in range(len(text) - 1)} or {text}


def _keys(texts: Sequence[str], factors: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One number for each text, [texts], that two texts share the sooner the more alike they are."""
    keys = np.empty(len(texts), dtype=np.uint64)
    for start in range(0, len(texts), _CHUNK):
        chunk = [text[:_MOST] for text in texts[start : start + _CHUNK]]
        codes = np.frombuffer("\n".join([*chunk, ""]).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        lengths = np.fromiter(map(len, chunk), dtype=np.int64, count=len(chunk))
        starts = np.concatenate(([0], np.cumsum(lengths + 1)[:-1]))
        pairs = codes.astype(np.uint64) << np.uint64(21)
        pairs[:-1] |= codes[1:]
        # What follows the last character is no bigram, unless there is no other; at line ends it is never the least.
        ends = starts + lengths
        dropped = np.concatenate((ends, (ends - 1)[lengths > 1]))
        total = np.zeros(len(chunk), dtype=np.uint64)
        for factor in factors:
            mixed = pairs * factor
            mixed ^= mixed >> np.uint64(29)
            mixed *= np.uint64(0xBF58476D1CE4E5B9)
            mixed >>= np.uint64(1)
            mixed[dropped] = np.uint64(0xFFFFFFFFFFFFFFFF)
            total = total * np.uint64(0x9E3779B97F4A7C15) + np.minimum.reduceat(mixed, starts)
        keys[start : start + len(chunk)] = total
    return keys


def _candidates(keys: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of texts with one key: each beside the one before it, and beside the first of them."""
    order = np.argsort(keys, kind="stable")
    new = np.concatenate(([True], keys[order][1:] != keys[order][:-1]))
    at = np.flatnonzero(~new)
    first = np.flatnonzero(new)[np.cumsum(new)[at] - 1]
    yield order[at - 1], order[at]
    yield order[first], order[at]
