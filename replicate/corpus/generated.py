"""A generated corpus: Chinese medical search queries over KUAKE-QIC's intents, whose best possible accuracy is known.

Each query is drawn from a cell. Of all queries, 1 - AMBIGUOUS_SHARE come from a clear cell, which belongs to one
intent; the others from an ambiguous cell, whose sentences mean its likelier intent with probability MAJORITY and its
other intent else, whatever the words. Then, with probability NOISE_SHARE, the label is replaced by one of the other
ten, each as likely. No sentence belongs to two cells, so no classifier can beat "the likelier intent of the sentence's
cell", which is right for 84.66 % of all queries. Labels come in the proportions of KUAKE-QIC's training queries.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, product
from random import Random

from replicate.corpus.formats import Dataset, Split
from replicate.corpus.kuake import LABELS
from replicate.corpus.lexicon import WORDS
from replicate.corpus.templates import AMBIGUOUS, CLEAR, CLOSINGS, OPENINGS

NAME = "generated"
AMBIGUOUS_SHARE = 0.25
MAJORITY = 0.6
NOISE_SHARE = 0.06

# Count of each label among the 6,931 training queries of KUAKE-QIC, in the order of LABELS.
_PROPORTIONS = (877, 1750, 153, 137, 371, 594, 235, 650, 370, 177, 1617)
_OPENING_SHARE = 0.26
_CLOSING_SHARE = 0.22
# A sentence comes once: past so many repetitions in a row its cell counts as used up.
_ATTEMPTS = 1000

# The parts of a sentence in turn: the words that may stand there.
Pattern = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Cell:
    """Sentences that mean `likely`, or, with probability 1 - `certainty`, `other` (label indices)."""

    likely: int
    other: int
    certainty: float
    weight: float
    patterns: tuple[Pattern, ...]


@dataclass(frozen=True)
class Query:
    """A sentence, its label, and the label that the best possible classifier would give it (label indices)."""

    text: str
    label: int
    best: int


def generate(examples_train: int = 1400, examples_dev: int = 600, unlabelled: int = 4000, seed: int = 0) -> Dataset:
    """Generate a data set in which no text occurs twice; the same arguments give the same data on every Python.

    ValueError where the lexicon can't make that many different sentences; 200,000 are no problem.
    """
    queries = draw(examples_train + examples_dev + unlabelled, seed)
    dev_end = examples_train + examples_dev
    return Dataset(
        name=NAME,
        labels=LABELS,
        train=_split(queries[:examples_train]),
        dev=_split(queries[examples_train:dev_end]),
        unlabelled=tuple(query.text for query in queries[dev_end:]),
    )


def draw(count: int, seed: int = 0) -> list[Query]:
    """Draw queries with different texts, independently but for that; a shorter draw is the start of a longer one."""
    # Only random() is used: the sequence of the other methods may change between Python versions.
    uniform = Random(seed).random
    all_cells = cells()
    bounds = list(accumulate(cell.weight for cell in all_cells))
    openings, closings = _parse(OPENINGS), _parse(CLOSINGS)
    seen: set[str] = set()
    queries = []

    def fill(patterns: Sequence[Pattern]) -> str:
        words: list[str] = []
        for part in patterns[int(uniform() * len(patterns))]:
            word = part[int(uniform() * len(part))]
            # "豆腐和豆腐" would be silly, so a word that the sentence already has is drawn again.
            while len(part) > 1 and word in words:
                word = part[int(uniform() * len(part))]
            words.append(word)
        return "".join(words)

    for _ in range(count):
        cell = all_cells[min(bisect_right(bounds, uniform() * bounds[-1]), len(bounds) - 1)]
        # Only the sentence is drawn again when it has been seen, never the cell: the shares stay what they are.
        for _ in range(_ATTEMPTS):
            opening = fill(openings) if uniform() < _OPENING_SHARE else ""
            text = opening + fill(cell.patterns) + (fill(closings) if uniform() < _CLOSING_SHARE else "")
            if text not in seen:
                break
        else:
            raise ValueError(f"the lexicon can't make {count} different queries")
        seen.add(text)
        label = cell.likely if uniform() < cell.certainty else cell.other
        if uniform() < NOISE_SHARE:
            label = (label + 1 + int(uniform() * (len(LABELS) - 1))) % len(LABELS)
        queries.append(Query(text, label, cell.likely))
    return queries


@cache
def cells() -> tuple[Cell, ...]:
    """All cells; their weights sum to 1 and give each label its share of KUAKE-QIC's training queries."""
    index = {label: i for i, label in enumerate(LABELS)}
    ambiguous = [
        Cell(index[likely], index[other], MAJORITY, AMBIGUOUS_SHARE * percent / 100, _parse(patterns))
        for (likely, other, percent), patterns in AMBIGUOUS.items()
    ]
    # From the share of a label after the noise back to its share before, less what the ambiguous cells bring.
    stray = NOISE_SHARE / (len(LABELS) - 1)
    weights = [(count / sum(_PROPORTIONS) - stray) / (1.0 - NOISE_SHARE - stray) for count in _PROPORTIONS]
    for cell in ambiguous:
        weights[cell.likely] -= cell.weight * cell.certainty
        weights[cell.other] -= cell.weight * (1.0 - cell.certainty)
    clear = [
        Cell(i, i, 1.0, weight, _parse(CLEAR[label]))
        for i, (label, weight) in enumerate(zip(LABELS, weights, strict=True))
    ]
    return (*clear, *ambiguous)


def _parse(patterns: str) -> tuple[Pattern, ...]:
    """Write out the alternatives of each line, then look up the words of each slot."""
    return tuple(_pattern("".join(choice)) for line in patterns.split() for choice in product(*_alternatives(line)))


def _alternatives(line: str) -> list[list[str]]:
    return [piece.split("|") for piece in re.split(r"[][]", line)]


def _pattern(sentence: str) -> Pattern:
    literals_and_slots = re.split(r"{(\w+)}", sentence)
    return tuple(WORDS[piece] if i % 2 else (piece,) for i, piece in enumerate(literals_and_slots) if piece)


def _split(queries: Sequence[Query]) -> Split:
    return Split(tuple(query.text for query in queries), tuple(query.label for query in queries))
