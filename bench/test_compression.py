"""How fast pruning and fine-tuning are here, beside PaddleNLP's own, in turns on the same net and data.

Steps alone are timed, without what comes before and after them. Data are KUAKE-QIC where REPLICATE_KUAKE_QIC names it,
else the generated corpus; nets have the shape of the profile `smoke`, or of `small` with `--timing full`. No row is
run: `pytest -m speed bench/test_compression.py`. A race that misses its goal is an expected failure that tells its
ratio, and with pytest's `--strict` a failure; one that misses it by four times always is.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

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
from replicate.stages.finetune import FinetuneOptions, finetune
from replicate.stages.prune.native import batches_of, pruned_shape, student_of
from replicate.stages.prune.options import PruneOptions
from replicate.stages.prune.prune import prune
from replicate.tables.profile import load_profile
from replicate.timing.contestants import Child
from replicate.timing.race import race, speed_up
from replicate.timing.summary import shown_ratio
from replicate.training.options import epoch_batches
from tests.goals import hold

pytestmark = pytest.mark.speed

PEER = ROOT / "bench" / "peer_paddlenlp.py"
WIDTH = "1/2"
# Who prunes, and with which batches: upstream's own are random, each padded to its longest text. The rows of the tables
# give both engines batches by length, which is the middle one here.
PRUNERS = {
    "paddlenlp": ("paddlenlp", "random"),
    "paddlenlp-by-length": ("paddlenlp", "length"),
    "native": ("native", "length"),
}
# Times as fast as PaddleNLP's pruning as it comes, and with the same batches by length; of the sum of its parts, a step
# of ours takes at most 1.3 times as long; times as fast as PaddleNLP's example of fine-tuning.
ENGINE_GOAL, LIKE_FOR_LIKE_GOAL, PARTS_GOAL, LOOP_GOAL = 2.0, 1.5, 1 / 1.3, 3.5
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


@pytest.fixture
def example(setting: Setting, tmp_path: Path) -> Iterator[Callable[[], float]]:
    """PaddleNLP's example in a process of its own, with the flags and the one thread that Paddle comes with."""
    part, names = setting.part("finetune"), setting.data.labels
    lines = (f"{text}\t{names[label]}\n" for text, label in zip(part.texts, part.labels, strict=True))
    data = tmp_path / "train.txt"
    data.write_text("".join(lines), encoding="utf-8")
    ours = ("FLAGS_", "OMP_NUM_THREADS", "MKL_DEBUG_CPU_TYPE", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    rate, batch = (setting.options["finetune"][name] for name in ("learning_rate", "batch_size"))
    command = [sys.executable, str(PEER), str(setting.model), str(data), str(rate)]
    with Child.start(command, environment) as child:
        yield lambda: child.seconds(setting.size.steps, batch) / setting.size.steps


def judge(
    found: Mapping[str, tuple[float, ...]],
    label: str,
    over: str,
    goal: float,
    request: pytest.FixtureRequest,
) -> None:
    """Tell how many times as fast `label` is as `over`, and hold that against the goal."""
    ratio = speed_up(found, label, over)
    steps = ", ".join(f"{name} {1 / float(np.median(seconds)):.2f} steps/s" for name, seconds in found.items())
    told = f"{label} over {over}: {shown_ratio(ratio)} times as fast, goal {goal:.2f}; {steps}"
    hold(told, ratio.median / goal, request)


@pytest.fixture(scope="module")
def engines(setting: Setting) -> dict[str, tuple[float, ...]]:
    """Seconds of a step of both engines and of the parts, which took turns."""
    contestants: dict[str, Callable[[], float]] = {
        name: partial(pruning_step, setting, *how) for name, how in PRUNERS.items()
    }
    contestants["parts"] = partial(parts_step, setting)
    return race(contestants, setting.size.rounds, setting.size.warmups)


def test_engine(engines: dict[str, tuple[float, ...]], request: pytest.FixtureRequest) -> None:
    """The native engine takes twice as many steps a second as the repaired `Trainer.compress` with its own batches."""
    judge(engines, "native", "paddlenlp", ENGINE_GOAL, request)


def test_like_for_like(engines: dict[str, tuple[float, ...]], request: pytest.FixtureRequest) -> None:
    """The native engine takes one and a half times as many steps a second as the other with the same batches."""
    judge(engines, "native", "paddlenlp-by-length", LIKE_FOR_LIKE_GOAL, request)


def test_parts(engines: dict[str, tuple[float, ...]], request: pytest.FixtureRequest) -> None:
    """A native step takes at most 1.3 times as long as one teacher forward and one student forward and backward."""
    judge(engines, "native", "parts", PARTS_GOAL, request)


def test_finetuning(setting: Setting, example: Callable[[], float], request: pytest.FixtureRequest) -> None:
    """Our fine-tuning takes three and a half times as many steps a second as PaddleNLP's example with default flags."""
    contestants: dict[str, Callable[[], float]] = {"finetune": partial(finetuning_step, setting), "example": example}
    judge(race(contestants, setting.size.rounds, setting.size.warmups), "finetune", "example", LOOP_GOAL, request)
