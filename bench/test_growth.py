"""How time and memory grow with lines, classes, length and seeds: each size of made-up data in a process of its own.

`--timing quick` (the default) shows that it runs; `--timing full` takes an hour or more, and with `--accept` keeps the
record, of which the report draws one picture. What grows faster than its exponent allows is a fault.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench.steps import TINY
from replicate.commands.session import accept_timing
from replicate.common.paths import ROOT
from replicate.nets import upstream
from replicate.nets.classifier import classifier_from_config
from replicate.nets.device import seed_everything
from replicate.nets.folder import save_model
from replicate.records.facts import device_facts, now
from replicate.records.timing import Curve, TimingRecord
from replicate.timing.session import keep_record, record_of

pytestmark = pytest.mark.speed

CHARACTERS = "第号病人应该吃什么药才好"
VOCABULARY = ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *CHARACTERS, *"0123456789")
# Of what does not grow.
LINES, CLASSES, TOKENS = 6000, 3, 20
# Runs a command of this package, and says at the end how many seconds of the processor and KiB of memory it took.
PROGRAM = """
import os, sys
from replicate.commands.main import main
from tests.memory import peak_kib
code = main(sys.argv[1:])
print(f"\\ntook {sum(os.times()[:4])} {peak_kib()}", file=sys.stderr)
sys.exit(code)
"""


@dataclass(frozen=True)
class Growth:
    """A command and what grows: sizes of either timing, the arguments, and the highest exponent of its last step."""

    command: str
    grows: str
    quick: tuple[int, ...]
    full: tuple[int, ...]
    words: str
    most: float = 1.2


_AUDIT = "audit {data} --quiet"
_FINETUNE = "finetune --dataset_dir {data} --init_from_ckpt {net} --epochs 1 --save_dir {data}/model"
GROWN = (
    Growth("audit", "lines", (1000, 4000), (1000, 10_000, 100_000, 1_000_000), _AUDIT),
    Growth("audit", "classes", (2, 20), (2, 10, 100, 1000), _AUDIT),
    Growth("finetune", "lines", (500, 1000), (1000, 10_000, 100_000), _FINETUNE),
    # Scores of attention are as many as pairs of tokens.
    Growth("finetune", "tokens", (16, 64), (16, 64, 256, 512), f"{_FINETUNE} --max_seq_length {{size}}", 2.0),
    Growth("run --dry-run", "seeds", (2, 10), (10, 100, 1000), "run --profile smoke --dry-run --seeds {seeds}"),
)


@dataclass(eq=False)
class Grown:
    """The curves of this session."""

    timing: str
    threads: int
    started: str = field(default_factory=now)
    curves: list[Curve] = field(default_factory=list)

    def record(self) -> TimingRecord:
        """The curves so far."""
        name = f"{'' if self.timing == 'full' else 'quick-'}growth-cpu-{self.threads}"
        command = ("pytest", "-m", "speed", "bench/test_growth.py", "--timing", self.timing)
        return record_of(name, self.started, command, "cpu", self.threads, curves=self.curves)


@pytest.fixture(scope="module")
def grown(pytestconfig: pytest.Config) -> Iterator[Grown]:
    """The session's curves."""
    upstream.prepare()
    found = Grown(pytestconfig.getoption("--timing"), int(device_facts("cpu")["threads"]))
    yield found
    if found.curves and pytestconfig.getoption("--accept") and found.timing == "full":
        accept_timing(found.record())


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net so small that what is around it shows."""
    folder = tmp_path_factory.mktemp("net")
    labels = tuple(f"label {number}" for number in range(CLASSES))
    seed_everything(1)
    made = classifier_from_config(TINY, VOCABULARY, labels, folder)
    save_model(made.network, made.tokenizer, folder, labels)
    return folder


def data_of(folder: Path, lines: int = LINES, classes: int = CLASSES, tokens: int = TOKENS) -> Path:
    """A data set of so many lines, classes and characters a text; the dev set has three of each class."""
    folder.mkdir()
    labels = [f"label {number}" for number in range(classes)]
    text = (CHARACTERS * (tokens // len(CHARACTERS) + 1))[: max(tokens - 9, 1)]
    (folder / "label.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    for name, count in (("train.txt", lines), ("dev.txt", 3 * classes)):
        with (folder / name).open("w", encoding="utf-8") as file:
            file.writelines(f"{number:07}{text}\t{labels[number % classes]}\n" for number in range(count))
    return folder


@pytest.mark.parametrize("growth", GROWN, ids=[f"{one.command}-{one.grows}".replace(" ", "") for one in GROWN])
def test_growth(growth: Growth, grown: Grown, net: Path, tmp_path: Path) -> None:
    """From the last size but one to the last, time grows by no more than the exponent allows."""
    sizes, seconds, megabytes = getattr(growth, grown.timing), [], []
    for size in sizes:
        # A few lines suffice for long texts.
        changed = {"lines": LINES if growth.grows != "tokens" else 500, growth.grows: size}
        data = data_of(tmp_path / str(size), **{name: n for name, n in changed.items() if name != "seeds"})
        given = {"data": data, "net": net, "size": size, "seeds": ",".join(map(str, range(1, size + 1)))}
        words = [word.format(**given) for word in growth.words.split()]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        took, kib = done.stderr.rsplit("took ", 1)[1].split()
        seconds.append(round(float(took), 3))
        megabytes.append(round(int(kib) * 1024 / 1e6, 1))
    grown.curves.append(Curve(growth.command, growth.grows, sizes, tuple(seconds), tuple(megabytes)))
    keep_record(grown.record())
    exponent = math.log(seconds[-1] / seconds[-2]) / math.log(sizes[-1] / sizes[-2])
    assert exponent <= growth.most, f"{growth.command} with {growth.grows}: {seconds} s at {sizes}"
