"""The report on disk: its pages, pictures and HTML file, and the table in the READMEs."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from replicate.common.errors import UserError
from replicate.common.files import write_text
from replicate.common.paths import EXPECTED, MEASURED, REPORT
from replicate.corpus import generated
from replicate.corpus.formats import Dataset
from replicate.corpus.unlabelled import own_lines
from replicate.findings.clean import compute_clean
from replicate.findings.compute import Findings, compute
from replicate.findings.evidence import Evidence, gather
from replicate.findings.looked_at import compute_looked_at
from replicate.findings.own import compute_own, own_evidence
from replicate.findings.own_data import OwnAudit, own_audit, own_checkup
from replicate.records.audited import load_audited
from replicate.records.explained import load_explained
from replicate.records.plans import read_plans
from replicate.records.run import AUDITED, EXPLAINED, TIMING, Record, load_records, read_records
from replicate.records.timing_file import load_timings
from replicate.report.examples import Shown
from replicate.report.html import html
from replicate.report.markdown import markdown
from replicate.report.pages import FOLDER, own_pages, project_pages
from replicate.report.pictures.picture import Picture
from replicate.report.readme import WORDS, with_results
from replicate.report.site import Site
from replicate.runs.chosen import read_choice
from replicate.runs.held_out import read_held_out
from replicate.tables.auto import AUTO, profile_of
from replicate.tables.file import load_tables
from replicate.tables.profile import Profile, load_profile, profile_ids
from replicate.verdicts.plan import Plan


def write(path: Path = REPORT) -> None:
    """Writes the report of `expected/`, `measured/` and `profiles/`: its pages, pictures, and the READMEs' table.

    Args:
        path: of the front page; the others lie in folders beside it.

    Raises:
        UserError: a file can't be written, or a picture can't be drawn since Matplotlib is missing.
    """
    evidence = current_evidence()
    findings = compute(evidence)
    files = _files(path, _site(findings, evidence, path))
    # All of it is made before anything is written.
    for file, content in {**files, **_readmes(path, findings)}.items():
        write_text(file, content)
    for file in _left_over(path, files):
        file.unlink()


def write_html(target: Path, path: Path = REPORT) -> None:
    """Writes the report at `path` as one HTML file; of texts, it has those of the generated corpus only.

    Raises:
        UserError: it can't be written.
    """
    evidence = current_evidence()
    _write_html(
        target,
        path,
        _site(compute(evidence), evidence, path),
        evidence.records,
        Shown(generated.generate(), texts=True),
    )


def write_own(
    folder: Path,
    dataset: Dataset,
    target: Path | None = None,
    texts: bool = False,
    audit: OwnAudit | None = None,
) -> Path:
    """Writes the report on somebody's own data beside its records, with its pictures and as one HTML file.

    Args:
        folder: of the data's records.
        dataset: the data.
        target: the HTML file; `report.html` in the folder without it.
        texts: embed the dev texts in the HTML file.
        audit: of the same data, where there has been one.

    Returns:
        The path of REPORT.md.

    Raises:
        UserError: there are no records of these data, or a file can't be written.
    """
    profiles = _profiles()
    if choice := read_choice(folder):
        profiles[AUTO] = profile_of(profiles[AUTO], choice)
    plans, timings = _plans(folder, profiles), load_timings(folder / TIMING)
    evidence = own_evidence(load_tables(EXPECTED), read_records(folder), profiles, dataset, plans, timings)
    if not evidence.records:
        raise UserError("no records of these data", path=folder, hint="`replicate run --dataset_dir` makes them")
    checkup = own_checkup(dataset, evidence.profiles[0], own_lines(dataset))
    held_out = [scored for one in evidence.profiles if (scored := read_held_out(folder, one.id, dataset))]
    found = compute_own(evidence, checkup, held_out, audit or own_audit(dataset, evidence.profiles[0]))
    site = Site(own_pages(found), records=".", in_project=False)
    return _write_apart(folder, site, evidence.records, Shown(dataset, texts), target)


def write_session(
    folder: Path, records: Path, profile: Profile, found: Sequence[Record], plans: Mapping[str, Plan] | None = None
) -> Path:
    """Writes the report of what one session ran into a folder of its own, with its pictures and as one HTML file.

    Args:
        folder: where it goes; `measured/`, REPORT.md and the READMEs stay as they are.
        records: the folder that the records were written to, for links.
        profile: what they were run with.
        found: the records of the session.
        plans: by table, as they were before the first seed.

    Returns:
        The path of REPORT.md.

    Raises:
        UserError: a file can't be written.
    """
    kept = {(table, profile.id): one for table, one in (plans or {}).items()}
    evidence = gather(load_tables(EXPECTED), found, {profile.id: profile}, plans=kept)
    way = Path(os.path.relpath(records.resolve(), folder.resolve())).as_posix()
    site = Site(project_pages(compute(evidence, studies=True)), records=way, in_project=False)
    return _write_apart(folder, site, evidence.records, Shown(generated.generate(), texts=True))


def _write_apart(folder: Path, site: Site, records: Sequence[Record], shown: Shown, target: Path | None = None) -> Path:
    """Writes a report that does not lie in the project; returns the path of its front page."""
    path = folder / REPORT.name
    files = _files(path, site)
    for file, content in files.items():
        write_text(file, content)
    for file in _left_over(path, files):
        file.unlink()
    _write_html(target or folder / "report.html", path, site, records, shown)
    return path


def check(path: Path = REPORT) -> int:
    """0 if pages, pictures and READMEs are what `write` would write; else 1, with the differences on stdout.

    Raises:
        UserError: a file can't be read, or a picture can't be drawn since Matplotlib is missing.
    """
    evidence = current_evidence()
    findings = compute(evidence)
    files = _files(path, _site(findings, evidence, path))
    stale = False
    for file, new in {**files, **_readmes(path, findings)}.items():
        old = _read(file)
        if old == new:
            continue
        stale = True
        if file.suffix == ".md" and file.name not in WORDS:
            lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), str(file), "what the records say")
            sys.stdout.writelines(line if line.endswith("\n") else f"{line}\n" for line in lines)
        else:
            print(f"{file}: not what the records say; `replicate report` writes it")
    for file in _left_over(path, files):
        stale = True
        print(f"{file}: a page that the report no longer has; `replicate report` removes it")
    return int(stale)


def current_evidence() -> Evidence:
    """What `expected/`, `measured/` and `profiles/` hold."""
    profiles = _profiles()
    plans = _plans(MEASURED, profiles)
    return gather(load_tables(EXPECTED), load_records(MEASURED), profiles, load_timings(MEASURED / TIMING), plans)


def _plans(folder: Path, profiles: Mapping[str, Profile]) -> dict[tuple[str, str], Plan]:
    return {(table, name): kept.plan for name in profiles for table, kept in read_plans(folder, name).items()}


def _profiles() -> dict[str, Profile]:
    return {name: load_profile(name) for name in profile_ids()}


def _site(findings: Findings, evidence: Evidence, path: Path) -> Site:
    """The project's pages, for a front page at `path`."""
    clean = compute_clean(evidence, load_audited(MEASURED / AUDITED))
    controls = {(table.id, row.id) for table in evidence.tables for row in table.rows if row.role == "control"}
    looked_at = compute_looked_at(load_explained(MEASURED / EXPLAINED), controls)
    measured = Path(os.path.relpath(MEASURED, path.resolve().parent)).as_posix()
    return Site(project_pages(findings, clean, looked_at), records=measured)


def _files(path: Path, site: Site) -> dict[Path, str]:
    """Every page and picture of a report with its front page at `path`, each file with its content."""
    front = site.pages[0].path
    pages = {path if name == front else path.parent / name: text for name, text in markdown(site).items()}
    pictures = {
        path.parent / block.path: block.svg()
        for page in site.pages
        for block in page.blocks
        if isinstance(block, Picture)
    }
    return {**pages, **pictures}


def _left_over(path: Path, files: Mapping[Path, str]) -> Sequence[Path]:
    """Pages in the report's folder that it no longer has."""
    return sorted(set((path.parent / FOLDER).glob("*.md")) - set(files))


def _write_html(target: Path, path: Path, site: Site, records: Sequence[Record], shown: Shown) -> None:
    base = Path(os.path.relpath(path.resolve().parent, target.resolve().parent)).as_posix()
    write_text(target, html(site, records, "" if base == "." else base, [shown]))


def _readmes(path: Path, findings: Findings) -> dict[Path, str]:
    """The READMEs beside the report at `path`, each with its table of results as it should be."""
    found = {path.parent / name: with_results(findings.answer, path.parent / name) for name in WORDS}
    return {file: content for file, content in found.items() if content is not None}


def _read(path: Path) -> str:
    """A file's text; empty where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"can't be read: {error}", path=path) from error
