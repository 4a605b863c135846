"""What becomes the baseline: one rule, whoever ran the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from replicate.common.errors import UserError
from replicate.records.run import TIMING, Record, check_fellows, write_record
from replicate.records.timing import TimingRecord
from replicate.records.timing_file import write_timing
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


def decide(candidates: Iterable[Candidate], baseline: Iterable[Record], changed: bool = False) -> Decision:
    """Rows that differ from their accepted records, or ended in an error, are refused; the others are accepted.

    A row that can't stand beside what stays of the baseline is always refused: its other seeds have another pretrained
    net, say, or its table's other rows another dev set.

    Args:
        candidates: the rows.
        baseline: every accepted record.
        changed: accept rows that differ too: whoever says so means the change.
    """
    candidates = tuple(candidates)
    replaced = {record.place for one in candidates for record in one.records}
    staying = [record for record in baseline if record.place not in replaced]
    refused: dict[str, str] = {}
    for one in candidates:
        if one.status in DIFFERENT and not changed:
            refused[one.row] = f"{one.status}: {one.reason}"
            continue
        try:
            check_fellows([*staying, *one.records])
        except UserError as error:
            refused[one.row] = str(error)
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
