"""`replicate vectors`: a word2vec file that says the same each time, and refusals in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

from replicate.augment.lac import Tagger
from replicate.augment.train_vectors import train_vectors
from replicate.augment.vectors import load_vectors
from replicate.commands import vectors
from replicate.common.errors import UserError
from tests.command_line import ran

DISEASES = ("感冒", "头痛", "高血压", "糖尿病", "胃炎", "湿疹")
ENDINGS = ("怎么治疗", "吃什么药好", "的症状是什么", "需要做哪些检查")
TEXTS = tuple(f"{disease}{ending}" for disease in DISEASES for ending in ENDINGS)
FRESH = """
import sys
from pathlib import Path
from replicate.augment.train_vectors import train_vectors
train_vectors(sys.argv[2:], Path(sys.argv[1]), seed=3, size=16)
"""


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    """One real LAC for the module."""
    return Tagger()


def command(*words: str | Path) -> int:
    """What `replicate vectors` does with these words."""
    return ran(vectors, *words)


def test_same_seed_same_bytes(tagger: Tagger, tmp_path: Path) -> None:
    """The same seed gives the same bytes, in this process and in one with other hashes; another seed others."""
    first = tmp_path / "first"
    train_vectors(TEXTS, first, seed=3, size=16, lac=tagger)
    train_vectors(TEXTS, tmp_path / "again", seed=3, size=16, lac=tagger)
    train_vectors(TEXTS, tmp_path / "other", seed=4, size=16, lac=tagger)
    hashes = {"PYTHONHASHSEED": "1"}
    subprocess.run([sys.executable, "-c", FRESH, tmp_path / "fresh", *TEXTS], env=os.environ | hashes, check=True)
    assert (tmp_path / "again").read_bytes() == first.read_bytes()
    assert (tmp_path / "fresh").read_bytes() == first.read_bytes()
    assert (tmp_path / "other").read_bytes() != first.read_bytes()


def test_file_holds_the_frequent_words(tagger: Tagger, tmp_path: Path) -> None:
    """Each LAC word that occurs often enough in the distinct texts has a vector, and gensim and we read the same."""
    path = tmp_path / "v.txt"
    texts = [*TEXTS, "阿司匹林", "阿司匹林"]
    count = train_vectors(texts, path, seed=0, size=8, min_count=2, lac=tagger)
    words = [word for tags in tagger.tag(texts).values() for word, _ in tags]
    read = KeyedVectors.load_word2vec_format(str(path))
    assert set(read.index_to_key) == {word for word in words if words.count(word) >= 2}
    assert count == len(read)
    loaded = load_vectors(path, tmp_path / "cache")
    assert list(loaded.words) == read.index_to_key
    np.testing.assert_allclose(loaded.matrix, read.get_normed_vectors(), atol=1e-6)


def test_words_with_whitespace_are_left_out(tagger: Tagger, tmp_path: Path) -> None:
    """Words that the format can't hold spoil no line of the file."""
    path = tmp_path / "v.txt"
    texts = [f"{text} {text}\u3000\u00a0A B" for text in TEXTS]
    count = train_vectors(texts, path, seed=0, size=8, lac=tagger)
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    assert first == f"{count} 8"
    assert [len(line.split()) for line in lines] == [9] * count


def test_words_of_the_same_use_are_near(tagger: Tagger, tmp_path: Path) -> None:
    """What stands in the same places is nearer than what doesn't: the vectors have learned something."""
    path = tmp_path / "v.txt"
    train_vectors(TEXTS, path, seed=0, size=16, epochs=1000, lac=tagger)
    read = KeyedVectors.load_word2vec_format(str(path))
    alike = np.mean([read.similarity(one, other) for one in DISEASES for other in DISEASES if one != other])
    unlike = np.mean([read.similarity(one, other) for one in DISEASES for other in ("治疗", "症状", "检查")])
    assert alike > unlike + 0.05


def test_command_reads_files_and_folders(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file and a folder of it give the same vectors; a second text column adds words."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.txt").write_text("".join(f"{text}\t{text}吗\n" for text in TEXTS), encoding="utf-8")
    assert command(folder / "train.txt", tmp_path / "file", "--size", "8", "--min_count", "5") == 0
    assert capfd.readouterr().out.startswith(f"{tmp_path / 'file'}: ")
    assert command(folder, tmp_path / "folder", "--size", "8", "--min_count", "5") == 0
    assert command(folder, tmp_path / "both", "--size", "8", "--min_count", "5", "-c", "1,2") == 0
    assert (tmp_path / "folder").read_bytes() == (tmp_path / "file").read_bytes()
    one, both = (KeyedVectors.load_word2vec_format(str(tmp_path / name)) for name in ("file", "both"))
    assert "吗" in both
    assert "吗" not in one


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["{tmp}/none", "{tmp}/new"], "none: can't read the file"),
        (["{tmp}", "{tmp}/new"], "no .txt file in the folder"),
        (["{tmp}/kept", "{tmp}/kept"], "kept: already exists; name a new file"),
        (["{tmp}/kept", "{tmp}/new", "-c", "2"], "kept:1: no column 2"),
        (["{tmp}/kept", "{tmp}/new", "-c", "x"], "not a list of columns: 'x'; give 1 or 1,2"),
        (["{tmp}/kept", "{tmp}/new", "-c", "0"], "not a list of text columns"),
        (["{tmp}/kept", "{tmp}/new", "--size", "0"], "size is 0; it must be above 0"),
        (["{tmp}/kept", "{tmp}/new", "--seed", "-1"], "seed is -1; it must be from 0"),
        (["{tmp}/kept", "{tmp}/new", "--min_count", "99"], "no word occurs 99 times or more; lower --min_count"),
    ],
)
def test_refusals(tmp_path: Path, words: list[str], complaint: str) -> None:
    """Bad input is refused in one line, and nothing is written."""
    (tmp_path / "kept").write_text("感冒怎么治疗\n", encoding="utf-8")
    with pytest.raises(UserError, match=complaint) as caught:
        command(*(word.format(tmp=tmp_path) for word in words))
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_failed_write_leaves_nothing(tagger: Tagger, tmp_path: Path) -> None:
    """Where the file can't be written, one line says so."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="can't be written"):
        train_vectors(TEXTS, tmp_path / "file" / "v.txt", seed=0, size=8, lac=tagger)
