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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate import batching
from replicate.checkpoint import Checkpoint, rows_digest
from replicate.checks import check_choice, check_not_negative, check_positive, check_schedule
from replicate.corpus.formats import Split
from replicate.errors import UserError
from replicate.evaluation import history_entry, network_logits, probabilities
from replicate.files import plain
from replicate.finetune import BATCHING, SELECT, check_length, epoch_batches
from replicate.model import Classifier, digest_of, encode, save_model, seed_everything, weights_of
from replicate.optimisation import adamw
from replicate.progress import Progress
from replicate.students import STUDENTS, build_student, shape_of, start_from_teacher
from replicate.training import Course, Examination, Training, evaluated_batches
from replicate.training import train as train_net
from replicate.transfer_set import NO_LABEL, gather

STARTS = ("random", "teacher")
# Of a setting of a student's shape; more is a slip that would take all memory.
LARGEST = 8192
# Tang et al. sample fragments at a rate of 0.25; the rates within the strategies are the article's.
MIX = MappingProxyType({"word_unk": 0.375, "word_pos": 0.375, "n_sampling": 0.25})


@dataclass(frozen=True)
class DistillOptions:
    """Settings of data distillation.

    With `alpha`, `copies` and `unlabelled` all 0 the student learns from the hard labels of the training text alone:
    the control.

    Attributes:
        student: one of `STUDENTS`.
        shape: what of its shape differs from `students.DEFAULT_SHAPES`.
        start: `random` weights, or for an ERNIE as wide as the teacher the `teacher`'s own layers.
        alpha: weight of the soft loss; 1 - alpha is that of the hard one, which only text with a label has.
        temperature: that teacher's and student's logits are divided by in the soft loss.
        copies: augmented copies of each training text; they keep its label.
        unlabelled: unlabelled texts for each training text. `unlabelled` to `copies` is the proportion of the mix.
        mix: weight of each augmentation strategy; one is drawn for each copy.
        warmup_proportion: share of the steps in which the learning rate rises; 0 for none.
        early_stop_nums: epochs without a better score after which training stops; 0 trains to the end.
        select: the dev score that the best model is chosen by: accuracy, or F1 of class index 1.
        evaluations_per_epoch: dev evaluations in an epoch, the last at its end.
        batching: `random`, or `length` for batches of similar length.
    """

    student: str
    shape: Mapping[str, int | float] = field(default_factory=dict)
    start: str = "random"
    alpha: float = 0.9
    temperature: float = 2.0
    copies: int = 4
    unlabelled: float = 0.25
    mix: Mapping[str, float] = field(default_factory=lambda: dict(MIX))
    learning_rate: float = 1e-3
    batch_size: int = 64
    epochs: int = 6
    max_seq_length: int = 128
    warmup_proportion: float = 0.1
    weight_decay: float = 0.01
    early_stop_nums: int = 0
    select: str = "accuracy"
    evaluations_per_epoch: int = 1
    batching: str = "length"

    def __post_init__(self) -> None:
        """Refuse a setting that no distillation can have (UserError)."""
        check_choice("student", self.student, STUDENTS)
        for name, value in shape_of(self.student, self.shape).items():
            if value > LARGEST:
                raise UserError(f"{name} is {value}", hint=f"it must be at most {LARGEST}")
        check_choice("start", self.start, STARTS)
        check_choice("select", self.select, SELECT)
        check_choice("batching", self.batching, BATCHING)
        check_positive(self, "temperature", "learning_rate", "batch_size", "epochs", "evaluations_per_epoch")
        check_schedule(self)
        check_not_negative(self, "unlabelled", "early_stop_nums")
        if not 0 <= self.alpha <= 1:
            raise UserError(f"alpha is {self.alpha}", hint="it must be from 0 (hard labels) to 1 (soft ones)")
        if type(self.copies) is not int or self.copies < 0:
            raise UserError(f"copies is {self.copies}", hint="it must be a whole number, 0 for none")
        if self.alpha == 0 and self.unlabelled:
            raise UserError("alpha 0 learns from hard labels, and unlabelled text has none", hint="take 0 of it")


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
    taught = history_entry(examination.of(teacher.network, 0), 0, 0.0, None)
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
