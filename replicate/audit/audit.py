"""Everything that may be wrong with a data set, line by line and class by class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replicate.audit.classes import ClassFacts, class_facts, shift
from replicate.audit.confident import Doubts, doubts
from replicate.audit.contested import Contested
from replicate.audit.faults import KINDS, Fault
from replicate.audit.folding import fold
from replicate.audit.linear import FOLDS, learn, out_of_fold
from replicate.audit.repeats import Place, repeat_faults
from replicate.corpus.checkup import MUCH, Checkup, check_up
from replicate.corpus.formats import Dataset, Split

# Rounds of work that are told: the folds, one model for dev and test, 24 rounds of near texts, and the rest.
ROUNDS = FOLDS + 26
# [CLS] and [SEP].
_FRAME = 2
# From the texts of a part to their probabilities.
Judge = Callable[[tuple[str, ...]], NDArray[np.floating]]  # type: ignore[type-arg]


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        name: of the data set.
        labels: names of the classes.
        checkup: sizes, lengths and shares of the whole.
        classes: each class.
        faults: of single lines, kind by kind; the likeliest mistakes of a kind first.
        judge: what doubted the labels of dev: `linear`, or the name of a model.
        records: how many records contest dev lines; 0 where they were not asked.
    """

    name: str
    labels: tuple[str, ...]
    checkup: Checkup
    classes: tuple[ClassFacts, ...]
    faults: tuple[Fault, ...]
    judge: str = "linear"
    records: int = 0

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """How many lines of each part have a fault of each kind; a line counts once for a kind."""
        lines = {(one.kind, one.part, one.line) for one in self.faults}
        found = Counter((kind, part) for kind, part, _ in lines)
        parts = [part for part in self.checkup.parts if part != "unlabelled"]
        return {kind: {part: found[kind, part] for part in parts} for kind in KINDS}

    @property
    def shift(self) -> float:
        """Half the sum of the differences of all classes' shares in train and dev."""
        return shift(self.classes)

    def warnings(self) -> Iterator[str]:
        """What threatens a result, each in a few words."""
        counts, parts = self.counts(), self.checkup.parts
        for kind in ("conflict", "leak", "near-leak"):
            if total := sum(counts[kind].values()):
                yield f"{total} × {kind}: {KINDS[kind]}"
        for kind in ("label", "contested", "long", "unknown"):
            for part, total in counts[kind].items():
                if total > MUCH * parts[part]:
                    yield f"{total / parts[part]:.1%} of {part}, {kind}: {KINDS[kind]}"
        if thin := [one.label for one in self.classes if one.thin]:
            yield f"{len(thin)} classes with few texts in train or dev: {_some(thin)}"
        if moved := [one.label for one in self.classes if one.shifted]:
            yield f"{len(moved)} classes whose share shifts from train to dev: {_some(moved)}"


def audit(
    dataset: Dataset,
    limit: int,
    known: Collection[str] | None = None,
    judge: Judge | None = None,
    found: Contested | None = None,
    tell: Callable[[int], object] = lambda done: None,
) -> Audit:
    """Looks at every line of a data set.

    Args:
        dataset: the data; nothing of it is changed.
        limit: tokens of a text that a net reads, [CLS] and [SEP] included; a character counts as a token.
        known: the characters of the vocabulary; not looked at without it.
        judge: probabilities of dev and test texts by a model that was trained on the training texts; by default a
            linear one. Training texts are always judged by the linear one, which is trained on others of them.
        found: dev lines that records contest.
        tell: told how many of `ROUNDS` are done.
    """
    splits = dataset.labelled
    names = tuple(splits)
    folded = [fold(text) for split in splits.values() for text in split.texts]
    places: list[Place] = [
        (at, line, label) for at, split in enumerate(splits.values()) for line, label in enumerate(split.labels)
    ]
    tell(1)
    faults: list[Fault] = []
    if found is not None:
        faults += _contested(found, dataset.dev)
    faults += repeat_faults(names, places, folded, lambda done: tell(1 + done))
    index: dict[str, int] = {}
    groups = np.fromiter(
        (index.setdefault(text, len(index)) for text in folded[: len(dataset.train)]),
        dtype=np.int64,
        count=len(dataset.train),
    )
    del folded, places, index
    doubted = np.zeros(len(dataset.labels), dtype=np.int64)
    for name, one in _doubted(dataset, splits, groups, judge, lambda done: tell(25 + done)):
        faults += _labels(name, splits[name], one)
        if name != "test":
            labels = np.asarray(splits[name].labels)
            doubted += np.bincount(labels[one.doubted], minlength=len(dataset.labels))
    for name, split in splits.items():
        faults += _unread(name, split, limit, known)
    order = {kind: at for at, kind in enumerate(KINDS)}
    faults.sort(key=lambda fault: order[fault.kind])
    tell(ROUNDS)
    return Audit(
        name=dataset.name,
        labels=dataset.labels,
        checkup=check_up(dataset, limit, known),
        classes=class_facts(dataset.labels, np.asarray(dataset.train.labels), np.asarray(dataset.dev.labels), doubted),
        faults=tuple(faults),
        records=found.records if found else 0,
    )


def _doubted(
    dataset: Dataset,
    splits: Mapping[str, Split],
    groups: NDArray[np.int64],
    judge: Judge | None,
    tell: Callable[[int], object],
) -> Iterator[tuple[str, Doubts]]:
    train, classes = dataset.train, len(dataset.labels)
    labels = np.asarray(train.labels, dtype=np.int64)
    yield "train", doubts(out_of_fold(train.texts, labels, classes, groups, tell), labels)
    judge = judge or learn(train.texts, labels, classes)
    for name in splits:
        if name != "train":
            split = splits[name]
            yield name, doubts(judge(split.texts), np.asarray(split.labels, dtype=np.int64))


def _labels(name: str, split: Split, found: Doubts) -> Iterator[Fault]:
    for at in found.order().tolist():
        yield Fault("label", name, at + 1, split.labels[at], int(found.suggested[at]), round(float(found.given[at]), 4))


def _contested(found: Contested, dev: Split) -> Iterator[Fault]:
    for at in np.flatnonzero(found.mask).tolist():
        yield Fault(
            "contested", "dev", at + 1, dev.labels[at], int(found.called[at]), round(float(found.agreed[at]), 4)
        )


def _unread(name: str, split: Split, limit: int, known: Collection[str] | None) -> Iterator[Fault]:
    """Lines of which the net doesn't see everything."""
    room = limit - _FRAME
    for at, text in enumerate(split.texts):
        length = sum(not sign.isspace() for sign in text)
        if length > room:
            yield Fault("long", name, at + 1, split.labels[at], value=float(length - room))
        if known is not None:
            strange = sum(sign not in known for sign in text.lower() if not sign.isspace())
            if strange:
                yield Fault("unknown", name, at + 1, split.labels[at], value=round(strange / length, 4))


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + " …" * (len(names) > 5)
