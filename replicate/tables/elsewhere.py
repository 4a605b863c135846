"""Figures that others have published of like experiments: shown beside a table's rows, and compared with nothing."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from replicate.common.toml import TomlTable
from replicate.corpus.formats import MOST_LABELS
from replicate.scores.flattened import Decisions, decisions_of

_PERCENT = Decimal(100)


@dataclass(frozen=True)
class Elsewhere:
    """One figure as it is printed, of a task, a net and a method, where it is from, and what it is."""

    task: str
    net: str
    method: str
    printed: str
    source: str
    note: str


@dataclass(frozen=True)
class Flattened:
    """Micro-F1 and macro-F1 in percent, as printed, over the yes/no decisions on each of so many classes."""

    task: str
    net: str
    classes: int
    micro: str
    macro: str
    source: str

    @property
    def decisions(self) -> Decisions:
        """What the net must have said yes to.

        Raises:
            ValueError: no net has both scores.
        """
        micro, macro = (float(Decimal(one) / _PERCENT) for one in (self.micro, self.macro))
        found = decisions_of(micro, macro, self.classes)
        if found is None:
            raise ValueError(f"no net has a micro-F1 of {self.micro} and a macro-F1 of {self.macro}")
        return found


def read_elsewhere(section: TomlTable) -> Elsewhere:
    """One entry of `[[elsewhere]]`.

    Raises:
        UserError: naming the file and the key.
    """
    section.only(*Elsewhere.__dataclass_fields__)
    section.decimal("printed")
    return Elsewhere(**{key: section.text(key) for key in Elsewhere.__dataclass_fields__})


def read_flattened(section: TomlTable) -> Flattened:
    """One entry of `[[flattened]]`.

    Raises:
        UserError: naming the file and the key; also where no decisions give both scores.
    """
    section.only(*Flattened.__dataclass_fields__)
    for key in ("micro", "macro"):
        if not 0 <= section.decimal(key) <= _PERCENT:
            raise section.fault(key, "not a percentage")
    if not 2 <= section.whole("classes") <= MOST_LABELS:
        raise section.fault("classes", f"not 2 to {MOST_LABELS} labels")
    texts = {key: section.text(key) for key in Flattened.__dataclass_fields__ if key != "classes"}
    found = Flattened(**texts, classes=section.whole("classes"))
    try:
        _ = found.decisions
    except ValueError as error:
        raise section.fault("macro", str(error)) from None
    return found
