"""`truncate`: spans of characters are deleted, anywhere in the text."""

from __future__ import annotations

from random import Random

from replicate.augment.spans import spans
from replicate.augment.strategy import RATE, Context, Line, Strategy


def build(context: Context) -> Strategy:
    """Delete 15 % of the spans."""

    def truncate(line: Line, random: Random) -> str:
        return "".join(span for span in spans(line.text, random) if random.random() >= RATE)

    return truncate
