"""What the parts on augmentation share: names of the controls, differences to them, and copies in words."""

from __future__ import annotations

from collections.abc import Iterable

from replicate.findings.augmentation import Ablation, Contrast
from replicate.findings.recipes import TrainingSet
from replicate.report.blocks import Table
from replicate.report.sections.paired import Paired, difference_table
from replicate.report.words import (
    number,
)

PLAIN, DUPLICATES = "training on the lines as they are", "mere duplicates"


def made(training: TrainingSet) -> str:
    """The copies in words."""
    if not training.copies:
        return "none"
    how, mix = "duplicates", training.mix
    if mix:
        how = mix[0][0] if len(mix) == 1 else ", ".join(f"{name} {weight:g}" for name, weight in mix)
    return f"{training.copies} × {how}"


def gain(one: Contrast) -> str:
    """The mean difference; empty where it was not run."""
    return number(one.difference.found.difference, "+.4f") if one.difference else ""


def level(found: Ablation) -> str:
    """That of every interval."""
    return f"{100 * (1 - found.alpha):g} %"


def differences(contrasts: Iterable[Contrast]) -> Table:
    """Rows minus their controls."""
    return difference_table(Paired(one.arm.result, one.control.result, one.difference, one.judged) for one in contrasts)
