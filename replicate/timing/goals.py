"""What two CPU cores should reach at inference and in training, what a record says of it, and why goals are missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from replicate.inference.runtime import RUNTIMES
from replicate.records.timing import Contestant, Race, StepRace, TimingRecord
from replicate.timing.limit import share_of
from replicate.timing.race import speed_up
from replicate.verdicts.equivalence import RatioInterval

GoalStatus = Literal["reached", "missed", "undecided", "not measured"]
SHAPE, BATCH, THREADS = "ernie-3.0-base", 32, 2
# Of the nets of the profile `small`.
SMALL_SHAPE = "3 x 192"
BEST = "best"


@dataclass(frozen=True)
class Pick:
    """A contestant: a runtime's name or `best`, its precision and width.

    The best runtime of a precision is the one whose full width has the smallest median in that race.
    """

    runtime: str
    precision: str
    width: str


@dataclass(frozen=True)
class Goal:
    """`of` should be at least so many times as fast as `over`, at each of the lengths, in batches of 32.

    `why` is what keeps it from being reached where it is missed.
    """

    id: str
    words: str
    of: Pick
    over: Pick
    at_least: float
    why: str
    lengths: tuple[int, ...] = (32, 128)


@dataclass(frozen=True)
class StepGoal:
    """A step of training should be at least so large a share of the limit, or so many times as fast as another step.

    Attributes:
        id: its name.
        words: what is wanted.
        step: its label.
        over: the other step's label; empty for the limit.
        at_least: the share or ratio.
        why: what keeps it from being reached where it is missed.
        shapes: of the nets; empty for all.
        texts: whether it is about steps on a data set's texts, and not on token ids of one size.
    """

    id: str
    words: str
    step: str
    over: str
    at_least: float
    why: str
    shapes: tuple[str, ...] = ()
    texts: bool = False


@dataclass(frozen=True)
class GoalResult:
    """A goal at one batch and length: `reached` or `missed` where the whole interval is on that side of it."""

    goal: Goal | StepGoal
    length: int
    status: GoalStatus
    found: RatioInterval | None
    words: str
    batch: int = BATCH

    @property
    def why(self) -> str:
        """The reason of a miss; empty where there is none."""
        return self.goal.why if self.status == "missed" else ""


# The whole net in the runtime that is fastest with it.
WHOLE = Pick(BEST, "fp32", "1")
_NARROW = "embeddings, layer norm and the states between layers stay as wide as they were, and softmax as long"
GOALS = (
    Goal("half", "width 1/2 over Base, in Base's best fp32 runtime", Pick(BEST, "fp32", "1/2"), WHOLE, 1.9, _NARROW),
    Goal(
        "two-thirds",
        "width 2/3 over Base, in Base's best fp32 runtime",
        Pick(BEST, "fp32", "2/3"),
        WHOLE,
        1.42,
        _NARROW,
    ),
    Goal(
        "default",
        "best fp32 Base over PaddleNLP's dynamic graph as installed",
        WHOLE,
        Pick("dygraph-as-installed", "fp32", "1"),
        4.0,
        "MKL takes its fast path on a processor of Intel as installed too, so two threads, fewer copies and fused "
        "operators are all that is left to gain there",
        (32,),
    ),
    Goal(
        "pytorch",
        "best fp32 Base over PyTorch with SDPA",
        WHOLE,
        Pick("pytorch", "fp32", "1"),
        1.0,
        "nearly all of it are products of matrices, for which both call libraries that are about as fast",
    ),
    Goal(
        "int8",
        "int8 Base over best fp32 Base",
        Pick(BEST, "int8", "1"),
        WHOLE,
        1.8,
        "products of attention, softmax, layer norm and GELU stay in fp32, and without instructions for int8 (VNNI) "
        "the others gain little",
    ),
    Goal(
        "int8-half",
        "int8 width 1/2 over best fp32 Base",
        Pick(BEST, "int8", "1/2"),
        WHOLE,
        3.2,
        f"the gains of int8 and of width don't multiply: {_NARROW}",
    ),
)
_NO_PRODUCTS = "dropout's masks are drawn one by one, and Paddle's other kernels between products are hardly vectorised"
_BOTH = (
    "both engines compute the whole teacher and a student of the same width for every batch, of which nothing can be "
    "kept in one epoch; the native one saves the teacher's dropouts and gradients at full width"
)
STEP_GOALS = (
    StepGoal(
        "finetune-base",
        "a step of fine-tuning Base, as a share of the limit",
        "finetune",
        "",
        0.85,
        f"{_NO_PRODUCTS}; and 7 % of its products are for tokens of the last layer that nobody asks for",
        (SHAPE,),
    ),
    StepGoal(
        "finetune-small",
        "a step of fine-tuning the net of `small`, as a share of the limit: twice what it had at first",
        "finetune",
        "",
        0.5,
        f"half of a step of so narrow a net is no product: {_NO_PRODUCTS}; what would give 1.7 times as much changes "
        "the bits of every net that is trained (docs/design/limit.md)",
        (SMALL_SHAPE,),
    ),
    StepGoal(
        "finetune-pytorch",
        "a step of fine-tuning over PyTorch's, all texts of one length",
        "finetune",
        "finetune pytorch",
        1.3,
        f"PyTorch fuses what comes between products; here {_NO_PRODUCTS}",
    ),
    StepGoal(
        "finetune-example",
        "a step of fine-tuning over PaddleNLP's example as it comes",
        "finetune",
        "finetune example",
        3.5,
        "short texts leave little padding to save, and on a processor of Intel the example has MKL's fast path too",
        texts=True,
    ),
    StepGoal(
        "prune-paddlenlp",
        "a step of pruning over PaddleNLP's as it comes",
        "prune",
        "prune paddlenlp",
        2.0,
        f"short texts leave little padding to save; and {_BOTH}",
        texts=True,
    ),
    StepGoal(
        "prune-like-for-like",
        "a step of pruning over PaddleNLP's with the same batches",
        "prune",
        "prune paddlenlp by length",
        1.5,
        _BOTH,
        texts=True,
    ),
    StepGoal(
        "prune-parts",
        "a step of pruning beside a forward of the teacher and a step of the student, alone",
        "prune",
        "prune parts",
        0.77,
        "hidden states are compared layer by layer, and the optimiser writes every weight",
        texts=True,
    ),
)


def goals(record: TimingRecord) -> list[GoalResult]:
    """The goals of inference at each of their lengths where it races, and those of training at each step's size.

    What was not measured is said to be so, never estimated.
    """
    inference = [_judge(goal, length, record) for goal in GOALS for length in goal.lengths if record.comparisons]
    training = [_judge_step(goal, race, record) for race in record.steps for goal in STEP_GOALS if _about(goal, race)]
    return inference + training


def _about(goal: StepGoal, race: StepRace) -> bool:
    return goal.texts != bool(race.length) and (not goal.shapes or race.shape in goal.shapes)


def _judge_step(goal: StepGoal, race: StepRace, record: TimingRecord) -> GoalResult:
    by_label = {one.label: one for one in race.contestants}
    lacking = [label for label in (goal.step, goal.over) if label and label not in by_label]
    found, words = None, f"no {' and no '.join(lacking)}"
    if not _two_threads(record):
        words = f"the goals are about {THREADS} threads of a CPU"
    elif not lacking and goal.over:
        found, words = speed_up(race.seconds, goal.step, goal.over), f"{goal.step} over {goal.over}"
    elif not lacking and (share := share_of(race, goal.step, by_label[goal.step].operations, "fp32")):
        found, words = share.ratio, f"{goal.step} over {share.rate.limit.label}"
    status = _status(found, goal.at_least) if found else "not measured"
    return GoalResult(goal, race.length, status, found, words, race.batch)


def _two_threads(record: TimingRecord) -> bool:
    return record.device.get("kind") == "cpu" and record.threads == THREADS


def whole_and_pruned(race: Race) -> list[Contestant]:
    """The contestants of the first net, which is the whole one, and of pruned ones: no student."""
    whole = race.contestants[0].model
    return [one for one in race.contestants if one.width != "1" or one.model == whole]


def net_name(race: Race, one: Contestant) -> str:
    """A contestant's net: its width, with its name where that is not the shape; a whole one's is its name."""
    if one.model == race.shape:
        return f"width {one.width}"
    return one.model if one.width == "1" else f"{one.model} (width {one.width})"


def pick(race: Race, wanted: Pick) -> Contestant | None:
    """The contestant that `wanted` means; None where it did not take part."""
    known = whole_and_pruned(race)
    runtime: str | None = wanted.runtime
    if runtime == BEST:
        full = [
            one for one in known if one.runtime in RUNTIMES and (one.precision, one.width) == (wanted.precision, "1")
        ]
        runtime = min(full, key=lambda one: median(race.seconds[one.label])).runtime if full else None
    alike = (runtime, wanted.precision, wanted.width)
    return next((one for one in known if (one.runtime, one.precision, one.width) == alike), None)


def _judge(goal: Goal, length: int, record: TimingRecord) -> GoalResult:
    def missing(why: str) -> GoalResult:
        return GoalResult(goal, length, "not measured", None, why)

    if not _two_threads(record):
        return missing(f"the goals are about {THREADS} threads of a CPU")
    here = (SHAPE, BATCH, length)
    comparisons = [one for one in record.comparisons if (one.shape, one.batch, one.length) == here]
    if not comparisons:
        return missing(f"no comparison of {SHAPE} at {BATCH} × {length}")
    # Should there be several, one that has both sides.
    for race in comparisons:
        of, over = pick(race, goal.of), pick(race, goal.over)
        if of and over:
            found = speed_up(race.seconds, of.label, over.label)
            return GoalResult(goal, length, _status(found, goal.at_least), found, f"{of.label} over {over.label}")
    lacking = goal.over if of else goal.of
    return missing(_reason(lacking, comparisons))


def _status(found: RatioInterval, at_least: float) -> GoalStatus:
    if found.low >= at_least:
        return "reached"
    return "missed" if found.high < at_least else "undecided"


def _reason(lacking: Pick, comparisons: Sequence[Race]) -> str:
    what = f"{lacking.runtime} {lacking.precision} {lacking.width}"
    for race in comparisons:
        for label, why in race.left_out.items():
            if label.startswith(what):
                return f"{what} was left out: {why}"
    return f"no {what}"
