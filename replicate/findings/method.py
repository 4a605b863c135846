"""How everything was measured: machines, versions, commits, seeds, commands and durations."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from replicate.findings.evidence import Evidence
from replicate.findings.rows import RowResult
from replicate.records.run import Record
from replicate.tables.profile import Profile


@dataclass(frozen=True)
class Environment:
    """Records of one commit, machine, device and set of versions; every list is sorted, and no fact stands twice."""

    rows: tuple[str, ...]
    seeds: tuple[int, ...]
    commands: tuple[str, ...]
    commit: str
    dirty: bool
    machine: str
    device: str
    versions: str
    started: str
    finished: str


@dataclass(frozen=True)
class Duration:
    """Seconds of a row's runs: those of its stages, shared ones in full."""

    result: RowResult
    mean: float
    least: float
    most: float


@dataclass(frozen=True)
class Runs:
    """What the records of one profile say of how they were made."""

    profile: Profile
    environments: tuple[Environment, ...]
    durations: tuple[Duration, ...]


@dataclass(frozen=True)
class Method:
    """One part for each profile that has records."""

    profiles: tuple[Runs, ...]


def compute_method(evidence: Evidence) -> Method:
    """How the evidence was measured."""
    found = []
    for profile in evidence.profiles:
        own = [record for record in evidence.records if record.profile == profile.id]
        if own:
            results = [evidence.result(row, profile) for table in evidence.tables for row in table.rows]
            durations = tuple(_duration(result) for result in results if result.records)
            found.append(Runs(profile, _environments(own), durations))
    return Method(tuple(found))


def _environments(records: Sequence[Record]) -> tuple[Environment, ...]:
    groups: dict[tuple[str, bool, str, str, str], list[Record]] = {}
    for record in records:
        about = (
            record.commit,
            record.dirty,
            _facts(record.machine),
            _facts(record.device),
            _facts(record.versions),
        )
        groups.setdefault(about, []).append(record)
    return tuple(
        Environment(
            tuple(sorted({f"{record.table}/{record.row}" for record in group})),
            tuple(sorted({record.seed for record in group})),
            tuple(sorted({_command(record) for record in group})),
            *about,
            min(record.started for record in group),
            max(record.finished for record in group),
        )
        for about, group in groups.items()
    )


def _facts(named: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {named[name]}" for name in sorted(named))


def _command(record: Record) -> str:
    """The record's command without its row and seed, which stand beside it."""
    words = list(record.command)
    for word, stand_in in ((f"{record.table}/{record.row}", "ROW"), (str(record.seed), "SEED")):
        words = [stand_in if one == word else one for one in words]
    return " ".join(words)


def _duration(result: RowResult) -> Duration:
    seconds = [record.seconds for record in result.records]
    return Duration(result, statistics.fmean(seconds), min(seconds), max(seconds))
