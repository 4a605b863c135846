"""A random part of a large data set: enough to say what it is like, in a time that doesn't grow with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from replicate.corpus.formats import Dataset, Split

# Of each part. An audit of so many takes some ten seconds on one core.
LINES = 10_000
CHARACTERS = 1_000_000


def part_of(dataset: Dataset, lines: int = LINES, characters: int = CHARACTERS) -> Dataset:
    """The data set with at most so many lines of each part, and about so many characters, drawn with seed 0.

    Args:
        dataset: the data; what is small enough stays as it is.
        lines: of each part.
        characters: of each part; one line is always left.
    """
    found = {name: _some(split, lines, characters) for name, split in dataset.labelled.items()}
    return replace(dataset, train=found["train"], dev=found["dev"], test=found.get("test"))


def _some(split: Split, lines: int, characters: int) -> Split:
    total = sum(map(len, split.texts))
    most = min(lines, max(1, len(split) * characters // max(1, total)))
    if len(split) <= most:
        return split
    return split.at(np.sort(np.random.default_rng(0).permutation(len(split))[:most]).tolist())
