"""Whatever value an option is given, it is taken, or refused in one line with exit code 2; nothing is half-written.

`REPLICATE_FUZZ` says how many command lines each command gets: a tenth of it, since one takes longer than a file.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import shutil
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicate.commands.main import build_parser, main
from replicate.common.errors import Stopped
from replicate.common.progress import Progress
from replicate.corpus.fetch import no_network
from replicate.corpus.formats import Dataset, Split, write_dataset
from replicate.corpus.generated import generate
from replicate.serving.listener import Listener
from replicate.timing.random_net import SHAPES
from replicate.training.checkpoint import Checkpoint
from tests.tiny import ARCHITECTURE, PROFILE, Made

# How many values an option gets in the unit tests, and how many lines a command gets in `tox -e faults`.
EACH = 3
EXAMPLES = max(int(os.environ.get("REPLICATE_FUZZ", "0")) // 10, 200)
# A training that begins was asked for in earnest, for a billion epochs perhaps: it is stopped after so many steps.
STEPS = 3
# Bytes that the lines of a command may take beside what the process has.
MEMORY = 4 << 30
# Of each command, a line that ends well and soon, to which one option is added. {…} are in the grounds.
BASES: Mapping[str, Sequence[str]] = {
    "run": ["svm --dataset_dir {data} --seeds 1 --quiet"],
    "list": [""],
    "show": ["base"],
    "report": ["--dataset_dir {data} --html page.html"],
    "completion": ["bash"],
    "doctor": ["--json"],
    "store verify": [""],
    "store gc": [""],
    "data generated": ["new --offline"],
    # It would need the article's data.
    "data kuake-qic": [],
    "data import": ["{data}/train.txt new"],
    "data check": ["{data}"],
    "pretrain": ["--corpus {data}/data.txt --config {profile} --passes 0.1 --save_dir new"],
    "finetune": ["--dataset_dir {data} --init_from_ckpt {model} --epochs 1 --max_seq_length 16 --save_dir new"],
    "fewshot": [
        "--per_class 1 --dataset_dir {few} --model_name {masked} --steps 2 --max_seq_length 16 --save_dir new",
        "--per_class 1 --method linear --dataset_dir {few} --save_dir new",
    ],
    "audit": ["{data} --quiet"],
    "explain": ["{model} --text 感冒吃什么药"],
    # It would need a store with nets.
    "faithfulness": [],
    "augment": ["{data}/train.txt new -n 1 -t 0 -r 0"],
    "vectors": ["{data}/data.txt new.txt --size 4 --epochs 1 --min_count 1"],
    "prune": [
        "--params_dir {model} --dataset_dir {data} --width_mult 1/2 --num_train_epochs 1 --max_seq_length 16 "
        "--output_dir new --engine native"
    ],
    "distill": [
        "--teacher {model} --student bow --dataset_dir {data} --copies 0 --unlabelled_per_text 0 --epochs 1 "
        "--max_seq_length 16 --output_dir new"
    ],
    "fuse": ["{model} {fellow} --max_seq_length 16 --save_dir new"],
    "predict": ["{model}"],
    "evaluate": ["{model} {data}/dev.txt"],
    "export": ["{model} new --format onnx"],
    "time": [
        "{model} --rounds 1 --warmups 0 --batch 1 --length 8 --runtimes dygraph --quiet",
        "--rounds 1 --warmups 0 --batch 1 --length 8 --runtimes dygraph --widths 1 --quiet",
    ],
    "serve": ["{model} --port 0 --max_batch 2"],
}
NUMBERS = (
    "0",
    "-1",
    "1",
    "007",
    "1.5",
    "-0.0",
    "1e3",
    "1e-400",
    "1e400",
    "nan",
    "inf",
    "-inf",
    "0x10",
    "1_0",
    "１２",
    "½",
)
HUGE = ("9" * 9, "9" * 19, "9" * 40, "-" + "9" * 30, "1" * 5000)
LISTS = ("1,1", ",", "1,", "a=1,b", "=1", "a=", "a=nan", "hidden_size=9", "1/2", "1/0", "2/1", "-1/2", "9/99999999999")
WORDS = (
    "",
    " ",
    "\t",
    "a\nb",
    "-",
    "--",
    "-x",
    "甲",
    "😀",
    "\u2028",
    "\udcff",
    "%s",
    "{0}",
    "*",
    "None",
    "__import__('os')",
)
PATHS = (
    "{file}",
    "{folder}",
    "{model}",
    "{data}",
    "{data}/train.txt",
    "{folder}/none",
    "{folder}/none/deeper",
    "{file}/below",
    "{folder}/" + "x" * 300,
    "/dev/null",
    "/dev/null/below",
    "/proc/none/below",
    "/proc/self/mem",
)
# No shell can give a program a NUL, and bytes that are not UTF-8 arrive as these surrogates. Without "/" nothing that
# is drawn leads out of the current folder.
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0")
    | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=["Cs"]),
    max_size=12,
).filter(lambda text: text not in (".", ".."))
VALUES = st.one_of(
    *(st.sampled_from(some) for some in (NUMBERS, HUGE, LISTS, WORDS, PATHS)),
    TEXTS,
    st.integers().map(str),
    st.floats().map(str),
)


@dataclass
class Grounds:
    """Where command lines are tried.

    Attributes:
        names: what stands for {data}, {model} and so on.
        work: the current folder, empty before each line.
    """

    names: Mapping[str, Path]
    work: Path
    codes: dict[int, int] = field(default_factory=dict)

    def __call__(self, words: Sequence[str]) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a command line."""
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors=how) for how in ("strict", "backslashreplace"))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(words)
            except SystemExit as stop:
                code = int(stop.code or 0)
        told = []
        for stream in (out, err):
            stream.flush()
            told.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]
        self.codes[code] = self.codes.get(code, 0) + 1
        return code, told[0], told[1]

    def clear(self) -> None:
        """An empty current folder; the last line may have replaced it."""
        shutil.rmtree(self.work)
        self.work.mkdir()
        os.chdir(self.work)

    def state(self) -> dict[str, int]:
        """Every file with its time, and every folder; of the store, which is written all the time, nothing."""
        store = self.work.with_name("store")
        paths = (path for path in self.work.parent.rglob("*") if store not in (path, *path.parents))
        return {str(path): 0 if path.is_dir() else path.lstat().st_mtime_ns for path in paths}


def commands(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command with its parser; of those that have actions, the actions."""
    nested = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    if not nested:
        yield name, parser
    for one in nested:
        for word, below in one.choices.items():
            yield from commands(below, f"{name} {word}".strip())


PARSERS = dict(commands(build_parser()))


def options_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Options and positionals that take a value."""
    return [one for one in parser._actions if one.nargs != 0 and not isinstance(one, argparse._SubParsersAction)]


def line_of(command: str, base: str, option: argparse.Action, value: str, names: Mapping[str, Path]) -> list[str]:
    """The command's line with this value for one option; for a positional, in its place."""
    words = [word.format(**names) for word in base.split()]
    for name, path in names.items():
        value = value.replace(f"{{{name}}}", str(path))
    if option.option_strings:
        return [*command.split(), *words, f"{option.option_strings[-1]}={value}"]
    positionals = [one for one in options_of(PARSERS[command]) if not one.option_strings]
    place = positionals.index(option)
    given = next((number for number, word in enumerate(words) if word.startswith("-")), len(words))
    if place < given:
        words[place] = value
    else:
        words.insert(given, value)
    return [*command.split(), *words]


@pytest.fixture(scope="module")
def named(
    finetuned: Made, pretrained: Made, fellows: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Path]:
    """What the lines name: data of 40 lines, tiny nets, a profile, a file and a folder of no use."""
    root = tmp_path_factory.mktemp("any option") / "地"
    root.mkdir()
    write_dataset(generate(examples_train=24, examples_dev=11, unlabelled=12), root / "data")
    # Of so few generated lines not every class has one.
    write_dataset(Dataset("few", ("胃", "头"), Split(("胃疼", "头痛"), (0, 1)), Split(("胃",), (0,))), root / "few")
    for name, folder in (("model", finetuned.folder), ("masked", pretrained.folder), ("fellow", fellows[0])):
        shutil.copytree(folder, root / name)
    (root / "tiny.toml").write_text(PROFILE, encoding="utf-8")
    (root / "file").write_text("胃疼怎么办\n", encoding="utf-8")
    (root / "folder").mkdir()
    (root / "folder" / "kept").touch()
    (root / "work").mkdir()
    return {
        **{name: root / name for name in ("data", "few", "model", "masked", "fellow", "file", "folder", "work")},
        "profile": root / "tiny.toml",
    }


@pytest.fixture
def grounds(named: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Grounds]:
    """The current folder and the store among what is named; no network, and nothing that runs for long."""
    work = named["work"]
    monkeypatch.chdir(work)
    monkeypatch.setenv("REPLICATE_STORE", str(work.parent / "store"))
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    lookup = socket.getaddrinfo
    before = signal.getsignal(signal.SIGTERM)
    after_step, step = Checkpoint.after_step, Progress.step

    def stopping(self: Checkpoint, state: Any) -> None:
        after_step(self, state)
        if self._steps >= STEPS:
            raise Stopped(signal.SIGTERM)

    def stopping_too(self: Progress, number: int, **values: float) -> None:
        step(self, number, **values)
        if number > STEPS:
            raise Stopped(signal.SIGTERM)

    def numeric(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        # What is no number would be looked up.
        return lookup(host, port, *rest, **{**more, "flags": socket.AI_NUMERICHOST})

    monkeypatch.setattr(Checkpoint, "after_step", stopping)
    monkeypatch.setattr(Progress, "step", stopping_too)
    monkeypatch.setattr(Listener, "run", lambda self, sockets: None)
    # The published ones take seconds to make.
    tiny = {"base": {**SHAPES["base"], **ARCHITECTURE, "vocab_size": 300}}
    monkeypatch.setattr("replicate.commands.time.SHAPES", tiny)
    # What asks for more than is sensible must not take this machine down; it is told that there is no more.
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, limits[1]))
    with no_network(), monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", numeric)
        yield Grounds(named, work)
    monkeypatch.undo()
    resource.setrlimit(resource.RLIMIT_AS, limits)
    Progress.curves = None
    signal.signal(signal.SIGTERM, before)


def test_every_command_has_a_line() -> None:
    """A new command is tried too."""
    assert set(BASES) == set(PARSERS)


@pytest.mark.parametrize("command", BASES)
def test_the_lines_end_well(command: str, grounds: Grounds) -> None:
    """What the values are added to is no error by itself."""
    for base in BASES[command]:
        grounds.clear()
        code, out, err = grounds([*command.split(), *(word.format(**grounds.names) for word in base.split())])
        assert code in (0, 143), out + err


@pytest.mark.parametrize("command", [name for name, lines in BASES.items() if lines and options_of(PARSERS[name])])
def test_any_value(command: str, grounds: Grounds) -> None:
    """Some values for each option."""
    check(command, grounds, EACH * len(options_of(PARSERS[command])))


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("command", [name for name, lines in BASES.items() if lines and options_of(PARSERS[name])])
def test_any_value_at_length(command: str, grounds: Grounds) -> None:
    """As many command lines as `REPLICATE_FUZZ` says."""
    check(command, grounds, EXAMPLES)
    print(f"{command}: {grounds.codes}")


def check(command: str, grounds: Grounds, examples: int) -> None:
    """Try so many lines of a command."""
    options = options_of(PARSERS[command])

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(st.sampled_from(BASES[command]), st.sampled_from(options), VALUES)
    def attempt(base: str, option: argparse.Action, value: str) -> None:
        grounds.clear()
        before = grounds.state()
        code, out, err = grounds(line_of(command, base, option, value, grounds.names))
        assert code in (0, 1, 2, 143), err
        assert "Traceback" not in err
        if code == 2:
            assert err.startswith("replicate: ")
            assert err.count("\n") == 1
            assert out == ""
            assert grounds.state() == before

    attempt()
