"""How fast pruning and fine-tuning are here, beside PaddleNLP's own, in turns on the same net and data.

Steps alone are timed, without what comes before and after them. Data are KUAKE-QIC where REPLICATE_KUAKE_QIC names it,
else the generated corpus; nets have the shape of the profile `smoke`, or of `small` with `--timing full`, and then
`--accept` keeps the race in `measured/timing/`. No row is run: `pytest -m speed bench/test_compression.py`. Goals are
those of `replicate.timing.goals`: to miss one is an expected failure that tells the ratio, and with pytest's `--strict`
a failure; to miss it by four times always is.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from replicate.commands.session import accept_timing
from replicate.common.paths import ROOT
from replicate.common.progress import Progress
from replicate.corpus import load_dataset
from replicate.corpus.formats import Dataset, Split
from replicate.corpus.kuake import NAME, VARIABLE
from replicate.nets import batching
from replicate.nets.classifier import classifier_from_config, load_classifier
from replicate.nets.device import seed_everything
from replicate.nets.folder import save_model
from replicate.nets.tokens import build_vocabulary, encode
from replicate.records.facts import device_facts, now
from replicate.records.timing import Step, StepRace, TimingRecord
from replicate.stages.finetune import FinetuneOptions, finetune
from replicate.stages.prune.native import batches_of, pruned_shape, student_of
from replicate.stages.prune.options import PruneOptions
from replicate.stages.prune.prune import prune
from replicate.tables.profile import load_profile
from replicate.timing.contestants import Child
from replicate.timing.goals import STEP_GOALS, StepGoal
from replicate.timing.race import race, speed_up
from replicate.timing.session import keep_record, record_of
from replicate.timing.subject import shape_name
from replicate.timing.summary import shown_ratio
from replicate.training.options import epoch_batches
from tests.goals import hold

pytestmark = pytest.mark.speed

PEER = ROOT / "bench" / "peer_paddlenlp.py"
WIDTH = "1/2"
# Who prunes, and with which batches: upstream's own are random, each padded to its longest text. The rows of the tables
# give both engines batches by length, which is the middle one here.
PRUNERS = {
    "prune paddlenlp": ("paddlenlp", "random"),
    "prune paddlenlp by length": ("paddlenlp", "length"),
    "prune": ("native", "length"),
}
ENVIRONMENTS = {
    "finetune example": "PaddleNLP's example, with the flags and the one thread that Paddle comes with",
    "prune paddlenlp": "PaddleNLP's engine with random batches",
    "prune paddlenlp by length": "PaddleNLP's engine with batches by length",
    "prune parts": "a forward of the teacher and a step of the student, alone",
}
# The dev set serves importance and the last evaluation, which are not timed.
DEV = 64


@dataclass(frozen=True)
class Size:
    """How much is done: the profile whose shape and settings are used, steps of a round, rounds, warm-ups."""

    profile: str
    steps: int
    rounds: int
    warmups: int = 1


SIZES = {"quick": Size("smoke", 12, 3), "full": Size("small", 60, 7)}


@dataclass(frozen=True)
class Setting:
    """A net with random weights and data for one round.

    Attributes:
        size: how much is done.
        model: its folder.
        data: as many training examples as the steps take.
        options: settings of each stage, the profile's.
    """

    size: Size
    model: Path
    data: Dataset
    options: Mapping[str, Mapping[str, Any]]

    def part(self, stage: str) -> Split:
        """The training examples of one round of a stage."""
        count = self.size.steps * self.options[stage]["batch_size"]
        train = self.data.train
        assert len(train) >= count, "too few training examples"
        return Split(train.texts[:count], train.labels[:count])

    def pruning(self, engine: str, batching: str) -> PruneOptions:
        """One epoch of the steps, evaluated once at its end."""
        options = {**self.options["prune"], "epochs": 1, "save_steps": 10**6}
        return PruneOptions(**{**options, "width": WIDTH, "engine": engine, "batching": batching})


class Stopwatch(Progress):
    """Notes when each step was told."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.times: list[float] = []

    def step(self, step: int, **values: float) -> None:
        """Evaluations tell a step again, with its values."""
        if not values:
            self.times.append(perf_counter())

    @property
    def seconds(self) -> float:
        """Mean of a step; the first tells when the others began."""
        return (self.times[-1] - self.times[0]) / (len(self.times) - 1)


@pytest.fixture(scope="module")
def setting(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """The net, its data and the profile's settings."""
    size = SIZES[pytestconfig.getoption("--timing")]
    options = load_profile(size.profile).options
    data = load_dataset(NAME if os.environ.get(VARIABLE) else "generated")
    data = replace(data, dev=Split(data.dev.texts[:DEV], data.dev.labels[:DEV]))
    folder = tmp_path_factory.mktemp("net")
    seed_everything(1)
    vocabulary = build_vocabulary(data.train.texts)
    made = classifier_from_config(options["pretrain"]["architecture"], vocabulary, data.labels, folder)
    save_model(made.network, made.tokenizer, folder, data.labels)
    return Setting(size, folder, data, options)


def pruning_step(setting: Setting, engine: str, batching: str) -> float:
    """Seconds of a step of pruning, by one of the engines and with batches so made."""
    stopwatch = Stopwatch()
    seed_everything(1)
    classifier = load_classifier(setting.model)
    with tempfile.TemporaryDirectory() as folder:
        options = setting.pruning(engine, batching)
        prune(classifier, setting.part("prune"), setting.data.dev, options, 1, Path(folder), stopwatch)
    return stopwatch.seconds


def parts_step(setting: Setting) -> float:
    """Seconds of what no step of distillation can do without: a forward of the teacher, and the student's way back."""
    import paddle

    classifier, options = load_classifier(setting.model), setting.pruning("native", "length")
    rows, dev = (
        encode(classifier.tokenizer, part.texts, options.max_seq_length)
        for part in (setting.part("prune"), setting.data.dev)
    )
    pad = classifier.tokenizer.pad_token_id
    measured = batches_of(dev, np.asarray(setting.data.dev.labels), options.batch_size, pad)
    student = student_of(classifier.network, pruned_shape(classifier.network, options), "parent", measured)
    student.train()
    lengths, rng = [len(row) for row in rows], np.random.default_rng(1)
    batches = epoch_batches(lengths, options.batch_size, options.batching, rng)
    padded = [paddle.to_tensor(batching.pad([rows[i] for i in one], pad)) for one in batches]
    started = perf_counter()
    for ids in padded:
        with paddle.no_grad():
            classifier.network(ids)
        student(ids).mean().backward()
        student.clear_gradients()
    return (perf_counter() - started) / len(padded)


def finetuning_step(setting: Setting) -> float:
    """Seconds of a step of our fine-tuning, batches by length as the profile says."""
    stopwatch = Stopwatch()
    options = FinetuneOptions(**{**setting.options["finetune"], "epochs": 1, "early_stop_nums": 0})
    seed_everything(1)
    classifier = load_classifier(setting.model)
    with tempfile.TemporaryDirectory() as folder:
        finetune(classifier, setting.part("finetune"), setting.data.dev, options, 1, Path(folder), stopwatch)
    return stopwatch.seconds


@contextmanager
def example(setting: Setting) -> Iterator[Callable[[], float]]:
    """PaddleNLP's example in a process of its own, with the flags and the one thread that Paddle comes with."""
    part, names = setting.part("finetune"), setting.data.labels
    lines = (f"{text}\t{names[label]}\n" for text, label in zip(part.texts, part.labels, strict=True))
    ours = ("FLAGS_", "OMP_NUM_THREADS", "MKL_DEBUG_CPU_TYPE", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    rate, batch = (setting.options["finetune"][name] for name in ("learning_rate", "batch_size"))
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "train.txt")
        data.write_text("".join(lines), encoding="utf-8")
        command = [sys.executable, str(PEER), str(setting.model), str(data), str(rate)]
        with Child.start(command, environment) as child:
            yield lambda: child.seconds(setting.size.steps, batch) / setting.size.steps


def raced(setting: Setting) -> StepRace:
    """Seconds of a step of everyone, who took turns."""
    calls: dict[str, Callable[[], float]] = {
        label: partial(pruning_step, setting, *how) for label, how in PRUNERS.items()
    }
    calls |= {"prune parts": partial(parts_step, setting), "finetune": partial(finetuning_step, setting)}
    with example(setting) as peer:
        found = race({**calls, "finetune example": peer}, setting.size.rounds, setting.size.warmups)
    shape = shape_name(json.loads((setting.model / "config.json").read_text(encoding="utf-8")))
    labels = {label: label.partition(" ")[0] for label in found}
    return StepRace(
        shape=shape,
        batch=setting.options["prune"]["batch_size"],
        length=0,
        rounds=setting.size.rounds,
        warmups=setting.size.warmups,
        pause=0.0,
        contestants=tuple(
            Step(label, stage, shape, WIDTH if stage == "prune" else "1", 0, ENVIRONMENTS.get(label, "as rows run it"))
            for label, stage in labels.items()
        ),
        seconds={label: tuple(round(one, 7) for one in seconds) for label, seconds in found.items()},
        limits=(),
        limit_seconds={},
    )


@pytest.fixture(scope="module")
def record(setting: Setting, pytestconfig: pytest.Config) -> Iterator[TimingRecord]:
    """The race in a timing record, which is kept in the store and, with `--timing full --accept`, in measured/."""
    started, threads, full = now(), int(device_facts("cpu")["threads"]), pytestconfig.getoption("--timing") == "full"
    steps = [raced(setting)]
    name = f"{'' if full else 'quick-'}training-cpu-{threads}"
    command = ("pytest", "-m", "speed", "bench/test_compression.py", "--timing", pytestconfig.getoption("--timing"))
    found = record_of(name, started, command, "cpu", threads, steps=steps)
    keep_record(found)
    yield found
    if full and pytestconfig.getoption("--accept"):
        accept_timing(found)


@pytest.mark.parametrize("goal", [one for one in STEP_GOALS if one.texts], ids=lambda one: one.id)
def test_goal(goal: StepGoal, record: TimingRecord, request: pytest.FixtureRequest) -> None:
    """So many times as fast as PaddleNLP's, or as what no step can do without."""
    (steps,) = record.steps
    ratio = speed_up(steps.seconds, goal.step, goal.over)
    each = ", ".join(f"{name} {1 / float(np.median(seconds)):.2f} steps/s" for name, seconds in steps.seconds.items())
    told = f"{goal.step} over {goal.over}: {shown_ratio(ratio)} times as fast, goal {goal.at_least:.2f}; {each}"
    hold(told, ratio.median / goal.at_least, request)
