"""Data files of others: bombs, endless lines, pipes, devices and lies about columns are one line, and little memory."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from replicate.commands.main import main
from replicate.common.errors import UserError
from replicate.common.limits import MOST_LINE
from replicate.common.paths import ROOT
from replicate.corpus import load_dataset
from replicate.corpus.usual import read_usual

# Reads a file as a data set, and says how much memory that took at most, in MiB.
PROGRAM = """
import sys
from pathlib import Path
from replicate.common.errors import UserError
from replicate.corpus.usual import read_usual
from tests.memory import forget_peak, peak_kib

# What is imported late is imported now.
try:
    import pyarrow.ipc, pyarrow.parquet, pyarrow.compute
except ImportError:
    pass
before = forget_peak()
try:
    read_usual([Path(sys.argv[1])])
except UserError as error:
    print(error)
print((peak_kib() - before) >> 10)
"""
ROWS = [("发热三天", "a"), ("咳嗽不止", "b"), ("头痛", "a"), ("胃疼", "b")]


def read_alone(path: Path) -> tuple[str, int]:
    """What the reader says in a process of its own, and how many MiB it took."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    *told, memory = done.stdout.splitlines()
    assert len(told) == 1
    assert told[0].startswith(str(path))
    return told[0], int(memory)


def refusal(*sources: Path) -> str:
    """The one line that is said of files."""
    with pytest.raises(UserError) as caught:
        read_usual(sources)
    told = str(caught.value)
    assert "\n" not in told
    assert told.isprintable()
    assert len(told) < 2200
    return told


def blocks(size: int, piece: bytes) -> Iterator[bytes]:
    """So many MiB of a piece again and again."""
    block = (piece * ((1 << 20) // len(piece) + 1))[: 1 << 20]
    return (block for _ in range(size))


@pytest.mark.parametrize("piece", [b"x", "发热\ta\n".encode(), b"\n", b"\0"], ids=["a line", "lines", "blank", "zeros"])
def test_gzip_that_unpacks_to_gigabytes(tmp_path: Path, piece: bytes) -> None:
    """A MiB or less that unpacks to much: no more is unpacked than texts of that size would be."""
    path = tmp_path / "train.tsv.gz"
    with gzip.open(path, "wb", compresslevel=1 if len(piece) > 1 else 6) as file:
        for block in blocks(150, piece):
            file.write(block)
    told, memory = read_alone(path)
    assert "larger than" in told
    assert memory < 300


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.tsv", "发热\ta\n" + "x" * (MOST_LINE + 1), 2),
        ("a.csv", "text,label\n发热,a\n" + "x" * (MOST_LINE + 1) + ",b\n", 3),
        ("a.csv", 'text,label\n发热,a\n"' + "x" * MOST_LINE + '\ny",b\n', 3),
        ("a.txt", "1_!_1_!_a_!_发热_!_\n" + "x" * (MOST_LINE + 1) + "_!_", 2),
        ("a.txt", "__label__a 发热\n__label__b " + "x" * MOST_LINE + "\n", 2),
        ("a.jsonl", '{"text": "发热", "label": "a"}\n{"text": "%s", "label": "b"}\n' % ("x" * (MOST_LINE + 1)), 2),
        ("a.jsonl", '{"text": "发热", "label": "a"}\n{"text": "x", "label": "%s"}\n' % ("b" * (MOST_LINE + 1)), 2),
    ],
    ids=range(7),
)
def test_a_text_that_is_too_long(tmp_path: Path, name: str, text: str, line: int) -> None:
    """The bound of a line is every reader's, whatever parts the cells; the line is named."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert refusal(path).startswith(f"{path}:{line}: ")


def test_a_single_line_of_json_may_be_long(tmp_path: Path) -> None:
    """A list in one line is no line of text."""
    path = tmp_path / "a.json"
    rows = [{"text": text + "好" * 1000, "label": label} for text, label in ROWS] * 1200
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    assert path.stat().st_size > MOST_LINE
    assert len(read_usual([path]).train) > 1000


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("a.jsonl", [f'{{"text": "发热", "label": "a", "{at}": 1}}' for at in range(9_990)] * 3),
        ("a.jsonl", ['{"text": "发热", ' + ", ".join(f'"{at}": 1' for at in range(20_000)) + "}"]),
        ("a.csv", [",".join(["x"] * 20_000)] * 10),
        ("a.tsv", ["\t".join("x" * 20_000)] * 10),
        ("a.tsv", ["\t".join("x" * 5_000)] * 5_000),
    ],
    ids=["a name for each object", "many names", "many columns", "many of TAB", "many cells"],
)
def test_cells_are_counted(tmp_path: Path, name: str, lines: list[str]) -> None:
    """A few MiB are not made into a table of hundreds of millions of cells."""
    path = tmp_path / name
    path.write_text("\n".join(lines), encoding="utf-8")
    told, memory = read_alone(path)
    assert "columns" in told or "cells" in told or "names" in told
    assert memory < 1000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"text": "\\ud800", "label": "a"}'),
        ("a.jsonl", '{"text": "发热", "label": "\\udc00"}'),
        ("a.jsonl", '{"text": "\\ufeff", "label": "a"}'),
        ("a.jsonl", '{"text": "发热", "label": NaN}'),
        ("a.jsonl", "[" * 100_000),
        ("a.json", '{"text": "发热", "label": ' + "[" * 100_000 + "]" * 100_000 + "}"),
        ("a.json", '{"text": "发热", "label": ' + "9" * 5000 + "}"),
        ("a.json", " " * 3_000_000 + "{"),
        ("a.csv", 'text,label\n"x'),
        ("a.csv", "text,label\n发热,a\n\0\0,\0"),
    ],
    ids=range(10),
)
def test_nonsense_is_one_line(tmp_path: Path, name: str, text: str) -> None:
    """Half characters, marks of byte order, depth and digits: no traceback, also later where the data are written."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert str(path) in refusal(path)


def test_a_mark_of_byte_order_in_json_is_taken_off(tmp_path: Path) -> None:
    """As from every other file: the local format has none."""
    path = tmp_path / "a.jsonl"
    lines = [f'{{"text": "\\ufeff{text}", "label": "\\ufeff{label}"}}' for text, label in ROWS]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert main(["data", "import", str(path), str(tmp_path / "out")]) == 0
    assert set(load_dataset(str(tmp_path / "out")).labels) == {"a", "b"}


@pytest.mark.parametrize(
    "encoding", ["undefined", "punycode", "idna", "zlib", "rot13", "../x", "utf-8\x1b[2J", "ascii"]
)
def test_an_encoding_that_is_none(tmp_path: Path, encoding: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Python has some that read no text, or raise errors of their own."""
    path = tmp_path / "a.tsv"
    path.write_bytes("发热\ta\n咳嗽\tb\n".encode())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert main(["data", "import", str(path), str(tmp_path / "out"), "--encoding", encoding]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "\x1b" not in told


@pytest.mark.parametrize("name", ["label.txt", "train.txt", "dev.txt", "data.txt", "test.txt"])
def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path, name: str) -> None:
    """Nor is a link to a device read."""
    for file, text in (("label.txt", "a\nb\n"), ("train.txt", "x\ta\ny\tb\n"), ("dev.txt", "x\ta\n")):
        (tmp_path / file).write_text(text, encoding="utf-8")
    (tmp_path / name).unlink(missing_ok=True)
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        make(tmp_path / name)
        with pytest.raises(UserError, match=f"{name}: not a file"):
            load_dataset(str(tmp_path))
        (tmp_path / name).unlink()


def test_a_device_is_no_data(tmp_path: Path) -> None:
    """An endless file is not read at all, by whatever name."""
    for name in ("zero.tsv", "zero.csv.gz", "zero.parquet"):
        (tmp_path / name).symlink_to("/dev/zero")
        assert refusal(tmp_path / name) == f"{tmp_path / name}: not a file"


def test_what_a_file_says_can_not_colour_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Labels and columns in the notes of a reader, and in what `data check` prints."""
    path = tmp_path / "a.jsonl"
    rows = [{"text\x1b[2J": "x", "text": text, "label": f"\x1b[31m\u202e{label}"} for text, label in ROWS * 3]
    rows.append({"text": "z", "label": "\x07"})
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert main(["data", "check", str(path)]) == 0
    told = "".join(capsys.readouterr())
    assert "[31m" in told
    assert told.replace("\n", "").isprintable()


def arrow(path: Path, table: Any) -> Path:
    """A table as the file's name says."""
    import pyarrow.ipc
    import pyarrow.parquet

    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path, compression="zstd")
    else:
        with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    return path


def repeated(rows: int, size: int) -> Any:
    """One text in each of so many rows, in the file once."""
    import pyarrow

    codes = pyarrow.array([0] * rows, pyarrow.int32())
    text = pyarrow.DictionaryArray.from_arrays(codes, pyarrow.array(["x" * size]))
    label = pyarrow.DictionaryArray.from_arrays(codes, pyarrow.array(["a"]))
    return pyarrow.table({"text": text, "label": label})


def empty_lists(rows: int, size: int) -> Any:
    """Lists of nothing, which take no bytes for each."""
    import pyarrow

    values = pyarrow.nulls(rows * size)
    label = pyarrow.LargeListArray.from_arrays(pyarrow.array(range(0, rows * size + 1, size), pyarrow.int64()), values)
    return pyarrow.table({"text": ["x"] * rows, "label": label})


BOMBS: dict[str, Callable[[Path], Path]] = {
    "one text in every row, Parquet": lambda folder: arrow(folder / "a.parquet", repeated(20_000, 1 << 20)),
    "one text in every row, Arrow": lambda folder: arrow(folder / "a.arrow", repeated(20_000, 1 << 20)),
    "a text of 200 MiB": lambda folder: arrow(folder / "a.parquet", repeated(2, 200 << 20)),
    "rows without an end": lambda folder: arrow(folder / "a.arrow", repeated(11_000_000, 1)),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_columns_that_unpack_to_gigabytes(tmp_path: Path, bomb: str) -> None:
    """A small file that speaks of gigabytes of texts is refused before they are made."""
    pytest.importorskip("pyarrow")
    told, memory = read_alone(BOMBS[bomb](tmp_path))
    assert "unpacks" in told or "not arrow" in told
    assert memory < 1000


def test_lists_of_nothing_are_not_made(tmp_path: Path) -> None:
    """A column that can be neither text nor label is left alone, however much it speaks of."""
    pytest.importorskip("pyarrow")
    told, memory = read_alone(arrow(tmp_path / "a.arrow", empty_lists(10, 10**8)))
    assert "no text" in told
    assert memory < 200


def test_offsets_that_lead_elsewhere(tmp_path: Path) -> None:
    """Arrow's own reader takes a text's place on trust, which may be any memory of the process."""
    pyarrow = pytest.importorskip("pyarrow")
    texts = ["x" * 16] * 4
    path = arrow(tmp_path / "a.arrow", pyarrow.table({"text": texts, "label": ["a", "b", "a", "b"]}))
    places, elsewhere = struct.pack("<5i", *range(0, 65, 16)), struct.pack("<5i", 0, *[1 << 24] * 4)
    assert path.read_bytes().count(places) == 1
    path.write_bytes(path.read_bytes().replace(places, elsewhere))
    told, _ = read_alone(path)
    assert "not arrow" in told


@pytest.mark.parametrize(
    "kept",
    [
        b"[" * 100_000,
        b"{",
        b"[]",
        b'{"info": []}',
        b'{"info": {"features": [1]}}',
        b'{"info": {"features": {"label": {"names": {"0": "a"}}}}}',
        b'{"info": {"features": {"label": {"names": [1, 2]}}}}',
    ],
    ids=range(7),
)
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_what_a_file_says_of_its_columns(tmp_path: Path, suffix: str, kept: bytes) -> None:
    """Metadata that are none are one line."""
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"text": [text for text, _ in ROWS], "label": [0, 1, 0, 1]})
    path = arrow(tmp_path / f"a.{suffix}", table.replace_schema_metadata({b"huggingface": kept}))
    assert f"not {suffix}" in refusal(path)


def test_a_class_that_has_no_name_is_no_label(tmp_path: Path) -> None:
    """An index beyond the names."""
    pyarrow = pytest.importorskip("pyarrow")
    kept = json.dumps({"info": {"features": {"label": {"names": ["a", "b"]}}}}).encode()
    table = pyarrow.table({"text": [f"{text}{at}" for at in range(4) for text, _ in ROWS], "label": [0, 1, 7, -1] * 4})
    found = read_usual([arrow(tmp_path / "a.parquet", table.replace_schema_metadata({b"huggingface": kept}))])
    assert (len(found.train) + len(found.dev), len(found.unlabelled)) == (8, 8)


def test_a_pyarrow_that_runs_what_a_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions before 14.0.1 do; none of them is let near a file."""
    pyarrow = pytest.importorskip("pyarrow")
    path = arrow(tmp_path / "a.arrow", pyarrow.table({"text": ["x"], "label": ["a"]}))
    for version, refused in (("14.0.0", True), ("9.0.0", True), ("14.0.1", False), ("17.0.0", False)):
        monkeypatch.setattr(pyarrow, "__version__", version)
        assert ("runs code" in refusal(path)) is refused
