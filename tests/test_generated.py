"""The generated corpus: known best accuracy, known proportions, the same bytes everywhere."""

from __future__ import annotations

import os
import re
import statistics
import unicodedata
from collections import Counter
from math import sqrt

import pytest

from replicate.corpus import generated, kuake, load_dataset
from replicate.corpus.generated import AMBIGUOUS_SHARE, MAJORITY, NOISE_SHARE, Pattern, Query, draw, generate
from replicate.corpus.templates import CLOSINGS, OPENINGS

MANY = 20_000


@pytest.fixture(scope="module")
def queries() -> list[Query]:
    """A draw that is large enough to count in."""
    return draw(MANY, seed=1)


def _within(share: float, expected: float, count: int) -> bool:
    """Four binomial standard errors: a right generator fails one seed in 16,000, and the seed is fixed."""
    return abs(share - expected) < 4 * sqrt(expected * (1 - expected) / count)


def test_oracle_scores_the_best_accuracy(queries: list[Query]) -> None:
    """Giving each query its cell's likelier intent is right as often as the module says.

    A clear query keeps its label but for the noise. An ambiguous one carries its likelier intent where that was meant
    and kept, or where the other was meant and the noise, one time in ten, hit the likelier:
    0.75 * 0.94 + 0.25 * (0.6 * 0.94 + 0.4 * 0.006) = 0.8466.
    """
    kept, hit = 1 - NOISE_SHARE, NOISE_SHARE / (len(kuake.LABELS) - 1)
    best = (1 - AMBIGUOUS_SHARE) * kept + AMBIGUOUS_SHARE * (MAJORITY * kept + (1 - MAJORITY) * hit)
    assert best == pytest.approx(0.8466, abs=1e-12)
    assert "84.66 %" in str(generated.__doc__)
    assert _within(sum(query.label == query.best for query in queries) / MANY, best, MANY)


def _regex(patterns: tuple[Pattern, ...]) -> str:
    def words(part: tuple[str, ...]) -> str:
        return "(?:" + "|".join(map(re.escape, part)) + ")"

    return "(?:" + "|".join("".join(map(words, pattern)) for pattern in patterns) + ")"


def test_every_text_belongs_to_one_cell(queries: list[Query]) -> None:
    """Parsed back from the text alone, a query fits the patterns of one cell only: that makes the oracle the best."""
    opening, closing = _regex(generated._parse(OPENINGS)), _regex(generated._parse(CLOSINGS))
    cells = generated.cells()
    parsers = [re.compile(f"{opening}?{_regex(cell.patterns)}{closing}?") for cell in cells]
    for query in queries[:3000]:
        fitting = [cell for cell, parser in zip(cells, parsers, strict=True) if parser.fullmatch(query.text)]
        assert [cell.likely for cell in fitting] == [query.best], query.text


def test_likelier_intent_stays_the_best_after_the_noise() -> None:
    """The oracle's answer has the largest probability in each kind of cell, so no other answer is better."""
    stray = generated.NOISE_SHARE / 10
    kept = generated.MAJORITY * (1 - generated.NOISE_SHARE) + (1 - generated.MAJORITY) * stray
    swapped = (1 - generated.MAJORITY) * (1 - generated.NOISE_SHARE) + generated.MAJORITY * stray
    assert kept > swapped > stray


def test_noise_has_the_stated_share() -> None:
    """Where only a clear cell means an intent, the label differs at the rate of the noise, over all ten others."""
    (intent,) = set(range(11)) - {cell.likely for cell in generated.cells() if cell.certainty < 1}
    labels = Counter(query.label for query in draw(MANY * 5, seed=2) if query.best == intent)
    assert _within(labels[intent] / labels.total(), 1 - generated.NOISE_SHARE, labels.total())
    assert set(labels) == set(range(11))


def test_labels_come_in_the_stated_proportions(queries: list[Query]) -> None:
    """After noise and ambiguity each label has its share of KUAKE-QIC's training queries."""
    counts = Counter(query.label for query in queries)
    for label, count in enumerate(generated._PROPORTIONS):
        assert _within(counts[label] / MANY, count / sum(generated._PROPORTIONS), MANY), kuake.LABELS[label]


def test_no_cell_has_a_negative_weight() -> None:
    """The ambiguous cells take no more of an intent than there is."""
    weights = [cell.weight for cell in generated.cells()]
    assert min(weights) > 0
    assert sum(weights) == pytest.approx(1)


def test_lengths_are_those_of_search_queries(queries: list[Query]) -> None:
    """Near KUAKE-QIC's mean of 14 and median of 11 characters, with a long tail."""
    lengths = sorted(len(query.text) for query in queries)
    assert statistics.mean(lengths) == pytest.approx(14, abs=1)
    assert statistics.median(lengths) == pytest.approx(11, abs=1)
    assert lengths[-1] > 35


def test_no_text_occurs_twice() -> None:
    """Train, dev and the unlabelled texts share nothing."""
    dataset = generate()
    texts = [*dataset.train.texts, *dataset.dev.texts, *dataset.unlabelled]
    assert (len(dataset.train), len(dataset.dev), len(dataset.unlabelled)) == (1400, 600, 4000)
    assert len(set(texts)) == len(texts)
    assert dataset.labels == kuake.LABELS


def test_default_corpus_has_these_bytes() -> None:
    """The same bytes on every Python: a change of words or patterns is a new corpus, and must be meant."""
    assert load_dataset("generated").digests == {
        "labels": "456e126550fd8594627ab3765cd74df5eb4c60d5403d3512111c3df277cf8322",
        "train": "80b61b17d0da2721e416bc32bc844161812a3d91cc35e4b1e90939547d490c78",
        "dev": "f50efdc1d0b35415272a6144b3a9ed90a5c60f1249b6e3d9de97d392abcc456e",
        "unlabelled": "3029303fa56b06d295059c7e85448ef2ec865091c68f05a198a7307c2d78eeb2",
    }


def test_seed_decides() -> None:
    """The same seed draws the same queries, another seed others; a shorter draw starts a longer one."""
    assert draw(200, seed=3) == draw(400, seed=3)[:200]
    assert draw(200, seed=3) != draw(200, seed=4)


def test_too_many_queries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the lexicon is used up, the generator says so and repeats nothing."""
    few = tuple(
        generated.Cell(cell.likely, cell.other, cell.certainty, cell.weight, ((("头疼", "头晕"),),))
        for cell in generated.cells()
    )
    monkeypatch.setattr(generated, "cells", lambda: few)
    monkeypatch.setattr(generated, "_OPENING_SHARE", 0)
    monkeypatch.setattr(generated, "_CLOSING_SHARE", 0)
    assert {query.text for query in draw(2)} == {"头疼", "头晕"}
    with pytest.raises(ValueError, match="can't make 3 different queries"):
        draw(3)


def test_no_text_is_a_line_of_the_real_data() -> None:
    """At the default sizes no generated query equals one of KUAKE-QIC, after Unicode compatibility folding."""
    if not os.environ.get(kuake.VARIABLE):
        pytest.skip(f"{kuake.VARIABLE} names no folder with KUAKE-QIC")

    def folded(texts: tuple[str, ...]) -> set[str]:
        return {unicodedata.normalize("NFKC", text).casefold().strip() for text in texts}

    real, ours = kuake.load(), generate()
    theirs = folded(real.train.texts) | folded(real.dev.texts) | folded(real.unlabelled)
    for texts in (ours.train.texts, ours.dev.texts, ours.unlabelled):
        assert not folded(texts) & theirs
