"""The local format: what it reads, what it refuses and what it writes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate.common.errors import UserError
from replicate.corpus import load_dataset
from replicate.corpus.formats import Dataset, Split, read_dataset, read_labels, read_lines, read_split, write_dataset

SMALL = Dataset(
    name="small",
    labels=("病因", "其他"),
    train=Split(("头疼怎样才能好", "a\tb", "尾部空格 ", "换行符\u2028在中间"), (0, 1, 0, 1)),
    dev=Split(("咳嗽",), (1,)),
    unlabelled=("发烧", "\u3000乏力"),
)

# Dataset refuses texts that aren't one line; Cs are lone surrogates, which no UTF-8 file can hold.
LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\ufeff"), min_size=1).filter(str.strip)


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_written_dataset_reads_back_equal(tmp_path: Path) -> None:
    """Texts with TABs, odd spaces and Unicode line separators survive writing and reading, and so do the digests."""
    write_dataset(SMALL, tmp_path / "small")
    again = read_dataset(tmp_path / "small")
    assert again == SMALL
    assert again.digests == SMALL.digests


@given(texts=st.lists(LINES, min_size=1), unlabelled=st.lists(LINES))
def test_any_texts_survive_a_round_trip(texts: list[str], unlabelled: list[str]) -> None:
    """Whatever Split accepts is read back as it was written."""
    split = Split(tuple(texts), (0,) * len(texts))
    dataset = Dataset("data", ("x",), split, split, tuple(unlabelled))
    with tempfile.TemporaryDirectory() as scratch:
        write_dataset(dataset, Path(scratch, "data"))
        assert read_dataset(Path(scratch, "data")) == dataset


def test_dataset_without_unlabelled_texts_has_no_data_file(tmp_path: Path) -> None:
    """data.txt is optional: not written when there is nothing in it, not missed when reading."""
    dataset = Dataset("small", SMALL.labels, SMALL.train, SMALL.dev)
    write_dataset(dataset, tmp_path / "small")
    assert sorted(os.listdir(tmp_path / "small")) == ["dev.txt", "label.txt", "train.txt"]
    assert load_dataset(str(tmp_path / "small")) == dataset


def test_bom_and_windows_line_ends_are_tolerated(tmp_path: Path) -> None:
    """A file from a Windows editor reads like a plain one, and so do two that were joined."""
    path = _write(tmp_path / "train.txt", "\ufeff头疼\t病因\r\n\ufeff\ufeff咳嗽\t其他\r\n".encode())
    assert read_split(path, SMALL.labels) == Split(("头疼", "咳嗽"), (0, 1))


@pytest.mark.parametrize(
    ("data", "where", "what"),
    [
        ("头疼\t病因\n咳嗽 其他\n".encode(), ":2: ", "no TAB"),
        ("头疼\t病因\n咳嗽\t别的\n".encode(), ":2: ", "unknown label '别的'"),
        ("头疼\t病因\n咳嗽\t其他 \n".encode(), ":2: ", "a blank before or after the label '其他 '"),
        ("头疼\t病因\n \t其他\n".encode(), ":2: ", "empty text"),
        ("头疼\t病因\n\n咳嗽\t其他\n".encode(), ":2: ", "no TAB"),
        ("头疼\t病因\n\n".encode(), ":2: ", "no TAB"),
        ("头疼\t病因\n".encode() + b"\xff\xfe\t\n", ":2: ", "not UTF-8 (byte 0xff)"),
        (b"", ": ", "empty file"),
        ("\ufeff\n".encode(), ": ", "empty file"),
        ("头疼\t病因\n\ufeff\t其他\n".encode(), ":2: ", "empty text"),
    ],
)
def test_bad_examples_are_refused_with_file_and_line(tmp_path: Path, data: bytes, where: str, what: str) -> None:
    """Each kind of bad input gives one line that starts with the file and the line number."""
    path = _write(tmp_path / "train.txt", data)
    with pytest.raises(UserError) as caught:
        read_split(path, SMALL.labels)
    assert str(caught.value).startswith(f"{path}{where}")
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("病因\n其他\n病因\n", "label.txt:3: duplicate label '病因', first on line 1"),
        ("病因\n\n其他\n", "label.txt:2: empty label"),
        ("病因\t0\n", "label.txt:1: a label can't contain a TAB"),
        ("", "label.txt: empty file"),
    ],
)
def test_bad_labels_are_refused_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    """Labels must be distinct names, one a line."""
    path = _write(tmp_path / "label.txt", text.encode())
    with pytest.raises(UserError) as caught:
        read_labels(path)
    assert str(caught.value) == f"{tmp_path}{os.sep}{message}"


def test_blank_unlabelled_line_is_refused(tmp_path: Path) -> None:
    """An empty text is an error in unlabelled data too."""
    path = _write(tmp_path / "data.txt", "头疼\n\n咳嗽\n".encode())
    with pytest.raises(UserError, match=r"data\.txt:2: empty text"):
        read_lines(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    """A missing folder and a missing file are each a UserError that names it."""
    with pytest.raises(UserError, match="nowhere: no such folder"):
        load_dataset(str(tmp_path / "nowhere"))
    _write(tmp_path / "label.txt", "病因\n".encode())
    with pytest.raises(UserError, match=r"train\.txt: can't read the file"):
        read_dataset(tmp_path)


def test_existing_data_is_never_overwritten(tmp_path: Path) -> None:
    """A folder that holds anything is refused and left as it was; an empty one is taken."""
    folder = tmp_path / "small"
    folder.mkdir()
    write_dataset(SMALL, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError, match="already exists"):
        write_dataset(Dataset("other", ("x",), Split(("y",), (0,)), Split(("z",), (0,))), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """A lone surrogate can't be encoded: neither the folder nor a scratch folder stays behind."""
    broken = Dataset("broken", ("x",), Split(("\ud83d",), (0,)), Split(("y",), (0,)))
    with pytest.raises(UnicodeEncodeError):
        write_dataset(broken, tmp_path / "broken")
    assert list(tmp_path.iterdir()) == []


def test_digests_tell_the_parts_apart() -> None:
    """Changing one dev label changes the digest of dev and no other."""
    other = Dataset("small", SMALL.labels, SMALL.train, Split(SMALL.dev.texts, (0,)), SMALL.unlabelled)
    changed = {part for part, digest in other.digests.items() if digest != SMALL.digests[part]}
    assert changed == {"dev"}


@pytest.mark.parametrize("text", ["", " \t", "a\nb", "a\rb", "\ufeffa"])
def test_split_refuses_what_a_line_cannot_hold(text: str) -> None:
    """A text that wouldn't survive the local format can't get into a Split."""
    with pytest.raises(ValueError, match="not one line"):
        Split((text,), (0,))
