"""Files that are long, deep, endless or full of digits: read or refused in one line, soon, and in little memory."""

from __future__ import annotations

import cProfile
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from replicate.commands.main import main
from replicate.common.errors import UserError
from replicate.common.files import read_json, write_text
from replicate.common.limits import MOST_DEPTH, MOST_DIGITS, MOST_JSON, MOST_LINE, MOST_TOML
from replicate.common.paths import EXPECTED, PROFILES, ROOT
from replicate.common.toml import read_toml
from replicate.corpus.formats import read_labels, read_lines, read_split
from replicate.records.run import read_record
from replicate.runs.ask import Ask
from replicate.runs.executor import Job, Outcome
from replicate.runs.plan import Sources, plan
from replicate.runs.runner import Runner
from replicate.runs.store import Store
from replicate.stages.kind import options_of
from replicate.tables.file import load_table
from replicate.tables.profile import load_profile

# What nothing below takes, on a machine that does other things too.
SECONDS = 20.0
LONG = 300 << 20
# Reads a file in one way, and says how much memory that took at most, in MiB.
PROGRAM = """
import sys
from pathlib import Path
from replicate.augment.vectors import load_vectors
from replicate.commands.predict import read_texts
from replicate.common.errors import UserError
from replicate.corpus.formats import read_labels, read_lines, read_split
from replicate.corpus.unlabelled import unlabelled_lines
from tests.memory import forget_peak, peak_kib

path = Path(sys.argv[2])
readers = {
    "split": lambda: read_split(path, ("a", "b")),
    "labels": lambda: read_labels(path),
    "lines": lambda: read_lines(path),
    "unlabelled": lambda: unlabelled_lines(str(path)),
    "vectors": lambda: load_vectors(path, path.parent / "cache"),
    "stdin": lambda: print(*(len(text) for text in read_texts(path.open("rb"), "stdin"))),
}
before = forget_peak()
try:
    readers[sys.argv[1]]()
except UserError as error:
    print(error)
print((peak_kib() - before) >> 10)
"""
HEAD = 'schema = 1\nid = "t"\ntitle = "t"\n'


def refusal(read: Callable[[Path], Any], path: Path) -> str:
    """The one line that names the file, which comes soon."""
    began = time.monotonic()
    with pytest.raises(UserError) as caught:
        read(path)
    told = str(caught.value)
    assert time.monotonic() - began < SECONDS
    assert told.startswith(str(path))
    assert "\n" not in told
    assert told.isprintable()
    assert len(told) < 2200
    return told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": ' + "9" * 5000 + "}", "a number of 5000 digits"),
        ("-" + "9" * 41, "a number of 42 digits"),
        ("[Infinity]", "Infinity is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("[NaN]", "NaN is no number"),
        ('{"parameters": 1e400}', "1e400 is too large a number"),
        ("[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1), "nested deeper than 64"),
        ('{"a":' * 2000 + "1" + "}" * 2000, "nested deeper than 64"),
        ("[" * 1_000_000, "nested deeper than 64"),
        ('{"a": "\\ud800"}', "surrogates not allowed"),
        ('"' * 1_000_001, "not JSON"),
        ('["' + '\\"' * 5_000_000, "not JSON"),
    ],
    ids=range(12),
)
def test_json_is_strict(tmp_path: Path, text: str, words: str) -> None:
    """Digits, depth, infinities and half characters end in a line, not in a traceback or in minutes."""
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    for read in (read_json, read_record):
        assert words in refusal(read, tmp_path / "a.json")


def test_json_keeps_what_is_in_bounds(tmp_path: Path) -> None:
    """The deepest and the longest that is allowed; brackets and quotes inside texts count for nothing."""
    path = tmp_path / "a.json"
    deep: Any = int("9" * MOST_DIGITS)
    for _ in range(MOST_DEPTH):
        deep = [deep]
    for value in (deep, ["[" * 100, '"[' * 100, "\\[" * 100], "😀", 1.5e-300):
        path.write_text(json.dumps(value), encoding="utf-8")
        assert read_json(path) == value


@pytest.mark.parametrize(("read", "most"), [(read_json, MOST_JSON), (read_toml, MOST_TOML)])
def test_a_file_of_any_size(tmp_path: Path, read: Callable[[Path], Any], most: int) -> None:
    """Too many bytes are not read, and a pipe isn't waited for."""
    path = tmp_path / "file"
    path.touch()
    os.truncate(path, most + 1)
    assert f"larger than {most >> 20} MiB" in refusal(read, path)
    path.unlink()
    os.mkfifo(path)
    assert "not a file" in refusal(read, path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "9" * 5000, "digits"),
        ("a = 0x" + "f" * 5000, "a number of more than 40 digits"),
        ("a = inf", "inf is too large a number"),
        ("a = nan", "nan is too large a number"),
        ("a = 1e400", "1e400 is too large a number"),
        *((f"a = {'[' * depth}{']' * depth}", "nested deeper than 64") for depth in (100, 2000, 100_000)),
        *((f"a = {'{a=' * depth}1{'}' * depth}", "nested deeper than 64") for depth in (100, 2000, 100_000)),
        (".".join("a" * 20_000) + " = 1", "a name of more than 16 parts"),
        (".".join("a" * 200_000) + " = 1", "a name of more than 16 parts"),
        ("[" + " . ".join(["'a.b'"] * 200_000) + "]", "a name of more than 16 parts"),
        ('a = "' + '\\"' * 900_000, "not valid TOML"),
        ('a = """' + '\\"' * 900_000, "not valid TOML"),
        ("a = '''" + "''\n" * 500_000, "not valid TOML"),
    ],
    ids=range(17),
)
def test_toml_is_strict(tmp_path: Path, text: str, words: str) -> None:
    """The same in tables and profiles, and dotted names, which its parser takes the square of."""
    path = tmp_path / "a.toml"
    path.write_text(text + "\n", encoding="utf-8")
    for read in (read_toml, load_table, lambda path: load_profile("a", path.parent)):
        assert words in refusal(read, path)


def test_toml_keeps_what_is_in_bounds(tmp_path: Path) -> None:
    """Brackets and dots in texts and comments count for nothing."""
    path = tmp_path / "a.toml"
    lines = ["a = '''" + "[" * 100 + "'''", 'b = "a.b' + '.c\\"' * 100 + '"', "# " + "[a." * 100, 'c = """["""']
    lines += ["d = [" + ", ".join(["0.5"] * 100) + "]", f"e.f.g.h = {'9' * MOST_DIGITS}"]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert read_toml(path).data["e"]["f"]["g"]["h"] == int("9" * MOST_DIGITS)


@pytest.mark.parametrize("value", ["1e-999999999", "1e9999999", "0e-999999999", "1e101", "-1e-101", "1" * 50, "sNaN"])
@pytest.mark.parametrize("key", ["alpha", "published"])
def test_numbers_of_a_table_are_such_as_people_print(tmp_path: Path, key: str, value: str) -> None:
    """An exponent of a billion is refused where it stands, before anything computes with it."""
    text = (EXPECTED / "ernie3_kuake_qic.toml").read_text(encoding="utf-8")
    if key == "alpha":
        start = text.index("alpha")
        place = "statistics.alpha.value"
    else:
        start = text.index("accuracy", text.index("[rows.published]")) if "[rows.published]" in text else -1
        start = start if start >= 0 else text.index("accuracy", text.index("published = {"))
        place = "published.accuracy"
    first = text.index('"', start)
    path = tmp_path / "ernie3_kuake_qic.toml"
    path.write_text(text[: first + 1] + value + text[text.index('"', first + 1) :], encoding="utf-8")
    assert place in refusal(load_table, path)


def test_a_chain_of_rows(tmp_path: Path) -> None:
    """Three thousand rows, each the parent of the next: read, ordered, and a cycle of them found."""
    path = tmp_path / "ernie3_kuake_qic.toml"
    chain(path)
    table = load_table(path)
    assert len(table.lineage("chain-2999")) == 3001
    path.write_text(
        path.read_text(encoding="utf-8").replace(
            'parent = "base"\nrecipe = [{ stage = "augment", copies',
            'parent = "chain-2999"\nrecipe = [{ stage = "augment", copies',
        )
    )
    assert ": a cycle: " in refusal(load_table, path)


def test_a_chain_of_rows_is_planned(tmp_path: Path) -> None:
    """The same chain as stages; ten times as many rows take about ten times as many calls of functions."""
    path, calls = tmp_path / "ernie3_kuake_qic.toml", {}
    sources, profile = Sources({"train": "a", "dev": "b", "labels": "c"}, "u", {}), load_profile("smoke")
    for rows in (300, 3000):
        chain(path, rows)
        table = load_table(path)
        counted = cProfile.Profile()
        last = counted.runcall(plan, table, f"chain-{rows - 1}", profile, 1, sources)
        calls[rows] = sum(one.callcount for one in counted.getstats())
        assert len([*last.chain()]) == rows
    assert calls[3000] < 11 * calls[300]


def test_all_rows_of_a_chain_are_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What rows share is built once: all 3,000 take as many stages as the last of them alone."""
    path, rows, checked = tmp_path / "ernie3_kuake_qic.toml", 3000, 0
    chain(path, rows)
    table = load_table(path)

    def counted(kind: type[Any], values: Mapping[str, Any]) -> Any:
        nonlocal checked
        checked += 1
        return options_of(kind, values)

    monkeypatch.setattr("replicate.stages.kind.options_of", counted)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    runner = Runner(load_profile("smoke"), Store(tmp_path / "store"), quiet=True)
    asks = [Ask(table, f"chain-{number}", 1) for number in range(rows)]
    jobs: list[Job] = []
    assert not [*runner.drive(asks, NoEngine(jobs))]
    assert [job.label for job in jobs] == [ask.label for ask in asks]
    # Each once to build it, once to ask what the data lack for it; `base` and its net, which all begin with, once.
    assert checked == 2 * rows + 2
    assert all(runner.last(table, ask.row, 1) is job.stage for ask, job in zip(asks, jobs, strict=True))


class NoEngine:
    """Runs nothing, and says what it was asked for."""

    def __init__(self, asked: list[Job]) -> None:
        self.asked = asked

    def execute(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """No outcome."""
        self.asked += jobs
        return iter(())

    def close(self) -> None:
        """There is nothing to end."""


def chain(path: Path, count: int = 3000) -> None:
    """A table with so many rows more."""
    rows = "".join(
        f'\n[[rows]]\nid = "chain-{number}"\ntitle = "t"\nparent = "{f"chain-{number - 1}" if number else "base"}"\n'
        'recipe = [{ stage = "augment", copies = 2 }]\n'
        for number in range(count)
    )
    path.write_text((EXPECTED / "ernie3_kuake_qic.toml").read_text(encoding="utf-8") + rows, encoding="utf-8")


def test_our_own_files_are_in_bounds() -> None:
    """Far from any limit: a fiftieth of the bytes, or less."""
    assert max(path.stat().st_size for path in (*EXPECTED.glob("*.toml"), *PROFILES.glob("*.toml"))) < MOST_TOML / 50
    assert max(path.stat().st_size for path in (ROOT / "measured").rglob("*.json")) < MOST_JSON / 100


@pytest.mark.parametrize("reader", ["split", "labels", "lines", "unlabelled", "vectors"])
def test_a_line_of_300_megabytes(tmp_path: Path, reader: str) -> None:
    """Refused with its number, and never in memory as a whole: the file's last line."""
    path = tmp_path / "file.txt"
    before = {"split": b"x\ta\n", "vectors": b"2 3\nx 1 2 3\n"}.get(reader, b"x\n")
    path.write_bytes(before)
    os.truncate(path, LONG)
    told, memory = read_alone(reader, path)
    kind = "bytes" if reader == "vectors" else "characters"
    line = before.count(b"\n") + 1
    assert told == f"{path}:{line}: a line of more than {MOST_LINE} {kind}"
    assert memory < 100


def test_a_line_of_300_megabytes_to_be_labelled(tmp_path: Path) -> None:
    """`predict` reads the first MiB of it, of which the net sees the beginning."""
    path = tmp_path / "file.txt"
    path.write_bytes(b"x\n")
    os.truncate(path, LONG)
    told, memory = read_alone("stdin", path)
    assert told == f"1 {1 << 20}"
    assert memory < 100


def test_a_first_line_of_vectors(tmp_path: Path) -> None:
    """Nor is the head of a word2vec file as long as it likes, nor a word of a binary one, nor a vector."""
    path = tmp_path / "file.txt"
    path.touch()
    os.truncate(path, LONG)
    told, memory = read_alone("vectors", path)
    assert told == f"{path}:1: a line of more than {MOST_LINE} bytes"
    assert memory < 10
    path.write_bytes(b"1 4\n\x01\x02")
    os.truncate(path, LONG)
    told, memory = read_alone("vectors", path)
    assert "damaged" in told or "a line of" in told
    assert memory < 100
    path.write_bytes(b"1 " + b"9" * 4000 + b"\nword 1 2 3\n")
    assert "not a word2vec file" in read_alone("vectors", path)[0]


def read_alone(reader: str, path: Path) -> tuple[str, int]:
    """What a reader says in a process of its own, and how many MiB it took."""
    command = [sys.executable, "-c", PROGRAM, reader, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    told, memory = done.stdout.rsplit("\n", 2)[:2]
    return told, int(memory)


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r"])
def test_the_longest_line(tmp_path: Path, end: str) -> None:
    """As many characters as are allowed are a text, one more is not; whatever ends the line."""
    path = tmp_path / "file.txt"
    path.write_text("发" * MOST_LINE + end, encoding="utf-8", newline="")
    assert len(read_lines(path)[0]) == MOST_LINE
    path.write_text("好\n发" + "发" * MOST_LINE + end, encoding="utf-8", newline="")
    for read in (read_lines, read_labels, lambda path: read_split(path, ("发",))):
        place = 1 if read not in (read_lines, read_labels) else 2
        assert refusal(read, path).startswith(f"{path}:{place}: ")


def test_the_command_names_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`replicate run svm` on data with one endless line: exit code 2 and one line."""
    for name in ("train.txt", "dev.txt"):
        (tmp_path / name).write_text("x\ta\ny\tb\n", encoding="utf-8")
    (tmp_path / "label.txt").write_text("a\nb\n", encoding="utf-8")
    os.truncate(tmp_path / "train.txt", LONG)
    assert main(["run", "svm", "--profile", "smoke", "--dataset_dir", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told == f"replicate: {tmp_path}/train.txt:3: a line of more than {MOST_LINE} characters\n"


def test_millions_of_blank_lines(tmp_path: Path) -> None:
    """A file of nothing but line ends is empty, and costs no memory; before a text they are an empty text."""
    path = tmp_path / "file.txt"
    path.write_bytes(b"\n" * 3_000_000)
    assert refusal(read_lines, path) == f"{path}: empty file"
    path.write_bytes(b"\n" * 3_000_000 + b"x\n")
    assert refusal(read_lines, path) == f"{path}:1: empty text"


def test_where_a_byte_is_wrong(tmp_path: Path) -> None:
    """The line of the first byte that is not UTF-8, also behind a block's end and where a character is cut by it."""
    path = tmp_path / "file.txt"
    for lines in (0, 1, 400_000):
        path.write_bytes("发热\n".encode() * lines + b"x\xff\n")
        assert refusal(read_lines, path) == f"{path}:{lines + 1}: not UTF-8 (byte 0xff)"
    path.write_bytes("发热\n".encode() * 7 + "发".encode()[:2])
    assert refusal(read_lines, path) == f"{path}:8: not UTF-8 (byte 0xe5)"


def test_a_message_is_text(tmp_path: Path) -> None:
    """What a file says can't colour the terminal, overwrite a line, or fill the screen."""
    path = tmp_path / "label.txt"
    write_text(path, "\x1b[31m\x07\u202e\u9999\n" * 2)
    assert "'\\x1b[31m\\x07\\u202e\u9999'" in refusal(read_labels, path)
    write_text(path, "x" * 100_000 + "\n" + "x" * 100_000)
    refusal(read_labels, path)
