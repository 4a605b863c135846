"""The report on one's own data: all rows, nothing published, and only the records of these very data."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from replicate.commands.main import main
from replicate.common.errors import UserError
from replicate.common.paths import EXPECTED
from replicate.corpus.formats import Dataset, Split
from replicate.findings.own import OwnFindings, compute_own, own_evidence
from replicate.records.run import Record, write_record
from replicate.report import build as report
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile
from tests.synthetic import GOLD, PROFILES, runs

LABELS = ("diagnosis", "treatment", "other")
TEXTS = tuple(f"text {n}" for n in range(len(GOLD)))
DATA = Dataset("mine", LABELS, Split(("a", "b"), (0, 1)), Split(TEXTS, tuple(GOLD.tolist())))


def records(dataset: Dataset = DATA) -> list[Record]:
    """Runs of two rows of the article's table on some data, under a profile that exists."""
    made = [*runs("base", [20, 21, 22], "smoke"), *runs("svm", [10, 10, 10], "smoke")]
    stages = ({**made[0].stages[0], "summary": {}},)
    digests = dataset.digests
    return [replace(one, table="ernie3_kuake_qic", digests=digests, stages=stages) for one in made]


def found(own: list[Record], dataset: Dataset = DATA) -> OwnFindings:
    """What the records say, under a profile that exists."""
    profiles = {"smoke": load_profile("smoke")}
    return compute_own(own_evidence(load_tables(EXPECTED), own, profiles, dataset))


def test_full_report_without_published_values(tmp_path: Path) -> None:
    """Pages, pictures and the HTML file are beside the records; no published figure is in them."""
    for one in records():
        write_record(one, tmp_path)
    path = report.write_own(tmp_path, DATA)
    pages = [path, *(tmp_path / "docs" / "report").glob("*.md")]
    assert {"REPORT.md", "smoke.md", "method.md"} <= {one.name for one in pages}
    text = "".join(one.read_text(encoding="utf-8") for one in pages)
    assert text.startswith("# The rows on “mine”\n")
    for row in load_tables(EXPECTED)["ernie3_kuake_qic"].rows:
        assert not [value.printed for value in row.published.values() if value.printed in text]
    assert (tmp_path / "docs" / "figures" / "confusion-ernie3_kuake_qic-smoke.svg").is_file()
    for page in pages:
        targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
        assert targets
        for target in targets:
            assert (page.parent / target.partition("#")[0]).exists(), (page, target)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "text 17" not in html
    report.write_own(tmp_path, DATA, tmp_path / "with" / "texts.html", texts=True)
    assert '"text 17"' in (tmp_path / "with" / "texts.html").read_text(encoding="utf-8")


def test_claims_and_what_to_do() -> None:
    """The article's claims are judged on these data, and what to do is told of them."""
    rows = {"base": [20, 22, 21, 20], "augment": [26, 29, 27, 27], "prune-1-2": [26, 28, 28, 27]}
    own = [
        replace(one, table="ernie3_kuake_qic", digests=DATA.digests)
        for row, wrongs in rows.items()
        for one in runs(row, wrongs, "smoke")
    ]
    findings = found(own)
    lowered = next(results for claim, results in findings.answer.claims if claim.row == "augment")
    assert [one.verdict.status for one in lowered] == ["not distinguishable"]
    assert lowered[0].differences["accuracy"].found.difference == pytest.approx(-0.065)
    (augment,) = findings.advice.augment
    assert (augment.answer, len(augment.ways)) == ("none helps", 1)
    ((profile, answer),) = dict(findings.advice.smaller)["pruned"]
    assert (profile, answer.lead) == ("smoke", "kept")
    assert answer.told is not None
    assert (answer.told.row.id, answer.told.word) == ("prune-1-2", "keeps")
    assert all(not one.table.neighbours for one in findings.augmentation.ablations)
    assert findings.answer.facts.positive_examples == DATA.dev.labels.count(1)


def test_records_of_another_version_of_the_data_are_left_out(tmp_path: Path) -> None:
    """A dev set that was changed since is another data set."""
    changed = replace(DATA, dev=Split((*TEXTS[:-1], "another"), DATA.dev.labels))
    assert own_evidence(load_tables(EXPECTED), records(), PROFILES, changed).records == ()
    for one in records():
        write_record(one, tmp_path)
    with pytest.raises(UserError, match="no records of these data; `replicate run --dataset_dir` makes them"):
        report.write_own(tmp_path, changed)
    assert not (tmp_path / "REPORT.md").exists()


def test_answer_names_best_row_and_baseline() -> None:
    """The highest mean stands first, with the baseline beside it where that is another row."""
    better = [replace(one, row="base") if one.row == "svm" else replace(one, row="svm") for one in records()]
    (best,) = found(better).answer.best
    assert best.row is not None
    assert best.baseline is not None
    assert (best.row.row.id, best.baseline.row.id) == ("base", "svm")
    assert best.row.summary("accuracy")[0] == pytest.approx(0.9)
    assert best.baseline.summary("accuracy")[0] == pytest.approx(0.79)
    (best,) = found(records()).answer.best
    assert best.row is not None
    assert (best.row.row.id, best.baseline) == ("svm", None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("report --texts", "--texts is for your own data; name it with --dataset_dir"),
        ("report --check --html", "--check is about REPORT.md alone"),
        ("report --dataset_dir nowhere", "nowhere: no such folder; it should hold train.txt, dev.txt and label.txt"),
    ],
)
def test_wrong_combinations(
    line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is one line, exit code 2."""
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    assert capsys.readouterr().err == f"replicate: {message}\n"
