"""Peak memory for a large training file and for a long prediction stream: bounded by the file, and by nothing.

`--timing quick` (the default) reads 5,000 lines and streams 20,000, `--timing full` a million and ten millions.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest
from _pytest.terminal import TerminalReporter

from bench.steps import TINY
from replicate.common.paths import ROOT
from replicate.inference.export import export
from replicate.nets.classifier import classifier_from_config
from replicate.nets.device import seed_everything
from replicate.nets.folder import save_model

pytestmark = pytest.mark.speed

# Lines of the smaller run, beside which the larger one is held; then those of `quick` and of `full`.
FEW = 1000
TRAINING = {"quick": 5_000, "full": 1_000_000}
AUDITED = {"quick": 20_000, "full": 1_000_000}
STREAM = {"quick": 20_000, "full": 10_000_000}
# What a training line may cost: its text, its token ids and labels as arrays, a place in the batches.
BYTES_A_LINE = 1200
# What a line of an audit may cost: its text twice, its bigrams, its probabilities; and what its models hold, which
# learn from 100,000 lines at most.
BYTES_AUDITED, MODELS_MB = 1500, 600
# What a stream may take more than a short one, however long it is: allocators keep what they once had.
SLACK_MB = 64
LABELS = ("疾病", "治疗", "其他")
QUERY = "第{}号病人应该吃什么药才好"
VOCABULARY = ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *"第号病人应该吃什么药才好0123456789")
# Runs a command of this package and says at the end how much memory it held at most, in KiB.
PROGRAM = """
import sys
from replicate.commands.main import main
from tests.memory import peak_kib
code = main(sys.argv[1:])
print(f"\\npeak {peak_kib()}", file=sys.stderr)
sys.exit(code)
"""
WRITER = """
import sys
form, lines, end = sys.argv[1], int(sys.argv[2]), sys.argv[3]
for number in range(lines):
    sys.stdout.write(form.format(number) + end.split(",")[number % len(end.split(","))] + "\\n")
"""


@dataclass(eq=False)
class Peaks:
    """What was measured; told when pytest ends."""

    rows: list[list[str]] = field(default_factory=list)

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Peak megabytes of the short and of the long run."""
        if self.rows:
            from tabulate import tabulate

            terminalreporter.section("replicate: peak memory")
            head = ("command", "lines", "MB", "lines", "MB", "bound")
            terminalreporter.write_line(tabulate(self.rows, headers=head, disable_numparse=True))


@pytest.fixture(scope="module")
def peaks(pytestconfig: pytest.Config) -> Peaks:
    """The session's."""
    made = Peaks()
    pytestconfig.pluginmanager.register(made, "replicate-peaks")
    return made


def queries(lines: int, ends: Sequence[str], to: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """A process that writes so many lines, each with one of the ends in turn."""
    return subprocess.Popen([sys.executable, "-c", WRITER, QUERY, str(lines), ",".join(ends)], stdout=to)


def peak(words: Sequence[str], lines_out: int = 0, stdin: IO[bytes] | None = None) -> float:
    """Megabytes that a command of `replicate` held at most; `lines_out` lines of output are counted and thrown away."""
    command = [sys.executable, "-c", PROGRAM, *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=stdin or subprocess.DEVNULL, stdout=pipe, stderr=pipe) as process:
        assert process.stdout
        assert process.stderr
        found = sum(1 for _ in process.stdout)
        told = process.stderr.read().decode()
    assert process.returncode == 0, told
    assert not lines_out or found == lines_out
    return int(told.rsplit("peak ", 1)[1]) * 1024 / 1e6


def test_training_file(peaks: Peaks, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """Memory grows with a training file by no more than a line's tokens."""
    many = TRAINING[pytestconfig.getoption("--timing")]
    seed_everything(1)
    (tmp_path / "net").mkdir()
    net = classifier_from_config(TINY, VOCABULARY, LABELS, tmp_path / "net")
    save_model(net.network, net.tokenizer, tmp_path / "net", LABELS)
    found = []
    for lines in (FEW, many):
        folder = tmp_path / str(lines)
        folder.mkdir()
        (folder / "label.txt").write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")
        for name, length in (("train.txt", lines), ("dev.txt", 30)):
            with (folder / name).open("wb") as file:
                assert queries(length, [f"\t{label}" for label in LABELS], file).wait() == 0
        words = ["finetune", "--dataset_dir", str(folder), "--init_from_ckpt", str(tmp_path / "net"), "--epochs", "1"]
        found.append(peak([*words, "--batch_size", "64", "--save_dir", str(folder / "model")]))
    few, much = found
    bound = BYTES_A_LINE * many / 1e6 + SLACK_MB
    peaks.rows.append(["finetune", f"{FEW:,}", f"{few:.0f}", f"{many:,}", f"{much:.0f}", f"{few + bound:.0f}"])
    assert much - few <= bound


def test_audit(peaks: Peaks, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """Memory grows with what is audited by no more than a line's text, bigrams and probabilities."""
    many = AUDITED[pytestconfig.getoption("--timing")]
    found = []
    for lines in (FEW, many):
        folder = tmp_path / str(lines)
        folder.mkdir()
        (folder / "label.txt").write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")
        for name, length in (("train.txt", lines), ("dev.txt", 30)):
            with (folder / name).open("wb") as file:
                assert queries(length, [f"\t{label}" for label in LABELS], file).wait() == 0
        found.append(peak(["audit", str(folder), "--quiet"]))
    few, much = found
    bound = BYTES_AUDITED * many / 1e6 + MODELS_MB
    peaks.rows.append(["audit", f"{FEW:,}", f"{few:.0f}", f"{many:,}", f"{much:.0f}", f"{few + bound:.0f}"])
    assert much - few <= bound


def test_prediction_stream(peaks: Peaks, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """Memory doesn't grow with what is read from standard input."""
    many = STREAM[pytestconfig.getoption("--timing")]
    seed_everything(1)
    (tmp_path / "net").mkdir()
    net = classifier_from_config(TINY, VOCABULARY, LABELS, tmp_path / "net")
    save_model(net.network, net.tokenizer, tmp_path / "net", LABELS)
    export(tmp_path / "net", tmp_path / "exported", "onnx")
    found = []
    for lines in (FEW, many):
        with queries(lines, [""], subprocess.PIPE) as writer:
            words = ["predict", str(tmp_path / "exported"), "--json", "-"]
            found.append(peak(words, lines_out=lines, stdin=writer.stdout))
    few, much = found
    peaks.rows.append(["predict", f"{FEW:,}", f"{few:.0f}", f"{many:,}", f"{much:.0f}", f"{few + SLACK_MB:.0f}"])
    assert much - few <= SLACK_MB
