"""What a strategy is given, what it returns, and the few random draws that all of them share."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import TypeVar

from replicate.augment.vectors import Vectors

Item = TypeVar("Item")

# The share of spans or words that every strategy of `data_aug.py` changes.
RATE = 0.15


@dataclass(frozen=True)
class Line:
    """One text and its words as (word, part of speech); no words where no strategy in the mix reads them."""

    text: str
    words: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Context:
    """What a strategy may learn before the first line: all lines of its column, and the user's choices."""

    lines: Sequence[Line]
    unk_token: str
    vectors: Vectors | None


# Returns the changed text; may return the text as it was, or nothing of it.
Strategy = Callable[[Line, Random], str]


@dataclass(frozen=True)
class Kind:
    """A strategy's place in the registry: how to build it, what it needs, how the command offers it."""

    build: Callable[[Context], Strategy]
    flag: str
    weight: float
    help: str
    reads_words: bool = False
    reads_vectors: bool = False


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
    return bisect_right(shares, random.random(), hi=len(shares) - 1)
