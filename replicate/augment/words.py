"""The strategies of distillation from BERT to small nets: words masked, words replaced, fragments cut out.

After Tang et al., "Distilling Task-Specific Knowledge from BERT into Simple Neural Networks" (2019), with the rates of
the article's chapter on distillation.
"""

from __future__ import annotations

from random import Random

from replicate.augment.pos_replace import same_pos
from replicate.augment.strategy import Context, Line, Strategy

RATE = 0.1
UNK = "[UNK]"


def build_unk(context: Context) -> Strategy:
    """Put `[UNK]` in the place of 10 % of the words, one for a whole word."""

    def word_unk(line: Line, random: Random) -> str:
        return "".join(UNK if random.random() < RATE else word for word, _ in line.words)

    return word_unk


def build_pos(context: Context) -> Strategy:
    """Replace 10 % of the words as `pos_replace` does 15 %."""
    return same_pos(context, RATE)


def build_n_sampling(context: Context) -> Strategy:
    """Keep a fragment of neighbouring words, its length uniform from 1 to all of them, its place uniform too.

    Tang et al. draw the length from 1 to 5.
    """

    def n_sampling(line: Line, random: Random) -> str:
        count = len(line.words)
        length = 1 + int(random.random() * count)
        start = int(random.random() * (count - length + 1))
        return "".join(word for word, _ in line.words[start : start + length])

    return n_sampling
