"""Whatever bytes a file holds, it is read or refused in one line that names it.

`REPLICATE_FUZZ` says how many files Hypothesis makes for each reader, `REPLICATE_ATHERIS` how many seconds atheris has.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicate.common.errors import UserError
from replicate.common.files import read_json
from replicate.common.paths import ROOT
from replicate.corpus.formats import read_dataset, read_labels, read_split
from tests.readers import LABELS, READERS, refusal, try_bytes

EXAMPLES = int(os.environ.get("REPLICATE_FUZZ", "40"))
SECONDS = int(os.environ.get("REPLICATE_ATHERIS", "10"))
PIECES = (b"\0", b"\xff", b"\t", b"\n", b"\r", b'"', b"{", b"[", b"1e999", b"-", b"\xef\xbb\xbf")


@st.composite
def spoilt(draw: st.DrawFn, start: bytes) -> bytes:
    """Any bytes; or a good beginning with bytes put in, taken out, doubled or changed."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=300))
    data = bytearray(start)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(data)))
        piece = draw(st.sampled_from(PIECES))
        kind = draw(st.sampled_from(["insert", "cut", "change", "double"]))
        if kind == "insert":
            data[place:place] = piece
        elif kind == "cut":
            del data[place : place + draw(st.integers(1, 20))]
        elif kind == "change":
            data[place : place + 1] = piece
        else:
            data[place:place] = data[place : place + 30]
    return bytes(data)


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_any_bytes_at_length(reader: str, tmp_path: Path) -> None:
    """The same with as many examples as `REPLICATE_FUZZ` says."""
    check(reader, tmp_path, max(EXAMPLES, 1000))


@pytest.mark.parametrize("reader", READERS)
def test_any_bytes(reader: str, tmp_path: Path) -> None:
    """A reader gives something or a `UserError` of one line that names the file; it never writes."""
    check(reader, tmp_path, EXAMPLES)


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is installed by `tox -e faults` only")
@pytest.mark.parametrize("reader", READERS)
def test_any_bytes_guided_by_coverage(reader: str, tmp_path: Path) -> None:
    """The same with bytes that atheris chooses by what they reach, for `REPLICATE_ATHERIS` seconds."""
    command = [sys.executable, "-m", "tests.fuzz_readers", reader, str(tmp_path), f"-max_total_time={SECONDS}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS + 300)
    assert done.returncode == 0, done.stderr[-5000:]
    tried = re.search(r"^stat::number_of_executed_units:\s*(\d+)", done.stderr, re.MULTILINE)
    assert tried
    print(f"{reader}: {tried[1]} files")
    assert int(tried[1]) > 100 * SECONDS


def check(reader: str, folder: Path, examples: int) -> None:
    """Try a reader on so many files."""
    start = READERS[reader][1]

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(spoilt(start))
    def attempt(data: bytes) -> None:
        try_bytes(reader, folder, data)

    attempt()


def test_a_hundred_thousand_labels(tmp_path: Path) -> None:
    """Many labels are read in order, a repetition is told with both lines; so many to train on are refused."""
    names = [f"类{number}" for number in range(100_000)]
    path = tmp_path / "label.txt"
    path.write_text("\n".join(names), encoding="utf-8")
    assert read_labels(path) == tuple(names)
    path.write_text("\n".join([*names, "类7"]), encoding="utf-8")
    with pytest.raises(UserError, match=r"label\.txt:100001: duplicate label '类7', first on line 8"):
        read_labels(path)
    path.write_text("\n".join(names), encoding="utf-8")
    for name in ("train.txt", "dev.txt"):
        (tmp_path / name).write_text("发热\t类7\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"label\.txt:1001: 100000 labels; a data set may have 1000; "):
        read_dataset(tmp_path)


def test_a_line_of_ten_megabytes(tmp_path: Path) -> None:
    """A long line is a text like others; without its label it is refused in a short line."""
    path = tmp_path / "train.txt"
    path.write_text("发" * 3_500_000 + "\t甲\n", encoding="utf-8")
    assert len(read_split(path, LABELS).texts[0]) == 3_500_000
    path.write_text("发" * 3_500_000, encoding="utf-8")
    with pytest.raises(UserError, match="no TAB between text and label") as caught:
        read_split(path, LABELS)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("depth", [10, 1000, 200_000])
def test_deep_json(depth: int, tmp_path: Path) -> None:
    """Brackets in brackets end in words, not in a full stack."""
    path = tmp_path / "deep.json"
    path.write_text("[" * depth + "]" * depth, encoding="utf-8")
    assert "not JSON" in (refusal(lambda: read_json(path)) or "not JSON")
