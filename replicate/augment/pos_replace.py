"""`pos_replace`: words become other words of this data set that have the same part of speech."""

from __future__ import annotations

from random import Random

from replicate.augment.draws import pick
from replicate.augment.strategy import RATE, Context, Line, Strategy


def build(context: Context) -> Strategy:
    """Replace 15 % of the words, each by a draw from all words of its part of speech, repetitions counted."""
    return same_pos(context, RATE)


def same_pos(context: Context, rate: float) -> Strategy:
    """Replace this share of the words, as `build` does."""
    words_of: dict[str, list[str]] = {}
    for line in context.lines:
        for word, pos in line.words:
            words_of.setdefault(pos, []).append(word)

    def pos_replace(line: Line, random: Random) -> str:
        return "".join(pick(words_of[pos], random) if random.random() < rate else word for word, pos in line.words)

    return pos_replace
