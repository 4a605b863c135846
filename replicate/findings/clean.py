"""How clean the data are: what audits found, accuracy without the contested dev lines, and what wrong labels cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from replicate.audit.contested import contested
from replicate.findings.compared import Compared
from replicate.findings.compute import compare_one
from replicate.findings.evidence import Evidence
from replicate.findings.judged import Judged
from replicate.findings.rows import RowResult
from replicate.records.audited import AuditRecord
from replicate.records.run import Record
from replicate.scores.packing import unpack_bits, unpack_predictions
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable


@dataclass(frozen=True)
class WithoutContested:
    """A row's accuracy of each seed, as the labels are given, and on the dev lines that are not contested."""

    result: RowResult
    as_given: dict[int, float]
    without: dict[int, float]


@dataclass(frozen=True)
class ContestedFinding:
    """The dev lines that the records of one profile contest.

    Attributes:
        lines: how many there are.
        examples: dev lines in all.
        records: how many agree or don't.
        rows: every row, in the order of the tables.
    """

    profile: Profile
    lines: int
    examples: int
    records: int
    rows: tuple[WithoutContested, ...]

    @property
    def share(self) -> float:
        """Of the dev lines."""
        return self.lines / self.examples


@dataclass(frozen=True)
class Corrected:
    """A row with labels that are wrong on purpose, or none of them.

    Attributes:
        result: its records.
        seen: lines that a person looked at, by seed; 0 where nobody did.
        wrong: labels that are wrong in the end, by seed.
    """

    result: RowResult
    seen: tuple[int, ...]
    wrong: tuple[int, ...]


@dataclass(frozen=True)
class Gain:
    """What correcting the lines that an audit doubts brings.

    Attributes:
        result: the row with these lines corrected.
        judged: beside the row whose labels stay wrong.
        beside_chance: beside the control that corrects as many lines at random; None without a claim on that.
    """

    result: RowResult
    judged: Judged
    beside_chance: Judged | None


@dataclass(frozen=True)
class WrongLabels:
    """What wrong labels cost under a profile: the rows of a table that has such, and its claims."""

    profile: Profile
    compared: Compared
    rows: tuple[Corrected, ...]

    @property
    def gains(self) -> tuple[Gain, ...]:
        """Of each row with corrected labels that a claim sets beside its own row with wrong ones."""
        claims = self.compared.claims
        chance = {one.a.row.id: one.judged for one in claims if one.b.row.role == "control"}
        return tuple(
            Gain(one.a, one.judged, chance.get(one.a.row.id))
            for one in claims
            if one.b.row.id == one.a.row.against and any(step.stage == "relabel" for step in one.a.row.recipe)
        )


@dataclass(frozen=True)
class CleanFinding:
    """What is known of the data."""

    audits: tuple[AuditRecord, ...]
    contested: tuple[ContestedFinding, ...]
    wrong_labels: tuple[WrongLabels, ...] = ()


def compute_clean(evidence: Evidence, audits: Sequence[AuditRecord]) -> CleanFinding:
    """What the evidence and the audits say.

    Args:
        evidence: tables, profiles and records.
        audits: of any data.
    """
    found = []
    for profile in evidence.profiles:
        if not evidence.same_data(evidence.main, profile):
            continue
        results = [(table, evidence.result(row, profile)) for table in evidence.tables for row in table.rows]
        voters = [one for table, one in results if table.is_witness(one.row)]
        if (one := _contested(profile, [one for _, one in results], voters)) is not None:
            found.append(one)
    wrong = [
        _wrong_labels(evidence, table, profile)
        for table in evidence.tables
        if table.mislabelled
        for profile in evidence.profiles
        if evidence.same_data(table, profile) and evidence.is_run(table, profile)
    ]
    return CleanFinding(tuple(audits), tuple(found), tuple(wrong))


def _wrong_labels(evidence: Evidence, table: ResultsTable, profile: Profile) -> WrongLabels:
    compared = compare_one(evidence, table, profile)
    rows = [compared.results[row.id] for row in table.rows if row.runs_under(profile.id)]
    return WrongLabels(profile, compared, tuple(Corrected(one, *_counts(one)) for one in rows))


def _counts(result: RowResult) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Lines that were looked at, and wrong labels in the end, seed by seed."""
    summaries = [[stage.get("summary", {}) for stage in record.stages] for record in result.records]
    return (
        tuple(max((int(one.get("seen", 0)) for one in of_run), default=0) for of_run in summaries),
        tuple(next((int(one["wrong"]) for one in reversed(of_run) if "wrong" in one), 0) for of_run in summaries),
    )


def _usable(results: Sequence[RowResult]) -> list[Record]:
    return [one for result in results for one in result.records if one.counts and one.status == "ok"]


def _contested(profile: Profile, results: Sequence[RowResult], voters: Sequence[RowResult]) -> ContestedFinding | None:
    """What the voters contest, and what every row scores without it."""
    usable = _usable(results)
    # What speaks against a label has to be of one dev set.
    if len({one.digests.get("dev") for one in usable}) != 1:
        return None
    bits = {_place(one): unpack_bits(one.correct, one.counts["examples"]) for one in usable}
    votes = _usable(voters)
    if not votes:
        return None
    predicted = np.stack([unpack_predictions(one.predictions) for one in votes])
    found = contested(predicted, np.stack([bits[_place(one)] for one in votes]))
    if found is None:
        return None
    kept, rows = ~found.mask, []
    for result in results:
        of_seed = {one.seed: bits[_place(one)] for one in result.records if _place(one) in bits}
        if of_seed:
            given = {seed: float(right.mean()) for seed, right in of_seed.items()}
            rows.append(WithoutContested(result, given, {seed: float(x[kept].mean()) for seed, x in of_seed.items()}))
    return ContestedFinding(profile, int(found.mask.sum()), len(kept), found.records, tuple(rows))


def _place(record: Record) -> str:
    return record.place
