"""Data distillation: a teacher labels text that nobody has labelled, and a small student learns from it.

Step 1 is a fine-tuned teacher. Step 2: the teacher gives its probabilities for the training text, for augmented copies
of it and for unlabelled text of the same source, so many of each. Step 3: the student learns from these.

Sources: Tang et al., "Distilling Task-Specific Knowledge from BERT into Simple Neural Networks" (2019), for learning on
text that the teacher has labelled and for the three ways of making more of it (PaddleNLP's example `distill_lstm` has
two of them); Hinton et al., "Distilling the Knowledge in a Neural Network" (2015), for temperature and the mix of soft
and hard labels, where Tang et al. have the mean squared error of logits, the limit of a high temperature.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.files import plain
from replicate.common.progress import Progress
from replicate.corpus.formats import Split
from replicate.nets import batching
from replicate.nets.classifier import Classifier, load_classifier
from replicate.nets.device import seed_everything
from replicate.nets.folder import digest_of, save_model, weights_of
from replicate.nets.logits import network_logits, probabilities
from replicate.nets.students import build_student, start_from_teacher
from replicate.nets.tokens import encode
from replicate.scores.evaluation import history_entry
from replicate.stages.distill.options import DistillOptions
from replicate.stages.distill.transfer_set import NO_LABEL, gather, spare_texts
from replicate.stages.kind import Inputs
from replicate.training.checkpoint import Checkpoint, rows_digest
from replicate.training.loop import Course, Examination, Training, evaluated_batches
from replicate.training.loop import train as train_net
from replicate.training.optimisation import adamw
from replicate.training.options import check_length, epoch_batches


def log_probabilities(teacher: Classifier, rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
    """The teacher's labels: the logarithm of its probabilities [texts, classes], which are logits like its own."""
    found = probabilities(network_logits(teacher.network), rows, teacher.tokenizer.pad_token_id)
    # Where float64 has 0, the smallest number that float32 has a logarithm for is as good.
    return np.log(np.maximum(found, np.finfo(np.float32).tiny)).astype(np.float32)


def distillation_loss(student: Any, teacher: Any, labels: Any, alpha: float, temperature: float) -> Any:
    """Mean over a batch of `alpha` times the soft loss and `1 - alpha` times the hard loss.

    The soft loss is T² KL(teacher at T ‖ student at T): T² keeps its gradients as large as they are at T = 1 (Hinton et
    al.). The hard loss is the cross entropy of the label, 0 where there is none.

    Args:
        student: logits [batch, classes], a tensor.
        teacher: logits [batch, classes], a tensor; not read where alpha is 0.
        labels: classes [batch], `NO_LABEL` where there is none.
        alpha: from 0 to 1.
        temperature: above 0.
    """
    import paddle.nn.functional as F

    loss = 0.0
    if alpha > 0:
        target = F.softmax(teacher / temperature)
        divergence = target * (F.log_softmax(teacher / temperature) - F.log_softmax(student / temperature))
        loss = alpha * temperature**2 * divergence.sum(axis=-1).mean()
    if alpha < 1:
        hard = F.cross_entropy(student, labels, ignore_index=NO_LABEL, reduction="none")
        loss = loss + (1 - alpha) * hard.mean()
    return loss


def distill(
    teacher: Classifier,
    train: Split,
    dev: Split,
    unlabelled: Callable[[], Sequence[str]],
    options: DistillOptions,
    seed: int,
    folder: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Train a student on what its teacher says of labelled, augmented and unlabelled text; write it as a model folder.

    Args:
        teacher: a fine-tuned classifier; it stays as it is.
        train: labelled text.
        dev: examples that choose the best state and give the scores; none of them is learnt from.
        unlabelled: gives text without labels; asked only where the options want some.
        options: settings.
        seed: seeds the student's weights, the copies, the draw, the order of the examples and dropout.
        folder: where the best state is written.
        progress: told of every step.

    Returns:
        Summary: steps, best step, texts of each kind, the teacher's dev scores, evaluation of the best state, history,
        digests of the weights at step 0 and at the end, number of parameters.

    Raises:
        Diverged: the loss is not finite.
        UserError: too little unlabelled text, or a student that can't start from this teacher.
    """
    import paddle

    tokenizer, pad = teacher.tokenizer, teacher.tokenizer.pad_token_id
    check_length(teacher.network, options.max_seq_length)
    text = gather(train, unlabelled() if options.unlabelled else (), dev.texts, options, seed)
    rows, dev_rows = (encode(tokenizer, part, options.max_seq_length) for part in (text.texts, dev.texts))
    classes = len(teacher.labels)
    soft = log_probabilities(teacher, rows) if options.alpha else np.zeros((len(rows), classes), dtype=np.float32)
    examination = Examination(dev, dev_rows, pad, classes, options.select)
    taught = history_entry(examination.of(teacher.network, 0), 0, 0.0, None, options.select)
    # Here, so that neither the copies nor the teacher have a say in the student's first weights.
    seed_everything(seed)
    student = build_student(options.student, options.shape, teacher)
    if options.start == "teacher":
        start_from_teacher(student, teacher)
    lengths = [len(row) for row in rows]
    per_epoch = math.ceil(len(rows) / options.batch_size)
    evaluated = evaluated_batches(per_epoch, options.evaluations_per_epoch)
    steps = per_epoch * options.epochs
    optimizer = adamw(student.network, options.learning_rate, steps, options.warmup_proportion, options.weight_decay)
    network, rng = student.network, np.random.default_rng(seed)
    step0 = digest_of(weights_of(student.network))
    data = rows_digest([*rows, text.labels, soft, *dev_rows, np.asarray(dev.labels)])
    identity = {"settings": plain(asdict(options)), "seed": seed, "student": step0, "data": data}

    def loss_of(indices: NDArray[np.int64]) -> Any:
        ids, targets, labels = (
            paddle.to_tensor(part)
            for part in (batching.pad([rows[i] for i in indices], pad), soft[indices], text.labels[indices])
        )
        return distillation_loss(network(ids), targets, labels, options.alpha, options.temperature)

    training = Training(network, optimizer)
    course = Course(
        options.epochs,
        per_epoch,
        lambda: epoch_batches(lengths, options.batch_size, options.batching, rng),
        lambda number, _: number in evaluated,
        options.early_stop_nums,
    )
    train_net(training, course, examination, loss_of, Checkpoint(folder, identity, network, optimizer, rng), progress)
    best = training.best
    network.set_state_dict(best["weights"])
    save_model(network, tokenizer, folder, teacher.labels)
    return {
        "student": options.student,
        "steps": training.step,
        "steps_planned": steps,
        "best_step": best["step"],
        "examples": len(rows),
        "augmented": text.augmented,
        "unlabelled": text.unlabelled,
        "teacher": taught,
        "parameters": student.parameters,
        "weights_step0": step0,
        "weights": digest_of(best["weights"]),
        "evaluation": best["evaluation"],
        "history": training.history,
    }


def run(inputs: Inputs) -> dict[str, Any]:
    """Train a student on what the model says of the training text, its copies and unlabelled text.

    Where there is less unlabelled text than the settings ask for, all of it is taken; the summary says how much.

    Raises:
        UserError: there is no teacher, or it is not one.
    """
    train, dev, options = inputs.split(), inputs.dataset.dev, inputs.options
    there: tuple[str, ...] = ()
    if options.unlabelled:
        there = (*inputs.dataset.unlabelled, *inputs.unlabelled())
        most = len(spare_texts(there, train, dev.texts)) / len(train)
        options = replace(options, unlabelled=min(options.unlabelled, most))
    return distill(
        load_classifier(inputs.model("distill: there is no teacher")),
        train,
        dev,
        lambda: there,
        options,
        inputs.seed,
        inputs.folder,
        inputs.progress,
    )
