"""What fusion buys: every ensemble, soup and student of an ensemble beside one net, and what votes tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from replicate.findings.compared import AllCompared, Compared
from replicate.findings.compressed import Latency, latency_of, parameters
from replicate.findings.evidence import Evidence
from replicate.findings.judged import Judged
from replicate.findings.pairs import ACCURACY, compared_parent
from replicate.findings.rows import Difference, RowResult, verdict_on
from replicate.records.run import Record
from replicate.scores.fusion import most_votes
from replicate.scores.packing import unpack_bits, unpack_predictions
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable, Row
from replicate.verdicts.equivalence import Interval, t_interval

STAGE = "fuse"
# Of `fuse`: the first member alone, which is what the others are compared with; and what asks all members.
FIRST, ASKING = "first", ("mean", "vote", "stack")


@dataclass(frozen=True)
class Fused:
    """A row that is made of several nets, under one profile.

    Attributes:
        result: its seeds.
        against: those of the row that it is compared with.
        difference: to it in accuracy; None where no seed has both.
        how: the way of fusing; of a student that of its teacher.
        is_student: whether a student was distilled from the ensemble.
        gains: by seed, its accuracy minus the mean of its members'.
        interval: of the mean gain over other seeds.
        disagreement: by seed, the share of dev texts that two members label differently, over their pairs.
        votes: by how many members stand together, over all seeds: texts, and those where these are right.
        members: how many nets; 0 where no record tells.
        parameters: number of scalars; None where its records say of none, or of several.
        against_parameters: of the row that it is compared with.
        latency: how fast it is beside the row that it is compared with; None where no record timed both.
    """

    result: RowResult
    against: RowResult | None
    difference: Difference | None
    how: str
    is_student: bool
    gains: Mapping[int, float]
    interval: Interval
    disagreement: Mapping[int, float]
    votes: Mapping[int, tuple[int, int]]
    members: int
    parameters: int | None
    against_parameters: int | None
    latency: Latency | None

    @property
    def row(self) -> Row:
        """The row itself."""
        return self.result.row

    @property
    def judged(self) -> Judged:
        """The verdict on the difference."""
        return verdict_on(self.difference)

    @property
    def gain(self) -> float:
        """Mean over the seeds; NaN without any."""
        return fmean(self.gains.values()) if self.gains else math.nan

    @property
    def apart(self) -> float:
        """Mean disagreement over the seeds; NaN without any."""
        return fmean(self.disagreement.values()) if self.disagreement else math.nan

    @property
    def is_one(self) -> bool:
        """Whether it is one member alone: what ensembles are compared with."""
        return self.how == FIRST and not self.is_student

    @property
    def asks_all(self) -> bool:
        """Whether it asks every member, and costs as much as they do together."""
        return self.how in ASKING and not self.is_student


@dataclass(frozen=True)
class Slope:
    """How the gain of a mean grows with the disagreement of its members, over rows that differ in their members.

    Attributes:
        by_seed: gain per disagreement, of each seed that all these rows have; such seeds share no member.
        interval: of the mean over other seeds.
        rows: whose ensembles it is of.
    """

    by_seed: Mapping[int, float]
    interval: Interval
    rows: tuple[str, ...]


@dataclass(frozen=True)
class FusedTable:
    """The fused rows of one table under one profile.

    Attributes:
        compared: all rows of the table.
        profile: the profile.
        rows: at least one.
        slope: None where fewer than three rows have two seeds in common.
        of_singles: by row of single nets, the votes of all its seeds, which share no member.
        level: of the intervals of gains.
    """

    compared: Compared
    profile: Profile
    rows: tuple[Fused, ...]
    slope: Slope | None
    of_singles: tuple[tuple[RowResult, Mapping[int, tuple[int, int]]], ...]
    level: float

    @property
    def table(self) -> ResultsTable:
        """The table."""
        return self.compared.table

    @property
    def is_run(self) -> bool:
        """Whether one of the rows has a record."""
        return any(one.result.records for one in self.rows)


@dataclass(frozen=True)
class FusionFinding:
    """Every table with fused rows, under every profile that runs such rows."""

    tables: tuple[FusedTable, ...]


def compute_fusion(evidence: Evidence, compared: AllCompared) -> FusionFinding:
    """What fusion buys.

    Args:
        evidence: tables, profiles and records.
        compared: the rows of each table under each profile.
    """
    found = (
        _table(evidence, compared[table.id, profile.id], profile)
        for profile in evidence.profiles
        for table in evidence.tables
        if table.id in profile.tables and evidence.same_data(table, profile)
    )
    return FusionFinding(tuple(one for one in found if one))


def _table(evidence: Evidence, compared: Compared, profile: Profile) -> FusedTable | None:
    table = compared.table
    alpha = float(table.statistics.alpha.value)
    rows = tuple(
        _fused(evidence, compared, row, alpha)
        for row in table.rows
        if row.runs_under(profile.id) and any(step.stage == STAGE for step in table.chain(row.id))
    )
    if not rows:
        return None
    # With members of its own for each seed, no net votes twice.
    singles = [one.result for one in rows if one.is_one and one.row.members > 1]
    return FusedTable(
        compared=compared,
        profile=profile,
        rows=rows,
        slope=_slope(rows, alpha),
        of_singles=tuple((one, votes) for one in singles if (votes := votes_of(one.records))),
        level=1 - alpha,
    )


def _fused(evidence: Evidence, compared: Compared, row: Row, alpha: float) -> Fused:
    table, result = compared.table, compared.results[row.id]
    chain = table.chain(row.id)
    fusion = next(step for step in reversed(chain) if step.stage == STAGE)
    other = row.against or compared_parent(row)
    against = compared.results[other] if other and table.row(other).role != "member" else None
    told = {record.seed: _summary(record) for record in result.records if record.counts}
    gains = {
        seed: result.score(seed, ACCURACY) - fmean(one["member_accuracy"])
        for seed, one in told.items()
        if one.get("member_accuracy")
    }
    votes: dict[int, tuple[int, int]] = {}
    for number, found in (item for one in told.values() for item in one.get("votes", {}).items()):
        texts, right = votes.get(int(number), (0, 0))
        votes[int(number)] = texts + found["texts"], right + found["right"]
    own, base = parameters(result), parameters(against) if against else None
    return Fused(
        result=result,
        against=against,
        difference=compared.difference(row.id, against.row.id) if against else None,
        how=str(fusion.options.get("how", "mean")),
        is_student=chain[-1].stage != STAGE,
        gains=gains,
        interval=t_interval([*gains.values()], alpha),
        disagreement={seed: one["disagreement"] for seed, one in told.items() if "disagreement" in one},
        votes=votes,
        members=max((one["members"] for one in told.values() if "members" in one), default=0),
        parameters=own,
        against_parameters=base,
        latency=latency_of(evidence.timings, own, base) if own and base and own != base else None,
    )


def _summary(record: Record) -> Mapping[str, Any]:
    """What the record's last fusion says of its members."""
    found: Mapping[str, Any] = next(
        (stage["summary"] for stage in reversed(record.stages) if stage["stage"] == STAGE), {}
    )
    return found


def votes_of(records: Sequence[Record]) -> Mapping[int, tuple[int, int]]:
    """By how many of the records agree on a dev text's label: texts, and those where that label is right.

    Where two labels have as many votes, the one with the lower index counts.
    """
    scored = [one for one in records if one.counts]
    if len(scored) < 2:
        return {}
    predicted = np.stack([unpack_predictions(one.predictions) for one in scored])
    correct = np.stack([unpack_bits(one.correct, one.counts["examples"]) for one in scored])
    classes = len(scored[0].labels)
    label = np.stack([(predicted == one).sum(axis=0) for one in range(classes)]).argmax(axis=0)
    together = most_votes(predicted, classes)
    right = ((predicted == label) & correct).any(axis=0)
    return {
        number: (int(here.sum()), int((here & right).sum()))
        for number in range(1, len(scored) + 1)
        if (here := together == number).any()
    }


def _slope(rows: Sequence[Fused], alpha: float) -> Slope | None:
    """Of means over several seeds, where no net is a member with two seeds: so seeds are samples of their own."""
    own = [one for one in rows if one.how == "mean" and one.asks_all and one.row.members > 1 and one.gains]
    seeds = sorted(set.intersection(*(set(one.gains) & set(one.disagreement) for one in own))) if own else []
    if len(own) < 3 or len(seeds) < 2:
        return None
    by_seed = {
        seed: _least_squares([one.disagreement[seed] for one in own], [one.gains[seed] for one in own])
        for seed in seeds
    }
    return Slope(by_seed, t_interval([*by_seed.values()], alpha), tuple(one.row.id for one in own))


def _least_squares(places: Sequence[float], heights: Sequence[float]) -> float:
    """Slope of the line that fits best; NaN where all places are one."""
    x, y = (np.asarray(values) - np.mean(values) for values in (places, heights))
    square = float((x**2).sum())
    return float((x * y).sum()) / square if square > 0 else math.nan
