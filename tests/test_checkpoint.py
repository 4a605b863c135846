"""A training loop that was stopped or killed goes on bit for bit, and trusts no checkpoint that is not its own."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.common.errors import Stopped, UserError
from replicate.common.files import CHECKPOINT
from replicate.common.progress import Progress
from replicate.corpus.formats import Dataset
from replicate.nets.classifier import load_classifier
from replicate.nets.device import seed_everything
from replicate.stages.distill.distill import distill
from replicate.stages.distill.options import DistillOptions
from replicate.stages.finetune import FinetuneOptions, finetune
from replicate.stages.pretrain import PretrainOptions, pretrain
from replicate.stages.prune.options import PruneOptions
from replicate.stages.prune.prune import prune
from replicate.training import checkpoint
from replicate.training.checkpoint import VARIABLE, Checkpoint, cadence, rows_digest, seconds_spent
from tests.tiny import QUIET, Made, run_finetune

# Dropout everywhere, batches by length, evaluations inside epochs, an epoch that ends between two of them.
SETTINGS: dict[str, Any] = {
    "learning_rate": 3e-3,
    "batch_size": 16,
    "epochs": 3,
    "max_seq_length": 48,
    "batching": "length",
    "evaluations_per_epoch": 2,
}


class Interrupts(Progress):
    """Sends this process a signal when a step is done, as a person or a scheduler would."""

    def __init__(self, at: int, number: int = signal.SIGTERM, times: int = 1) -> None:
        super().__init__(quiet=True)
        self.at, self.number, self.times = at, number, times

    def step(self, step: int, **values: float) -> None:
        """Count the step, and interrupt the one that was asked for."""
        if step == self.at and not values:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)


class Resumes(Progress):
    """Fails a run that begins anew instead of going on after `after`."""

    def __init__(self, after: int) -> None:
        super().__init__(quiet=True)
        self.after = after

    def step(self, step: int, **values: float) -> None:
        """The first step that is told must be the next one."""
        assert step > self.after


def train(dataset: Dataset, start: Path, folder: Path, progress: Progress = QUIET, **changes: Any) -> dict[str, Any]:
    """Fine-tune as a fresh process would: everything seeded and loaded again."""
    seed_everything(5)
    classifier = load_classifier(start, dataset.labels)
    # What else a process has drawn by now must not matter.
    random.random()
    np.random.random(3)
    folder.mkdir(exist_ok=True)
    options = FinetuneOptions(**{**SETTINGS, **changes})
    return finetune(classifier, dataset.train, dataset.dev, options, 5, folder, progress)


@pytest.fixture(autouse=True)
def _heeds_sigint() -> Iterator[None]:
    """A shell's background job ignores SIGINT; these tests don't."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def undisturbed(dataset: Dataset, pretrained: Made, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """What an uninterrupted run gives."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return Made(folder, train(dataset, pretrained.folder, folder))


# The first step, one inside an epoch, one with an evaluation, the last of an epoch, the first of the next, the last.
@pytest.mark.parametrize("at", [1, 5, 7, 13, 14, 38, 39])
def test_stopped_training_goes_on_bit_for_bit(
    dataset: Dataset, pretrained: Made, undisturbed: Made, tmp_path: Path, at: int
) -> None:
    """A run that was stopped after any step and begun again ends with the same summary and the same bytes."""
    with pytest.raises(Stopped, match="stopped by SIGTERM; the same command goes on from there") as caught:
        train(dataset, pretrained.folder, tmp_path, Interrupts(at))
    assert caught.value.code == 143
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    assert train(dataset, pretrained.folder, tmp_path, Resumes(at)) == undisturbed.summary
    for path in undisturbed.folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_stopped_again_and_again(dataset: Dataset, pretrained: Made, undisturbed: Made, tmp_path: Path) -> None:
    """Five stops in one training change nothing either."""
    for at in (3, 4, 11, 20, 33):
        with pytest.raises(Stopped):
            train(dataset, pretrained.folder, tmp_path, Interrupts(at, signal.SIGINT))
    assert train(dataset, pretrained.folder, tmp_path, Resumes(33)) == undisturbed.summary


def test_early_stop_at_the_end_of_an_epoch(dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """A run that is stopped at the step after which training ends by itself trains no further."""
    still: dict[str, Any] = {"learning_rate": 1e-12, "early_stop_nums": 1}
    whole = train(dataset, pretrained.folder, tmp_path / "whole", **still)
    assert whole["steps"] == 26
    with pytest.raises(Stopped):
        train(dataset, pretrained.folder, tmp_path / "again", Interrupts(26), **still)
    assert train(dataset, pretrained.folder, tmp_path / "again", Resumes(26), **still) == whole


@pytest.mark.parametrize("student", ["pruned", "cnn", "bilstm", "ernie"])
def test_students_go_on_bit_for_bit(dataset: Dataset, finetuned: Made, tmp_path: Path, student: str) -> None:
    """Native pruning and distillation too: stopped before the first evaluation, after it, and at the last step."""
    pruning = PruneOptions(width="1/2", engine="native", learning_rate=1e-3, epochs=2, max_seq_length=48, save_steps=5)

    def learn(folder: Path, progress: Progress = QUIET) -> dict[str, Any]:
        seed_everything(5)
        teacher = load_classifier(finetuned.folder)
        folder.mkdir(exist_ok=True)
        if student == "pruned":
            return prune(teacher, dataset.train, dataset.dev, pruning, 5, folder, progress)
        options = DistillOptions(
            student, copies=0, unlabelled=0.2, batch_size=32, epochs=2, max_seq_length=48, evaluations_per_epoch=2
        )
        return distill(teacher, dataset.train, dataset.dev, lambda: dataset.unlabelled, options, 5, folder, progress)

    whole = learn(tmp_path / "whole")
    for at in (3, 6, whole["steps"]):
        with pytest.raises(Stopped):
            learn(tmp_path / "again", Interrupts(at))
    assert learn(tmp_path / "again", Resumes(whole["steps"])) == whole
    for path in (tmp_path / "whole").iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("passes", [2.0, 1.3])
def test_pretraining_goes_on_bit_for_bit(
    dataset: Dataset,
    pretrain_options: PretrainOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dropout: float,
    passes: float,
) -> None:
    """Masked language modelling too: its masks, its dropout, its last step."""
    after_step, stop_at = Checkpoint.after_step, 0

    options = replace(pretrain_options, dropout=dropout, passes=passes)
    (tmp_path / "whole").mkdir()
    (tmp_path / "again").mkdir()
    whole = pretrain(dataset.unlabelled, options, tmp_path / "whole", QUIET)

    def stopping(self: Checkpoint, state: Callable[[], Mapping[str, Any]]) -> None:
        # Pretraining tells its progress every hundred steps only.
        step = state()["step"]
        assert step > done, "it began anew"
        if step == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        after_step(self, state)

    monkeypatch.setattr(Checkpoint, "after_step", stopping)
    done = 0
    for stop_at in sorted({1, 11, 13, whole["steps"]}):
        with pytest.raises(Stopped):
            pretrain(dataset.unlabelled, options, tmp_path / "again", QUIET)
        done = stop_at
    assert pretrain(dataset.unlabelled, options, tmp_path / "again", QUIET) == whole


def test_checkpoints_change_nothing(
    dataset: Dataset, pretrained: Made, undisturbed: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saving after every third step draws no number and leaves no trace in the result; the file goes on too."""
    monkeypatch.setenv(VARIABLE, "3")
    assert train(dataset, pretrained.folder, tmp_path) == undisturbed.summary
    assert (tmp_path / CHECKPOINT).is_file()
    assert seconds_spent(tmp_path) > 0
    # The last one was written after the last step.
    assert train(dataset, pretrained.folder, tmp_path, Resumes(39)) == undisturbed.summary


def spoil(path: Path, how: str) -> None:
    """Truncate a file, flip one of its bits, or empty it."""
    data = bytearray(path.read_bytes())
    if how == "flipped weight":
        data[-40] ^= 4
    elif how == "flipped state":
        data[data.index(b'"step\\"') + 10] ^= 1
    path.write_bytes({"truncated": data[:-9], "empty": b"", "text": b"{}" * 99}.get(how, data))


@pytest.mark.parametrize("how", ["truncated", "empty", "text", "flipped weight", "flipped state"])
def test_damaged_checkpoint_is_not_used(
    dataset: Dataset, pretrained: Made, undisturbed: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """A checkpoint of which one bit is wrong is told in one line, and training begins anew."""
    with pytest.raises(Stopped):
        train(dataset, pretrained.folder, tmp_path, Interrupts(20))
    spoil(tmp_path / CHECKPOINT, how)
    capsys.readouterr()
    assert train(dataset, pretrained.folder, tmp_path) == undisturbed.summary
    told = capsys.readouterr().err
    assert told.startswith(f"warning: {tmp_path / CHECKPOINT} is not used (")
    assert told.count("\n") == 1


@pytest.mark.parametrize("what", ["settings", "code", "threads"])
def test_checkpoint_of_another_run_is_not_used(
    dataset: Dataset,
    pretrained: Made,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    """Other settings, other code or other threads would go on to another result: training begins anew."""
    with pytest.raises(Stopped):
        train(dataset, pretrained.folder, tmp_path, Interrupts(20))
    changes: dict[str, Any] = {"learning_rate": 1e-3} if what == "settings" else {}
    if what == "code":
        monkeypatch.setattr(checkpoint, "code_digest", lambda: "other")
    if what == "threads":
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
    train(dataset, pretrained.folder, tmp_path, **changes)
    told = capsys.readouterr().err
    assert str(tmp_path / CHECKPOINT) in told
    assert "another run" in told
    assert "begins anew" in told


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ("report/build.py", True),
        ("commands/main.py", True),
        ("findings/rows.py", True),
        ("records/run.py", True),
        ("nets/classifier.py", False),
        ("stages/prune/native.py", False),
        ("inference/runtime.py", False),
        ("common/new.py", False),
    ],
)
def test_only_code_that_computes_ends_a_checkpoint(tmp_path: Path, changed: str, kept: bool) -> None:
    """A comma in a report must not throw hours of training away; a change of a net must."""
    package = tmp_path / "replicate"
    shutil.copytree(checkpoint.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    before = checkpoint.code_digest(package)
    assert before == checkpoint.code_digest()
    with (package / changed).open("a", encoding="utf-8") as file:
        file.write("# A comma.\n")
    assert (checkpoint.code_digest(package) == before) is kept


def test_numbers_that_were_not_counted_are_noticed(
    dataset: Dataset, pretrained: Made, undisturbed: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A loop that draws from Paddle behind the count's back starts anew rather than going on with other numbers."""
    import paddle

    class Draws(Interrupts):
        def step(self, step: int, **values: float) -> None:
            if step == 2 and not values:
                paddle.uniform([1])
            super().step(step, **values)

    with pytest.raises(Stopped):
        train(dataset, pretrained.folder, tmp_path, Draws(20))
    assert train(dataset, pretrained.folder, tmp_path) == undisturbed.summary
    told = capsys.readouterr().err
    assert str(tmp_path / CHECKPOINT) in told
    assert "random numbers" in told


def test_full_disk_does_not_end_training(
    dataset: Dataset,
    pretrained: Made,
    undisturbed: Made,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A checkpoint that can't be written is told, the one before stays, and the result is what it would have been."""
    import safetensors.numpy

    with pytest.raises(Stopped):
        train(dataset, pretrained.folder, tmp_path, Interrupts(20))
    before = (tmp_path / CHECKPOINT).read_bytes()
    monkeypatch.setenv(VARIABLE, "5")
    monkeypatch.setattr(checkpoint, "sync", lambda path: Path("/dev/full").write_bytes(b"x"))
    assert train(dataset, pretrained.folder, tmp_path) == undisturbed.summary
    told = capsys.readouterr().err
    assert "warning: no checkpoint" in told
    assert str(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) in told
    assert "training goes on" in told
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert not [*tmp_path.glob(".check*")]
    assert safetensors.numpy.load_file(tmp_path / "model.safetensors")


def test_ignored_signals_stay_ignored(dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """A job in the background, which a shell starts with SIGINT ignored, trains on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert train(dataset, pretrained.folder, tmp_path, Interrupts(5, signal.SIGINT), epochs=1)["steps"] == 13


def test_second_signal_stops_at_once(dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """Whoever asks twice doesn't wait for the step, and nothing half-written is left."""
    with pytest.raises(Stopped, match="begins this stage again") as caught:
        train(dataset, pretrained.folder, tmp_path, Interrupts(5, signal.SIGINT, times=2))
    assert caught.value.code == 130
    assert not [*tmp_path.iterdir()]


def test_handlers_and_dropout_are_put_back(dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """After the loop the process is as before, however it ended; a thread that trains takes no signals."""
    from paddle import _C_ops

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), _C_ops.dropout
    run_finetune(dataset, pretrained.folder, tmp_path / "a", seed=1, epochs=1)
    with pytest.raises(Stopped):
        train(dataset, pretrained.folder, tmp_path, Interrupts(2))
    thread = threading.Thread(target=run_finetune, args=(dataset, pretrained.folder, tmp_path / "b", 1))
    thread.start()
    thread.join()
    assert (tmp_path / "b" / "model.safetensors").is_file()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), _C_ops.dropout) == before


def test_signal_after_the_last_step_is_given_on(tmp_path: Path) -> None:
    """A signal that comes when no step is left to finish is not swallowed."""
    import paddle

    from replicate.training.optimisation import adamw

    net = paddle.nn.Linear(2, 2)
    optimizer = adamw(net, 0.1, 1, 0.0, 0.0)
    with pytest.raises(KeyboardInterrupt), Checkpoint(tmp_path, {}, net, optimizer, np.random.default_rng(0)):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("text", "found"), [("5m", (300.0, 0)), ("30s", (30.0, 0)), ("200", (0.0, 200)), ("0", (0.0, 0))]
)
def test_cadence(text: str, found: tuple[float, int]) -> None:
    """Minutes, seconds, steps, or never."""
    assert cadence(text) == found


@pytest.mark.parametrize("text", ["", "5 m", "-1", "1h", "m", "1.5m", "１", "9" * 20])
def test_cadence_is_checked(text: str) -> None:
    """Anything else is one line that names the variable."""
    with pytest.raises(UserError, match=VARIABLE):
        cadence(text)


def test_rows_digest_sees_order_and_borders() -> None:
    """The same numbers in other rows are other data."""
    one, two, three = (np.asarray(row, dtype=np.int64) for row in ([1, 2], [3], [1, 2, 3]))
    assert len({rows_digest(rows) for rows in ([one, two], [two, one], [three], [one], [])}) == 5
