"""`unk`: spans of characters become the unk token, one token a character."""

from __future__ import annotations

from random import Random

from replicate.augment.spans import spans
from replicate.augment.strategy import RATE, Context, Line, Strategy


def build(context: Context) -> Strategy:
    """Mask 15 % of the spans."""
    token = context.unk_token

    def unk(line: Line, random: Random) -> str:
        return "".join(token * len(span) if random.random() < RATE else span for span in spans(line.text, random))

    return unk
