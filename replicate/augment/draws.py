"""The random draws that all strategies share."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import TypeVar

Item = TypeVar("Item")


def generator(seed: int, index: int) -> Random:
    """The generator of line `index`: it depends on nothing else, so neither order nor number of workers matters."""
    return Random(int.from_bytes(hashlib.sha256(f"{seed}:{index}".encode()).digest(), "big"))


def pick(items: Sequence[Item], random: Random) -> Item:
    """One of `items`, each as likely; of all methods of `Random`, only `random()` is promised never to change."""
    return items[int(random.random() * len(items))]


def cumulate(weights: Sequence[float]) -> list[float]:
    """Running shares of `weights`, for `draw`."""
    return list(accumulate(weight / sum(weights) for weight in weights))


def draw(shares: Sequence[float], random: Random) -> int:
    """An index, as likely as its share in `cumulate`'s result."""
    return place(shares, random.random())


def place(shares: Sequence[float], number: float) -> int:
    """The index whose share of [0, 1) holds `number`."""
    return bisect_right(shares, number, hi=len(shares) - 1)
