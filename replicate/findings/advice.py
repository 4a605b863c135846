"""What the other findings say to do: whether to augment, prune, distil or compute less precisely."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TypeVar

from replicate.findings.augmentation import Ablation, AugmentationFinding
from replicate.findings.compared import ClaimResult
from replicate.findings.compressed import KINDS
from replicate.findings.compression import CompressionFinding, KindAnswer
from replicate.findings.inference import InferenceFinding
from replicate.findings.raced import PrunedNets

Found = TypeVar("Found")


@dataclass(frozen=True)
class Precision:
    """What other precisions buy beside pruning, in the largest batches of a record."""

    record: str
    nets: PrunedNets


@dataclass(frozen=True)
class Advice:
    """An answer for each profile where one was run, else one that says so; nothing where no rows ask the question.

    Attributes:
        augment: under each profile the study that tries most ways.
        smaller: by kind of smaller net, the answers with the ids of their profiles.
        precision: of each timing record that timed a pruned and a less precise net.
    """

    augment: tuple[Ablation, ...]
    smaller: tuple[tuple[str, tuple[tuple[str, KindAnswer], ...]], ...]
    precision: tuple[Precision, ...]

    @property
    def shown(self) -> tuple[ClaimResult, ...]:
        """Claims about smaller nets, over no control, that the seeds support."""
        return tuple(one for _, answers in self.smaller for _, answer in answers for one in answer.shown)


def advise(
    profiles: Collection[str],
    augmentation: AugmentationFinding,
    compression: CompressionFinding,
    inference: InferenceFinding | None,
) -> Advice:
    """The advice that findings under these profiles give."""
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
    return Advice(
        augment=_run(most.values(), lambda one: one.answer != "not-run"),
        smaller=tuple(
            (kind, _run(found, lambda one: one[1].lead != "not-run")) for kind, found in answers.items() if found
        ),
        precision=tuple(
            Precision(one.record.name, one.largest[0])
            for one in (inference.records if inference else ())
            if one.largest and one.largest[0].less_precise
        ),
    )


def _run(found: Iterable[Found], is_run: Callable[[Found], bool]) -> tuple[Found, ...]:
    """Those that were run; the first of all where none was."""
    every = tuple(found)
    return tuple(filter(is_run, every)) or every[:1]
