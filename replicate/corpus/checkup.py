"""What a data set looks like to somebody who is about to train on it: sizes, lengths, balance, repetitions, leaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from replicate.corpus.formats import Dataset

# [CLS] and [SEP] of a net's input.
_FRAME = 2
# Share of characters lost, or unknown, from which a warning stands.
MUCH = 0.05


@dataclass(frozen=True)
class Checkup:
    """Counts and shares of a data set; shares are from 0 to 1.

    Attributes:
        parts: texts of each part.
        labels: number of labels.
        commonest: the label of most dev texts, with their share: what naming it always would score.
        rarest: the label of fewest training texts, with their number.
        lengths: characters without blanks of train and dev texts: median, 95 of 100 are at most so long, longest.
        limit: tokens that a net reads.
        cut: share of train and dev texts that are longer.
        lost: share of their characters that the net doesn't see.
        unknown: share of dev characters outside the vocabulary; None where none is known.
        repeated: training texts that stand there again.
        conflicts: texts that stand in train or dev with several labels.
        leaked: dev texts that stand in train too.
        absent: labels without a training text, and labels without a dev text.
    """

    parts: dict[str, int]
    labels: int
    commonest: tuple[str, float]
    rarest: tuple[str, int]
    lengths: tuple[int, int, int]
    limit: int
    cut: float
    lost: float
    unknown: float | None
    repeated: int
    conflicts: int
    leaked: int
    absent: tuple[tuple[str, ...], tuple[str, ...]]


def check_up(dataset: Dataset, limit: int, known: Collection[str] | None = None) -> Checkup:
    """Looks at a data set.

    Args:
        dataset: the data.
        limit: tokens of a text that a net reads, [CLS] and [SEP] included; a character counts as a token.
        known: the characters of the vocabulary; not looked at without it.
    """
    train, dev = dataset.train, dataset.dev
    lengths = sorted(sum(not sign.isspace() for sign in text) for text in (*train.texts, *dev.texts))
    room, total = limit - _FRAME, sum(lengths)
    of_train, of_dev = Counter(train.labels), Counter(dev.labels)
    common, rare = max(of_dev, key=lambda at: of_dev[at]), min(of_train, key=lambda at: of_train[at])
    labels_of: dict[str, set[int]] = {}
    for split in (train, dev):
        for text, label in zip(split.texts, split.labels, strict=True):
            labels_of.setdefault(text, set()).add(label)
    in_train = set(train.texts)
    signs = Counter(sign for text in dev.texts for sign in text.lower() if not sign.isspace())
    strange = None
    if known is not None:
        strange = sum(count for sign, count in signs.items() if sign not in known) / max(1, sum(signs.values()))
    names = dataset.labels
    return Checkup(
        parts={
            "train": len(train),
            "dev": len(dev),
            **({"test": len(dataset.test)} if dataset.test else {}),
            "unlabelled": len(dataset.unlabelled),
        },
        labels=len(names),
        commonest=(names[common], of_dev[common] / len(dev)),
        rarest=(names[rare], of_train[rare]),
        lengths=(lengths[len(lengths) // 2], lengths[int(0.95 * (len(lengths) - 1))], lengths[-1]),
        limit=limit,
        cut=sum(length > room for length in lengths) / len(lengths),
        lost=sum(max(0, length - room) for length in lengths) / max(1, total),
        unknown=strange,
        repeated=len(train) - len(in_train),
        conflicts=sum(len(found) > 1 for found in labels_of.values()),
        leaked=sum(text in in_train for text in dev.texts),
        absent=(
            tuple(name for at, name in enumerate(names) if not of_train[at]),
            tuple(name for at, name in enumerate(names) if not of_dev[at]),
        ),
    )


def told(found: Checkup) -> Iterator[str]:
    """The same in lines; what threatens a result begins with `warning`."""
    yield ", ".join(f"{count} {part}" for part, count in found.parts.items()) + f", {found.labels} labels"
    yield f"always naming {found.commonest[0]!r} scores {found.commonest[1]:.3f} on dev"
    yield f"fewest training texts: {found.rarest[1]}, of {found.rarest[0]!r}"
    middle, most, longest = found.lengths
    yield f"characters of a text: median {middle}, 95 % at most {most}, longest {longest}"
    mark = "warning: " if found.lost > MUCH else ""
    yield f"{mark}longer than {found.limit} tokens: {found.cut:.1%} of the texts; not read: {found.lost:.1%} of all"
    if found.unknown is not None:
        mark = "warning: " if found.unknown > MUCH else ""
        yield f"{mark}[UNK], outside the vocabulary: {found.unknown:.1%} of the dev characters"
    if found.leaked:
        yield f"warning: {found.leaked} dev texts stand in train too, so that their score says little"
    if found.conflicts:
        yield f"warning: {found.conflicts} texts stand there with several labels"
    if found.repeated:
        yield f"{found.repeated} training texts are repetitions"
    for names, part in zip(found.absent, ("train", "dev"), strict=True):
        if names:
            some = ", ".join(names[:5]) + " …" * (len(names) > 5)
            yield f"warning: no {part} text of {len(names)} label{'s' * (len(names) > 1)}: {some}"
