"""The words of every page, and where the real pages' links lead.

`tests/golden` holds the pages of made-up records as they should be. After a change of words that is meant,
`python -m tests.test_pages` writes them again; look at the difference before you commit it.
"""

from __future__ import annotations

import posixpath
import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from replicate.audit.audit import Audit
from replicate.audit.classes import class_facts
from replicate.audit.faults import Fault
from replicate.common.paths import EXPECTED, MEASURED, ROOT
from replicate.corpus.checkup import check_up
from replicate.corpus.formats import Dataset, Split
from replicate.findings.compute import compute
from replicate.findings.evidence import gather
from replicate.findings.own import compute_own, own_evidence
from replicate.findings.own_data import OwnAudit
from replicate.records.run import Record
from replicate.report.build import current_evidence
from replicate.report.markdown import markdown
from replicate.report.pages import own_pages, project_pages
from replicate.report.site import Site, anchor
from replicate.scores.packing import pack_confidence
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile
from tests.synthetic import (
    DOWN,
    GOLD,
    PAPER,
    SAME,
    SMALL,
    SMALLER,
    STUDY,
    UP,
    failure,
    plain,
    runs,
    study_runs,
    study_tables,
)
from tests.synthetic_timing import FULL, example, race

GOLDEN = Path(__file__).with_name("golden")
MOST_BYTES = 15 * 1024
LABELS = ("diagnosis", "treatment", "other")


def project() -> dict[str, str]:
    """The project's pages on made-up records of every kind."""
    with tempfile.TemporaryDirectory() as folder:
        tables = study_tables(Path(folder), STUDY + SMALLER)
    small = replace(SMALL, question="Does it work?", seeds=(1, 2, 3, 4, 5, 6), tables=("article", "study"))
    sizes = {"half": 1_300_000, "labels": 1_300_000, "student": 500_000, "hard": 500_000}
    by = {"base": (0,) * 6, "masked": SAME, "half": UP, "labels": DOWN, "student": SAME, "hard": DOWN}
    records = [
        *runs("base", [20, 20, 21]),
        failure("prune", 1, "diverged"),
        *map(trained, runs("base", [18, 20, 25], "small") + runs("prune", [20, 21, 25], "small")),
        *runs("svm", [23, 23, 23], "small"),
        *(one for row, right in by.items() for one in study_runs(row, right, sizes.get(row, 2_000_000))),
    ]
    findings = compute(gather(tables, records, {"paper": PAPER, "small": small}, [example(race(32, FULL))]))
    return markdown(Site(project_pages(findings)))


def own() -> dict[str, str]:
    """The pages on somebody's own data."""
    texts = tuple(f"text {n}" for n in range(len(GOLD)))
    data = Dataset("my_data *1*", LABELS, Split(("a", "b"), (0, 1)), Split(texts, tuple(GOLD.tolist())))
    wrongs = {"base": [20, 22, 21], "augment": [26, 29, 27], "prune-1-2": [26, 28, 28], "svm": [10, 10, 10]}
    records = [
        replace(trained(one), table="ernie3_kuake_qic", digests=data.digests)
        for row, wrong in wrongs.items()
        for one in runs(row, wrong, "smoke")
    ]
    evidence = own_evidence(load_tables(EXPECTED), records, {"smoke": load_profile("smoke")}, data)
    findings = compute_own(evidence, check_up(data, 64), audit=audited(data))
    return markdown(Site(own_pages(findings), records=".", in_project=False))


def audited(data: Dataset) -> OwnAudit:
    """A finding of three kinds, in a part of larger data."""
    faults = (Fault("label", "train", 1, 0, 1, 0.1), Fault("label", "dev", 7, 1, 2, 0.2), Fault("long", "dev", 8, 1))
    facts = class_facts(LABELS, np.array([0, 1]), np.asarray(data.dev.labels), np.array([1, 1, 0]))
    return OwnAudit(Audit(data.name, LABELS, check_up(data, 64), facts, faults), {"train": 2, "dev": 5000})


def trained(run: Record) -> Record:
    """The run with two evaluations and a confidence for each example."""
    history = [{"step": 10 * n, "epoch": n, "accuracy": 0.4 * n, "correct": run.correct} for n in (1, 2)]
    stages = ({**run.stages[0], "summary": {"history": history, "best_step": 20, "steps": 20}},)
    return replace(run, stages=stages, confidence=pack_confidence([0.75] * len(GOLD)))


def pages() -> dict[Path, str]:
    """Every golden file with what it should hold."""
    found = {GOLDEN / posixpath.basename(path): text for path, text in project().items()}
    return found | {GOLDEN / "own" / posixpath.basename(path): text for path, text in own().items()}


def test_pages_say_what_they_should() -> None:
    """Word by word; no golden file is left over."""
    for path, text in pages().items():
        assert text == path.read_text(encoding="utf-8"), f"{path}: see the docstring of {Path(__file__).name}"
    assert set(GOLDEN.rglob("*.md")) == set(pages())


@pytest.fixture(scope="module")
def real() -> dict[str, str]:
    """The pages of the committed records."""
    return markdown(Site(project_pages(compute(current_evidence()))))


def test_the_front_page_is_short(real: dict[str, str]) -> None:
    """A reader gets the answer without scrolling through the evidence."""
    assert len(real["REPORT.md"].encode()) <= MOST_BYTES


def test_every_link_leads_somewhere(real: dict[str, str]) -> None:
    """Each anchor is a heading of its page as GitHub names it, and each file a file of the project or another page."""
    anchors = {path: list(map(anchor, headings(text))) for path, text in real.items()}
    count = 0
    for path, text in real.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match("[a-z]+:", target):
                continue
            file, _, name = target.partition("#")
            where = posixpath.normpath(posixpath.join(posixpath.dirname(path), file)) if file else path
            assert where in real or (ROOT / where).exists(), (path, target)
            if name:
                # A heading that is called like one before it has a number.
                assert name in anchors[where] or re.sub(r"-\d+$", "", name) in anchors[where], (path, target)
            count += 1
    assert count > 200
    assert MEASURED == ROOT / "measured"


def headings(text: str) -> list[str]:
    """The words of a page's headings, without marks."""
    return [re.sub(r"\\(.)", r"\1", one).replace("`", "") for one in re.findall(r"^#{1,6} (.+)$", plain(text), re.M)]


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in set(GOLDEN.rglob("*.md")) - set(pages()):
        path.unlink()
    sys.stdout.write(f"{GOLDEN}: written; look at `git diff {GOLDEN.name}` before you commit it\n")
