"""The engine: counts, seeds, repairs and labels, over any text; and each strategy's rates and distributions."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from replicate.augment import STRATEGIES, augment_rows, augment_split, augment_texts
from replicate.augment.draws import generator, pick
from replicate.augment.engine import UNK_TOKEN
from replicate.augment.lac import Tagger
from replicate.augment.spans import spans
from replicate.augment.strategy import RATE, Context, Line, Lookup
from replicate.augment.vectors import Vectors
from replicate.common.errors import UserError
from replicate.corpus.formats import Split
from tests.vectors import vectors_from

DISEASES = ("感冒", "头痛", "高血压", "糖尿病", "胃炎", "湿疹", "失眠", "贫血")
ENDINGS = ("怎么治疗", "吃什么药好", "的症状是什么", "能不能吃鸡蛋", "需要做哪些检查", "会传染给孩子吗")
QUERIES = tuple(f"{disease}{ending}" for disease in DISEASES for ending in ENDINGS)
EVERY = {"unk": 0.25, "truncate": 0.25, "pos_replace": 0.25, "w2v_replace": 0.25}
# What arbitrary text is made of: Chinese, Latin, digits, emoji with joiners, and whitespace of many kinds.
ANY_TEXT = st.text(
    st.one_of(
        st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF),
        st.sampled_from("abcXYZ019éß.,%-"),
        st.sampled_from("😄👨‍👩‍👧🏽\u200d\ufe0f\U00020bb7"),
        st.sampled_from(" \t\u3000\u00a0\u2028\x85\x0b\x00\ufeff"),
        st.characters(codec="utf-8"),
    ),
    max_size=30,
)
ANY_LINE = ANY_TEXT.filter(lambda text: text.strip() and not set(text) & {"\n", "\r"} and text[0] != "\ufeff")


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    """One real LAC for the module."""
    return Tagger()


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    """Vectors of the queries' frequent words, enough for `w2v_replace` to have work."""
    words = ("感冒", "治疗", "吃", "什么", "药", "症状", "检查", "孩子", "aspirin", "鸡蛋")
    return vectors_from(words, np.random.default_rng(0).normal(size=(len(words), 8)))


def apply(name: str, line: Line, random: Random) -> str:
    """What a strategy makes of one line."""
    changed = STRATEGIES[name].build(Context([line], "?"))(line, random)
    assert isinstance(changed, str)
    return changed


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(ANY_TEXT, max_size=6),
    copies=st.integers(0, 3),
    seed=st.integers(),
    article=st.booleans(),
    per_copy=st.booleans(),
)
def test_any_text_gives_as_many_copies_as_asked(
    tagger: Tagger, vectors: Vectors, texts: list[str], copies: int, seed: int, article: bool, per_copy: bool
) -> None:
    """Over any text nothing crashes, and each input has its copies, but for those that the article's mode drops."""
    texts_out, summary = augment_rows(
        [(text,) for text in texts],
        EVERY,
        copies,
        seed=seed,
        lac=tagger,
        vectors=vectors,
        article=article,
        per_copy=per_copy,
    )
    assert len(texts_out) == len(texts)
    assert sum(map(len, texts_out)) + summary.dropped == copies * len(texts)
    assert article or all(len(changed) == copies for changed in texts_out)
    assert summary.copies == sum(map(len, texts_out))
    assert sum(summary.strategies.values()) == copies * len(texts)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    examples=st.lists(st.tuples(ANY_LINE, st.integers(0, 10)), max_size=6),
    seed=st.integers(0, 99),
    article=st.booleans(),
)
def test_any_split_keeps_its_labels(
    tagger: Tagger, vectors: Vectors, examples: list[tuple[str, int]], seed: int, article: bool
) -> None:
    """Over any split each example stands before its copies, all with its label, and the result is a valid split."""
    split = Split(tuple(text for text, _ in examples), tuple(label for _, label in examples))
    out, summary = augment_split(split, EVERY, 2, seed=seed, lac=tagger, vectors=vectors, article=article)
    copies = augment_texts(split.texts, EVERY, 2, seed=seed, lac=tagger, vectors=vectors, article=article).texts
    expected = [
        (line, label)
        for text, label, changed in zip(split.texts, split.labels, copies, strict=True)
        for line in (text, *changed)
    ]
    assert list(zip(out.texts, out.labels, strict=True)) == expected
    assert len(out) == 3 * len(split) - summary.dropped


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(ANY_TEXT, max_size=8))
def test_tagged_words_joined_are_the_text(tagger: Tagger, texts: list[str]) -> None:
    """Whatever LAC does to a text, its words joined give the text back, and every text has an entry."""
    tagged = tagger.tag(texts)
    assert set(tagged) == set(texts)
    for text, words in tagged.items():
        assert "".join(word for word, _ in words) == text


def test_tags_do_not_depend_on_the_batch(tagger: Tagger) -> None:
    """A text has the same words and tags alone, among others, and after other batches."""
    queries = [query[: 2 + number % 9] for number, query in enumerate(QUERIES * 3)]
    alone = {query: tagger.tag([query])[query] for query in queries}
    random = Random(0)
    for _ in range(150):
        batch = random.sample(queries, random.randrange(2, 40))
        assert tagger.tag(batch) == {query: alone[query] for query in batch}


def test_very_long_text_is_tagged(tagger: Tagger) -> None:
    """A text of many thousand characters is tagged like any other."""
    text = QUERIES[0] * 2000
    assert "".join(word for word, _ in tagger.tag([text])[text]) == text


def test_same_seed_same_copies(tagger: Tagger, vectors: Vectors) -> None:
    """The same seed gives the same copies, another one others."""
    first, again, other = (
        augment_texts(QUERIES, EVERY, seed=seed, lac=tagger, vectors=vectors).texts for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_lines_draw_independently() -> None:
    """A line's copies depend on its text and place alone, so that any worker may have done it."""
    mix = {"unk": 0.5, "truncate": 0.5}
    whole = augment_texts(QUERIES, mix, seed=5).texts
    half = augment_texts(QUERIES[:20], mix, seed=5).texts
    assert whole[:20] == half


def test_golden_bytes() -> None:
    """These copies are the same on every machine and every Python."""
    copies = augment_texts(
        ["药盒能晒太阳吗", "丸子怎么咽整颗吞还是先掰开再喝水"], {"unk": 1, "truncate": 1}, 3, seed=1
    ).texts
    assert copies == GOLDEN


@pytest.mark.parametrize("mode", ["plain", "article", "per_copy"])
def test_digests_stay(tagger: Tagger, vectors: Vectors, mode: str) -> None:
    """Accepted records depend on the copies of these strategies: their bytes stay what they were."""
    options: dict[str, Any] = {} if mode == "plain" else {mode: True}
    found = [
        augment_texts(QUERIES * 3, mix, 4, seed=1, lac=tagger, vectors=vectors, **options).texts
        for mix in (*({name: 1.0} for name in EVERY), EVERY)
    ]
    lines = ["\n".join("\t".join(copies) for copies in texts) for texts in found]
    assert [hashlib.sha256(text.encode()).hexdigest()[:16] for text in lines] == DIGESTS[mode]


def test_one_strategy_a_line_or_a_copy() -> None:
    """A strategy is drawn once a line: its copies all hold unk tokens or none; with per_copy they needn't."""
    mix = {"unk": 0.5, "truncate": 0.5}
    per_line, per_copy = (
        [
            len({UNK_TOKEN in copy for copy in copies})
            for copies in augment_texts(QUERIES, mix, 4, seed=0, per_copy=per_copy).texts
        ]
        for per_copy in (False, True)
    )
    assert set(per_line) == {1}
    assert 2 in per_copy


def test_mix_holds() -> None:
    """Strategies are drawn as often as the mix says, in proportion, however it is scaled or ordered."""
    drawn = augment_texts(QUERIES * 50, {"truncate": 3, "unk": 1, "pos_replace": 0}, 1, seed=0).summary.strategies
    assert list(drawn) == ["unk", "truncate"]
    assert stats.binomtest(drawn["unk"], sum(drawn.values()), 0.25).pvalue > 1e-4
    assert augment_texts(QUERIES, {"unk": 2, "truncate": 6}, seed=1) == augment_texts(
        QUERIES, {"truncate": 0.75, "unk": 0.25}, seed=1
    )


def test_repairs_leave_no_empty_or_equal_copy() -> None:
    """Copies that came out empty or like the original are drawn again: of long texts none is left."""
    texts = [query * 2 for query in QUERIES]
    augmented = augment_texts(texts, {"truncate": 1, "unk": 1}, seed=0)
    pairs = [(text, copy) for text, copies in zip(texts, augmented.texts, strict=True) for copy in copies]
    assert all(copy.strip() and copy != text for text, copy in pairs)
    assert augmented.summary.redrawn > 0
    assert augmented.summary.unchanged == 0


def test_hopeless_copies_are_kept_as_the_original_and_counted() -> None:
    """A text that no draw can change is its own copy, and counted; repairs end."""
    augmented = augment_texts([" ", ""], {"truncate": 1}, 3, seed=0)
    assert augmented.texts == ((" ",) * 3, ("",) * 3)
    assert augmented.summary.unchanged == 6


def test_article_mode_drops_emptied_copies_and_keeps_equal_ones() -> None:
    """Without repairs 15 % of the copies of a text of one character are emptied and dropped, the others are equal."""
    augmented = augment_texts(["药"] * 500, {"truncate": 1}, 4, seed=0, article=True)
    assert stats.binomtest(augmented.summary.dropped, 2000, RATE).pvalue > 1e-4
    assert augmented.summary.unchanged == augmented.summary.copies == 2000 - augmented.summary.dropped
    assert augmented.summary.redrawn == 0
    refilled = augment_texts(["药"] * 500, {"truncate": 1}, 4, seed=0, article=True, emptied="original")
    assert refilled.texts == (("药",) * 4,) * 500
    assert (refilled.summary.copies, refilled.summary.unchanged, refilled.summary.dropped) == (2000, 2000, 0)


def test_columns_change_together() -> None:
    """Both texts of a row are changed by the same strategy, each with its own words."""
    rows = list(zip(QUERIES, reversed(QUERIES), strict=True))
    augmented, _ = augment_rows(rows, {"unk": 1, "truncate": 1}, 4, seed=0)
    longer = 0
    for copies in augmented:
        masked = any(UNK_TOKEN in text for copy in copies for text in copy)
        for row_copy in copies:
            longer += UNK_TOKEN in row_copy[0] and UNK_TOKEN in row_copy[1]
            assert masked or not any(UNK_TOKEN in text for text in row_copy)
    assert longer > 0


@pytest.mark.parametrize(
    ("mix", "options", "complaint"),
    [
        ({}, {}, "no strategy"),
        ({"unk": 0}, {}, "no strategy"),
        ({"unk": -1}, {}, "not a probability"),
        ({"unk": float("nan")}, {}, "not a probability"),
        ({"shuffle": 1}, {}, "unknown strategy"),
        ({"unk": 1}, {"unk_token": "a\tb"}, "not an unk token"),
        ({"unk": 1}, {"unk_token": " "}, "not an unk token"),
        ({"unk": 1}, {"copies": -1}, "negative"),
        ({"w2v_replace": 1}, {}, "needs word vectors"),
        ({"ernie_replace": 1}, {}, "needs a masked language model"),
    ],
)
def test_bad_requests_are_refused(
    tagger: Tagger, mix: dict[str, float], options: dict[str, Any], complaint: str
) -> None:
    """What can't be done is said in one line."""
    with pytest.raises(UserError, match=complaint):
        augment_texts(QUERIES, mix, seed=0, lac=tagger, **options)


def test_span_lengths_are_geometric() -> None:
    """Spans inside a text are 1 to 10 characters long, geometric with p = 0.2, rescaled."""
    random = generator(0, 0)
    lengths = Counter(len(span) for span in list(spans("字" * 100_000, random))[:-1])
    expected = np.array([0.2 * 0.8**length for length in range(10)])
    observed = np.array([lengths[length] for length in range(1, 11)])
    assert sum(observed) == sum(lengths.values())
    assert stats.chisquare(observed, expected / expected.sum() * observed.sum()).pvalue > 1e-4


def test_spans_cover_the_text() -> None:
    """Spans in order are the text, of any length."""
    for length in range(30):
        text = QUERIES[0] * 3
        assert "".join(spans(text[:length], generator(length, 1))) == text[:length]


@pytest.mark.parametrize("name", ["unk", "truncate"])
def test_spans_change_at_the_nominal_rate(name: str) -> None:
    """15 % of the spans are masked or deleted: the same draws over single spans tell how many."""
    line = Line("字")
    changed = sum(apply(name, line, generator(7, index)) != "字" for index in range(5000))
    assert stats.binomtest(changed, 5000, RATE).pvalue > 1e-4


def test_unk_writes_one_token_a_character() -> None:
    """`unk` keeps the length, and every other character stays in its place."""
    for index, query in enumerate(QUERIES):
        copy = apply("unk", Line(query), generator(0, index))
        assert len(copy) == len(query)
        assert all(new in ("?", old) for new, old in zip(copy, query, strict=True))


def test_truncate_deletes_and_adds_nothing() -> None:
    """`truncate` leaves a subsequence of the text."""
    for index, query in enumerate(QUERIES):
        rest = iter(query)
        assert all(char in rest for char in apply("truncate", Line(query), generator(0, index)))


def test_pos_replace_rate_class_and_distribution() -> None:
    """15 % of words are replaced, by words of the same part of speech, as frequent as they are in the data set."""
    nouns = ["甲"] * 5 + ["乙"] * 3 + ["丙"] * 2
    lines = [Line(f"{noun}走", ((noun, "n"), ("走", "v"))) for noun in nouns] + [Line("看", (("看", "v"),))]
    # The line itself has words that no other has, so that every replacement shows.
    line = Line("原跑", (("原", "n"), ("跑", "v")))
    change = STRATEGIES["pos_replace"].build(Context([*lines, line], "?"))
    copies = [change(line, generator(3, index)) for index in range(20_000)]
    first, second = (Counter(column) for column in zip(*copies, strict=True))
    assert set(first) == {"原", "甲", "乙", "丙"}
    assert set(second) == {"跑", "走", "看"}
    # A draw may give the word itself: one noun in eleven.
    assert stats.binomtest(20_000 - first["原"], 20_000, RATE * 10 / 11).pvalue > 1e-4
    assert stats.binomtest(20_000 - second["跑"], 20_000, RATE * 11 / 12).pvalue > 1e-4
    replaced = np.array([first[noun] for noun in "甲乙丙"])
    assert stats.chisquare(replaced, replaced.sum() * np.array([0.5, 0.3, 0.2])).pvalue > 1e-4


def test_pos_replace_with_lac_follows_the_frequencies(tagger: Tagger) -> None:
    """With LAC's tags on a whole data set, replacements of each part of speech follow its words' frequencies."""
    tagged = tagger.tag(QUERIES)
    lines = [Line(query, tagged[query]) for query in QUERIES]
    frequencies = Counter(word for line in lines for word, pos in line.words if pos == "n")
    marked = Line("#", (("#", "n"),))
    change = STRATEGIES["pos_replace"].build(Context(lines, "?"))
    replaced = Counter(change(marked, generator(1, index)) for index in range(20_000))
    kept = replaced.pop("#")
    assert stats.binomtest(20_000 - kept, 20_000, RATE).pvalue > 1e-4
    assert set(replaced) <= set(frequencies)
    observed = np.array([replaced[word] for word in frequencies])
    expected = np.array(list(frequencies.values())) / frequencies.total() * observed.sum()
    assert stats.chisquare(observed, expected).pvalue > 1e-4


def test_w2v_replace_rate_and_neighbours(vectors: Vectors) -> None:
    """15 % of words with a vector become one of their three nearest, each as often."""
    copies = Counter(resolved("w2v_replace", "感冒", vectors, 10_000))
    kept = copies.pop("感冒")
    nearest = vectors.nearest(["感冒"], 3)["感冒"]
    assert set(copies) == {f"{word} " if word.isascii() else word for word in nearest}
    assert stats.binomtest(10_000 - kept, 10_000, RATE).pvalue > 1e-4
    assert stats.chisquare(list(copies.values())).pvalue > 1e-4


def test_w2v_replace_latin_neighbour_gets_a_space() -> None:
    """A replacement that starts with a Latin letter or a digit is set apart from the next word."""
    pair = vectors_from(("药", "aspirin"), np.eye(2))
    assert set(resolved("w2v_replace", "药 好", pair, 100)) == {"药好", "aspirin 好"}


def test_w2v_replace_without_neighbours() -> None:
    """A file of one vector has no neighbours: nothing is replaced."""
    assert set(resolved("w2v_replace", "药", vectors_from(("药",), np.ones((1, 2))), 50)) == {"药"}


def resolved(name: str, words: str, vectors: Vectors, count: int) -> list[str]:
    """Copies of one line of words, made as the engine makes them."""
    line = Line(words.replace(" ", ""), tuple((word, "n") for word in words.split()))
    change = STRATEGIES[name].build(Context([line], "?", vectors))
    for _ in range(2):
        copies = [change(line, generator(2, index)) for index in range(count)]
        for lookup in {copy for copy in copies if isinstance(copy, Lookup)}:
            lookup.resolve()
    return [str(copy) for copy in copies]


def test_only_drawn_words_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours are searched once, and only for words that a draw fell on."""
    asked: list[list[str]] = []
    nearest = Vectors.nearest

    def spy(self: Vectors, words: Sequence[str], count: int) -> dict[str, tuple[str, ...]]:
        asked.append(list(words))
        return nearest(self, words, count)

    monkeypatch.setattr(Vectors, "nearest", spy)
    words = "甲乙丙丁戊己庚辛壬癸"
    vectors = vectors_from(words, np.random.default_rng(0).normal(size=(len(words), 4)))
    copies = resolved("w2v_replace", " ".join(words), vectors, 3)
    drawn = {old for copy in copies for old, new in zip(words, copy, strict=True) if old != new}
    assert 0 < len(drawn) < len(words)
    assert [set(keys) for keys in asked] == [drawn]


def test_lookup_asks_for_all_at_once() -> None:
    """What isn't known is remembered, in the order of the asking, and found in one question."""
    asked: list[list[int]] = []

    def squares(keys: Sequence[int]) -> dict[int, int]:
        asked.append(list(keys))
        return {key: key * key for key in keys}

    lookup = Lookup(squares)
    assert [lookup.get(key) for key in (3, 1, 3)] == [None, None, None]
    lookup.resolve()
    lookup.resolve()
    assert [lookup.get(key) for key in (3, 1, 2)] == [9, 1, None]
    assert asked == [[3, 1]]


def test_rows_that_wait_depend_on_no_other(tagger: Tagger, vectors: Vectors) -> None:
    """A row whose neighbours had to be found has the same copies alone and among others."""
    for per_copy in (False, True):
        options: dict[str, Any] = {"seed": 8, "lac": tagger, "vectors": vectors, "per_copy": per_copy}
        mix = {"w2v_replace": 1.0, "unk": 1.0}
        whole = augment_texts(QUERIES, mix, 3, **options).texts
        for count in (1, 2, 9):
            assert augment_texts(QUERIES[:count], mix, 3, **options).texts == whole[:count]


def test_pick_is_uniform() -> None:
    """`pick` gives each item equally often."""
    random = generator(9, 9)
    counts = Counter(pick("abcdefg", random) for _ in range(14_000))
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


GOLDEN = (
    ("药盒能晒太阳😄", "药😄😄晒太阳吗", "😄😄😄😄😄😄😄"),
    ("是先掰开再喝水", "丸子怎么咽整颗吞还是", "颗吞还是先掰开再喝水"),
)
# For each strategy alone, in the order of EVERY, and for all of them together.
DIGESTS = {
    "plain": ["f860febd65001e3a", "729ef6f3bcadba5d", "af656279b368ad11", "5fc4687f3bcc477f", "f0ae94c92d4db532"],
    "article": ["3d477ededb89d627", "9e54d8d46fb529c6", "782e17a896636186", "983d7c7d9daa8fe1", "c300117f78c95638"],
    "per_copy": ["1b20fcac6e58dbcc", "b9ea3e6250b050bf", "87540bc187f50b10", "2b9cf9a5a36d261a", "7b4d5d758f4d1003"],
}
