"""Settings of distillation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from replicate.augment.registry import packages_of
from replicate.common.checks import check_choices, check_not_negative, check_positive, check_schedule
from replicate.common.errors import UserError
from replicate.corpus.formats import DATA
from replicate.nets.student_net import STUDENTS, shape_of
from replicate.stages.kind import MODEL, TRAIN, Kind
from replicate.training.options import BATCHING, SELECT

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
        student: what kind of net learns.
        shape: what of its shape differs from the usual one of its kind, such as hidden_size=64.
        start: `random` weights or, for an ERNIE as wide as the teacher, the `teacher`'s own layers.
        alpha: weight of the soft loss; the hard one, which only text with a label has, weighs 1 - alpha.
        temperature: what the teacher's and the student's logits are divided by in the soft loss.
        copies: augmented copies of each training text; they keep its label.
        unlabelled: unlabelled texts for each training text. `unlabelled` to `copies` is the proportion of the mix.
        mix: weight of each augmentation strategy; one is drawn for each copy.
        learning_rate: the highest learning rate; it falls to 0 at the last step.
        batch_size: examples a step.
        epochs: times that the training set is read.
        max_seq_length: tokens of a text, [CLS] and [SEP] included; longer texts are cut.
        warmup_proportion: share of the steps in which the learning rate rises; 0 for none.
        weight_decay: of AdamW; biases and normalisation have none.
        early_stop_nums: epochs without a better score after which training stops; 0 trains to the end.
        select: the dev score that the best model is chosen by: accuracy, macro-F1, or F1 of class index 1.
        evaluations_per_epoch: dev evaluations in an epoch, the last at its end.
        batching: batches at `random`, or of similar `length`, which pad less and are faster.
    """

    student: str = field(metadata={"choices": STUDENTS})
    shape: Mapping[str, int | float] = field(default_factory=dict)
    start: str = field(default="random", metadata={"choices": STARTS})
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
    select: str = field(default="accuracy", metadata={"choices": SELECT})
    evaluations_per_epoch: int = 1
    batching: str = field(default="length", metadata={"choices": BATCHING})

    def __post_init__(self) -> None:
        """Refuse a setting that no distillation can have (UserError)."""
        check_choices(self)
        for name, value in shape_of(self.student, self.shape).items():
            if value > LARGEST:
                raise UserError(f"{name} is {value}", hint=f"it must be at most {LARGEST}")
        check_positive(self, "temperature", "learning_rate", "batch_size", "epochs", "evaluations_per_epoch")
        check_schedule(self)
        check_not_negative(self, "unlabelled", "early_stop_nums")
        if not 0 <= self.alpha <= 1:
            raise UserError(f"alpha is {self.alpha}", hint="it must be from 0 (hard labels) to 1 (soft ones)")
        if type(self.copies) is not int or self.copies < 0:
            raise UserError(f"copies is {self.copies}", hint="it must be a whole number, 0 for none")
        if self.alpha == 0 and self.unlabelled:
            raise UserError("alpha 0 learns from hard labels, and unlabelled text has none", hint="take 0 of it")


def _draws_text(options: DistillOptions) -> tuple[str, ...]:
    return (*DATA, "unlabelled", "queries") if options.unlabelled else DATA


DISTILL = Kind(
    "distill",
    DistillOptions,
    "net",
    "replicate.stages.distill.distill:run",
    (TRAIN, MODEL),
    frozen={
        "shape": {},
        "start": "random",
        "alpha": 0.9,
        "temperature": 2.0,
        "copies": 4,
        "unlabelled": 0.25,
        "mix": {"word_unk": 0.375, "word_pos": 0.375, "n_sampling": 0.25},
        "learning_rate": 1e-3,
        "batch_size": 64,
        "epochs": 6,
        "max_seq_length": 128,
        "warmup_proportion": 0.1,
        "weight_decay": 0.01,
        "early_stop_nums": 0,
        "select": "accuracy",
        "evaluations_per_epoch": 1,
        "batching": "length",
    },
    reads=_draws_text,
    packages=lambda options: packages_of(options.mix),
    wants_device=lambda options: True,
)
