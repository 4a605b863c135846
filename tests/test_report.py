"""REPORT.md from small synthetic tables, records and profiles."""

from __future__ import annotations

import statistics
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from replicate.common.errors import UserError
from replicate.common.paths import EXPECTED
from replicate.findings.rows import compare, judge_claims, judge_row, row_result
from replicate.records.run import Record
from replicate.report import build as report
from replicate.report.build import gather, render
from replicate.report.pictures.axes import Estimate, Series
from replicate.report.pictures.bars import bars
from replicate.report.readme import BEGIN, END
from replicate.tables.file import load_tables
from replicate.tables.table import ResultsTable
from tests.synthetic import PROFILES, SMALL, article, failure, line, record, runs


@pytest.fixture
def table(tmp_path: Path) -> ResultsTable:
    """A table of two published rows and a baseline, through the real loader."""
    return article(tmp_path)


def test_nothing_run(table: ResultsTable) -> None:
    """Without records the report says that nothing has been run, and each published row prints not-run."""
    text = render({table.id: table}, [], PROFILES)
    assert text.startswith("# Does the published table hold?\n")
    assert "**Not known yet: it has not been run.** None of its 2 published rows has a record under `paper`." in text
    assert text.count("**not-run**: no record under `paper`") == 2
    assert "0.7741935483870969" in line(text, "| Base (`base`)", "published")
    assert "Nothing has been measured: there is no record." in text


def test_figures_are_those_of_the_records(table: ResultsTable) -> None:
    """Mean, standard deviation and number of seeds in the table are those of the records, each with its link."""
    text = render({table.id: table}, runs("base", [18, 20, 25]), PROFILES)
    mean, sd = statistics.fmean([0.82, 0.80, 0.75]), statistics.stdev([0.82, 0.80, 0.75])
    found = line(text, "`paper`", f"{mean:.4f} ± {sd:.4f} (3)")
    assert "1.0000 ± 0.0000 (3)" in found
    assert "| [`paper`](measured/paper/article/base) |" in text
    for seed in (1, 2, 3):
        assert text.count(f"[{seed}](measured/paper/article/base/seed-{seed}.json)") == 1
    assert "20.0" in line(text, "article/base", "10.0 to 30.0", "| 1 2 3 |")
    assert "- commit: " + "c" * 40 in text
    assert "- seeds: 1, 2, 3" in text


def test_claims_are_paired_by_seed(table: ResultsTable) -> None:
    """A claim's measured difference uses the seeds that both rows have; the published one stands above it."""
    records = runs("base", [10, 20, 30, 40]) + runs("prune", [11, 22, 33])
    text = render({table.id: table}, records, PROFILES)
    assert "The rows differ by 1 of 100 examples" in line(text, "Pruning lowers accuracy.", " -0.0100 ")
    assert "**not distinguishable**" in line(text, "Pruning lowers accuracy.", "-0.0200 ± 0.0100 (3)")
    base, prune = (row_result(records, table.row(row), "paper") for row in ("base", "prune"))
    for first, second, sign in ((prune, base, -1), (base, prune, 1)):
        comparison = compare(first, second, "accuracy")
        assert comparison is not None
        assert comparison.n == 3
        assert comparison.difference == pytest.approx(sign * 0.02)


@pytest.mark.parametrize(
    ("prune", "status"),
    [
        ([], "not-run"),
        ([28, 30, 31, 29, 30, 29], "supported"),
        ([8, 10, 11, 9, 10, 9], "contradicted"),
        ([20, 20, 19, 21, 20, 20], "not distinguishable"),
    ],
)
def test_claim_verdict(table: ResultsTable, prune: list[int], status: str) -> None:
    """Each verdict on a claim comes from seeds that call for it."""
    records = runs("base", [20, 21, 19, 20, 19, 21]) + runs("prune", prune)
    (result,) = judge_claims(table, records, "paper")
    assert result.verdict.status == status
    text = render({table.id: table}, records, PROFILES)
    assert line(text, "| Pruning", "one seed").count(f"**{status}**") == 1
    reason = f"**{status}**: {result.verdict.reason}"
    if status == "not-run":
        assert f"The same claims with the seeds of `paper`:\n\n{reason}." in text
    else:
        assert reason in line(text, "| Pruning", "| accuracy | ", "**")


def test_printed_f1_is_decoded(table: ResultsTable) -> None:
    """The whole numbers behind the published F1 stand in the report, with the class that they are of."""
    text = render({table.id: table}, [], PROFILES)
    assert "class index 1 of the label list alone: treatment, which has 30 of the 100 dev examples" in text
    assert all(part in line(text, "80/100") for part in ("24/32", "24/30", "48/62 = 0.7742"))


def test_other_profiles_are_kept_apart(table: ResultsTable) -> None:
    """Figures of a profile that isn't comparable stand under their own heading and never in the published table."""
    records = runs("base", [18, 20, 25], "small") + runs("prune", [20, 21, 25], "small")
    text = render({table.id: table}, records, PROFILES)
    first, _, rest = text.partition("## `small`: not a replication")
    assert "0.7900 ± 0.0361 (3)" not in first
    assert "`small` (6 records) answers another question and replicates nothing." in first
    assert "Why none of its figures is compared with a published value: a smaller net." in rest
    assert "0.7900 ± 0.0361 (3)" in line(rest, "| `base`", "finetune")
    assert "1,234,567" in line(rest, "| `base`", "finetune")
    assert "-0.0100 ± 0.0100 (3)" in line(rest, "`prune` minus `base` | accuracy | -0.0100", "0.5 to 1 |")
    assert "**not distinguishable**" in line(rest, "Pruning lowers accuracy.")
    assert "not-run" in line(rest, "| `svm`")
    assert "Base (" not in rest.partition("## How it was measured")[0]


def test_unpublished_row_shows_any_profile_on_the_same_data(table: ResultsTable) -> None:
    """The baseline, which is compared with nothing, stands beside the published rows wherever it ran on their data."""
    records = runs("svm", [23], "small")
    first = render({table.id: table}, records, PROFILES).partition("## `small`")[0]
    assert "0.7700 (1)" in line(first, "| Baseline (`svm`)", "`small`", "nothing published")
    elsewhere = {**PROFILES, "small": replace(SMALL, dataset="generated")}
    first = render({table.id: table}, records, elsewhere).partition("## `small`")[0]
    assert "not-run" in line(first, "| Baseline (`svm`)", "`paper`")


def test_failed_seeds_are_listed_and_counted(table: ResultsTable) -> None:
    """A diverged seed is linked, listed with its reason and counted, and its row is not called replicated."""
    records = [*runs("base", [20, 20, 20, 21, 19]), failure("base", 6, "diverged")]
    text = render({table.id: table}, records, PROFILES)
    line(text, "| `paper` | **inconclusive**", "(5)")
    assert "1 seed did not end well:" in text
    found = "seed [6](measured/paper/article/base/seed-6.json) diverged: the loss is NaN \\| at step 7"
    assert f"- `base`, `paper`, {found}" in text
    assert judge_row(table, row_result(records, table.row("base"), "paper")).status == "inconclusive"
    small = render({table.id: table}, [failure("base", 1, "error", profile="small")], PROFILES)
    line(small, "| `base`", "finetune", "no score (0)")
    line(small, "- `base`, `small`, seed 1 error: ")


def test_seeds_not_run_yet_are_named(table: ResultsTable) -> None:
    """Where a row has records for some of the profile's seeds only, the others are named."""
    text = render({table.id: table}, [record("base", 2, 20)], PROFILES)
    assert "Seeds of the profile without a record yet: `base` (1, 3)." in text
    assert "without a record yet" not in render({table.id: table}, runs("base", [20, 20, 20]), PROFILES)


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


@pytest.mark.parametrize(
    ("base", "prune", "answer"),
    [
        ([20, 20, 21, 19, 20], [21, 21, 22, 20, 21], "**Yes.** Each of its 2 published rows is replicated"),
        ([20, 20, 21, 19, 20], [], "**Not settled.** Of its 2 comparisons under `paper`: 1 not-run, 1 replicated."),
        ([1, 2, 1, 2, 1], [], "**No, not all of it.** Of its 2 comparisons under `paper`: 1 higher, 1 not-run."),
    ],
)
def test_answer(table: ResultsTable, base: list[int], prune: list[int], answer: str) -> None:
    """The first paragraph answers from the verdicts, and counts what has not been run."""
    text = render({table.id: table}, runs("base", base) + runs("prune", prune), PROFILES)
    assert answer in text


def test_order_of_the_arguments_does_not_matter(table: ResultsTable) -> None:
    """The same material in another order gives the same text."""
    records = runs("base", [18, 20, 25]) + runs("prune", [20, 21, 25]) + runs("svm", [23], "small")
    backwards = dict(reversed(PROFILES.items()))
    assert render({table.id: table}, records, PROFILES) == render({table.id: table}, records[::-1], backwards)


@pytest.mark.parametrize("change", [{"row": "nowhere"}, {"table": "nowhere"}, {"profile": "nowhere"}])
def test_stray_record_is_refused(table: ResultsTable, change: dict[str, Any]) -> None:
    """A record that no row or profile owns is an error, not left out in silence."""
    with pytest.raises(UserError, match="unknown table, row or profile"):
        render({table.id: table}, [replace(record("base", 1, 3), **change)], PROFILES)


def test_every_published_table_renders() -> None:
    """The tables of `expected/` render, the one with claims first, each published value as printed."""
    tables = load_tables(EXPECTED)
    text = render(tables, [], PROFILES)
    for table in tables.values():
        assert (f"## {table.title}" in text) is table.is_published
        for row in table.rows:
            assert all(value.printed in text for value in row.published.values())
    # Nobody can run PaddleNLP's own table, for one reason.
    assert text.count("**not-run**, every row: ") == 1
    claims = [table for table in tables.values() if table.is_published and table.claims]
    assert text.split("\n## ")[1].startswith(claims[0].title)


def test_check_shows_what_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], table: ResultsTable
) -> None:
    """`check` is 0 after `write`; with another record or no file it is 1 and prints the difference."""
    path, records = tmp_path / "REPORT.md", runs("base", [18, 20])
    monkeypatch.setattr(report, "_current", lambda path: gather({table.id: table}, records, PROFILES))
    assert report.check(path) == 1
    report.write(path)
    capsys.readouterr()
    assert report.check(path) == 0
    assert capsys.readouterr().out == ""
    records.append(record("base", 3, 25))
    assert report.check(path) == 1
    difference = capsys.readouterr().out
    assert line(difference, "+", "0.7900 ± 0.0361 (3)").startswith("+")
    assert line(difference, "-", "0.8100 ± 0.0141 (2)").startswith("-")


@pytest.fixture
def pictured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: ResultsTable) -> Path:
    """A written report whose only other section has a picture; the file of that picture."""
    picture = bars("speed", "Speed", "It is fast.", "times as fast", ["a"], [Series("b", (Estimate(1.5),))])
    monkeypatch.setattr(report, "SECTIONS", (lambda material: ["# Title", picture],))
    monkeypatch.setattr(report, "_current", lambda path: gather({table.id: table}, [], PROFILES))
    report.write(tmp_path / "REPORT.md")
    return tmp_path / "docs" / "figures" / "speed.svg"


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
    assert capsys.readouterr().out == f"{pictured}: not what the records say; `replicate report` writes it\n"
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
    monkeypatch.setattr(report, "_current", lambda path: gather({table.id: table}, records, PROFILES))
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n", encoding="utf-8")
    report.write(tmp_path / "REPORT.md")
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    found = line(text, "| `base` |")
    assert found == "| `base` | 0.8000 | not-run | not-run | 0.7900 ± 0.0361 (3) |"
    assert report.check(tmp_path / "REPORT.md") == 0
    capsys.readouterr()
    readme.write_text(text.replace("0.7900", "0.9900"), encoding="utf-8")
    assert report.check(tmp_path / "REPORT.md") == 1
    assert capsys.readouterr().out == f"{readme}: not what the records say; `replicate report` writes it\n"
    readme.write_text("no marks\n", encoding="utf-8")
    with pytest.raises(UserError, match="README.md: lacks the lines"):
        report.write(tmp_path / "REPORT.md")
