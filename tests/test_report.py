"""What the records say of the main table, and the report on disk, from small synthetic tables, records and profiles."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from replicate.common.errors import UserError
from replicate.common.paths import EXPECTED
from replicate.findings.compared import compare_table
from replicate.findings.compute import Findings, compute
from replicate.findings.evidence import gather
from replicate.findings.rows import judge_row, row_result
from replicate.records.run import Record
from replicate.report import build as report
from replicate.report.blocks import Page
from replicate.report.pictures.axes import Estimate, Series
from replicate.report.pictures.bars import bars
from replicate.report.readme import BEGIN, END
from replicate.report.sections.apart import section_apart
from replicate.report.sections.method import section_method
from replicate.report.sections.published import section_published
from replicate.tables.file import load_tables
from replicate.tables.table import ResultsTable
from tests.shown import line, lines, words
from tests.synthetic import PAPER, PROFILES, SMALL, article, failure, record, runs


@pytest.fixture
def table(tmp_path: Path) -> ResultsTable:
    """A table of two published rows and a baseline, through the real loader."""
    return article(tmp_path)


def found(table: ResultsTable, records: Sequence[Record], profiles: dict[str, Any] = PROFILES) -> Findings:
    """What the records say."""
    return compute(gather({table.id: table}, records, profiles))


def test_nothing_run(table: ResultsTable) -> None:
    """Without records nothing holds or fails, each published row is not-run, and its figures stand as printed."""
    findings = found(table, [])
    assert findings.answer.best.profile is None
    assert [one.id for one in findings.answer.best.waiting] == ["paper"]
    assert [one.result for one in findings.answer.claims] == [None]
    (published,) = findings.published
    assert [(row.id, verdict.status, verdict.reason) for row, _, verdict in published.verdicts] == [
        ("base", "not-run", "no record under `paper`"),
        ("prune", "not-run", "no record under `paper`"),
    ]
    blocks = section_published(published)
    shown = line(blocks, row="Base (base)", state="")
    assert shown.cells["F1 of class 1"] == "0.7741935483870969"
    assert len([one for one in lines(blocks, "state") if one.cells["state"].startswith("not-run")]) == 2
    assert findings.method.profiles == ()
    assert findings.apart == ()


def test_figures_are_those_of_the_records(table: ResultsTable) -> None:
    """Mean, standard deviation and number of seeds are those of the records, with each seed and a link behind them."""
    findings = found(table, runs("base", [18, 20, 25]))
    blocks = section_published(findings.published[0])
    mean, sd = statistics.fmean([0.82, 0.80, 0.75]), statistics.stdev([0.82, 0.80, 0.75])
    (shown,) = (
        one for one in lines(blocks, "state", "accuracy") if one.profiles == ("paper",) and one.rows == ("base",)
    )
    assert shown.cells["accuracy"] == f"{mean:.4f} ± {sd:.4f} (3)"
    assert shown.values["accuracy"] == pytest.approx(mean)
    assert shown.cells["recall of class 1"] == "1.0000 ± 0.0000 (3)"
    assert shown.links == ("measured/paper/article/base",)
    behind = shown.runs["accuracy"]
    assert behind is not None
    assert {seed: round(score, 4) for seed, score in behind.scores.items()} == {1: 0.82, 2: 0.80, 3: 0.75}
    (of_paper,) = findings.method.profiles
    (environment,), (duration,) = of_paper.environments, of_paper.durations
    assert (environment.commit, environment.seeds, environment.dirty) == ("c" * 40, (1, 2, 3), False)
    assert (duration.mean, duration.least, duration.most) == (20.0, 10.0, 30.0)
    of_row = line(section_method(findings.method), row="article/base")
    assert of_row.cells["records"] == "1 2 3"
    assert of_row.links == tuple(f"measured/paper/article/base/seed-{seed}.json" for seed in (1, 2, 3))


def test_claims_are_paired_by_seed(table: ResultsTable) -> None:
    """A claim's measured difference uses the seeds that both rows have; the published one stands above it."""
    findings = found(table, runs("base", [10, 20, 30, 40]) + runs("prune", [11, 22, 33]))
    (published,) = findings.published
    (printed,) = published.claims
    assert printed.differences["accuracy"] == pytest.approx(-0.01)
    assert printed.totals is not None
    assert (printed.totals.difference, printed.totals.examples) == (-1, 100)
    (compared,) = published.compared
    assert compared.claims[0].verdict.status == "supported"
    difference = compared.difference("prune", "base")
    assert difference is not None
    assert difference.found.n == 3
    assert difference.found.difference == pytest.approx(-0.02)
    assert difference.by_seed == {1: pytest.approx(-0.01), 2: pytest.approx(-0.02), 3: pytest.approx(-0.03)}
    shown = line(section_published(published), **{"difference_(pairs)": "-0.0200 ± 0.0100 (3)"})
    assert shown.runs["difference (pairs)"] is not None


@pytest.mark.parametrize(
    ("prune", "status"),
    [
        ([], "not-run"),
        ([28, 30, 31, 29, 30, 29], "supported"),
        ([8, 10, 11, 9, 10, 9], "contradicted"),
        ([2, 40, 5, 39, 3, 38], "undecided"),
        ([20, 21, 19, 20, 19, 21], "contradicted"),
    ],
)
def test_claim_verdict(table: ResultsTable, prune: list[int], status: str) -> None:
    """Each verdict on a claim comes from seeds that call for it, and is the same on every page."""
    records = runs("base", [20, 21, 19, 20, 19, 21]) + runs("prune", prune)
    findings = found(table, records)
    (result,) = findings.published[0].compared[0].claims
    assert result.claim.id == "prune-lowers"
    assert result.verdict.status == status
    (asked,) = findings.answer.claims
    assert asked.result == (None if status == "not-run" else result)
    blocks = section_published(findings.published[0])
    shown = [one.cells["does it hold?"] for one in lines(blocks, "claim", "word")]
    answers = {"supported": "yes (unplanned)", "contradicted": "no (unplanned)"}
    assert shown == ([] if status == "not-run" else [answers.get(status, status)])
    results = {row.id: row_result(records, row, "paper") for row in table.rows}
    assert compare_table(table, results, PAPER).claims[0].verdict.reason == result.verdict.reason


def test_printed_f1_is_decoded(table: ResultsTable) -> None:
    """The whole numbers behind the published F1 stand in the report, with the class that they are of."""
    blocks = section_published(found(table, []).published[0])
    shown = line(blocks, accuracy="80/100")
    assert [shown.cells[name] for name in ("precision", "recall", "F1")] == ["24/32", "24/30", "48/62 = 0.7742"]
    assert "treatment, which has 30 of the 100 dev examples" in words(blocks)


def test_other_profiles_are_kept_apart(table: ResultsTable) -> None:
    """Figures of a profile that isn't comparable have a page of their own and never stand in the published table."""
    records = runs("base", [18, 20, 25], "small") + runs("prune", [20, 21, 25], "small")
    findings = found(table, records)
    assert not [one for row, measured in findings.published[0].rows for one in measured if one.result.records]
    assert not findings.answer.best.tests
    assert [one.id for one in findings.answer.best.waiting] == ["paper"]
    (apart,) = findings.apart
    blocks = section_apart(apart)
    assert "a smaller net." in words(blocks)
    shown = line(blocks, row="base", stages="finetune")
    assert (shown.cells["accuracy"], shown.cells["parameters"]) == ("0.7900 ± 0.0361 (3)", "1,234,567")
    difference = line(blocks, difference="prune minus base", metric="accuracy")
    assert difference.cells["mean (pairs)"] == "-0.0100 ± 0.0100 (3)"
    assert difference.cells["p, McNemar, one a seed"] == "0.5 to 1"
    assert line(blocks, claim="Pruning lowers accuracy.").cells["does it hold?"].startswith("undecided")
    assert line(blocks, row="svm", stages="svm").cells["accuracy"] == "not-run"
    # What a published row is called would be wrong for another net.
    assert "Base (" not in str(blocks)


def test_unpublished_row_shows_any_profile_on_the_same_data(table: ResultsTable) -> None:
    """The baseline, which is compared with nothing, stands beside the published rows wherever it ran on their data."""
    records = runs("svm", [23], "small")
    shown = line(section_published(found(table, records).published[0]), row="Baseline (svm)")
    assert (shown.profiles, shown.cells["state"], shown.cells["accuracy"]) == (
        ("small",),
        "nothing published",
        "0.7700 (1)",
    )
    elsewhere = {**PROFILES, "small": replace(SMALL, dataset="generated")}
    shown = line(section_published(found(table, records, elsewhere).published[0]), row="Baseline (svm)")
    assert (shown.profiles, shown.cells["accuracy"]) == (("paper",), "not-run")


def test_failed_seeds_are_listed_and_counted(table: ResultsTable) -> None:
    """A diverged seed is linked, listed with its reason and counted, and its row is not called replicated."""
    records = [*runs("base", [20, 20, 20, 21, 19]), failure("base", 6, "diverged")]
    (published,) = found(table, records).published
    assert [(result.row.id, one.seed, one.status) for result, one in published.unfinished.failed] == [
        ("base", 6, "diverged")
    ]
    blocks = section_published(published)
    assert "diverged: the loss is NaN | at step 7" in words(blocks)
    own = [one for one in lines(blocks, "state", "accuracy") if (one.profiles, one.rows) == (("paper",), ("base",))]
    assert [one.cells["accuracy"][-3:] for one in own] == ["(5)"]
    judged, *_ = lines(blocks, "verdict", "in this metric")
    assert (judged.rows, judged.cells["verdict"]) == (("base",), "inconclusive")
    (apart,) = found(table, [failure("base", 1, "error", profile="small")]).apart
    assert line(section_apart(apart), row="base", stages="finetune").cells["accuracy"] == "no score (0)"
    assert "base, small, seed 1 error: " in words(section_apart(apart))


def test_seeds_not_run_yet_are_named(table: ResultsTable) -> None:
    """Where a row has records for some of the profile's seeds only, the others are named."""
    (waiting,) = found(table, [record("base", 2, 20)]).published[0].unfinished.waiting
    assert (waiting[0].row.id, waiting[1]) == ("base", (1, 3))
    assert found(table, runs("base", [20, 20, 20])).published[0].unfinished.waiting == ()


@pytest.mark.parametrize(
    ("records", "verdict"),
    [
        ([], "not-run"),
        (runs("base", [20, 21]), "inconclusive"),
        (runs("base", [20, 20, 21, 19, 20]), "replicated"),
        (runs("base", [1, 2, 1, 2, 1]), "higher"),
        (runs("base", [39, 38, 39, 38, 39]), "lower"),
        ([*runs("base", [20, 20, 21, 19, 20]), failure("base", 6, "error")], "error"),
        ([failure("base", 1, "diverged")], "inconclusive"),
    ],
)
def test_row_verdict(table: ResultsTable, records: list[Record], verdict: str) -> None:
    """Each verdict comes from records that call for it, and every one has a reason in words."""
    found = judge_row(table, row_result(records, table.row("base"), "paper"))
    assert found.status == verdict
    assert found.reason


def test_the_best_profile_tests_the_claims(table: ResultsTable) -> None:
    """A comparable one before any other; where it has no claim's rows, others give exploratory figures only."""
    small = runs("base", [18, 20, 25], "small") + runs("prune", [20, 21, 25], "small")
    answer = found(table, small).answer
    assert (answer.best.profile, answer.best.tests) == (SMALL, False)
    answer = found(table, [*small, *runs("base", [20, 21, 22]), *runs("prune", [20, 21, 22])]).answer
    assert (answer.best.profile, answer.best.tests, answer.best.waiting) == (PAPER, True, ())


def test_rows_that_choose_by_another_metric_are_told(tmp_path: Path) -> None:
    """Where the rows of a claim keep their step by different metrics, though neither is made from the other."""
    table = article(tmp_path)
    by_f1 = replace(table.row("base").recipe[0], options={"select": "f1"})
    rows = tuple(replace(row, recipe=(by_f1,), parents=()) if row.id == "prune" else row for row in table.rows)
    (asked,) = found(replace(table, rows=rows), []).answer.selects
    assert asked == ("prune", "f1", "base", "accuracy")
    assert found(table, []).answer.selects == ()


def test_order_of_the_arguments_does_not_matter(table: ResultsTable) -> None:
    """The same material in another order gives the same evidence."""
    records = runs("base", [18, 20, 25]) + runs("prune", [20, 21, 25]) + runs("svm", [23], "small")
    backwards = dict(reversed(PROFILES.items()))
    assert gather({table.id: table}, records, PROFILES) == gather({table.id: table}, records[::-1], backwards)


@pytest.mark.parametrize("change", [{"row": "nowhere"}, {"table": "nowhere"}, {"profile": "nowhere"}])
def test_stray_record_is_refused(table: ResultsTable, change: dict[str, Any]) -> None:
    """A record that no row or profile owns is an error, not left out in silence."""
    with pytest.raises(UserError, match="unknown table, row or profile"):
        gather({table.id: table}, [replace(record("base", 1, 3), **change)], PROFILES)


def test_one_table_is_the_main_one(table: ResultsTable) -> None:
    """The alphabet decides nothing: without a main table, or with two, the report says so and names them."""
    other = replace(table, id="another")
    with pytest.raises(UserError, match="one table has to be the main one, here it is none"):
        compute(gather({"a": replace(table, main=False)}, [], PROFILES))
    with pytest.raises(UserError, match="here it is another, article"):
        compute(gather({"a": other, "b": table}, [], PROFILES))
    findings = compute(gather({"a": replace(other, main=False), "b": table}, [], PROFILES))
    assert [one.table.id for one in findings.published] == ["article", "another"]


def test_every_published_table_has_a_page() -> None:
    """The tables of `expected/` have pages, the main one first, each published value as printed."""
    tables = load_tables(EXPECTED)
    findings = compute(gather(tables, [], PROFILES))
    theirs = ["paddlenlp_multi_class", "paddlenlp_multi_class_older"]
    assert [one.table.id for one in findings.published] == ["ernie3_kuake_qic", *theirs]
    for one in findings.published:
        shown = {text for row in lines(section_published(one), "row", "state") for text in row.cells.values()}
        for row in one.table.rows:
            assert all(any(value.printed in text for text in shown) for value in row.published.values())
        assert not one.never


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: ResultsTable) -> tuple[Path, list[Record]]:
    """The front page's path, and the records that `write` and `check` find."""
    records = runs("base", [18, 20])
    monkeypatch.setattr(report, "current_evidence", lambda: gather({table.id: table}, records, PROFILES))
    return tmp_path / "REPORT.md", records


def test_check_shows_what_is_stale(written: tuple[Path, list[Record]], capsys: pytest.CaptureFixture[str]) -> None:
    """`check` is 0 after `write`; with another record or no file it is 1 and prints the difference of every page."""
    path, records = written
    assert report.check(path) == 1
    report.write(path)
    capsys.readouterr()
    assert report.check(path) == 0
    assert capsys.readouterr().out == ""
    records.append(record("base", 3, 25))
    assert report.check(path) == 1
    difference = capsys.readouterr().out.splitlines()
    assert len([one for one in difference if one.startswith("+") and "0.7900 ± 0.0361 (3)" in one]) == 1
    assert len([one for one in difference if one.startswith("-") and "0.8100 ± 0.0141 (2)" in one]) == 1
    assert f"--- {path.parent / 'docs' / 'report' / 'article.md'}" in difference


def test_a_page_that_is_no_more_is_stale(
    written: tuple[Path, list[Record]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A page left over in the report's folder makes `check` 1 and is named; `write` removes it."""
    path, _ = written
    report.write(path)
    old = path.parent / "docs" / "report" / "old.md"
    old.write_text("# Old\n", encoding="utf-8")
    capsys.readouterr()
    assert report.check(path) == 1
    assert capsys.readouterr().out.startswith(f"{old}: ")
    report.write(path)
    assert not old.exists()
    assert report.check(path) == 0


@pytest.fixture
def pictured(monkeypatch: pytest.MonkeyPatch, written: tuple[Path, list[Record]]) -> Path:
    """A written report whose only page has a picture; the file of that picture."""
    picture = bars("speed", "Speed", "It is fast.", "times as fast", ["a"], [Series("b", (Estimate(1.5),))])
    monkeypatch.setattr(report, "project_pages", lambda *found: (Page("REPORT.md", "Title", (picture,)),))
    path, _ = written
    report.write(path)
    return path.parent / "docs" / "figures" / "speed.svg"


def test_pictures_are_written_with_the_report(pictured: Path) -> None:
    """The picture lies where the report's link leads; what else is in its folder stays."""
    path = pictured.parents[2] / "REPORT.md"
    assert path.read_text(encoding="utf-8") == "# Title\n\n![It is fast.](docs/figures/speed.svg)\n"
    other = pictured.with_name("other.svg")
    other.write_text("somebody else's", encoding="utf-8")
    report.write(path)
    assert report.check(path) == 0
    assert other.read_text(encoding="utf-8") == "somebody else's"


@pytest.mark.parametrize("change", ["edited", "gone"])
def test_check_finds_a_changed_picture(pictured: Path, capsys: pytest.CaptureFixture[str], change: str) -> None:
    """A picture that was changed or removed makes `check` 1, with one line that names it."""
    path = pictured.parents[2] / "REPORT.md"
    if change == "edited":
        pictured.write_text(pictured.read_text(encoding="utf-8").replace("1.50", "1.90"), encoding="utf-8")
    else:
        pictured.unlink()
    assert report.check(path) == 1
    assert capsys.readouterr().out.split(": ")[0] == str(pictured)
    report.write(path)
    assert report.check(path) == 0


def test_without_matplotlib_nothing_is_half_written(pictured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`check` and `write` say in one line that Matplotlib is missing; the report stays as it was."""
    path = pictured.parents[2] / "REPORT.md"
    path.write_text("old", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for act in (report.check, report.write):
        with pytest.raises(UserError, match="Matplotlib, which is not installed"):
            act(path)
    assert path.read_text(encoding="utf-8") == "old"


def test_readme_has_the_current_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], table: ResultsTable
) -> None:
    """`write` puts the table between the marks and leaves the rest; `check` names a README whose table is another."""
    records = runs("base", [18, 20, 25], "small")
    monkeypatch.setattr(report, "current_evidence", lambda: gather({table.id: table}, records, PROFILES))
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n", encoding="utf-8")
    report.write(tmp_path / "REPORT.md")
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| `base` | 0.8000 | not-run | not-run | 0.7900 ± 0.0361 (3) |" in text.splitlines()
    assert report.check(tmp_path / "REPORT.md") == 0
    capsys.readouterr()
    readme.write_text(text.replace("0.7900", "0.9900"), encoding="utf-8")
    assert report.check(tmp_path / "REPORT.md") == 1
    assert capsys.readouterr().out.split(": ")[0] == str(readme)
    readme.write_text("no marks\n", encoding="utf-8")
    with pytest.raises(UserError, match="README.md: lacks the lines"):
        report.write(tmp_path / "REPORT.md")
