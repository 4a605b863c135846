"""One thing that may be wrong with one line, and the kinds that there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

# Each kind, in the order in which a reader wants them, with what it says of a line.
KINDS: Mapping[str, str] = MappingProxyType(
    {
        "contested": "nearly all records give it one other label",
        "conflict": "the same text has another label elsewhere",
        "label": "a model that has not seen it is confident of another label",
        "leak": "the same text stands in train",
        "near-leak": "almost the same text stands in train",
        "repeat": "the same text stands before it in its part",
        "near-repeat": "almost the same text stands in its part",
        "long": "longer than the net reads",
        "unknown": "characters that the vocabulary lacks",
    }
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What may be wrong with one line.

    Attributes:
        kind: one of `KINDS`.
        part: `train`, `dev` or `test`.
        line: of the part, counted from 1; in the local format the line of its file.
        label: index of the given label.
        suggested: index of the label that speaks against it; None where nothing does.
        value: for `label` the probability of the given label, for `contested` the share of the records that agree, for
            the near ones the similarity, for `long` the characters that are not read, for `unknown` the share of its
            characters; None for the others.
        other: part and line of the text that it is like; None where there is none.
    """

    kind: str
    part: str
    line: int
    label: int
    suggested: int | None = None
    value: float | None = None
    other: tuple[str, int] | None = None
