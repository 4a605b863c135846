"""How many labels are enough: every way to learn from few, by how many there are, and lines that are chosen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from replicate.findings.compared import AllCompared, ClaimResult, Compared
from replicate.findings.evidence import Evidence
from replicate.findings.judged import Judged
from replicate.findings.pairs import ACCURACY
from replicate.findings.rows import RowResult, verdict_on
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable, Row
from replicate.verdicts.equivalence import Interval

# What a row does with its lines, by its stages once they are drawn.
LINEAR = "linear"
METHODS: Mapping[tuple[str, ...], str] = {
    ("linear",): LINEAR,
    ("finetune",): "fine-tuned",
    ("prompt",): "cloze",
    ("prompt", "pseudo", "prompt"): "self-trained",
    ("head",): "frozen",
    ("contrast", "head"): "contrastive",
    ("prompt", "prompt"): "cloze, twice the steps",
}
# Drawn in one picture; the control is not one of them.
DRAWN = 6
_LINES = ("shots", "sample", "choose")
Beats = Literal["yes", "no", "undecided", "not-run"]


@dataclass(frozen=True)
class Learner:
    """A method with so many examples a class.

    Attributes:
        method: one of `METHODS`' names.
        per_class: examples of each class; None for all lines.
        result: its records.
        judged: what the seeds show of it beside the linear model with the same lines; None for that model itself.
    """

    method: str
    per_class: int | None
    result: RowResult
    judged: Judged | None

    @property
    def lines(self) -> float:
        """Lines with a label that it learns from, mean over the seeds; NaN where no record says."""
        found = []
        for record in self.result.records:
            counts = {one["stage"]: one.get("summary", {}).get("examples") for one in record.stages}
            own = counts.get("shots") or next((count for count in reversed(counts.values()) if count), None)
            found += [own] if own else []
        return fmean(found) if found else math.nan

    def beats_linear_by(self, margin: float) -> Beats:
        """Whether it lies above the linear model by more than a margin, as far as its interval tells."""
        if self.judged is None or self.judged.word == "not-run":
            return "not-run"
        low, high = self.judged.interval
        return "yes" if low > margin else "no" if high < margin else "undecided"


@dataclass(frozen=True)
class FewShot:
    """What one table says of few labels under one profile.

    Attributes:
        compared: its rows.
        profile: the profile.
        learners: every method at every size.
        chosen: rows on lines of which some were chosen, and those that they are compared with.
        level: of the intervals of means.
    """

    compared: Compared
    profile: Profile
    learners: tuple[Learner, ...]
    chosen: tuple[RowResult, ...]
    level: float

    @property
    def table(self) -> ResultsTable:
        """The table."""
        return self.compared.table

    @property
    def sizes(self) -> tuple[int | None, ...]:
        """Examples a class, rising, then all lines."""
        found = {one.per_class for one in self.learners}
        return (*sorted(one for one in found if one is not None), *([None] if None in found else []))

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that there are rows of, the linear model first."""
        found = {one.method for one in self.learners}
        return tuple(name for name in METHODS.values() if name in found)

    @property
    def claims_on_chosen(self) -> tuple[ClaimResult, ...]:
        """The claims about rows on chosen lines."""
        rows = {one.row.id for one in self.chosen}
        return tuple(one for one in self.compared.claims if one.claim.row in rows)

    def at(self, method: str, per_class: int | None) -> Learner | None:
        """A method at a size; None where no row is that."""
        return next((one for one in self.learners if (one.method, one.per_class) == (method, per_class)), None)

    def interval(self, learner: Learner) -> Interval:
        """Of the mean accuracy over other seeds."""
        return learner.result.interval(ACCURACY, 1 - self.level)


def compute_fewshot(evidence: Evidence, compared: AllCompared) -> tuple[FewShot, ...]:
    """Every table on few labels, under every profile that runs it on the table's data.

    Args:
        evidence: tables, profiles and records.
        compared: the rows of each table under each profile.
    """
    return tuple(
        _fewshot(compared[table.id, profile.id], profile)
        for table in evidence.tables
        if table.few_shot
        for profile in evidence.profiles
        if table.id in profile.tables and evidence.same_data(table, profile)
    )


def _fewshot(compared: Compared, profile: Profile) -> FewShot:
    table = compared.table
    rows = [row for row in table.rows if row.runs_under(profile.id)]
    sampled = {row.id for row in rows if any(step.stage == "sample" for step in table.chain(row.id))}
    placed = [(row, *where) for row in rows if row.id not in sampled and (where := _place(table, row))]
    linear = {per_class: row.id for row, method, per_class in placed if method == LINEAR}
    learners = []
    for row, method, per_class in placed:
        found = compared.difference(row.id, linear.get(per_class, ""))
        judged = None if method == LINEAR else verdict_on(found)
        learners.append(Learner(method, per_class, compared.results[row.id], judged))
    chosen = tuple(compared.results[row.id] for row in rows if row.id in sampled)
    return FewShot(compared, profile, tuple(learners), chosen, 1 - float(table.statistics.alpha.value))


def _place(table: ResultsTable, row: Row) -> tuple[str, int | None] | None:
    """A row's method and its examples a class; None for a row that is neither."""
    chain = table.chain(row.id)
    method = METHODS.get(tuple(step.stage for step in chain if step.stage not in _LINES))
    if method is None:
        return None
    return method, next((int(step.options["per_class"]) for step in chain if step.stage == "shots"), None)


@dataclass(frozen=True)
class Advice:
    """What to take with so many labels.

    Attributes:
        sizes: one after another, with the same advice.
        method: the method; the linear model where no net is shown to lie above it.
        sure: whether every net is shown not to lie above the linear model, or the method to lie above it.
        judged: of the method over the linear model at each size; empty for the latter.
    """

    sizes: tuple[int | None, ...]
    method: str
    sure: bool
    judged: tuple[Judged, ...] = ()


def advise(found: FewShot) -> tuple[Advice, ...]:
    """The advice at each size that has records, sizes with the same advice together."""
    advice: list[Advice] = []
    for size in found.sizes:
        one = _at_size(size, [one for one in found.learners if one.per_class == size and one.judged])
        if one is None:
            continue
        if advice and (advice[-1].method, advice[-1].sure) == (one.method, one.sure):
            before = advice.pop()
            one = Advice((*before.sizes, size), one.method, one.sure, (*before.judged, *one.judged))
        advice.append(one)
    return tuple(advice)


def _at_size(size: int | None, nets: Sequence[Learner]) -> Advice | None:
    run = [(one, one.judged) for one in nets if one.judged and one.judged.word != "not-run"]
    if not run:
        return None
    above = [(one, judged) for one, judged in run if judged.word == "above"]
    if above:
        best, judged = max(above, key=lambda pair: pair[1].difference)
        return Advice((size,), best.method, True, (judged,))
    return Advice((size,), LINEAR, all(judged.word in ("below", "no difference") for _, judged in run))
