"""One sitting at the timer: where its models are made, what its record says, and where that is kept."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from replicate.common.paths import store_root
from replicate.records.facts import commit, device_facts, machine, now, versions
from replicate.records.run import TIMING
from replicate.records.timing import Curve, DatasetRace, Race, ServiceRace, StepRace, TimingRecord
from replicate.records.timing_file import write_timing
from replicate.timing.contestants import Models
from replicate.timing.grid import Field, field_of
from replicate.timing.subject import Subject


@contextmanager
def field_for(device: str, threads: int, quiet: bool, subjects: Mapping[str, Subject] | None = None) -> Iterator[Field]:
    """A field whose models are made in the store, not in /tmp, which may be memory; they are gone afterwards."""

    def tell(what: str) -> None:
        if not quiet:
            print(f"time · making {what}", file=sys.stderr, flush=True)

    root = store_root()
    root.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".timing-", dir=root) as scratch,
        field_of(Models(Path(scratch), tell), device, threads, subjects) as field,
    ):
        yield field


def record_of(
    name: str,
    started: str,
    command: Sequence[str],
    device: str,
    threads: int,
    comparisons: Sequence[Race] = (),
    datasets: Sequence[DatasetRace] = (),
    services: Sequence[ServiceRace] = (),
    steps: Sequence[StepRace] = (),
    curves: Sequence[Curve] = (),
) -> TimingRecord:
    """What was timed here, with where and when."""
    head, dirty = commit()
    return TimingRecord(
        name=name,
        started=started,
        finished=now(),
        commit=head,
        dirty=dirty,
        command=tuple(command),
        machine=machine(),
        device={**device_facts(device), "threads": threads},
        threads=threads,
        versions=versions(),
        comparisons=tuple(comparisons),
        datasets=tuple(datasets),
        services=tuple(services),
        steps=tuple(steps),
        curves=tuple(curves),
    )


def keep_record(record: TimingRecord) -> Path:
    """Writes the record into the store, where it is nobody's figure yet."""
    return write_timing(record, store_root() / TIMING)
