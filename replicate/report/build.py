"""REPORT.md and its pictures: a pure function of the tables, the run and timing records, and the profiles."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from replicate.common.errors import UserError
from replicate.common.files import write_text
from replicate.common.markdown import STATISTICS
from replicate.common.paths import EXPECTED, MEASURED, REPORT
from replicate.corpus import generated
from replicate.corpus.formats import Dataset
from replicate.findings.evidence import Material
from replicate.records.run import TIMING, Record, load_records, read_records
from replicate.records.timing import TimingRecord, load_timings
from replicate.report.page import Shown, html_page
from replicate.report.pictures.picture import Block, Picture
from replicate.report.readme import WORDS, with_results
from replicate.report.sections import tables as sections
from replicate.report.sections.answer import contents, section_answer
from replicate.report.sections.augmentation import section_augmentation
from replicate.report.sections.compression import section_compression
from replicate.report.sections.inference import section_inference
from replicate.report.sections.method import section_method
from replicate.report.sections.own import own_material, section_own_answer, section_own_rows
from replicate.tables.file import load_tables
from replicate.tables.profile import Profile, load_profile, profile_ids
from replicate.tables.table import ResultsTable

Section = Callable[[Material], Sequence[Block]]
SECTIONS: tuple[Section, ...] = (
    section_answer,
    sections.section_first_table,
    sections.section_profiles,
    section_compression,
    section_inference,
    section_augmentation,
    sections.section_other_tables,
    sections.section_elsewhere,
    section_method,
)
OWN_SECTIONS: tuple[Section, ...] = (
    section_own_answer,
    section_own_rows,
    section_compression,
    section_augmentation,
    section_method,
)


def gather(
    tables: Mapping[str, ResultsTable],
    records: Sequence[Record],
    profiles: Mapping[str, Profile],
    measured: str = "measured",
    timings: Sequence[TimingRecord] = (),
) -> Material:
    """What a report is made of, in one order whatever that of the arguments.

    Args:
        tables: by id; published ones stand first, and of those the ones with claims.
        records: every one has to belong to a row and a profile given here.
        profiles: by id; those that may be compared with published values stand first.
        measured: the records' folder as seen from the report.
        timings: inference, timed; each is a machine by itself.

    Raises:
        UserError: a record of an unknown row or profile.
    """
    rows = {(table.id, row.id) for table in tables.values() for row in table.rows}
    for record in records:
        if (record.table, record.row) not in rows or record.profile not in profiles:
            raise UserError("a record of an unknown table, row or profile", path=f"{measured}/{record.place}")
    return Material(
        tuple(sorted(tables.values(), key=lambda table: (not table.is_published, not table.claims, table.id))),
        tuple(sorted(records, key=lambda record: (record.profile, record.table, record.row, record.seed))),
        tuple(sorted(profiles.values(), key=lambda profile: (not profile.comparable, profile.id))),
        measured,
        tuple(sorted(timings, key=lambda timing: timing.name)),
    )


def render(
    tables: Mapping[str, ResultsTable],
    records: Sequence[Record],
    profiles: Mapping[str, Profile],
    measured: str = "measured",
    timings: Sequence[TimingRecord] = (),
) -> str:
    """The report as Markdown; the arguments are those of `gather`, and so are the errors."""
    return _text(_blocks(gather(tables, records, profiles, measured, timings)))


def write(path: Path = REPORT) -> None:
    """Writes the report of `expected/`, `measured/` and `profiles/`, its pictures, and the table in the READMEs."""
    material = _current(path)
    readmes = _readmes(path, material)
    _write(path, _blocks(material))
    for file, content in readmes.items():
        write_text(file, content)


def _write(path: Path, blocks: Sequence[Block]) -> None:
    # All of them are drawn before anything is written.
    files = {**_pictures(path, blocks), path: _text(blocks)}
    for file, content in files.items():
        write_text(file, content)


def write_html(target: Path, path: Path = REPORT) -> None:
    """Writes the report at `path` as one HTML file; of texts, it has those of the generated corpus only.

    Raises:
        UserError: it can't be written.
    """
    material = _current(path)
    _write_html(target, path, _blocks(material), material, Shown(generated.generate(), texts=True))


def write_own(folder: Path, dataset: Dataset, target: Path | None = None, texts: bool = False) -> Path:
    """Writes the report on somebody's own data beside its records, with its pictures and as one HTML file.

    Args:
        folder: of the data's records.
        dataset: the data.
        target: the HTML file; `report.html` in the folder without it.
        texts: embed the dev texts in the HTML file.

    Returns:
        The path of REPORT.md.

    Raises:
        UserError: there are no records of these data, or a file can't be written.
    """
    profiles = {name: load_profile(name) for name in profile_ids()}
    material = own_material(load_tables(EXPECTED), read_records(folder), profiles, dataset)
    if not material.records:
        raise UserError("no records of these data", path=folder, hint="`replicate run --dataset_dir` makes them")
    # The page is in the project, not beside these records.
    elsewhere = STATISTICS, "`docs/statistics.md` of the project"
    blocks = [one.replace(*elsewhere) if isinstance(one, str) else one for one in _blocks(material, OWN_SECTIONS)]
    path = folder / REPORT.name
    _write(path, blocks)
    _write_html(target or folder / "report.html", path, blocks, material, Shown(dataset, texts))
    return path


def _write_html(target: Path, path: Path, blocks: Sequence[Block], material: Material, shown: Shown) -> None:
    base = Path(os.path.relpath(path.resolve().parent, target.resolve().parent)).as_posix()
    write_text(target, html_page(blocks, material, "" if base == "." else base, [shown]))


def check(path: Path = REPORT) -> int:
    """0 if report, pictures and READMEs are what `write` would write; else 1, with the difference on stdout.

    Raises:
        UserError: a file can't be read, or a picture can't be drawn since Matplotlib is missing.
    """
    material = _current(path)
    blocks = _blocks(material)
    old, new = _read(path), _text(blocks)
    lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), str(path), "what the records say")
    sys.stdout.writelines(line if line.endswith("\n") else f"{line}\n" for line in lines)
    others = {**_pictures(path, blocks), **_readmes(path, material)}
    stale = [file for file, content in others.items() if _read(file) != content]
    for file in stale:
        print(f"{file}: not what the records say; `replicate report` writes it")
    return int(old != new or bool(stale))


def _current(path: Path) -> Material:
    profiles = {name: load_profile(name) for name in profile_ids()}
    measured = Path(os.path.relpath(MEASURED, path.resolve().parent)).as_posix()
    timings = load_timings(MEASURED / TIMING)
    return gather(load_tables(EXPECTED), load_records(MEASURED), profiles, measured, timings)


def _blocks(material: Material, sections: Sequence[Section] | None = None) -> list[Block]:
    first, *others = ([*section(material)] for section in sections or SECTIONS)
    rest = [block for blocks in others for block in blocks]
    return [*first, *([contents([*first, *rest])] if others else []), *rest]


def _text(blocks: Sequence[Block]) -> str:
    return "\n\n".join(block if isinstance(block, str) else block.markdown for block in blocks) + "\n"


def _pictures(path: Path, blocks: Sequence[Block]) -> dict[Path, str]:
    """The pictures of the report at `path`, each file with its content."""
    return {path.parent / block.path: block.svg() for block in blocks if isinstance(block, Picture)}


def _readmes(path: Path, material: Material) -> dict[Path, str]:
    """The READMEs beside the report at `path`, each with its table of results as it should be."""
    found = {path.parent / name: with_results(material, path.parent / name) for name in WORDS}
    return {file: content for file, content in found.items() if content is not None}


def _read(path: Path) -> str:
    """A file's text; empty where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"can't be read: {error}", path=path) from error
