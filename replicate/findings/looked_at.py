"""What the models look at: whether explanations are faithful, and whether small nets look where their parents look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from replicate.records.explained import ExplainedRecord, ExplainedRun
from replicate.verdicts.claims import ClaimTest, ClaimVerdict, judge_claims

_LEVEL = 0.05


@dataclass(frozen=True)
class LookedAt:
    """One row over its seeds.

    Attributes:
        table: of the row.
        row: its id.
        runs: its seeds.
    """

    table: str
    row: str
    runs: tuple[ExplainedRun, ...]

    def gains(self) -> list[float]:
        """By how much the net agrees more with its parent than with the same row of another seed (rank), by seed."""
        return [one.parent.rank - one.peer.rank for one in self.runs if one.parent and one.peer]


@dataclass(frozen=True)
class LookedAtFinding:
    """The rows of one record, and the verdicts on those with a parent: does the net look where its parent looks?"""

    record: ExplainedRecord
    rows: tuple[LookedAt, ...]
    verdicts: tuple[tuple[LookedAt, ClaimVerdict], ...]


def compute_looked_at(records: Sequence[ExplainedRecord]) -> tuple[LookedAtFinding, ...]:
    """What the records say."""
    return tuple(_finding(record) for record in records)


def _finding(record: ExplainedRecord) -> LookedAtFinding:
    of_row: dict[tuple[str, str], list[ExplainedRun]] = {}
    for one in record.runs:
        of_row.setdefault((one.table, one.row), []).append(one)
    rows = tuple(
        LookedAt(table, row, tuple(sorted(runs, key=lambda one: one.seed))) for (table, row), runs in of_row.items()
    )
    children = [one for one in rows if any(run.parent for run in one.runs)]
    verdicts = judge_claims([_test(one.gains()) for one in children], _LEVEL)
    return LookedAtFinding(record, rows, tuple(zip(children, verdicts, strict=True)))


def _test(gains: Sequence[float]) -> ClaimTest | None:
    """One-sided t-tests that the mean gain is above 0, and that it is below."""
    if not gains:
        return None
    from scipy.stats import t

    spread = float(np.std(gains, ddof=1)) if len(gains) > 1 else math.nan
    if not spread > 0:
        return ClaimTest(math.nan, math.nan)
    value = float(np.mean(gains)) / (spread / math.sqrt(len(gains)))
    above = float(t.sf(value, len(gains) - 1))
    return ClaimTest(above, 1 - above)
