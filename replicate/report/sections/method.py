"""The section of REPORT.md that says how everything was measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from replicate.common.markdown import cell, table_of
from replicate.findings.evidence import Material
from replicate.records.run import Record
from replicate.tables.profile import Profile


def section_method(material: Material) -> list[str]:
    """Machines, versions, commits, seeds, commands and durations."""
    blocks = ["## How it was measured"]
    if not material.records:
        return [*blocks, "Nothing has been measured: there is no record."]
    blocks.append(
        "Every score above is derived from the counts in its records: the name of a row links to the folder with "
        "them, and the seeds in the tables below to each. Seconds are those of the row's stages; those shared with "
        "other rows are counted in full."
    )
    for profile in material.profiles:
        own = [record for record in material.records if record.profile == profile.id]
        if own:
            blocks += [f"### `{profile.id}`", *_environments(own), _durations(material, profile)]
    return blocks


def _environments(records: Sequence[Record]) -> list[str]:
    """One list for each combination of commit, machine, device and versions that the records name."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        machine, device = record.machine, record.device
        facts = (
            f"commit: {record.commit}{', with changes' if record.dirty else ''}",
            f"machine: {', '.join(f'{name} {machine[name]}' for name in sorted(machine))}",
            f"device: {', '.join(f'{name} {device[name]}' for name in sorted(device))}",
            f"versions: {', '.join(f'{name} {record.versions[name]}' for name in sorted(record.versions))}",
        )
        groups.setdefault(facts, []).append(record)
    blocks = []
    for shared, group in groups.items():
        rows = sorted({f"{record.table}/{record.row}" for record in group})
        seeds = sorted({record.seed for record in group})
        commands = sorted({f"`{_command(record)}`" for record in group})
        where = (
            f"rows: {', '.join(rows)}",
            f"seeds: {', '.join(map(str, seeds))}",
            f"commands: {', '.join(commands)}",
        )
        when = f"when: {min(record.started for record in group)} to {max(record.finished for record in group)}"
        blocks.append("\n".join(f"- {cell(fact)}" for fact in (*where, *shared, when)))
    return blocks


def _command(record: Record) -> str:
    """The record's command without its row and seed, which stand beside it."""
    words = list(record.command)
    for word, stand_in in ((f"{record.table}/{record.row}", "ROW"), (str(record.seed), "SEED")):
        words = [stand_in if one == word else one for one in words]
    return " ".join(words)


def _durations(material: Material, profile: Profile) -> str:
    lines = []
    for table in material.tables:
        for row in table.rows:
            result = material.result(row, profile)
            seconds = [record.seconds for record in result.records]
            if seconds:
                ends = f"{min(seconds):.1f} to {max(seconds):.1f}"
                lines.append([row.full_id, f"{statistics.fmean(seconds):.1f}", ends, material.seeds(result.records)])
    return table_of(["row", "seconds a seed", "least to most", "records"], lines)
