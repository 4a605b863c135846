"""Rows that differ in their training set: which of them is the control of which, and what their seeds show."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from replicate.findings.evidence import Material
from replicate.findings.rows import RowResult, compare, paired_seeds
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable, Row, Setting
from replicate.verdicts.equivalence import holm
from replicate.verdicts.pairs import RowComparison

METRIC = "accuracy"
Word = Literal["helps", "hurts", "no difference", "no gain", "not distinguishable", "not-run"]
# The stages that make a training set, in every order that a row here may have them.
_CHAINS = ((), ("sample",), ("duplicate",), ("augment",), ("sample", "duplicate"), ("sample", "augment"))


@dataclass(frozen=True)
class Training:
    """A training set: lines drawn by the seed (None: all there are), copies of each, and what made them.

    `mix` holds the weight of each strategy; copies without any are mere duplicates.
    """

    lines: int | None
    copies: int
    mix: tuple[tuple[str, float], ...]

    @property
    def made(self) -> str:
        """The copies in words."""
        if not self.copies:
            return "none"
        how = "duplicates"
        if self.mix:
            how = self.mix[0][0] if len(self.mix) == 1 else ", ".join(f"{name} {weight:g}" for name, weight in self.mix)
        return f"{self.copies} × {how}"


@dataclass(frozen=True)
class Arm:
    """A row with its training set and its seeds."""

    row: Row
    training: Training
    result: RowResult
    finetune: tuple[tuple[str, Any], ...]

    @property
    def values(self) -> tuple[float, ...]:
        """The accuracy of each seed that gave one."""
        return tuple(score[METRIC] for score in self.result.scores.values())

    def of_training(self, key: str) -> float:
        """Mean over seeds of what the last stage counted, `steps` or `examples`; NaN where no record says."""
        found = [record.stages[-1]["summary"].get(key, math.nan) for record in self.result.records if record.counts]
        return statistics.fmean(found) if found else math.nan


@dataclass(frozen=True)
class Contrast:
    """An arm minus its control: the paired difference in accuracy, its p corrected over its family, and its word."""

    arm: Arm
    control: Arm
    comparison: RowComparison | None
    p: float = math.nan
    word: Word = "not-run"
    reason: str = "there are no records of both rows over the same seeds"

    @property
    def differences(self) -> tuple[float, ...]:
        """One a pair of seeds that gave scores, in the order of the seeds: those of the comparison."""
        a, b = self.arm.result.scores, self.control.result.scores
        pairs = paired_seeds(self.arm.result, self.control.result)
        return tuple(a[seed][METRIC] - b[seed][METRIC] for seed in pairs if seed in a and seed in b)


@dataclass(frozen=True)
class Size:
    """One place of the learning curve; what is None has no row."""

    plain: Arm
    duplicates: Arm | None
    augmented: Arm | None

    @property
    def lines(self) -> float:
        """Training lines before copies; NaN for all of them where no record has counted them."""
        drawn = self.plain.training.lines
        return self.plain.of_training("examples") if drawn is None else drawn

    @property
    def name(self) -> str:
        """The number of lines in words."""
        return f"{self.lines:,.0f} lines" if math.isfinite(self.lines) else "all lines"


@dataclass(frozen=True)
class Ablation:
    """The rows of a table that are trained alike on different sets, under one profile.

    Each row is compared with the one on the same lines without copies, and with the one on as many mere duplicates.
    Four families of comparisons are corrected apart (Holm): either control, for all lines and for drawn ones. So each
    comparison has one p and one word, wherever it is shown.
    """

    table: ResultsTable
    profile: Profile
    alpha: float
    tolerance: Setting
    arms: tuple[Arm, ...]
    against_plain: tuple[Contrast, ...]
    against_duplicates: tuple[Contrast, ...]

    @cached_property
    def curve(self) -> tuple[Size, ...]:
        """The sizes of the training set, rising, with the way of augmenting that was tried on drawn lines."""
        drawn = [arm.training for arm in self.arms if arm.training.lines is not None and arm.training.mix]
        if not drawn:
            return ()
        one = drawn[0]
        plain = [arm for arm in self.arms if not arm.training.copies]
        # All lines are more than any number drawn from them.
        plain.sort(key=lambda arm: math.inf if arm.training.lines is None else arm.training.lines)
        return tuple(
            Size(
                arm,
                self._arm(replace(one, lines=arm.training.lines, mix=())),
                self._arm(replace(one, lines=arm.training.lines)),
            )
            for arm in plain
        )

    @property
    def ways(self) -> tuple[Contrast, ...]:
        """The ways of augmenting all lines, each beside no copies."""
        whole = (one for one in self.against_plain if one.arm.training.lines is None)
        return tuple(one for one in whole if one.arm.training.mix)

    def contrast(self, arm: Arm | None, control: Arm | None) -> Contrast | None:
        """The comparison of these two; None where one is missing, or where they are not compared."""
        return self.contrast_of(arm.row.id, control.row.id) if arm and control else None

    def contrast_of(self, row: str, control: str) -> Contrast | None:
        """The comparison of the rows of these ids; None where they are not compared."""
        both = (*self.against_plain, *self.against_duplicates)
        return next((one for one in both if (one.arm.row.id, one.control.row.id) == (row, control)), None)

    def _arm(self, training: Training) -> Arm | None:
        return next((arm for arm in self.arms if arm.training == training), None)


def training_of(table: ResultsTable, row: Row, profile: Profile) -> Training | None:
    """What a row is fine-tuned on; None for a row that is not only a training set and one fine-tuning."""
    *made, last = table.chain(row.id) or (None,)
    if last is None or last.stage != "finetune" or tuple(step.stage for step in made) not in _CHAINS:
        return None
    found = Training(None, 0, ())
    for step in made:
        options = {**profile.options.get(step.stage, {}), **step.options}
        if step.stage == "sample":
            found = replace(found, lines=int(options["examples"]))
        else:
            mix = tuple((name, float(weight)) for name, weight in sorted(options.get("mix", {}).items()))
            found = replace(found, copies=int(options["copies"]), mix=mix)
    return found


def ablation(material: Material, table: ResultsTable, profile: Profile) -> Ablation:
    """Compares the rows of a table that differ in their training set.

    Level and fewest seeds are the table's own; the tolerance is its own or, where it states none, the first table's.
    """
    alpha = float(table.statistics.alpha.value)
    minimum_seeds = int(table.statistics.minimum_seeds.value)
    tolerance = table.tolerances.get(METRIC) or material.tables[0].tolerances[METRIC]
    arms = tuple(
        Arm(row, training, material.result(row, profile), _finetune(table, row, profile))
        for row in table.rows
        if row.runs_under(profile.id) and (training := training_of(table, row, profile))
    )
    arm_of = {arm.training: arm for arm in reversed(arms)}

    def against(control_of: Callable[[Training], Training]) -> tuple[Contrast, ...]:
        pairs = [
            (arm, arm_of.get(control_of(arm.training))) for arm in arms if control_of(arm.training) != arm.training
        ]
        contrasts = [
            Contrast(arm, control, compare(arm.result, control.result, METRIC, tolerance.value, alpha))
            for arm, control in pairs
            if control is not None
        ]
        families = ([one for one in contrasts if (one.arm.training.lines is None) == whole] for whole in (True, False))
        return tuple(one for family in families for one in judge(family, tolerance, alpha, minimum_seeds))

    return Ablation(
        table=table,
        profile=profile,
        alpha=alpha,
        tolerance=tolerance,
        arms=arms,
        against_plain=against(lambda training: Training(training.lines, 0, ())),
        against_duplicates=against(lambda training: Training(training.lines, training.copies, ())),
    )


def judge(family: Sequence[Contrast], tolerance: Setting, alpha: float, minimum_seeds: int) -> list[Contrast]:
    """The same contrasts with their p, corrected over them all (Holm), and their words.

    `helps` and `hurts` need that p (two-sided paired t-test) to be at most alpha: one of many rows is soon lucky. Else
    `no difference` needs the difference shown to lie within the tolerance (two one-sided tests), or `no gain` at least
    that it lies below it (one of them). These two are not corrected, as `replicated` is not over a table's rows: each
    is wrong with probability alpha at most.
    """
    corrected = holm([math.nan if one.comparison is None else one.comparison.p for one in family])
    return [_judge(one, float(p), tolerance, alpha, minimum_seeds) for one, p in zip(family, corrected, strict=True)]


def _judge(one: Contrast, p: float, tolerance: Setting, alpha: float, minimum_seeds: int) -> Contrast:
    found = one.comparison
    if found is None:
        return one
    word: Word = "not distinguishable"
    within = found.p_equivalence <= alpha
    if found.n < minimum_seeds:
        reason = f"{found.n} of the {minimum_seeds} seeds that a verdict takes"
    elif math.isnan(p):
        reason = "a seed gave no number"
    elif p <= alpha:
        word = "helps" if found.difference > 0 else "hurts"
        reason = f"shown to differ (p = {p:.2g})" + (f", by less than {tolerance.value}" if within else "")
    elif within:
        word = "no difference"
        reason = f"shown to be within ± {tolerance.value} (p = {found.p_equivalence:.2g})"
    elif found.p_no_gain <= alpha:
        word = "no gain"
        reason = f"a gain of {tolerance.value} or more is ruled out (p = {found.p_no_gain:.2g})"
    else:
        reason = (
            f"shown neither to differ (p = {p:.2g}) nor to gain less than {tolerance.value} (p = {found.p_no_gain:.2g})"
        )
    return replace(one, p=p, word=word, reason=reason)


def _finetune(table: ResultsTable, row: Row, profile: Profile) -> tuple[tuple[str, Any], ...]:
    options = {**profile.options.get("finetune", {}), **table.chain(row.id)[-1].options}
    return tuple(sorted(options.items()))
