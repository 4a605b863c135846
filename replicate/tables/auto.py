"""What to run on somebody's own data in a given time: shape, passes, epochs, seeds and rows, by size and speed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from replicate.corpus.formats import Dataset
from replicate.tables.profile import Profile
from replicate.timing.step import Pace

AUTO = "auto"
# Seconds, where nobody names a budget, and the share of one that is planned: steps are timed on a machine that may
# have other things to do later.
BUDGET, PLANNED = 900.0, 0.8
STUDENT = "cnn"
LENGTHS = (32, 64, 128)
# Fewer seeds decide nothing, and a word on the front page rests on so many pairs.
LEAST_SEEDS, MOST_SEEDS = 3, 10
# Passes over the text to pretrain on, and the lines from which on a part of one counts as one.
LEAST_PASSES, MOST_PASSES, PASS = 3.0, 30.0, 30_000
PRETRAINING = 0.4
# Of fine-tuning: an epoch over few lines is few steps.
STEPS, LEAST_EPOCHS, MOST_EPOCHS = 560, 3, 10
# A step of pretraining beside one of fine-tuning: its head has a number for each token of the vocabulary.
HEAD = 1.4
# Seconds that a stage takes beside its steps (it loads, encodes, checks and writes), and a process to begin.
STAGE, START = 2.0, 12.0
# The nets are exported and take turns in the end.
TURNS = 15.0
# Lines that the linear baseline learns in a second.
LINEAR = 2000
# As rows and profiles/auto.toml have them.
_BATCH, _PARENT_EVALUATIONS, _SAVE_STEPS = 32, 5, 100
_STUDENT_EPOCHS, _STUDENT_EVALUATIONS, _STUDENT_PARTS = 12, 36, 3


@dataclass(frozen=True)
class Size:
    """A shape that can be chosen.

    Attributes:
        architecture: `ErnieConfig` fields.
        least: tokens of text to pretrain on below which a smaller one learns as much.
        rates: highest learning rates of pretraining, fine-tuning and pruning: a larger net takes lower ones.
    """

    architecture: Mapping[str, Any]
    least: int
    rates: tuple[float, float, float]

    @property
    def name(self) -> str:
        """Its layers and width."""
        return f"{self.architecture['num_hidden_layers']} layers, {self.architecture['hidden_size']} wide"


def _size(width: int, layers: int, heads: int, least: int, rates: tuple[float, float, float]) -> Size:
    shape = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads}
    return Size({**shape, "intermediate_size": 4 * width}, least, rates)


# From small to large. The second is that of `exploratory`, whose rates were tuned; the others' stand in proportion.
SIZES = (
    _size(128, 2, 4, 0, (1.5e-3, 7e-4, 4e-4)),
    _size(192, 3, 6, 200_000, (1e-3, 5e-4, 3e-4)),
    _size(256, 4, 8, 2_000_000, (7e-4, 3e-4, 2e-4)),
)
# What is asked, in the order in which a short budget holds it, with the rows that answer it.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "baseline": ("ernie3_kuake_qic/svm",),
    "net": ("ernie3_kuake_qic/base",),
    "augmentation": ("augmentation/plain", "augmentation/{way}", "augmentation/duplicate-1"),
    "pruning": ("compression/parent", "compression/native-1-2"),
    "distillation": ("distillation/teacher", "distillation/cnn-distilled", "distillation/cnn-hard-12"),
}


@dataclass(frozen=True)
class Facts:
    """What a choice hangs on of the data.

    Attributes:
        train: training texts.
        dev: dev texts.
        lines: lines to pretrain on.
        labels: number of labels.
        vocabulary: different characters of those lines.
        length: tokens that 95 of 100 texts are at most long, [CLS] and [SEP] included.
        tokens: tokens of a text on average, no longer ones than the longest length that can be chosen.
        line_tokens: the same of a line to pretrain on.
        spare: unlabelled texts that are no training or dev text.
        chinese: most characters are Chinese, of which there are synonyms.
    """

    train: int
    dev: int
    lines: int
    labels: int
    vocabulary: int
    length: int
    tokens: float
    line_tokens: float
    spare: int
    chinese: bool


@dataclass(frozen=True)
class Speed:
    """The pace of each of `SIZES` on this machine, and of the student; `processes` run seeds beside each other."""

    nets: tuple[Pace, ...]
    student: Pace
    processes: int = 1


@dataclass(frozen=True)
class Choice:
    """What to run.

    Attributes:
        budget: seconds that it was chosen for.
        size: place in `SIZES`.
        length: tokens that a net reads.
        passes: over the text to pretrain on.
        epochs: of fine-tuning.
        seeds: of each row, from 1 on.
        groups: how many of `GROUPS`, from the first.
        way: row of the augmentation.
        spare: distillation has unlabelled text.
        seconds: that it should take.
    """

    budget: float
    size: int
    length: int
    passes: float
    epochs: int
    seeds: int
    groups: int
    way: str
    spare: bool
    seconds: float = 0.0

    @property
    def rows(self) -> tuple[str, ...]:
        """Full ids of the rows."""
        groups = [*GROUPS.values()][: self.groups]
        return tuple(row.format(way=self.way) for group in groups for row in group)


def facts_of(dataset: Dataset, lines: Sequence[str], spare: int) -> Facts:
    """The facts of somebody's data, a character counted as a token.

    Args:
        dataset: the data.
        lines: to pretrain on.
        spare: unlabelled texts that are no training or dev text.
    """
    longest = LENGTHS[-1]

    def tokens(texts: Sequence[str]) -> list[int]:
        # Of a longer one no more is read.
        return [min(longest, 2 + sum(not sign.isspace() for sign in text[: 2 * longest])) for text in texts]

    lengths, of_lines = sorted(tokens(dataset.train.texts)), tokens(lines)
    signs = [sign for text in dataset.train.texts for sign in text[:longest] if sign.isalpha()]
    return Facts(
        train=len(dataset.train),
        dev=len(dataset.dev),
        lines=len(lines),
        labels=len(dataset.labels),
        vocabulary=len({sign for line in lines for sign in line}),
        length=lengths[int(0.95 * (len(lengths) - 1))],
        tokens=sum(lengths) / len(lengths),
        line_tokens=sum(of_lines) / max(1, len(of_lines)),
        spare=spare,
        chinese=2 * sum("\u4e00" <= sign <= "\u9fff" for sign in signs) > len(signs),
    )


def choose(facts: Facts, budget: float, speed: Speed) -> Choice:
    """What the budget holds: as many of the questions as it can, then the largest net, then passes and seeds.

    Args:
        facts: of the data.
        budget: seconds.
        speed: of this machine.
    """
    for least in _least(facts, budget):
        if seconds_of(least, facts, speed) <= PLANNED * budget:
            return _filled(least, facts, speed)
    alone = replace(next(_least(facts, budget)), size=0, groups=1)
    return replace(alone, seconds=seconds_of(alone, facts, speed))


def budget_of_all(facts: Facts, speed: Speed) -> float:
    """Seconds of the smallest budget that holds every question."""
    every = [one for one in _least(facts, 0.0) if one.groups == len(GROUPS)]
    return min(seconds_of(one, facts, speed) for one in every) / PLANNED


def _least(facts: Facts, budget: float) -> Iterator[Choice]:
    """Every choice with the fewest passes and seeds, the best first."""
    fitting = [at for at, one in enumerate(SIZES) if one.least <= facts.lines * facts.line_tokens]
    epochs = math.ceil(STEPS * _BATCH / max(1, facts.train))
    for groups in range(len(GROUPS), 1, -1):
        for size in reversed(fitting):
            yield Choice(
                budget=budget,
                size=size,
                length=next((one for one in LENGTHS if facts.length <= one), LENGTHS[-1]),
                passes=round(LEAST_PASSES * _pass(facts), 2),
                epochs=min(MOST_EPOCHS, max(LEAST_EPOCHS, epochs)),
                seeds=LEAST_SEEDS,
                groups=groups,
                way="synonym" if facts.chinese else "unk",
                spare=facts.spare >= facts.train,
            )


def _filled(least: Choice, facts: Facts, speed: Speed) -> Choice:
    """The choice with as many passes and seeds as its budget holds."""
    room = PLANNED * least.budget

    def fits(one: Choice) -> bool:
        return seconds_of(one, facts, speed) <= room

    def more(one: Choice, name: str, most: float, share: float = 1.0) -> Choice:
        by = _pass(facts) if name == "passes" else 1
        while (now := getattr(one, name)) < most:
            # Passes stay a number with a point, and seeds one without, as they are kept.
            longer = replace(one, **{name: type(now)(min(most, round(now + by, 2)))})
            if not fits(longer) or _pretraining(longer, facts, speed) > share * room:
                break
            one = longer
        return one

    found = more(least, "passes", MOST_PASSES, PRETRAINING)
    found = more(more(found, "seeds", MOST_SEEDS), "passes", MOST_PASSES)
    return replace(found, seconds=seconds_of(found, facts, speed))


def _pass(facts: Facts) -> float:
    """A pass, or of much text as large a part of one as others have in all."""
    return max(0.01, min(1.0, PASS / max(1, facts.lines)))


def _pretraining(choice: Choice, facts: Facts, speed: Speed) -> float:
    """Seconds of pretraining."""
    if choice.groups < 2:
        return 0.0
    line = HEAD * speed.nets[choice.size].train * facts.line_tokens / facts.tokens
    return STAGE + choice.passes * facts.lines * line


def seconds_of(choice: Choice, facts: Facts, speed: Speed) -> float:
    """How long a choice takes, in seconds."""
    net, train, epochs = speed.nets[choice.size], facts.train, choice.epochs
    scored = facts.dev * net.label

    def tuned(copies: int, evaluations: int) -> float:
        return STAGE + (1 + copies) * train * epochs * net.train + epochs * evaluations * scored

    # Both read the lines with their copies once, one of them as the teacher.
    pruned = 2 * STAGE + 2 * train * (net.train + net.label)
    pruned += (2 + 2 * train / _BATCH / _SAVE_STEPS) * scored
    student = _STUDENT_EPOCHS * train * speed.student.train + _STUDENT_EVALUATIONS * facts.dev * speed.student.label
    of_group = (
        train / LINEAR,
        tuned(0, 1),
        2 * (STAGE + tuned(1, 1)),
        STAGE + tuned(1, _PARENT_EVALUATIONS) + pruned,
        4 * STAGE + _STUDENT_PARTS * train * net.label + 2 * student,
    )
    rounds = math.ceil(choice.seeds / speed.processes)
    once = _pretraining(choice, facts, speed) + (TURNS if choice.groups > 1 else 0.0)
    return once + rounds * (START + sum(of_group[: choice.groups]))


def profile_of(profile: Profile, choice: Choice) -> Profile:
    """The profile `auto` with what was chosen in place of its own settings."""
    size, length = SIZES[choice.size], {"max_seq_length": choice.length}
    pretraining, finetuning, pruning = size.rates
    copies = {"copies": 1, "unlabelled": 1.0} if choice.spare else {"copies": 2, "unlabelled": 0.0}
    changes: Mapping[str, Mapping[str, Any]] = {
        "pretrain": {
            "architecture": size.architecture,
            "passes": choice.passes,
            "learning_rate": pretraining,
            **length,
        },
        "augment": {"mix": {choice.way: 1.0}},
        "finetune": {"learning_rate": finetuning, "epochs": choice.epochs, **length},
        "prune": {"learning_rate": pruning, **length},
        "distill": {**copies, **length},
    }
    options = {**profile.options, **{name: {**profile.options[name], **made} for name, made in changes.items()}}
    return replace(profile, seeds=tuple(range(1, choice.seeds + 1)), options=options)


def told(choice: Choice, facts: Facts, speed: Speed, whole: bool = True) -> Iterator[str]:
    """What was chosen, in lines, and where the whole of it runs how long that will take."""
    names, there = [*GROUPS], f"{facts.train} training texts, most of up to {facts.length} tokens"
    if choice.groups < 2:
        yield f"auto: {there}: {minutes(choice.budget)} are too short for any net, and only the linear baseline runs"
    else:
        yield f"auto: {there}: {words(choice)}"
    if choice.groups > 1 and whole:
        yield f"auto: this takes about {minutes(choice.seconds)} on this machine, of {minutes(choice.budget)}"
    if choice.groups < len(names) and whole:
        out = ", ".join(names[choice.groups :])
        yield f"auto: left out for want of time: {out}; {_enough(facts, speed)} holds them"


def _enough(facts: Facts, speed: Speed) -> str:
    """The option with which every question is asked."""
    needed = math.ceil(budget_of_all(facts, speed) / 60)
    return f"--budget {needed}m" if needed < 120 else f"--budget {math.ceil(needed / 60)}h"


def words(choice: Choice) -> str:
    """What was chosen, in words."""
    rows = ", ".join(dict.fromkeys(row.partition("/")[2] for row in choice.rows))
    net = f"a net of {SIZES[choice.size].name}, {choice.passes:g} passes of pretraining, {choice.epochs} epochs"
    return f"{net}, {choice.length} tokens, {choice.seeds} seeds of {rows}"


def minutes(seconds: float) -> str:
    """A time in words."""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
