"""Every strategy over arbitrary text, through files, and the same bytes for the same seed in another process."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicate.augment import STRATEGIES, augment_path, augment_texts
from replicate.augment.lac import Tagger
from replicate.augment.masked_model import MaskedModel
from replicate.augment.vectors import Vectors
from replicate.corpus.formats import read_lines
from tests.tiny import write_masked_model
from tests.vectors import vectors_from

# The other two ask a service, or a net that isn't there.
LOCAL = tuple(name for name in STRATEGIES if name not in ("translate", "simbert"))
DISEASES = ("感冒", "头痛", "高血压", "糖尿病", "湿疹", "张三的失眠", "阿里巴巴员工的贫血3天")
ENDINGS = ("怎么治疗", "吃什么药好", "的症状是什么", "能不能吃鸡蛋", "需要做哪些检查")
QUERIES = tuple(f"{disease}{ending}" for disease in DISEASES for ending in ENDINGS)
WORDS = ("感冒", "治疗", "吃", "什么", "药", "症状", "检查", "aspirin", "鸡蛋")
ANY_TEXT = st.text(
    st.one_of(
        st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF),
        st.sampled_from("感冒头痛怎么治疗吃什么药好阿里巴巴3天"),
        st.sampled_from("abcXYZ019éß.,%-[MASK]"),
        st.sampled_from("😄👨‍👩‍👧🏽\u200d\ufe0f\U00020bb7"),
        st.sampled_from(" \u3000\u00a0\u2028\x85\x0b\x0c\x1c\x00\x1b\x7f\ufeff"),
        st.characters(codec="utf-8"),
    ),
    min_size=1,
    max_size=30,
).filter(lambda text: text.strip() and not set(text) & set("\t\r\n") and text[0] != "\ufeff")


@dataclass(frozen=True)
class Loaded:
    """What the strategies need, loaded once."""

    lac: Tagger
    vectors: Vectors
    model: MaskedModel

    def copies(self, names: Sequence[str], per_copy: bool = False) -> tuple[tuple[str, ...], ...]:
        """Three copies of each query."""
        mix = dict.fromkeys(names, 1.0)
        return augment_texts(
            QUERIES, mix, 3, seed=4, lac=self.lac, vectors=self.vectors, model=self.model, per_copy=per_copy
        ).texts

    def digests(self) -> dict[str, str]:
        """A digest of the copies that each strategy makes, and all of them together."""
        found = {name: self.copies([name]) for name in LOCAL} | {"all": self.copies(LOCAL, per_copy=True)}
        return {name: hashlib.sha256(repr(copies).encode()).hexdigest() for name, copies in found.items()}


def load(model: str | Path) -> Loaded:
    """LAC, a few vectors, and the net of a folder."""
    vectors = vectors_from(WORDS, np.random.default_rng(0).normal(size=(len(WORDS), 8)))
    return Loaded(Tagger(), vectors, MaskedModel(model))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A masked language model with random weights."""
    folder = tmp_path_factory.mktemp("masked")
    write_masked_model(folder, QUERIES)
    return folder


@pytest.fixture(scope="module")
def loaded(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """All that is needed, and a run store for jieba's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPLICATE_STORE", str(tmp_path_factory.mktemp("store")))
        yield load(model)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(
        st.tuples(ANY_TEXT, ANY_TEXT, st.sampled_from(["治疗方案", "其他", "", " a "])), min_size=1, max_size=4
    ),
    columns=st.sampled_from([(1,), (1, 2)]),
    names=st.one_of(st.sampled_from(LOCAL).map(lambda name: [name]), st.just(list(LOCAL))),
    copies=st.integers(0, 3),
    seed=st.integers(0, 2**32),
    article=st.booleans(),
    per_copy=st.booleans(),
)
def test_any_text_survives_every_strategy(
    loaded: Loaded,
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str]],
    columns: tuple[int, ...],
    names: list[str],
    copies: int,
    seed: int,
    article: bool,
    per_copy: bool,
) -> None:
    """Over any text in files nothing crashes, no label is lost, every line reads back, and their number is right."""
    # A copy may equal the next original: only where no two rows have the same label is it known what a line is.
    rows = [(first, second, f"{label}{place}") for place, (first, second, label) in enumerate(rows)]
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    source = folder / "lines.txt"
    source.write_bytes("".join("\t".join(row) + "\n" for row in rows).encode())
    made = augment_path(
        source,
        folder,
        dict.fromkeys(names, 1.0),
        copies,
        columns=columns,
        seed=seed,
        lac=loaded.lac,
        vectors=loaded.vectors,
        model=loaded.model,
        article=article,
        per_copy=per_copy,
    )
    ((target, summary),) = made.items()
    read = [tuple(line.split("\t")) for line in read_lines(target)]
    assert len(read) == (1 + copies) * len(rows) - summary.dropped
    assert article or summary.dropped == 0
    # Each original with as many of its copies as were kept, in order: those keep all that isn't a text.
    fixed = [index for index in range(3) if index + 1 not in columns]
    rest = iter(read)
    following = next(rest, None)
    for row in rows:
        assert following == row
        count = 0
        while (following := next(rest, None)) is not None and count < copies and kept(following, row, fixed):
            assert all(following[column - 1].strip() for column in columns)
            count += 1
        assert article or count == copies
    assert following is None


def kept(copy: tuple[str, ...], row: tuple[str, ...], fixed: list[int]) -> bool:
    """Whether a line of as many columns has the same fixed ones."""
    return len(copy) == len(row) and all(copy[index] == row[index] for index in fixed)


PROGRAM = """
import json, sys
from tests.test_augment_any_text import load
print(json.dumps(load(sys.argv[1]).digests()))
"""


@pytest.mark.slow
def test_same_seed_same_bytes_in_another_process(model: Path, loaded: Loaded) -> None:
    """A process with other string hashes, and no history, makes the same copies with every strategy."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(model)],
        env=os.environ | {"PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") == "2" else "2"},
        capture_output=True,
        check=True,
        text=True,
    )
    found = loaded.digests()
    assert json.loads(done.stdout) == found
    # Each does something else with these queries.
    assert len(set(found.values())) == len(found)
