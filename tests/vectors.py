"""Word vectors in memory, where the package reads them from a file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from replicate.augment.shortlist import Floats
from replicate.augment.vectors import Vectors, unit


def vectors_from(words: Sequence[str], matrix: Floats) -> Vectors:
    """Vectors of any length, such as a gensim model's `wv.index_to_key` and `wv.vectors`."""
    return Vectors(tuple(words), unit(np.asarray(matrix, dtype=np.float32)))
