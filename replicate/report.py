"""REPORT.md: a pure function of the published tables, the run records and the profiles."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from replicate import report_sections as sections
from replicate.errors import UserError
from replicate.files import write_text
from replicate.paths import EXPECTED, MEASURED, REPORT
from replicate.profile import Profile, load_profile, profile_ids
from replicate.record import Record, load_records
from replicate.report_method import section_method
from replicate.results import Material
from replicate.table import ResultsTable
from replicate.table_file import load_tables

SECTIONS: tuple[Callable[[Material], list[str]], ...] = (
    sections.section_answer,
    sections.section_first_table,
    sections.section_profiles,
    sections.section_other_tables,
    section_method,
)


def render(
    tables: Mapping[str, ResultsTable],
    records: Sequence[Record],
    profiles: Mapping[str, Profile],
    measured: str = "measured",
) -> str:
    """The report as Markdown; the same arguments give the same text, whatever their order.

    Args:
        tables: by id; those with claims stand first.
        records: every one has to belong to a row and a profile given here.
        profiles: by id; those that may be compared with published values stand first.
        measured: the records' folder as seen from the report.

    Raises:
        UserError: a record of an unknown row or profile.
    """
    rows = {(table.id, row.id) for table in tables.values() for row in table.rows}
    for record in records:
        if (record.table, record.row) not in rows or record.profile not in profiles:
            raise UserError("a record of an unknown table, row or profile", path=f"{measured}/{record.place}")
    material = Material(
        tuple(sorted(tables.values(), key=lambda table: (not table.claims, table.id))),
        tuple(sorted(records, key=lambda record: (record.profile, record.table, record.row, record.seed))),
        tuple(sorted(profiles.values(), key=lambda profile: (not profile.comparable, profile.id))),
        measured,
    )
    return "\n\n".join(block for section in SECTIONS for block in section(material)) + "\n"


def write(path: Path = REPORT) -> None:
    """Writes the report of `expected/`, `measured/` and `profiles/`."""
    write_text(path, _current(path))


def check(path: Path = REPORT) -> int:
    """0 if `path` is what `write` would write; else 1, with the difference on stdout."""
    try:
        old = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        old = ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"can't be read: {error}", path=path) from error
    new = _current(path)
    lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), str(path), "what the records say")
    sys.stdout.writelines(line if line.endswith("\n") else f"{line}\n" for line in lines)
    return int(old != new)


def _current(path: Path) -> str:
    profiles = {name: load_profile(name) for name in profile_ids()}
    measured = Path(os.path.relpath(MEASURED, path.resolve().parent)).as_posix()
    return render(load_tables(EXPECTED), load_records(MEASURED), profiles, measured)
