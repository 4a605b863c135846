"""Word vectors: both file formats, the cache, and neighbours as gensim finds them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

from replicate.augment.vectors import load_vectors
from replicate.common.errors import UserError
from replicate.common.paths import ROOT
from tests.vectors import vectors_from

# Prints the process's peak memory in KiB, before and after.
PEAK = """
import sys
from pathlib import Path
from replicate.augment.vectors import load_vectors
from tests.memory import peak_kib
print(peak_kib())
load_vectors(Path(sys.argv[1]), Path(sys.argv[2])).nearest([f"w{n}" for n in range(0, 40_000, 400)], 3)
print(peak_kib())
"""


def keyed(count: int, size: int) -> KeyedVectors:
    """Gensim's vectors, random but the same each time."""
    kept = KeyedVectors(size)
    kept.add_vectors(
        [f"词{number}" for number in range(count)], np.random.default_rng(1).normal(size=(count, size)).astype("f4")
    )
    return kept


@pytest.mark.parametrize("binary", [False, True])
def test_files_of_gensim_are_read(tmp_path: Path, binary: bool) -> None:
    """What gensim saves, text or binary, is read with the same words and directions."""
    original = keyed(5000, 12)
    path = tmp_path / "vectors"
    original.save_word2vec_format(str(path), binary=binary)
    loaded = load_vectors(path, tmp_path / "cache")
    assert list(loaded.words) == original.index_to_key
    np.testing.assert_allclose(loaded.matrix, original.get_normed_vectors(), atol=1e-6)


@pytest.mark.parametrize(("count", "wanted"), [(2, 2), (40, 40), (9000, 300), (9000, 3000)])
def test_neighbours_are_gensims(count: int, wanted: int) -> None:
    """The nearest words are those that gensim's `similar_by_word` gives, in its order, over one block or many."""
    original = keyed(count, 6)
    words = original.index_to_key[:: count // wanted]
    nearest = vectors_from(original.index_to_key, original.vectors).nearest([*words, "缺"], 3)
    assert list(nearest) == words
    for word in words[:: max(1, wanted // 40)]:
        assert list(nearest[word]) == [near for near, _ in original.similar_by_word(word, topn=3)]


def test_mapped_vectors_have_the_same_neighbours(tmp_path: Path) -> None:
    """Vectors that lie in a file have the neighbours that they have in memory."""
    original = keyed(9000, 6)
    original.save_word2vec_format(str(tmp_path / "v"), binary=True)
    loaded, words = load_vectors(tmp_path / "v", tmp_path / "cache"), original.index_to_key[::4]
    assert loaded.nearest(words, 3) == vectors_from(original.index_to_key, original.vectors).nearest(words, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and pages are given back on Linux")
def test_memory_stays_far_below_the_file(tmp_path: Path) -> None:
    """Neither reading a file for the first time nor searching it ever holds more than a part of it."""
    count, size = 40_000, 600
    path = tmp_path / "v.bin"
    row = np.random.default_rng(0).standard_normal(size, dtype=np.float32)
    with path.open("wb") as file:
        file.write(f"{count} {size}\n".encode())
        for number in range(count):
            row[number % size] += 1
            file.write(f"w{number} ".encode() + row.tobytes() + b"\n")
    before, after = map(
        int,
        subprocess.check_output([sys.executable, "-c", PEAK, path, tmp_path / "cache"], cwd=ROOT, text=True).split(),
    )
    assert path.stat().st_size > 96_000_000
    assert after - before < 70_000


def test_ties_go_to_the_earlier_word() -> None:
    """Of equal neighbours the earlier in the file comes first, so that no last bit decides."""
    matrix = np.ones((2000, 7), dtype=np.float32)
    nearest = vectors_from([str(number) for number in range(2000)], matrix).nearest(["0", "1", "1999"], 3)
    assert nearest == {"0": ("1", "2", "3"), "1": ("0", "2", "3"), "1999": ("0", "1", "2")}


def test_few_words_have_few_neighbours() -> None:
    """A vocabulary of one word has no neighbours, and unknown words have none."""
    assert vectors_from(["一"], np.ones((1, 2))).nearest(["一"], 3) == {}
    assert vectors_from(["一", "二"], np.eye(2)).nearest(["三"], 3) == {}


def test_cache_is_mapped_and_used_again(tmp_path: Path) -> None:
    """The second reading takes the cache, which is mapped, not loaded; another file has another entry."""
    path, cache = tmp_path / "a.txt", tmp_path / "cache"
    path.write_text("2 2\n一 1 0\n二 0 2\n", encoding="utf-8")
    first = load_vectors(path, cache)
    (kept,) = cache.iterdir()
    stamp = (kept / "vectors.f32").stat().st_mtime_ns
    again = load_vectors(path, cache)
    assert (kept / "vectors.f32").stat().st_mtime_ns == stamp
    assert again.mapped is not None
    assert np.shares_memory(again.matrix, np.frombuffer(again.mapped, dtype=np.uint8))
    assert list(first.words) == list(again.words) == ["一", "二"]
    path.write_text("1 2\n一 1 0\n", encoding="utf-8")
    load_vectors(path, cache)
    assert len(list(cache.iterdir())) == 2


def test_repeated_words_count_once(tmp_path: Path) -> None:
    """A word's first vector counts, as in gensim."""
    path = tmp_path / "v.txt"
    path.write_text("3 2\n一 1 0\n一 0 1\n二 0 1\n", encoding="utf-8")
    loaded = load_vectors(path, tmp_path / "cache")
    assert list(loaded.words) == ["一", "二"]
    np.testing.assert_array_equal(loaded.matrix, np.eye(2))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "empty file"),
        (b"hello\n", "not a word2vec file"),
        (b"0 5\n", "not a word2vec file"),
        ("2 2\n一 1 0\n二 1\n".encode(), "3: expected a word and 2 numbers"),
        ("2 2\n一 1 0\n二 1 x\n".encode(), "3: expected a word and 2 numbers"),
        ("2 2\n一 1 0\n".encode(), "3: expected a word and 2 numbers"),
        ("2 2\n一 1 0\n二 1 nan\n".encode(), "3: expected a word and 2 numbers"),
        ("1 9\n一 ".encode() + bytes(7), "vector 1 of 1 is damaged"),
    ],
)
def test_bad_files_are_refused_with_their_place(tmp_path: Path, content: bytes, complaint: str) -> None:
    """A damaged file is refused in one line that names the place, and leaves nothing in the cache."""
    path = tmp_path / "v.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=complaint):
        load_vectors(path, tmp_path / "cache")
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").iterdir())


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """A path that isn't there is a user's error."""
    with pytest.raises(UserError, match="can't read the vectors"):
        load_vectors(tmp_path / "none.bin", tmp_path / "cache")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_pipe_or_a_device_is_no_vectors(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """The one would be waited for, the other never ends."""
    make(tmp_path / "v")
    with pytest.raises(UserError, match="v: not a file"):
        load_vectors(tmp_path / "v", tmp_path / "cache")


def linked_folder(folder: Path, other: Path) -> None:
    """The whole folder is a link to another."""
    folder.rename(other)
    folder.symlink_to(other)


def linked_words(folder: Path, other: Path) -> None:
    """One of its files is."""
    (folder / "words.txt").rename(other)
    (folder / "words.txt").symlink_to(other)


def pipe(folder: Path, other: Path) -> None:
    """One of its files would be waited for."""
    (folder / "words.txt").unlink()
    os.mkfifo(folder / "words.txt")


def shorter(folder: Path, other: Path) -> None:
    """Its numbers are not those of its words."""
    (folder / "vectors.f32").write_bytes(bytes(28))


@pytest.mark.parametrize("change", [linked_folder, linked_words, pipe, shorter])
def test_kept_vectors_that_are_not_ours_are_refused(tmp_path: Path, change: Callable[[Path, Path], None]) -> None:
    """Whoever can write to a shared store leads nobody elsewhere: one line that names the folder."""
    keyed(4, 6).save_word2vec_format(str(tmp_path / "v"), binary=True)
    load_vectors(tmp_path / "v", tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    change(folder, tmp_path / "other")
    with pytest.raises(UserError) as caught:
        load_vectors(tmp_path / "v", tmp_path / "cache")
    assert str(caught.value).startswith(f"{folder}: ")
    assert "\n" not in str(caught.value)
