"""A step of each stage that trains, on random token ids of one size, for whoever times it or takes it apart.

Nets have random weights, on whose values speed does not depend, and are trained as their stages do it. PyTorch's step
of fine-tuning can be had beside them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from replicate.nets import upstream
from replicate.nets.classifier import build_config
from replicate.nets.device import seed_everything
from replicate.records.timing import Step
from replicate.stages.pretrain import DROPOUTS, IGNORED, PretrainOptions, mask_tokens
from replicate.stages.prune.native import batches_of, distillation, pruned_shape, student_of
from replicate.stages.prune.options import PruneOptions
from replicate.tables.profile import load_profile
from replicate.timing.contestants import PEER, PYTORCH, TORCH_PYTHON, Child, peer_environment, token_ids
from replicate.timing.grid import SMALL
from replicate.timing.operations import Encoder, head, trained
from replicate.timing.random_net import SHAPES
from replicate.timing.subject import shape_name
from replicate.training.loop import Training
from replicate.training.optimisation import adamw

NETS = ("base", "small", "quick")
# Of a net whose own size is nothing, where what grows with the data is measured.
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
LENGTH, LABELS, WIDTH = 32, 11, "1/2"
# Of the nets of the profile `small`, to a few hundred.
VOCABULARY = 3000
# Token ids below are special ones, as in every vocabulary made here.
SPECIAL, MASK = 5, 3
# Never reached: the schedule only has to have an end.
STEPS = 10**6


@dataclass(frozen=True)
class Ready:
    """A step that can be taken again and again, and what is recorded of it."""

    step: Step
    call: Callable[[], float | None]


def architecture(net: str) -> Mapping[str, Any]:
    """The fields of a net's configuration: `base`, the one of the profile `small`, or a `quick` one of two layers."""
    if net == "quick":
        return SMALL
    if net == "base":
        return SHAPES["base"]
    return {**load_profile("small").options["pretrain"]["architecture"], "vocab_size": VOCABULARY}


def ready(stage: str, net: Mapping[str, Any], batch: int, length: int) -> Ready:
    """The step of a stage.

    Args:
        stage: `finetune`, `prune` (to half the width, by the native engine) or `pretrain`.
        net: `ErnieConfig` fields, with `vocab_size`.
        batch: texts a step.
        length: tokens of each.
    """
    upstream.quiet()
    seed_everything(1)
    network, loss_of, operations = _STAGES[stage](dict(net), batch, length)
    network.train()
    training = Training(network, adamw(network, 1e-5, STEPS, 0.1, 0.01))

    def once() -> None:
        training.learn(loss_of())
        float(training.loss)

    width = WIDTH if stage == "prune" else "1"
    step = Step(stage, stage, shape_name(net), width, operations, "this package's flags")
    return Ready(step, once)


@contextlib.contextmanager
def peers(net: Mapping[str, Any], batch: int, length: int, threads: int) -> Iterator[list[Ready]]:
    """PyTorch's step of fine-tuning the same net, where REPLICATE_TORCH_PYTHON names a Python with it; else none."""
    python = os.environ.get(TORCH_PYTHON)
    if not python:
        yield []
        return
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.json")
        config.write_text(json.dumps({**net, "id2label": {str(one): str(one) for one in range(LABELS)}}))
        command = [python, str(PEER), str(config), str(threads), "cpu", "fp32", "train"]
        with Child.start(command, peer_environment(threads)) as child:
            label, environment = f"finetune {PYTORCH}", child.description["environment"]
            step = Step(label, "finetune", shape_name(net), "1", _finetuning(net, batch, length), environment)
            yield [Ready(step, lambda: child.seconds(batch, length))]


def _finetuning(fields: Mapping[str, Any], batch: int, length: int) -> int:
    encoder = Encoder.of(fields)
    return trained(encoder.forward(batch, length, answered=1) + head(batch, encoder.hidden, LABELS))


def _classifier(fields: dict[str, Any]) -> Any:
    from paddlenlp.transformers import ErnieForSequenceClassification

    own = dict(fields)
    return ErnieForSequenceClassification(build_config(own, own.pop("vocab_size"), LABELS))


def _finetune(fields: dict[str, Any], batch: int, length: int) -> tuple[Any, Callable[[], Any], int]:
    import paddle
    import paddle.nn.functional as F

    network = _classifier(fields)
    ids, labels = _batch(fields, batch, length)

    def loss() -> Any:
        return F.cross_entropy(network(paddle.to_tensor(ids)), paddle.to_tensor(labels))

    return network, loss, _finetuning(fields, batch, length)


def _prune(fields: dict[str, Any], batch: int, length: int) -> tuple[Any, Callable[[], Any], int]:
    import paddle

    teacher = _classifier(fields)
    ids, labels = _batch(fields, batch, length)
    shape = pruned_shape(teacher, PruneOptions(width=WIDTH))
    student = student_of(teacher, shape, "parent", batches_of(list(ids), labels, batch, 0))
    loss = distillation(teacher, shape.layers)
    whole, half = Encoder.of(fields), Encoder.of(fields, Fraction(WIDTH))
    answer = head(batch, whole.hidden, LABELS)
    operations = whole.forward(batch, length) + answer + trained(half.forward(batch, length) + answer)
    return student, lambda: loss(student, paddle.to_tensor(ids), paddle.to_tensor(labels)), operations


def _pretrain(fields: dict[str, Any], batch: int, length: int) -> tuple[Any, Callable[[], Any], int]:
    import paddle
    import paddle.nn.functional as F
    from paddlenlp.transformers import ErnieForMaskedLM

    options = PretrainOptions({})
    own = {**fields, **dict.fromkeys(DROPOUTS, options.dropout)}
    size = own.pop("vocab_size")
    network = ErnieForMaskedLM(build_config(own, size))
    ids = np.maximum(_batch(fields, batch, length)[0], SPECIAL)
    rng = np.random.default_rng(0)
    masked, targets = mask_tokens(ids, size, range(SPECIAL), MASK, options.mask_probability, rng)
    positions = np.flatnonzero(targets.reshape(-1) != IGNORED)
    wanted = targets.reshape(-1)[positions]
    encoder = Encoder.of(fields)
    operations = trained(encoder.forward(batch, length) + head(len(positions), encoder.hidden, size))

    def loss() -> Any:
        logits = network(paddle.to_tensor(masked), masked_positions=paddle.to_tensor(positions))
        return F.cross_entropy(logits, paddle.to_tensor(wanted))

    return network, loss, operations


def _batch(fields: Mapping[str, Any], batch: int, length: int) -> tuple[Any, Any]:
    ids = token_ids(int(fields["vocab_size"]), batch, length)
    return ids, np.fromiter(itertools.islice(itertools.cycle(range(LABELS)), batch), dtype=np.int64)


_STAGES = {"finetune": _finetune, "prune": _prune, "pretrain": _pretrain}
STAGES = tuple(_STAGES)
