"""How clean the data are: what audits found, and each row's accuracy beside that without the contested dev lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from replicate.audit.contested import contested
from replicate.findings.evidence import Evidence
from replicate.findings.rows import RowResult
from replicate.records.audited import AuditRecord
from replicate.records.run import Record
from replicate.scores.packing import unpack_bits, unpack_predictions
from replicate.tables.profile import Profile


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
class CleanFinding:
    """What is known of the data."""

    audits: tuple[AuditRecord, ...]
    contested: tuple[ContestedFinding, ...]


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
        results = [evidence.result(row, profile) for table in evidence.tables for row in table.rows]
        if (one := _contested(profile, results)) is not None:
            found.append(one)
    return CleanFinding(tuple(audits), tuple(found))


def _contested(profile: Profile, results: Sequence[RowResult]) -> ContestedFinding | None:
    usable = [one for result in results for one in result.records if one.counts and one.status == "ok"]
    # What speaks against a label has to be of one dev set.
    if len({one.digests.get("dev") for one in usable}) != 1:
        return None
    bits = {_place(one): unpack_bits(one.correct, one.counts["examples"]) for one in usable}
    predicted = np.stack([unpack_predictions(one.predictions) for one in usable])
    found = contested(predicted, np.stack([bits[_place(one)] for one in usable]))
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
