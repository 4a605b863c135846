"""The loop that trains a classifier: steps, dev evaluations, the best state, and a checkpoint of where it stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.progress import Progress
from replicate.corpus.formats import Split
from replicate.nets.folder import weights_of
from replicate.nets.logits import network_logits, probabilities
from replicate.scores.evaluation import evaluate, history_entry
from replicate.scores.metrics import scores
from replicate.training.checkpoint import Checkpoint
from replicate.training.optimisation import Diverged, Optimizer


@dataclass(frozen=True)
class Examination:
    """How a net is scored while it is trained.

    Attributes:
        dev: the examples.
        rows: their token ids.
        pad_id: fills short rows.
        classes: number of classes.
        select: the score that picks the best state.
    """

    dev: Split
    rows: Sequence[NDArray[np.int64]]
    pad_id: int
    classes: int
    select: str

    def of(self, network: Any, step: int) -> dict[str, Any]:
        """What a record keeps of the net's answers; the net is left in evaluation mode.

        Raises:
            Diverged: a probability is not finite.
        """
        probability = probabilities(network_logits(network), self.rows, self.pad_id)
        if not np.isfinite(probability).all():
            raise Diverged(step)
        return evaluate(probability, self.dev, self.classes)


@dataclass
class Training:
    """Where a training loop stands.

    Attributes:
        network: what is trained.
        optimizer: with its schedule.
        step: steps done.
        epoch: the one that runs, from 0.
        history: one entry an evaluation.
        best: `score`, `step`, `epoch`, `evaluation` and `weights` of the best state; only `score` before there is one.
        loss: summed on the device since the last evaluation; reading it at every step would make the host wait.
        since: steps in that sum.
    """

    network: Any
    optimizer: Optimizer
    step: int = 0
    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=lambda: {"score": -1.0})
    loss: Any = 0.0
    since: int = 0

    def learn(self, loss: Any) -> None:
        """One step down this loss."""
        loss.backward()
        self.optimizer.step()
        self.optimizer.clear_grad()
        self.optimizer.schedule.step()
        self.loss = self.loss + loss.detach()
        self.step, self.since = self.step + 1, self.since + 1

    def mean_loss(self) -> float:
        """Mean loss of the steps since the last evaluation.

        Raises:
            Diverged: it is not finite.
        """
        loss = float(self.loss) / max(self.since, 1)
        if not math.isfinite(loss):
            raise Diverged(self.step)
        return loss

    def examine(self, examination: Examination, per_epoch: int) -> dict[str, Any]:
        """Score the net, note that, and keep its state where it is the best so far; gives the history's new entry.

        Raises:
            Diverged: the loss or a probability is not finite.
        """
        loss = self.mean_loss()
        result = examination.of(self.network, self.step)
        self.network.train()
        self.history.append(history_entry(result, self.step, self.step / per_epoch, loss, examination.select))
        self.loss, self.since = 0.0, 0
        score = scores(result["counts"])[examination.select]
        if score > self.best["score"]:
            weights = weights_of(self.network)
            self.best = {
                "score": score,
                "step": self.step,
                "epoch": self.epoch,
                "evaluation": result,
                "weights": weights,
            }
        return self.history[-1]

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps beside the net, the optimizer and the generators."""
        loss = np.asarray(float(self.loss), dtype=np.float32)
        return {"step": self.step, "history": self.history, "best": self.best, "loss": loss, "since": self.since}

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Take over what a checkpoint kept."""
        import paddle

        self.step, self.history, self.best = state["step"], state["history"], state["best"]
        self.loss, self.since = paddle.to_tensor(state["loss"]), state["since"]


@dataclass(frozen=True)
class Course:
    """What a training loop goes through.

    Attributes:
        epochs: how often all examples are seen.
        per_epoch: batches of an epoch.
        batches: draws an epoch's batches, arrays of indices.
        due: of a batch's number in its epoch, from 1, and of the steps done, whether an evaluation follows.
        patience: epochs without a better score after which it ends; 0 goes to the end.
    """

    epochs: int
    per_epoch: int
    batches: Callable[[], Sequence[NDArray[np.int64]]]
    due: Callable[[int, int], bool]
    patience: int = 0

    @property
    def steps(self) -> int:
        """If it goes to the end."""
        return self.epochs * self.per_epoch


def evaluated_batches(per_epoch: int, evaluations: int) -> set[int]:
    """Numbers of the batches after which so many evaluations of an epoch follow, evenly spread, the last at its end."""
    evaluations = min(evaluations, per_epoch)
    return {math.ceil(per_epoch * number / evaluations) for number in range(1, evaluations + 1)}


def train(
    training: Training,
    course: Course,
    examination: Examination,
    loss_of: Callable[[NDArray[np.int64]], Any],
    checkpoint: Checkpoint,
    progress: Progress,
) -> None:
    """Go through the course, or on with it where the checkpoint's folder has one of this loop.

    Args:
        training: at its start; at its end afterwards, the network in its last state.
        course: epochs, batches, evaluations.
        examination: how an evaluation scores.
        loss_of: of a batch's indices, the loss to step down.
        checkpoint: of the same network, optimizer and generator.
        progress: told of every step.

    Raises:
        Diverged: the loss or a probability is not finite.
        Stopped: a signal came; the next call with the same folder goes on.
    """
    progress.start(course.steps)
    training.network.train()
    with checkpoint:
        if kept := checkpoint.load():
            training.go_on(kept)
        for training.epoch in range(checkpoint.epoch, course.epochs):
            for number, indices in checkpoint.batches(training.epoch, course.batches):
                training.learn(loss_of(indices))
                progress.step(training.step)
                if course.due(number, training.step):
                    entry = training.examine(examination, course.per_epoch)
                    progress.step(training.step, loss=entry["loss"], accuracy=entry["accuracy"])
                checkpoint.after_step(training.state)
            if course.patience and training.epoch - training.best["epoch"] >= course.patience:
                break
