"""What the models look at: whether explanations are faithful, and whether small nets look where their parents look."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from replicate.records.explained import ExplainedRecord, ExplainedRun
from replicate.verdicts.effects import ClaimStatus
from replicate.verdicts.equivalence import NO_INTERVAL, Interval
from replicate.verdicts.moderated import Cells, Moderated, moderate_cells
from replicate.verdicts.sequential import outward

_LEVEL = 0.05
# A spread of two seeds is luck.
FEWEST = 3


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
class Looks:
    """Whether a row looks where its parent looks.

    Attributes:
        status: what the interval allows.
        interval: of the mean gain, as printed; NaN where fewer than three seeds have one.
    """

    status: ClaimStatus
    interval: Interval


@dataclass(frozen=True)
class LookedAtFinding:
    """The rows of one record, and the verdicts on those with a parent: does the net look where its parent looks?

    Attributes:
        record: what was measured.
        rows: all of them.
        verdicts: on the rows with a parent.
        controls: rows that stand beside a net which taught them nothing: no verdict is on them.
    """

    record: ExplainedRecord
    rows: tuple[LookedAt, ...]
    verdicts: tuple[tuple[LookedAt, Looks], ...]
    controls: tuple[LookedAt, ...] = ()

    @property
    def nets(self) -> tuple[ExplainedRun, ...]:
        """One run for each net: a row that trains just what another one does has its nets, and so their figures."""
        runs = (run for one in self.rows for run in one.runs)
        return tuple({(run.seed, run.comprehensiveness, run.sufficiency, run.floor): run for run in runs}.values())


def compute_looked_at(
    records: Sequence[ExplainedRecord], controls: Collection[tuple[str, str]] = ()
) -> tuple[LookedAtFinding, ...]:
    """What the records say.

    Args:
        records: of any profile.
        controls: table and id of the rows that are controls.
    """
    return tuple(_finding(record, controls) for record in records)


def _finding(record: ExplainedRecord, controls: Collection[tuple[str, str]]) -> LookedAtFinding:
    of_row: dict[tuple[str, str], list[ExplainedRun]] = {}
    for one in record.runs:
        of_row.setdefault((one.table, one.row), []).append(one)
    rows = tuple(
        LookedAt(table, row, tuple(sorted(runs, key=lambda one: one.seed))) for (table, row), runs in of_row.items()
    )
    beside = [one for one in rows if any(run.parent for run in one.runs)]
    children = [one for one in beside if (one.table, one.row) not in controls]
    # The children are one family: each gets its share of the level.
    study = [Cells((1.0,), (one.gains(),), 0.0) for one in children]
    found = moderate_cells(study, _LEVEL / len(children), prior_df=0) if children else ()
    verdicts = tuple((row, _looks(one)) for row, one in zip(children, found, strict=True))
    return LookedAtFinding(record, rows, verdicts, tuple(one for one in beside if one not in children))


def _looks(found: Moderated) -> Looks:
    if found.n < FEWEST:
        return Looks("undecided", NO_INTERVAL)
    low, high = (float(end) for end in outward(*map(np.asarray, found.ci)))
    return Looks("supported" if low > 0 else "contradicted" if high < 0 else "undecided", (low, high))
