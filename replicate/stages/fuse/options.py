"""Settings of model fusion."""

from __future__ import annotations

from dataclasses import dataclass, field

from replicate.common.checks import check_choices
from replicate.stages.kind import TRAIN, Kind, Port

HOWS = ("mean", "vote", "stack", "soup", "greedy", "first")
# Those that lines are needed for which no member was trained on.
WEIGHED = ("stack", "greedy")


@dataclass(frozen=True)
class FuseOptions:
    """Settings of model fusion.

    Attributes:
        how: `mean` of the probabilities; `vote`; `stack`, the mean with weights that fit lines which no member was
            trained on; `soup`, one net with the mean of the weights; `greedy`, a soup of those members that make it
            better on such lines; `first`, the first member alone, which is what an ensemble is compared with.
        max_seq_length: tokens of a text, [CLS] and [SEP] included, where the result is scored; longer texts are cut.
    """

    how: str = field(default="mean", metadata={"choices": HOWS})
    max_seq_length: int = 128

    def __post_init__(self) -> None:
        """Refuse a way that is none (UserError)."""
        check_choices(self)


FUSE = Kind(
    "fuse",
    FuseOptions,
    "net",
    "replicate.stages.fuse.fuse:run",
    # Of the training set, only what `holdout` took out of it is read.
    (Port("members", ("net", "scores"), many=True), Port(TRAIN.name, TRAIN.takes, when=lambda o: o.how in WEIGHED)),
    frozen={"how": "mean", "max_seq_length": 128},
    wants_device=lambda options: True,
)
