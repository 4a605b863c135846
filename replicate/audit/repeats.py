"""Lines that say the same, or almost the same, inside a part and across parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from replicate.audit.faults import Fault
from replicate.audit.near import neighbours

# A line: the index of its part, its index in it, its label.
Place = tuple[int, int, int]


def repeat_faults(
    names: Sequence[str], places: Sequence[Place], folded: Sequence[str], tell: Callable[[int], object]
) -> Iterator[Fault]:
    """What repeats or contradicts another line.

    Args:
        names: of the parts, train first.
        places: of every line, part after part.
        folded: the texts, beside the places.
        tell: as `near.neighbours` tells.
    """
    first: dict[str, int] = {}
    # Of a text that stands there again: its first line in each part.
    seen: dict[tuple[str, int], int] = {}
    labels: dict[str, set[int]] = {}
    for at, (text, (part, _, label)) in enumerate(zip(folded, places, strict=True)):
        if text not in first:
            first[text] = at
            continue
        labels.setdefault(text, {places[first[text]][2]}).add(label)
        before = seen.setdefault((text, part), at) if places[first[text]][0] != part else first[text]
        if before != at:
            yield _fault("repeat", names, places, at, before)
        if part and places[first[text]][0] == 0:
            yield _fault("leak", names, places, at, first[text])
    yield from _conflicts(names, places, folded, {text for text, found in labels.items() if len(found) > 1})
    del seen, labels
    unique = list(first.values())
    parts: NDArray[np.int8] = np.fromiter((places[at][0] for at in unique), dtype=np.int8, count=len(unique))
    found = neighbours([folded[at] for at in unique], parts, tell=tell)
    for (one, part), (other, alike) in found.items():
        own = int(parts[one])
        # Of two near lines the later one is told, as of two equal ones.
        if own == part and unique[other] < unique[one]:
            yield _fault("near-repeat", names, places, unique[one], unique[other], alike)
        elif own and not part:
            yield _fault("near-leak", names, places, unique[one], unique[other], alike)


def _conflicts(
    names: Sequence[str], places: Sequence[Place], folded: Sequence[str], texts: set[str]
) -> Iterator[Fault]:
    """Every line of a text that has several labels, each beside the first that has another."""
    firsts: dict[str, dict[int, int]] = {text: {} for text in texts}
    lines = [at for at, text in enumerate(folded) if text in firsts] if firsts else []
    for at in lines:
        firsts[folded[at]].setdefault(places[at][2], at)
    for at in lines:
        other = next(first for label, first in firsts[folded[at]].items() if label != places[at][2])
        yield _fault("conflict", names, places, at, other)


def _fault(
    kind: str, names: Sequence[str], places: Sequence[Place], at: int, beside: int, value: float | None = None
) -> Fault:
    (part, line, label), (there, other, label_there) = places[at], places[beside]
    return Fault(
        kind=kind,
        part=names[part],
        line=line + 1,
        label=label,
        suggested=label_there if label_there != label else None,
        value=value,
        other=(names[there], other + 1),
    )
