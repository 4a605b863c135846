"""Random spans of characters, the unit that `unk` and `truncate` mask and delete."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from replicate.augment.draws import cumulate, draw

# Geometric with p = 0.2, cut off after 10 and rescaled. Products, since `pow` differs between C libraries.
LONGEST = 10
_weights = [0.2]
for _ in range(LONGEST - 1):
    _weights.append(_weights[-1] * 0.8)
_SHARES = cumulate(_weights)


def spans(text: str, random: Random) -> Iterator[str]:
    """Cut `text` from left to right into spans of 1 to 10 characters; the last one is cut off at the end."""
    start = 0
    while start < len(text):
        end = start + draw(_SHARES, random) + 1
        yield text[start:end]
        start = end
