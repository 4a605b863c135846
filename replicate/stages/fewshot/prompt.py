"""Fine-tune a cloze: a masked language model that says the label in place of [MASK].

Its head starts from what the net knows of the labels' words, where fine-tuning starts from a head of random numbers.
Apart from that both are one training.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from replicate.common.checks import check_choices, check_not_negative, check_positive, check_schedule
from replicate.common.errors import UserError
from replicate.nets.classifier import Classifier, load_classifier
from replicate.nets.clozes import build_cloze, load_masked
from replicate.nets.configuration import is_cloze
from replicate.nets.device import seed_everything
from replicate.nets.folder import origin_of
from replicate.stages.finetune import FinetuneOptions, finetune
from replicate.stages.kind import MODEL, TRAIN, Inputs, Kind
from replicate.training.options import BATCHING, check_steps

STEPS = 300


@dataclass(frozen=True)
class PromptOptions:
    """Settings of the training of a cloze, which goes to its last step.

    Attributes:
        learning_rate: the highest learning rate.
        batch_size: examples a step.
        steps: steps in all, however few the examples.
        max_seq_length: tokens of a text, [CLS] and [SEP] included; longer texts are cut. The prompt comes on top.
        warmup_proportion: share of the steps in which the learning rate rises; 0 for none.
        weight_decay: of AdamW; biases and normalisation have none.
        max_grad_norm: norm that the gradient is cut to; 0 for no clipping.
        batching: batches at `random`, or of similar `length`, which pad less and are faster.
    """

    learning_rate: float = 6e-5
    batch_size: int = 16
    steps: int = STEPS
    max_seq_length: int = 128
    warmup_proportion: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    batching: str = field(default="random", metadata={"choices": BATCHING})

    def __post_init__(self) -> None:
        """Refuse a setting that no training can have (UserError)."""
        check_choices(self)
        check_positive(self, "learning_rate", "batch_size", "steps")
        check_steps(self)
        check_schedule(self)
        check_not_negative(self, "max_grad_norm")

    def as_finetuning(self) -> FinetuneOptions:
        """The same training as fine-tuning's settings."""
        return FinetuneOptions(**asdict(self), early_stop_nums=0)


KIND = Kind(
    "prompt",
    PromptOptions,
    "net",
    "replicate.stages.fewshot.prompt:run",
    (TRAIN, MODEL),
    frozen={
        "learning_rate": 6e-5,
        "batch_size": 16,
        "steps": 300,
        "max_seq_length": 128,
        "warmup_proportion": 0.1,
        "weight_decay": 0.01,
        "max_grad_norm": 1.0,
        "batching": "random",
    },
    wants_device=lambda options: True,
)


def run(inputs: Inputs) -> dict[str, Any]:
    """Train a cloze of the model, or go on with one.

    Raises:
        UserError: there is no model, or it is neither a masked language model nor a cloze of these labels.
    """
    model = inputs.model("prompt: there is no model to start from")
    seed_everything(inputs.seed)
    classifier, origin = start_of(model, inputs.dataset.labels)
    options = inputs.options.as_finetuning()
    summary = finetune(
        classifier, inputs.split(), inputs.dataset.dev, options, inputs.seed, inputs.folder, inputs.progress
    )
    return {**summary, **origin}


def start_of(model: str | Path, labels: tuple[str, ...]) -> tuple[Classifier, dict[str, str]]:
    """The cloze that a training begins with, and what a summary says of the net that it was before.

    Args:
        model: a masked language model, or a cloze of these labels to go on with.
        labels: of the data.

    Raises:
        UserError: it is neither.
    """
    if (Path(model) / "label.txt").is_file():
        found = load_classifier(model)
        if not is_cloze(found.network.config):
            hint = "name a folder that pretrain or fewshot wrote, or a named net"
            raise UserError("a classifier without a prompt, which no longer fills in masks", path=model, hint=hint)
        if found.labels != labels:
            raise UserError("the cloze has other labels than the data", path=model)
        return found, origin_of(model, found.network.base_model)
    network, tokenizer = load_masked(model)
    return build_cloze(network, tokenizer, labels), origin_of(model, network.base_model)
