"""What a row's recipe says of its training set: its lines, their copies, and the controls that follow from both."""

from __future__ import annotations

from dataclasses import dataclass, replace

from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable, Row

# The stages that make a training set, in every order that a row here may have them.
_CHAINS = ((), ("sample",), ("duplicate",), ("augment",), ("sample", "duplicate"), ("sample", "augment"))


@dataclass(frozen=True)
class TrainingSet:
    """Lines drawn by the seed (None: all there are), copies of each, and what made them.

    `mix` holds the weight of each strategy; copies without any are mere duplicates.
    """

    lines: int | None
    copies: int
    mix: tuple[tuple[str, float], ...]


def training_of(table: ResultsTable, row: Row, profile: Profile) -> TrainingSet | None:
    """What a row is fine-tuned on; None for a row that is not only a training set and one fine-tuning."""
    *made, last = table.chain(row.id) or (None,)
    if last is None or last.stage != "finetune" or tuple(step.stage for step in made) not in _CHAINS:
        return None
    found = TrainingSet(None, 0, ())
    for step in made:
        options = {**profile.options.get(step.stage, {}), **step.options}
        if step.stage == "sample":
            found = replace(found, lines=int(options["examples"]))
        else:
            mix = tuple((name, float(weight)) for name, weight in sorted(options.get("mix", {}).items()))
            found = replace(found, copies=int(options["copies"]), mix=mix)
    return found


def controls_of(training: TrainingSet) -> tuple[TrainingSet, TrainingSet]:
    """The same lines without copies, and with as many mere duplicates; a control is one of its own."""
    return TrainingSet(training.lines, 0, ()), TrainingSet(training.lines, training.copies, ())
