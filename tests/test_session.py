"""A session of rows: each is run once, and judged by what is published of it or by what was accepted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from replicate.commands.session import Session, chosen_profile
from replicate.common.errors import UserError
from replicate.findings.compared import compare_table
from replicate.findings.rows import RowResult, judge_row, judge_row_against_baseline, row_result
from replicate.records.run import Record, write_record
from replicate.report.build import write_session
from replicate.runs.ask import Ask
from replicate.runs.executor import Executor
from replicate.runs.runner import Runner
from replicate.runs.store import Store
from replicate.tables.profile import Profile, load_profile
from replicate.tables.table import ResultsTable
from tests.synthetic import PAPER, SMALL, article, runs

WRONG = {"base": (20, 22, 21), "prune": (26, 28, 27), "svm": (10, 10, 10)}


@pytest.fixture
def table(tmp_path: Path) -> ResultsTable:
    """Two published rows and a baseline."""
    return article(tmp_path)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Rows and seeds as they are run; what they give is made up, and comes in another order."""
    found: list[tuple[str, int]] = []

    def drive(self: Runner, asks: Sequence[Ask], executor: Executor) -> Iterator[Record]:
        found.extend((ask.row, ask.seed) for ask in asks)
        for ask in reversed(asks):
            yield runs(ask.row, WRONG[ask.row], self.profile.id)[ask.seed - 1]

    monkeypatch.setattr(Runner, "drive", drive)
    return found


def session(table: ResultsTable, profile: Profile, folder: Path) -> Session:
    """With nothing run yet, and a measured/ of its own."""
    return Session(Runner(profile, Store(folder / "store"), quiet=True), {table.id: table}, folder / "measured")


def test_each_row_is_run_once(table: ResultsTable, asked: list[tuple[str, int]], tmp_path: Path) -> None:
    """With all seeds, however often and by whomever it is asked for; records stand in the order of rows and seeds."""
    mine = session(table, PAPER, tmp_path)
    base, prune = table.row("base"), table.row("prune")
    assert mine.write_report() is None
    mine.result(base)
    mine.run([base, prune])
    mine.verdict(prune)
    in_order = [(row, seed) for row in ("base", "prune") for seed in PAPER.seeds]
    assert asked == in_order
    assert [(one.row, one.seed) for one in mine.records] == in_order


def test_rows_are_held_against_what_they_may_be(
    table: ResultsTable, asked: list[tuple[str, int]], tmp_path: Path
) -> None:
    """Published values where the profile may be compared with them and the row has some, else the accepted records."""
    base, svm = table.row("base"), table.row("svm")
    for profile in (PAPER, SMALL):
        for one in [*runs("base", (20, 22, 21), profile.id), *runs("svm", (10, 10, 10), profile.id)]:
            write_record(one, tmp_path / "measured")
    paper, small = (session(table, profile, tmp_path) for profile in (PAPER, SMALL))
    assert paper.verdict(base) == judge_row(table, paper.result(base))
    assert paper.verdict(svm).reason == "the same predictions as the accepted records, seed by seed"
    for row in (base, svm):
        accepted = row_result(small.baseline, row, "small")
        assert small.verdict(row) == judge_row_against_baseline(table, small.result(row), accepted)
        assert small.verdict(row).status == "replicated"
    nothing = session(table, SMALL, tmp_path / "other")
    assert nothing.verdict(base).status == "inconclusive"
    assert paper.beside_baseline(base).status == "replicated"


def test_a_claim_runs_the_rows_that_it_is_about(
    table: ResultsTable, asked: list[tuple[str, int]], tmp_path: Path
) -> None:
    """Those of all claims of its table, since they are corrected together."""
    # Data that are there: a user's own would be read, since their plans lie in a folder of their digest.
    mine = session(table, replace(PAPER, dataset="generated"), tmp_path)
    (claim,) = table.claims
    found = mine.claim(table, claim)
    assert {row for row, _ in asked} == {"base", "prune"}
    results = {row.id: mine.results.get(row.full_id, RowResult(row, "paper", ())) for row in table.rows}
    assert found == compare_table(table, results, PAPER).claims[0]
    assert found.differences


def test_the_profile_is_as_asked() -> None:
    """By its name, with what overrides it; an unknown one is refused."""
    profile = chosen_profile("smoke", (7, 8), "cpu")
    assert (profile.id, profile.seeds, profile.device) == ("smoke", (7, 8), "cpu")
    assert chosen_profile("smoke") == replace(profile, seeds=(1, 2, 3), seeds_named=False)
    with pytest.raises(UserError, match="no profile 'huge'"):
        chosen_profile("huge")


def test_the_report_of_a_session_has_every_row(tmp_path: Path) -> None:
    """Those of tables that nobody published too, each with its figures and its records, and the page as well."""
    ran = {
        "ernie3_kuake_qic/base": (20, 22, 21),
        "distillation/teacher": (30, 31, 32),
        "compression/parent": (40, 41, 42),
    }
    found = []
    for name, wrongs in ran.items():
        table, _, row = name.partition("/")
        for one in runs(row, wrongs, "smoke"):
            found.append(replace(one, table=table))
            write_record(found[-1], tmp_path / "records")
    path = write_session(tmp_path / "report", tmp_path / "records", load_profile("smoke"), found)
    pages = [path, *(path.parent / "docs" / "report").glob("*.md")]
    text, page = (path.parent / "docs/report/smoke.md").read_text(encoding="utf-8"), path.with_name("report.html")
    for name, accuracy in zip(ran, ("0.7900", "0.6900", "0.5900"), strict=True):
        row = name.partition("/")[2]
        (line,) = re.findall(rf"^\| \[`{row}`\]\(\.\./\.\./\.\./records/smoke/{name}\) .*$", text, re.MULTILINE)[:1]
        assert f" {accuracy} ± " in line
        assert accuracy in page.read_text(encoding="utf-8")
    for part in pages:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", part.read_text(encoding="utf-8")):
            assert (part.parent / link).exists(), f"{part}: {link}"
