"""How long a net of some shape takes to learn from a text on this machine, and to label one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from replicate.nets.student_net import DEFAULT_SHAPES, StudentConfig, student_class

BATCH = 32
# The first step prepares what the others use.
STEPS = 4


@dataclass(frozen=True)
class Pace:
    """Seconds that a net takes for one text: in a step of training, and when it is only labelled."""

    train: float
    label: float


def pace_of(architecture: Mapping[str, Any], vocabulary: int, labels: int, length: int) -> Pace:
    """The pace of an ERNIE with random weights, which an untrained net shares with a trained one.

    Args:
        architecture: `ErnieConfig` fields.
        vocabulary: number of tokens.
        labels: number of labels.
        length: tokens of each text.
    """
    from replicate.nets import upstream
    from replicate.nets.classifier import build_config

    upstream.quiet()
    from paddlenlp.transformers import ErnieForSequenceClassification

    network = ErnieForSequenceClassification(build_config(architecture, vocabulary, labels))
    return _pace(network, vocabulary, labels, length)


def pace_of_student(student: str, vocabulary: int, labels: int, length: int, positions: int) -> Pace:
    """The same of a student that is no ERNIE, in its usual shape; `positions` is its longest text."""
    config = StudentConfig(student, DEFAULT_SHAPES[student], vocabulary, labels, 0, positions)
    return _pace(student_class()(config), vocabulary, labels, length)


def _pace(network: Any, vocabulary: int, labels: int, length: int) -> Pace:
    import paddle
    import paddle.nn.functional as F

    from replicate.training.optimisation import adamw

    rng = np.random.default_rng(0)
    ids = paddle.to_tensor(rng.integers(1, vocabulary, (BATCH, length)))
    targets = paddle.to_tensor(rng.integers(0, labels, BATCH))
    optimizer = adamw(network, 1e-5, STEPS, 0.0, 0.01)

    def learn() -> None:
        loss = F.cross_entropy(network(ids), targets)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        float(loss)

    def label() -> None:
        with paddle.no_grad():
            network(ids).numpy()

    network.train()
    train = _median(learn)
    network.eval()
    return Pace(train / BATCH, _median(label) / BATCH)


def _median(work: Callable[[], None]) -> float:
    work()
    took = []
    for _ in range(STEPS - 1):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return float(np.median(took))
