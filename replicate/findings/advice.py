"""What the other findings say to do: whether to augment, prune, distil, fuse or compute less precisely."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from replicate.findings.augmentation import Ablation, AugmentationFinding
from replicate.findings.compression import CompressionFinding, KindAnswer
from replicate.findings.fusion import FusedTable, FusionFinding
from replicate.findings.inference import InferenceFinding, Padding
from replicate.findings.judged import Judged
from replicate.findings.pairs import KINDS
from replicate.findings.raced import PrunedNets
from replicate.records.timing import BATCHINGS, DatasetRace
from replicate.timing.race import speed_up
from replicate.verdicts.equivalence import RatioInterval

# A word on the front page rests on a plan, or on so many pairs.
ENOUGH = 10

Found = TypeVar("Found")


@dataclass(frozen=True)
class Lower:
    """A whole net in a lower precision beside itself in fp32, both in the runtime that is its fastest.

    Attributes:
        runtime: of the lower precision.
        precision: it.
        ratio: how many times as fast, on a data set by length.
        accuracy: on that data set.
    """

    runtime: str
    precision: str
    ratio: RatioInterval
    accuracy: float


@dataclass(frozen=True)
class Answered:
    """Lower precisions of one trained net on a data set, speed and accuracy side by side.

    Attributes:
        record: that timed them.
        race: the data set.
        model: the net.
        accuracy: of it in fp32.
        ways: the lower precisions.
    """

    record: str
    race: DatasetRace
    model: str
    accuracy: float
    ways: tuple[Lower, ...]


@dataclass(frozen=True)
class Precision:
    """What other precisions buy beside pruning, in the largest batches of a record; it tells nothing of accuracy."""

    record: str
    nets: PrunedNets


@dataclass(frozen=True)
class Advice:
    """An answer for each profile where one was run, else one that says so; nothing where no rows ask the question.

    Attributes:
        augment: under each profile the study that tries most ways.
        smaller: by kind of smaller net, the answers with the ids of their profiles.
        fused: fused rows beside one net, under each profile.
        lower: of each timing record that has both speed and accuracy of a lower precision.
        precision: of each timing record that timed a pruned and a less precise net.
    """

    augment: tuple[Ablation, ...]
    smaller: tuple[tuple[str, tuple[tuple[str, KindAnswer], ...]], ...]
    fused: tuple[FusedTable, ...]
    lower: tuple[Answered, ...]
    precision: tuple[Precision, ...]


def advise(
    profiles: Collection[str],
    augmentation: AugmentationFinding,
    compression: CompressionFinding,
    fusion: FusionFinding | None,
    inference: InferenceFinding | None,
) -> Advice:
    """The advice that findings under these profiles give; None stands for what was not looked at."""
    most: dict[str, Ablation] = {}
    for one in augmentation.ablations:
        if one.profile.id in profiles and one.ways:
            before = most.get(one.profile.id)
            if before is None or len(one.ways) > len(before.ways):
                most[one.profile.id] = one
    answers = {
        kind: [
            (one.profile.id, answer)
            for one in compression.profiles
            if one.profile.id in profiles
            for answer in one.kinds
            if answer.kind == kind
        ]
        for kind in KINDS.values()
    }
    records = inference.records if inference else ()
    return Advice(
        augment=_run(most.values(), lambda one: one.answer != "not-run"),
        smaller=tuple(
            (kind, _run(found, lambda one: one[1].lead != "not-run")) for kind, found in answers.items() if found
        ),
        fused=_run(
            (one for one in (fusion.tables if fusion else ()) if one.profile.id in profiles), lambda one: one.is_run
        ),
        lower=tuple(
            answered
            for one in records
            for race, nets in one.datasets
            if (answered := _answered(one.record.name, race, nets))
        ),
        precision=tuple(
            Precision(one.record.name, one.largest[0]) for one in records if one.largest and one.largest[0].less_precise
        ),
    )


def is_enough(judged: Judged) -> bool:
    """Whether a word may stand on the front page: it was planned, or rests on ten pairs."""
    return judged.has_interval and (judged.rule == "plan" or judged.pairs >= ENOUGH)


def _answered(record: str, race: DatasetRace, nets: Sequence[Padding]) -> Answered | None:
    """The whole net's precisions, each in the runtime in which it is the fastest; None for random weights."""
    whole = [one for one in nets if one.contestant.width == "1" and one.accuracy is not None]
    by_length = BATCHINGS[-1]
    fastest: dict[str, Padding] = {}
    for one in sorted(whole, key=lambda one: one.seconds[by_length]):
        if one.contestant.model == whole[0].contestant.model:
            fastest.setdefault(one.contestant.precision, one)
    full = fastest.pop("fp32", None)
    if full is None or not fastest or full.accuracy is None:
        return None
    seconds = {one.contestant.label: race.seconds[one.contestant.label][by_length] for one in whole}
    ways = tuple(
        Lower(
            one.contestant.runtime,
            precision,
            speed_up(seconds, one.contestant.label, full.contestant.label),
            one.accuracy,
        )
        for precision, one in fastest.items()
        if one.accuracy is not None
    )
    return Answered(record, race, full.contestant.model, full.accuracy, ways)


def _run(found: Iterable[Found], is_run: Callable[[Found], bool]) -> tuple[Found, ...]:
    """Those that were run; the first of all where none was."""
    every = tuple(found)
    return tuple(filter(is_run, every)) or every[:1]
