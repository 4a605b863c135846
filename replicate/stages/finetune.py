"""Fine-tune a classifier and keep its best evaluation."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from replicate.common.checks import check_choices, check_not_negative, check_positive, check_schedule
from replicate.common.errors import UserError
from replicate.common.progress import Progress
from replicate.corpus.formats import Split
from replicate.nets import batching
from replicate.nets.classifier import Classifier, load_classifier, restart
from replicate.nets.device import seed_everything
from replicate.nets.folder import digest_of, origin_of, save_model, weights_of
from replicate.nets.tokens import encode
from replicate.stages.kind import MODEL, TRAIN, Inputs, Kind
from replicate.training.checkpoint import Checkpoint, rows_digest
from replicate.training.loop import Course, Examination, Training, evaluated_batches
from replicate.training.loop import train as train_net
from replicate.training.optimisation import adamw
from replicate.training.options import BATCHING, SCHEDULES, SELECT, batches_of, check_length, check_steps

STARTS = ("model", "scratch")


@dataclass(frozen=True)
class FinetuneOptions:
    """Settings of fine-tuning; the defaults are those of the article's logs where they tell, else its script's.

    Attributes:
        learning_rate: the highest learning rate.
        batch_size: examples a step.
        epochs: times that the training set is read.
        max_seq_length: tokens of a text, [CLS] and [SEP] included; longer texts are cut.
        warmup_proportion: share of the steps in which the learning rate rises; 0 for none.
        weight_decay: of AdamW; biases and normalisation have none.
        schedule: whether the learning rate falls to 0 at the last step (`linear`), or stays as it is (`constant`).
        max_grad_norm: norm that the gradient is cut to; 0 for no clipping.
        early_stop_nums: epochs without a better score after which training stops; 0 trains to the end.
        select: the dev score that the best model is chosen by: accuracy, macro-F1, or F1 of class index 1.
        evaluations_per_epoch: dev evaluations in an epoch, the last at its end.
        batching: batches at `random`, or of similar `length`, which pad less and are faster.
        start: the `model`'s weights, or a net of its shape with random ones (`scratch`).
        steps: steps in all, however few the examples, in place of epochs; 0 counts epochs. All of them then are one
            epoch for its evaluations, so where that has one, the last step is scored, and dev chooses nothing.
    """

    learning_rate: float = 6e-5
    batch_size: int = 16
    epochs: int = 10
    max_seq_length: int = 128
    warmup_proportion: float = 0.1
    weight_decay: float = 0.01
    schedule: str = field(default="linear", metadata={"choices": SCHEDULES})
    max_grad_norm: float = 1.0
    early_stop_nums: int = 4
    select: str = field(default="accuracy", metadata={"choices": SELECT})
    evaluations_per_epoch: int = 1
    batching: str = field(default="random", metadata={"choices": BATCHING})
    start: str = field(default="model", metadata={"choices": STARTS})
    steps: int = 0

    def __post_init__(self) -> None:
        """Refuse a setting that no training can have (UserError)."""
        check_choices(self)
        check_positive(self, "learning_rate", "batch_size", "epochs", "evaluations_per_epoch")
        check_schedule(self)
        if self.schedule == "constant" and self.warmup_proportion:
            raise UserError("a constant learning rate has no warm-up", hint="set warmup_proportion to 0")
        check_not_negative(self, "early_stop_nums", "max_grad_norm", "steps")
        check_steps(self)


KIND = Kind(
    "finetune",
    FinetuneOptions,
    "net",
    "replicate.stages.finetune:run",
    (TRAIN, MODEL),
    frozen={
        "learning_rate": 6e-5,
        "batch_size": 16,
        "epochs": 10,
        "max_seq_length": 128,
        "warmup_proportion": 0.1,
        "weight_decay": 0.01,
        "schedule": "linear",
        "max_grad_norm": 1.0,
        "early_stop_nums": 4,
        "select": "accuracy",
        "evaluations_per_epoch": 1,
        "batching": "random",
        "start": "model",
        "steps": 0,
    },
    wants_device=lambda options: True,
)


def run(inputs: Inputs) -> dict[str, Any]:
    """Fine-tune the model, or with `start = "scratch"` a net of its shape with random weights.

    Raises:
        UserError: there is no model, or it is not one.
    """
    model = inputs.model("finetune: there is no model to start from")
    # Before the network is built, or the head is not the same for the same seed.
    seed_everything(inputs.seed)
    classifier = load_classifier(model, inputs.dataset.labels)
    # Its head is new and not part of it.
    origin = origin_of(model, classifier.network.base_model)
    if inputs.options.start == "scratch":
        seed_everything(inputs.seed)
        classifier = restart(classifier)
    summary = finetune(
        classifier,
        inputs.split(),
        inputs.dataset.dev,
        inputs.options,
        inputs.seed,
        inputs.folder,
        inputs.progress,
    )
    return {**summary, **origin}


def finetune(
    classifier: Classifier,
    train: Split,
    dev: Split,
    options: FinetuneOptions,
    seed: int,
    folder: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Fine-tune the classifier in place and write its best state as a model folder.

    Args:
        classifier: what to train; its head must have been built under the same seed.
        train: training examples.
        dev: examples that choose the best state, and that the article's scores are of.
        options: settings.
        seed: seeds the order of the examples and dropout.
        folder: where the best state is written.
        progress: told of every step.

    Returns:
        Summary: steps, best step, evaluation of the best state, history, digests of the weights at step 0 and at the
        end, number of parameters.

    Raises:
        Diverged: the loss is not finite.
        Stopped: a signal came; the next call with the same folder goes on.
    """
    import paddle
    import paddle.nn.functional as F

    network, tokenizer = classifier.network, classifier.tokenizer
    check_length(network, options.max_seq_length)
    rng = np.random.default_rng(seed)
    rows, targets = encode(tokenizer, train.texts, options.max_seq_length), np.asarray(train.labels, dtype=np.int64)
    dev_rows = encode(tokenizer, dev.texts, options.max_seq_length)
    lengths = [len(row) for row in rows]
    epochs, per_epoch = options.epochs, math.ceil(len(rows) / options.batch_size)
    if options.steps:
        epochs, per_epoch = 1, options.steps
    steps = per_epoch * epochs
    optimizer = adamw(
        network,
        options.learning_rate,
        steps,
        options.warmup_proportion,
        options.weight_decay,
        max_grad_norm=options.max_grad_norm,
        constant=options.schedule == "constant",
    )
    step0 = digest_of(weights_of(network))
    data = rows_digest([*rows, targets, *dev_rows, np.asarray(dev.labels, dtype=np.int64)])
    identity = {"settings": asdict(options), "seed": seed, "weights": step0, "data": data}
    evaluated = evaluated_batches(per_epoch, options.evaluations_per_epoch)

    def loss_of(indices: np.ndarray) -> Any:
        ids = paddle.to_tensor(batching.pad([rows[i] for i in indices], tokenizer.pad_token_id))
        return F.cross_entropy(network(ids), paddle.to_tensor(targets[indices]))

    training = Training(network, optimizer)
    course = Course(
        epochs,
        per_epoch,
        lambda: batches_of(lengths, options.batch_size, options.batching, rng, options.steps),
        lambda number, _: number in evaluated,
        options.early_stop_nums,
    )
    examination = Examination(dev, dev_rows, tokenizer.pad_token_id, len(classifier.labels), options.select)
    train_net(training, course, examination, loss_of, Checkpoint(folder, identity, network, optimizer, rng), progress)
    best = training.best
    network.set_state_dict(best["weights"])
    save_model(network, tokenizer, folder, classifier.labels)
    return {
        "steps": training.step,
        "steps_planned": steps,
        "best_step": best["step"],
        "examples": len(rows),
        "parameters": classifier.parameters,
        "weights_step0": step0,
        "weights": digest_of(best["weights"]),
        "evaluation": best["evaluation"],
        "history": training.history,
    }
