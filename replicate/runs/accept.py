"""What becomes the baseline: one rule, whoever ran the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from replicate.records.run import TIMING, Record, write_record
from replicate.records.timing import TimingRecord, write_timing
from replicate.verdicts.published import Status

# A row that differs from its own baseline. If it replaced that, a regression would be what later runs are held against.
DIFFERENT: frozenset[Status] = frozenset({"lower", "higher", "error"})


@dataclass(frozen=True)
class Candidate:
    """A row that might be accepted.

    Attributes:
        row: its full id.
        records: of its seeds.
        status: what they come to beside the row's own accepted records, whatever was published of it.
        reason: why, in words.
    """

    row: str
    records: tuple[Record, ...]
    status: Status
    reason: str


@dataclass(frozen=True)
class Decision:
    """The records that are accepted, and the rows that are not, each with the reason."""

    accepted: tuple[Record, ...]
    refused: Mapping[str, str]


def decide(candidates: Iterable[Candidate], changed: bool = False) -> Decision:
    """Rows that differ from their accepted records, or ended in an error, are refused; the others are accepted.

    Args:
        candidates: the rows.
        changed: accept those too: whoever says so means the change.
    """
    candidates = tuple(candidates)
    refused = {one.row: f"{one.status}: {one.reason}" for one in candidates if one.status in DIFFERENT and not changed}
    accepted = (record for one in candidates if one.row not in refused for record in one.records)
    return Decision(tuple(accepted), refused)


def accept(records: Iterable[Record | TimingRecord], measured: Path) -> list[Path]:
    """Put records where they are the baseline, in place of those of the same row and seed or of the same name.

    A report of `measured` is stale then. Timings are held against nothing: each stands for its own machine and day.

    Args:
        records: what is accepted.
        measured: the folder of accepted records.
    """
    return [
        write_timing(record, measured / TIMING) if isinstance(record, TimingRecord) else write_record(record, measured)
        for record in records
    ]
