"""`w2v_replace`: words become one of their three nearest neighbours among given word vectors."""

from __future__ import annotations

import re
from random import Random

from replicate.augment.strategy import RATE, Context, Line, Strategy, pick
from replicate.errors import UserError

NEIGHBOURS = 3
_LATIN = re.compile("[a-zA-Z0-9]")


def build(context: Context) -> Strategy:
    """Replace 15 % of the words that have a vector; a replacement in Latin letters or digits gets a space behind it."""
    if context.vectors is None:
        raise UserError("w2v_replace needs word vectors", hint="give a word2vec file with --vectors")
    distinct = {word for line in context.lines for word, _ in line.words}
    neighbours = {
        word: tuple(f"{near} " if _LATIN.match(near) else near for near in nearest)
        for word, nearest in context.vectors.nearest(distinct, NEIGHBOURS).items()
    }

    def w2v_replace(line: Line, random: Random) -> str:
        return "".join(
            pick(neighbours[word], random) if random.random() < RATE and word in neighbours else word
            for word, _ in line.words
        )

    return w2v_replace
