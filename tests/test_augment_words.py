"""The strategies of the article's distillation chapter: rates, parts of speech, fragments."""

from __future__ import annotations

from collections import Counter

import numpy as np
from scipy import stats

from replicate.augment import STRATEGIES
from replicate.augment.draws import generator
from replicate.augment.strategy import Context, Line
from replicate.augment.words import RATE

WORDS = (("感冒", "n"), ("吃", "v"), ("头孢", "n"), ("好", "a"), ("吗", "xc"))
LINE = Line("".join(word for word, _ in WORDS), WORDS)
COUNT = 10_000


def copies_of(name: str, line: Line, *others: Line) -> list[str]:
    """Copies of a line in a data set with others, each by another generator."""
    change = STRATEGIES[name].build(Context([line, *others], "?"))
    return [str(change(line, generator(4, index))) for index in range(COUNT)]


def test_word_unk_masks_ten_percent_of_the_words() -> None:
    """10 % of the words become [UNK], one for a word whatever its length; the others stay."""
    copies = copies_of("word_unk", LINE)
    assert stats.binomtest(sum(copy.count("[UNK]") for copy in copies), COUNT * len(WORDS), RATE).pvalue > 1e-4
    for copy in copies[:200]:
        rest = copy
        for word, _ in WORDS:
            assert rest.startswith((word, "[UNK]"))
            rest = rest.removeprefix("[UNK]" if rest.startswith("[UNK]") else word)
        assert rest == ""


def test_word_pos_replaces_ten_percent_by_the_same_part_of_speech() -> None:
    """10 % of the words are replaced, by words of the same part of speech, as often as the data set has them."""
    nouns = ["甲"] * 5 + ["乙"] * 3 + ["丙"] * 2
    others = [Line(f"{noun}走", ((noun, "n"), ("走", "v"))) for noun in nouns]
    copies = copies_of("word_pos", Line("原跑", (("原", "n"), ("跑", "v"))), *others)
    first, second = (Counter(column) for column in zip(*copies, strict=True))
    assert set(first) == {"原", "甲", "乙", "丙"}
    assert set(second) == {"跑", "走"}
    # A draw may give the word itself: one of eleven.
    for counts, word in ((first, "原"), (second, "跑")):
        assert stats.binomtest(COUNT - counts[word], COUNT, RATE * 10 / 11).pvalue > 1e-4
    replaced = np.array([first[noun] for noun in "甲乙丙"])
    assert stats.chisquare(replaced, replaced.sum() * np.array([0.5, 0.3, 0.2])).pvalue > 1e-4


def test_n_sampling_keeps_a_uniform_fragment() -> None:
    """What is left are neighbouring words: each length as often, and each place of a length as often."""
    fragments = [
        tuple("".join(word for word, _ in WORDS[start : start + length]) for start in range(len(WORDS) - length + 1))
        for length in range(1, len(WORDS) + 1)
    ]
    copies = Counter(copies_of("n_sampling", LINE))
    assert set(copies) == {text for texts in fragments for text in texts}
    assert stats.chisquare([sum(copies[text] for text in texts) for texts in fragments]).pvalue > 1e-4
    for texts in fragments[:-1]:
        assert stats.chisquare([copies[text] for text in texts]).pvalue > 1e-4


def test_text_without_words_stays_empty() -> None:
    """An empty text has no words to change."""
    for name in ("word_unk", "word_pos", "n_sampling"):
        assert set(copies_of(name, Line(""))) == {""}
