"""How many times as fast augmentation is as `data_aug.py`'s algorithm done plainly, on the same lines in the same run.

Both are raced over KUAKE-QIC where REPLICATE_KUAKE_QIC names it, else over the generated corpus, and make the same
copies: ours with `article`, which redraws none. Loading models and reading files is outside both timings, LAC's work
inside both. No row is run: `pytest -m speed bench/test_augment.py`. A race that misses its goal is an expected failure
that tells its ratio, and with pytest's `--strict` a failure; one that misses it by four times always is.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from replicate.augment import augment_texts
from replicate.augment.engine import UNK_TOKEN
from replicate.augment.lac import Tagger
from replicate.augment.strategy import RATE
from replicate.augment.vectors import Vectors, load_vectors
from replicate.corpus import load_dataset
from replicate.corpus.kuake import NAME, VARIABLE
from replicate.nets.upstream import import_lac, lac_predictor
from tests.goals import hold

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

pytestmark = pytest.mark.speed

COPIES = 4
ROUNDS = 3
# The article's own.
MIX = {"unk": 0.25, "truncate": 0.25, "pos_replace": 0.5}
VECTORS = (200_000, 200)
# The reference's search for neighbours is timed on so many lines a round: all of them would take a quarter of an hour.
LINES_OF_W2V = 60
MIX_GOAL = 10
W2V_GOAL = 100


@dataclass
class Reference:
    """`data_aug.py`'s algorithm, done plainly: a text at a time, LAC asked again for every copy.

    It also draws and looks up as the original does, which costs more than it seems: numpy's `choice` makes an array of
    the whole list each time, and whether a word has a vector is looked up in the list of all words.

    Attributes:
        lac: LAC itself, with its net as `Tagger` has it.
        keyed: gensim's vectors, asked for each word.
        random: of all draws.
        inside: seconds spent in LAC and in gensim.
    """

    lac: Any
    keyed: KeyedVectors | None = None
    random: np.random.RandomState = field(default_factory=lambda: np.random.RandomState(1))
    inside: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def augment(self, texts: Sequence[str], mix: Mapping[str, float]) -> list[list[str]]:
        """`COPIES` of each text, all by the strategy that is drawn for the text."""
        vocabulary: dict[str, list[str]] = {}
        if "pos_replace" in mix:
            for text in texts:
                for word, pos in self.words(text):
                    vocabulary.setdefault(pos, []).append(word)
        strategies: dict[str, Callable[[str], str]] = {
            "unk": lambda text: self.spans(text, lambda span: UNK_TOKEN * len(span)),
            "truncate": lambda text: self.spans(text, lambda span: ""),
            "pos_replace": lambda text: self.pos_replace(text, vocabulary),
            "w2v_replace": self.w2v_replace,
        }
        names = [self.random.choice(list(mix), p=list(mix.values())) for _ in texts]
        return [[strategies[name](text) for _ in range(COPIES)] for name, text in zip(names, texts, strict=True)]

    def words(self, text: str) -> list[tuple[str, str]]:
        """What LAC makes of one text."""
        start = perf_counter()
        found = self.lac.run(text)
        self.inside["LAC"] += perf_counter() - start
        return list(zip(*found, strict=True))

    def spans(self, text: str, change: Callable[[str], str]) -> str:
        """15 % of the text's spans changed; their lengths are geometric, 10 at most."""
        weights = 0.2 * 0.8 ** np.arange(10)
        shares = weights / weights.sum()
        changed, start = [], 0
        while start < len(text):
            length = self.random.choice(range(1, 11), p=shares)
            span = text[start : start + length]
            changed.append(change(span) if self.random.rand() < RATE else span)
            start += length
        return "".join(changed)

    def pos_replace(self, text: str, vocabulary: Mapping[str, Sequence[str]]) -> str:
        """15 % of the words become a word of the same part of speech."""
        return "".join(
            self.random.choice(vocabulary[pos]) if self.random.rand() < RATE else word for word, pos in self.words(text)
        )

    def w2v_replace(self, text: str) -> str:
        """15 % of the words become one of their three nearest, if they have a vector."""
        assert self.keyed is not None
        changed = []
        for word, _ in self.words(text):
            if self.random.rand() < RATE and word in self.keyed.index_to_key:
                start = perf_counter()
                nearest = self.keyed.similar_by_word(word, topn=3)
                self.inside["gensim"] += perf_counter() - start
                word = self.random.choice([near for near, _ in nearest])
                word += " " * bool(re.match("[a-zA-Z0-9]", word))
            changed.append(word)
        return "".join(changed)


@pytest.fixture(scope="module")
def lines() -> tuple[str, ...]:
    """The training texts: 6,931 of KUAKE-QIC."""
    return load_dataset(NAME if os.environ.get(VARIABLE) else "generated").train.texts


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    """Ours."""
    return Tagger()


@pytest.fixture(scope="module")
def lac() -> Any:
    """The reference's: LAC as it comes, its net mended like ours."""
    lac = import_lac().LAC(mode="lac")
    lac.model.predictor = lac_predictor(lac.model.args.init_checkpoint)
    return lac


@pytest.fixture(scope="module")
def vectors(lines: Sequence[str], tagger: Tagger) -> Iterator[tuple[Vectors, KeyedVectors]]:
    """Random vectors of the lines' words and of made-up ones, read from one file by us and by gensim."""
    from gensim.models import KeyedVectors

    words = {word for tags in tagger.tag(lines).values() for word, _ in tags if word.split() == [word]}
    count, size = VECTORS
    named = [*sorted(words), *(f"词{number}" for number in range(count))][:count]
    matrix: NDArray[np.float32] = np.random.default_rng(0).standard_normal(VECTORS, dtype=np.float32)
    order = np.random.default_rng(1).permutation(count)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vectors.bin")
        with path.open("wb") as file:
            file.write(f"{count} {size}\n".encode())
            for row in order:
                file.write(f"{named[row]} ".encode() + matrix[row].tobytes() + b"\n")
        keyed = KeyedVectors.load_word2vec_format(str(path), binary=True)
        keyed.fill_norms()
        yield load_vectors(path, Path(folder, "cache")), keyed


@dataclass
class Race:
    """Ours over all lines, each round after the reference over some of them."""

    benchmark: BenchmarkFixture
    lines: Sequence[str]
    reference: Reference
    mix: Mapping[str, float]
    options: dict[str, Any]
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    def run(self, parts: Sequence[Sequence[str]], goal: float, request: pytest.FixtureRequest) -> None:
        """Tell how many times as long the reference takes for the same lines, and hold it against the goal.

        `parts` are the lines that the reference has in each round; its time is scaled up from them to all lines.
        """
        waiting = iter(parts)

        def run_reference() -> None:
            part = next(waiting)
            start = perf_counter()
            copies = self.reference.augment(part, self.mix)
            self.theirs.append(perf_counter() - start)
            assert len(copies) == len(part)

        def run_ours() -> None:
            start = perf_counter()
            augmented = augment_texts(self.lines, self.mix, COPIES, seed=1, article=True, **self.options)
            self.ours.append(perf_counter() - start)
            assert augmented.summary.copies + augmented.summary.dropped == COPIES * len(self.lines)

        self.benchmark.pedantic(run_ours, setup=run_reference, rounds=len(parts))
        timed = sum(map(len, parts))
        scale = len(self.lines) / timed
        theirs, ours = sum(self.theirs) * scale, float(np.median(self.ours))
        inside = {name: round(seconds * scale, 2) for name, seconds in self.reference.inside.items()}
        self.benchmark.extra_info |= {
            "lines": len(self.lines),
            "reference_lines": timed,
            "reference_seconds": round(theirs, 2),
            "reference_seconds_inside": inside,
            "ours_seconds": round(ours, 3),
            "ratio": round(theirs / ours, 1),
            "goal": goal,
        }
        spent = ", ".join(f"{seconds:.1f} s in {name}" for name, seconds in inside.items())
        scaled = "" if timed == len(self.lines) else f", scaled up from {timed} lines"
        told = (
            f"{' + '.join(self.mix)}, {COPIES} copies of {len(self.lines)} lines: {theirs / ours:.1f} times as fast, "
            f"goal {goal}; ours {ours:.2f} s, the reference {theirs:.1f} s ({spent}{scaled})"
        )
        hold(told, theirs / ours / goal, request)


@pytest.mark.benchmark(group="augment")
def test_article_mix(
    benchmark: BenchmarkFixture, lines: tuple[str, ...], tagger: Tagger, lac: Any, request: pytest.FixtureRequest
) -> None:
    """The article's mix is ten times as fast; the reference has a third of the lines in each round."""
    race = Race(benchmark, lines, Reference(lac), MIX, {"lac": tagger})
    race.run([lines[number::ROUNDS] for number in range(ROUNDS)], MIX_GOAL, request)


@pytest.mark.benchmark(group="augment")
def test_w2v_replace(
    benchmark: BenchmarkFixture,
    lines: tuple[str, ...],
    tagger: Tagger,
    lac: Any,
    vectors: tuple[Vectors, KeyedVectors],
    request: pytest.FixtureRequest,
) -> None:
    """Replacement by word vectors alone is a hundred times as fast; the reference has a sample of the lines."""
    ours, theirs = vectors
    race = Race(benchmark, lines, Reference(lac, theirs), {"w2v_replace": 1.0}, {"lac": tagger, "vectors": ours})
    sample = Random(0).sample(lines, ROUNDS * LINES_OF_W2V)
    race.run([sample[number::ROUNDS] for number in range(ROUNDS)], W2V_GOAL, request)
