"""Contrastive training: an encoder learns to put texts of one class near each other, pair by pair.

After SetFit (Tunstall et al., "Efficient Few-Shot Learning Without Prompts", 2022): the cosine of a pair's mean states
is driven to 1 for two texts of one class and to 0 for others, with as many pairs of each sort. What is trained is an
encoder; a linear head on it is the next stage's matter.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.checks import check_positive, check_schedule
from replicate.common.errors import UserError
from replicate.nets import batching
from replicate.nets.clozes import load_masked
from replicate.nets.device import seed_everything
from replicate.nets.features import mean_states
from replicate.nets.folder import digest_of, origin_of, save_model, scalars_of, weights_of
from replicate.nets.tokens import encode
from replicate.stages.kind import MODEL, TRAIN, Inputs, Kind
from replicate.training.checkpoint import Checkpoint, rows_digest
from replicate.training.loop import Course, Examination, Training
from replicate.training.loop import train as train_net
from replicate.training.optimisation import adamw
from replicate.training.options import check_length, check_steps


@dataclass(frozen=True)
class ContrastOptions:
    """Settings of contrastive training.

    Attributes:
        learning_rate: the highest learning rate; it falls to 0 at the last step.
        batch_size: texts a step: half as many pairs.
        steps: steps in all.
        max_seq_length: tokens of a text, [CLS] and [SEP] included; longer texts are cut.
        warmup_proportion: share of the steps in which the learning rate rises; 0 for none.
        weight_decay: of AdamW; biases and normalisation have none.
    """

    learning_rate: float = 6e-5
    batch_size: int = 16
    steps: int = 300
    max_seq_length: int = 128
    warmup_proportion: float = 0.1
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        """Refuse a setting that no training can have (UserError)."""
        check_positive(self, "learning_rate", "steps")
        check_steps(self)
        check_schedule(self)
        if self.batch_size < 2 or self.batch_size % 2:
            raise UserError(f"batch_size is {self.batch_size}", hint="a step takes pairs: it must be even, and above 0")


KIND = Kind(
    "contrast",
    ContrastOptions,
    "net",
    "replicate.stages.fewshot.contrast:run",
    (TRAIN, MODEL),
    frozen={
        "learning_rate": 6e-5,
        "batch_size": 16,
        "steps": 300,
        "max_seq_length": 128,
        "warmup_proportion": 0.1,
        "weight_decay": 0.01,
    },
    wants_device=lambda options: True,
)


def run(inputs: Inputs) -> dict[str, Any]:
    """Train the encoder of a masked language model, and write it as one, with its head as it was.

    Raises:
        UserError: there is no such model, or only one class.
    """
    import paddle
    import paddle.nn.functional as F

    options, split = inputs.options, inputs.split()
    labels = np.asarray(split.labels, dtype=np.int64)
    if len(np.unique(labels)) < 2:
        raise UserError("contrast: all texts are of one class", hint="with one class there is nothing to tell apart")
    model = inputs.model("contrast: there is no model to start from")
    seed_everything(inputs.seed)
    network, tokenizer = load_masked(model)
    origin = origin_of(model, network.base_model)
    check_length(network, options.max_seq_length)
    rng = np.random.default_rng(inputs.seed)
    rows, pad = encode(tokenizer, split.texts, options.max_seq_length), tokenizer.pad_token_id
    optimizer = adamw(network, options.learning_rate, options.steps, options.warmup_proportion, options.weight_decay)
    step0 = digest_of(weights_of(network))
    identity = {
        "settings": asdict(options),
        "seed": inputs.seed,
        "weights": step0,
        "data": rows_digest([*rows, labels]),
    }

    def loss_of(indices: NDArray[np.int64]) -> Any:
        ids = paddle.to_tensor(batching.pad([rows[i] for i in indices], pad))
        one, other = paddle.split(mean_states(network.base_model, ids, pad), 2)
        same = labels[indices[: len(indices) // 2]] == labels[indices[len(indices) // 2 :]]
        return F.mse_loss(F.cosine_similarity(one, other), paddle.to_tensor(same.astype(np.float32)))

    training = Training(network, optimizer)
    course = Course(
        1,
        options.steps,
        lambda: [pairs_of(labels, options.batch_size // 2, rng) for _ in range(options.steps)],
        lambda number, step: False,
    )
    dev = inputs.dataset.dev
    examination = Examination(dev, (), pad, len(inputs.dataset.labels), "accuracy")
    checkpoint = Checkpoint(inputs.folder, identity, network, optimizer, rng)
    train_net(training, course, examination, loss_of, checkpoint, inputs.progress)
    loss = training.mean_loss()
    save_model(network, tokenizer, inputs.folder)
    return {
        **origin,
        "steps": training.step,
        "examples": len(rows),
        "parameters": scalars_of(network),
        "weights_step0": step0,
        "weights": digest_of(weights_of(network)),
        "loss": loss,
    }


def pairs_of(labels: NDArray[np.int64], pairs: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of so many pairs, first the one text of each, then the other; every second pair is of one class.

    Args:
        labels: of all texts; at least two are there.
        pairs: how many.
        rng: what is drawn from.
    """
    firsts = rng.integers(0, len(labels), pairs)
    seconds = np.empty_like(firsts)
    for at, first in enumerate(firsts):
        fitting = np.flatnonzero((labels == labels[first]) == (at % 2 == 0))
        # A text is no pair with itself where its class has another one.
        others = fitting[fitting != first] if len(fitting) > 1 else fitting
        seconds[at] = others[rng.integers(0, len(others))]
    return np.concatenate([firsts, seconds])
