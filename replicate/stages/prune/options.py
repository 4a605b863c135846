"""Settings of pruning."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from replicate.common.checks import check_choices, check_positive, check_schedule
from replicate.common.errors import UserError
from replicate.nets.shape import parse_share, width_folder
from replicate.stages.kind import MODEL, TRAIN, Kind
from replicate.training.options import BATCHING, SELECT

ENGINES = ("paddlenlp", "paddlenlp-cleared", "paddlenlp-2022", "native")

IMPORTANCE = ("dev", "train")

STARTS = ("parent", "scratch")

TARGETS = ("teacher", "labels")

# What only the native engine does, with the value that every engine can do.
_NATIVE_ONLY = {"depth": "1", "start": "parent", "targets": "teacher"}


@dataclass(frozen=True)
class PruneOptions:
    """Settings of pruning; the defaults are the article's.

    Attributes:
        width: share of heads and hidden units to keep: `1/2`, `2/3`, `0.75`; `1` keeps them all.
        learning_rate: the highest learning rate; it falls to 0 at the last step.
        batch_size: examples a step.
        epochs: times that the training set is read.
        max_seq_length: tokens of a text, [CLS] and [SEP] included; longer texts are cut.
        warmup_proportion: share of the steps in which the learning rate rises; 0 for none.
        weight_decay: of AdamW; biases and normalisation have none.
        save_steps: steps between dev evaluations; the last step is always evaluated.
        select: the dev score that the best state is chosen by: accuracy, macro-F1, or F1 of class index 1.
        batching: batches at `random`, or of similar `length`, which pad less and are faster.
        importance: the examples that the importance of heads and units is computed on: `dev`, as upstream and the
            article do it, or `train`, as many examples of the training set.
        engine: `paddlenlp` (`Trainer.compress`, as in the article), `paddlenlp-cleared` (the same without the gradients
            of importance, which it leaks into its first step), `paddlenlp-2022` (as until PaddleNLP's pull request
            3324, which keeps all hidden units of the last layer of a net with task ids) or `native`, which is faster.
            The settings below `jointly` only `native` can do otherwise.
        jointly: widths that PaddleNLP trains in one net, step by step, such as `3/4 2/3 1/2`; `width`, which is among
            them, is the one that is kept; or `alone`.
        depth: share of layers to keep, which engine `native` can choose; `1` keeps them all.
        start: the weights that the student starts from: those kept of its `parent`, or from `scratch` random ones.
        targets: what the student learns: its `teacher`'s logits and hidden states, or the `labels` alone.
    """

    width: str
    learning_rate: float = 3e-5
    batch_size: int = 32
    epochs: int = 5
    max_seq_length: int = 128
    warmup_proportion: float = 0.0
    weight_decay: float = 0.0
    save_steps: int = 50
    select: str = field(default="f1", metadata={"choices": SELECT})
    batching: str = field(default="random", metadata={"choices": BATCHING})
    importance: str = field(default="dev", metadata={"choices": IMPORTANCE})
    engine: str = field(default="paddlenlp", metadata={"choices": ENGINES})
    jointly: str = "alone"
    depth: str = "1"
    start: str = field(default="parent", metadata={"choices": STARTS})
    targets: str = field(default="teacher", metadata={"choices": TARGETS})

    def __post_init__(self) -> None:
        """Refuse a setting that no pruning can have (UserError)."""
        check_choices(self)
        if parse_share("width", self.width) == parse_share("depth", self.depth) == 1:
            raise UserError("width 1 and depth 1 keep everything", hint="choose one of them below 1")
        check_positive(self, "learning_rate", "batch_size", "epochs", "save_steps")
        check_schedule(self)
        if self.jointly != "alone" and self.engine == "native":
            raise UserError(f"engine native has no jointly {self.jointly}", hint="PaddleNLP's engines have")
        if parse_share("width", self.width) not in self.widths:
            raise UserError(f"width {self.width} is none of those that are trained jointly: {self.jointly}")
        for name, value in _NATIVE_ONLY.items():
            if self.engine != "native" and getattr(self, name) != value:
                raise UserError(f"engine {self.engine} has no {name} {getattr(self, name)}", hint="engine native has")

    @property
    def widths(self) -> tuple[Fraction, ...]:
        """Those that the net is trained for, in order (UserError where one is no fraction)."""
        together = self.width if self.jointly == "alone" else self.jointly
        return tuple(parse_share("jointly", one) for one in together.split())


def folder_of(options: PruneOptions) -> str:
    """Name of a pruned model's folder; one with fewer layers says so: `1.0-depth-0.5`."""
    width, depth = parse_share("width", options.width), parse_share("depth", options.depth)
    return width_folder(width) + (f"-depth-{width_folder(depth)}" if depth != 1 else "")


PRUNE = Kind(
    "prune",
    PruneOptions,
    "net",
    "replicate.stages.prune.prune:run",
    (TRAIN, MODEL),
    frozen={
        "learning_rate": 3e-5,
        "batch_size": 32,
        "epochs": 5,
        "max_seq_length": 128,
        "warmup_proportion": 0.0,
        "weight_decay": 0.0,
        "save_steps": 50,
        "select": "f1",
        "batching": "random",
        "importance": "dev",
        "engine": "paddlenlp",
        "jointly": "alone",
        "depth": "1",
        "start": "parent",
        "targets": "teacher",
    },
    wants_device=lambda options: True,
)
