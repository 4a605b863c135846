"""`w2v_replace`: words become one of their three nearest neighbours among given word vectors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from replicate.augment.strategy import RATE, Context, Line, Lookup, Strategy
from replicate.common.errors import UserError

NEIGHBOURS = 3
_LATIN = re.compile("[a-zA-Z0-9]")


def build(context: Context) -> Strategy:
    """Replace 15 % of the words that have a vector; a replacement in Latin letters or digits gets a space behind it.

    Only the words that are drawn are looked up, all at once.

    Raises:
        UserError: there are no vectors.
    """
    vectors = context.vectors
    if vectors is None:
        raise UserError("w2v_replace needs word vectors", hint="give a word2vec file with --vectors")
    count = min(NEIGHBOURS, len(vectors.words) - 1)
    distinct = {word for line in context.lines for word, _ in line.words}
    known = distinct.intersection(vectors.words) if count else set()

    def find(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
        return {
            word: tuple(f"{near} " if _LATIN.match(near) else near for near in nearest)
            for word, nearest in vectors.nearest(words, count).items()
        }

    neighbours = Lookup(find)

    def w2v_replace(line: Line, random: Random) -> str | Lookup[str, tuple[str, ...]]:
        words, missing = [], False
        for word, _ in line.words:
            if random.random() < RATE and word in known:
                number = int(random.random() * count)
                nearest = neighbours.get(word)
                missing |= nearest is None
                word = nearest[number] if nearest else word
            words.append(word)
        return neighbours if missing else "".join(words)

    return w2v_replace
