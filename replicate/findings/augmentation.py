"""Rows that differ in their training set: which of them is the control of which, and what their seeds show."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from replicate.common.errors import UserError
from replicate.findings.compared import AllCompared, Compared
from replicate.findings.evidence import Evidence
from replicate.findings.judged import Judged
from replicate.findings.recipes import TrainingSet, controls_of, training_of
from replicate.findings.rows import Difference, verdict_on
from replicate.findings.training_sets import METRIC, Arm, arm_from
from replicate.tables.profile import Profile
from replicate.tables.table import Conclusion, ResultsTable, Setting
from replicate.verdicts.effects import (
    NO_HELP,
    ClaimStatus,
    Effect,
    Pattern,
    judge_clause,
    where_it_stops,
)

Answer = Literal["not-run", "some help", "none helps", "open"]
# A setting of fine-tuning, with its value in a row and in the row's control; None where one leaves it unset.
Choice = tuple[str, Any, Any]


@dataclass(frozen=True)
class Contrast:
    """An arm minus its control.

    Attributes:
        arm: the row.
        control: the row that it is compared with.
        difference: in accuracy, over the seeds that both have; None without any.
        choices: in which settings of fine-tuning the two differ besides.
    """

    arm: Arm
    control: Arm
    difference: Difference | None
    choices: tuple[Choice, ...] = ()

    @property
    def judged(self) -> Judged:
        """The verdict on the difference."""
        return verdict_on(self.difference)

    @property
    def word(self) -> Effect:
        """What its interval allows."""
        return self.judged.word or "undecided"


@dataclass(frozen=True)
class Clause:
    """A clause of the source's conclusion, the comparisons that it rests on, and what they come to."""

    text: str
    against: str
    contrasts: tuple[Contrast, ...]
    verdict: ClaimStatus


@dataclass(frozen=True)
class Size:
    """One place of the learning curve; what is None has no row.

    Attributes:
        lines: training lines before copies; NaN for all of them where no record has counted them.
        plain: the lines as they are.
        duplicates: with as many mere duplicates as the augmented row has copies.
        augmented: with copies made by strategies.
        contrasts: augmented minus plain, augmented minus duplicates, duplicates minus plain, as far as they are there.
    """

    lines: float
    plain: Arm
    duplicates: Arm | None
    augmented: Arm | None
    contrasts: tuple[Contrast, ...]


@dataclass(frozen=True)
class Stop:
    """From which size on augmentation stops helping over one control.

    Attributes:
        pattern: how the words follow each other.
        helped: at how many sizes it helps, from the first on.
        compared: each size where both rows are there, rising, with its comparison.
    """

    pattern: Pattern
    helped: int
    compared: tuple[tuple[Size, Contrast], ...]


@dataclass(frozen=True)
class Ablation:
    """The rows of a table that are trained alike on different sets, under one profile.

    Each row is compared with the one on the same lines without copies, and with the one on as many mere duplicates. All
    of these comparisons are one family (`judge_study`).

    Attributes:
        table: with the rows.
        profile: under which they ran.
        alpha: level of the tests; intervals have 1 - alpha.
        tolerance: a smaller gain is none.
        arms: every row.
        against_plain: each row with copies minus the same lines without.
        against_duplicates: each row with strategies minus as many mere duplicates.
        ways: the ways of augmenting all lines, each minus no copies.
        answer: what those come to.
        most: the largest gain that an interval of `ways` allows; NaN without any.
        most_over_duplicates: the same over mere duplicates, of rows on all lines.
        clauses: of the source's conclusion.
        curve: the sizes of the training set, rising, with the way of augmenting that was tried on drawn lines.
        over_plain: where augmentation stops helping over the lines as they are.
        over_duplicates: where it stops helping over mere duplicates.
    """

    table: ResultsTable
    profile: Profile
    alpha: float
    tolerance: Setting
    arms: tuple[Arm, ...]
    against_plain: tuple[Contrast, ...]
    against_duplicates: tuple[Contrast, ...]
    ways: tuple[Contrast, ...]
    answer: Answer
    most: float
    most_over_duplicates: float
    clauses: tuple[Clause, ...]
    curve: tuple[Size, ...]
    over_plain: Stop
    over_duplicates: Stop


@dataclass(frozen=True)
class AugmentationFinding:
    """Every table that nobody published whose rows differ in their training set, under every profile that runs it."""

    ablations: tuple[Ablation, ...]


def compute_augmentation(evidence: Evidence, compared: AllCompared) -> AugmentationFinding:
    """Whether augmentation helps.

    Args:
        evidence: tables, profiles and records.
        compared: the rows of each table under each profile.

    Raises:
        UserError: a clause of a conclusion compares rows that are not compared here.
    """
    return AugmentationFinding(
        tuple(
            found
            for table in evidence.tables
            if not table.is_published
            for profile in evidence.profiles
            if table.id in profile.tables and evidence.same_data(table, profile)
            if (found := ablation(evidence, compared[table.id, profile.id], profile))
        )
    )


def ablation(evidence: Evidence, compared: Compared, profile: Profile) -> Ablation | None:
    """Compares the rows of a table that differ in their training set; None where no row has copies and a control.

    The level is the table's own; the tolerance is its own or, where it states none, the main table's.

    Raises:
        UserError: no table states a tolerance, or a clause compares rows that are not compared here.
    """
    table = compared.table
    alpha = float(table.statistics.alpha.value)
    margins = table.sequential.margins if table.sequential else {}
    tolerance = margins.get(METRIC) or evidence.tolerance(table, METRIC)
    arms = tuple(
        arm_from(table, profile, training, compared.results[row.id])
        for row in table.rows
        if row.runs_under(profile.id) and (training := training_of(table, row, profile))
    )
    arm_of = {arm.training: arm for arm in reversed(arms)}
    if not any(arm.training.copies and TrainingSet(arm.training.lines, 0, ()) in arm_of for arm in arms):
        return None
    if tolerance is None:
        what = f"table {table.id}: states no tolerance of {METRIC}, and the main table doesn't either"
        raise UserError(what, hint="say in `[tolerances]` which difference is none to speak of")

    def against(control_of: Callable[[TrainingSet], TrainingSet]) -> tuple[Contrast, ...]:
        pairs = [
            (arm, arm_of.get(control_of(arm.training))) for arm in arms if control_of(arm.training) != arm.training
        ]
        contrasts = [
            Contrast(
                arm,
                control,
                compared.difference(arm.row.id, control.row.id, METRIC),
                choices=_choices(arm, control),
            )
            for arm, control in pairs
            if control is not None
        ]
        return tuple(sorted(contrasts, key=lambda one: not one.arm.is_whole))

    against_plain = against(lambda training: controls_of(training)[0])
    against_duplicates = against(lambda training: controls_of(training)[1])
    both = (*against_plain, *against_duplicates)
    ways = tuple(one for one in against_plain if one.arm.is_whole and one.arm.training.mix)
    curve = _curve(arms, both)
    return Ablation(
        table=table,
        profile=profile,
        alpha=alpha,
        tolerance=tolerance,
        arms=arms,
        against_plain=against_plain,
        against_duplicates=against_duplicates,
        ways=ways,
        answer=_answer({one.word for one in ways}),
        most=_most(ways),
        most_over_duplicates=_most(one for one in against_duplicates if one.arm.is_whole),
        clauses=tuple(_clause(table, conclusion, both) for conclusion in table.conclusions),
        curve=curve,
        over_plain=_stop((size, _between(both, size.augmented, size.plain)) for size in curve),
        over_duplicates=_stop((size, _between(both, size.augmented, size.duplicates)) for size in curve),
    )


def _choices(arm: Arm, control: Arm) -> tuple[Choice, ...]:
    mine, other = arm.finetune, control.finetune
    keys = sorted({*mine, *other})
    return tuple((key, mine.get(key), other.get(key)) for key in keys if mine.get(key) != other.get(key))


def _answer(words: set[Effect]) -> Answer:
    """What the words of all ways of augmenting come to."""
    if words <= {"not-run"}:
        return "not-run"
    if "above" in words:
        return "some help"
    return "none helps" if words <= NO_HELP else "open"


def _most(contrasts: Iterable[Contrast]) -> float:
    """The largest gain that an interval of these still allows; NaN where there is none."""
    tops = [one.judged.interval[1] for one in contrasts]
    return max(filter(math.isfinite, tops), default=math.nan)


def _clause(table: ResultsTable, conclusion: Conclusion, contrasts: Sequence[Contrast]) -> Clause:
    found = []
    for row in conclusion.rows:
        one = _between(contrasts, row, conclusion.against)
        if one is None:
            what = f"table {table.id}: a conclusion compares {row!r} with {conclusion.against!r}"
            raise UserError(what, hint="a row's controls are those on the same lines without copies or with duplicates")
        found.append(one)
    verdict = judge_clause([one.word for one in found], conclusion.expects)
    return Clause(conclusion.text, conclusion.against, tuple(found), verdict)


def _curve(arms: Sequence[Arm], contrasts: Sequence[Contrast]) -> tuple[Size, ...]:
    """The sizes with the first way of augmenting that was tried on drawn lines; none where there is no such way."""
    drawn = [arm.training for arm in arms if not arm.is_whole and arm.training.mix]
    if not drawn:
        return ()
    arm_of = {arm.training: arm for arm in reversed(arms)}
    plain = [arm for arm in arms if not arm.training.copies]
    # All lines are more than any number drawn from them.
    plain.sort(key=lambda arm: math.inf if arm.training.lines is None else arm.training.lines)
    sizes = []
    for arm in plain:
        augmented = replace(drawn[0], lines=arm.training.lines)
        mixed, duplicates = arm_of.get(augmented), arm_of.get(replace(augmented, mix=()))
        pairs = ((mixed, arm), (mixed, duplicates), (duplicates, arm))
        found = tuple(one for pair in pairs if (one := _between(contrasts, *pair)))
        lines = arm.examples if arm.training.lines is None else arm.training.lines
        sizes.append(Size(lines, arm, duplicates, mixed, found))
    return tuple(sizes)


def _stop(pairs: Iterable[tuple[Size, Contrast | None]]) -> Stop:
    compared = tuple((size, one) for size, one in pairs if one)
    return Stop(*where_it_stops([one.word for _, one in compared]), compared)


def _between(contrasts: Iterable[Contrast], row: Arm | str | None, control: Arm | str | None) -> Contrast | None:
    """The comparison of these two; None where one is missing, or where they are not compared."""
    wanted = tuple(one.row.id if isinstance(one, Arm) else one for one in (row, control))
    return next((one for one in contrasts if (one.arm.row.id, one.control.row.id) == wanted), None)
