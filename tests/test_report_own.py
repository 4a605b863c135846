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
from replicate.records.run import Record, write_record
from replicate.report import build as report
from replicate.report.sections.own import own_material, section_own_answer
from replicate.tables.file import load_tables
from tests.synthetic import GOLD, PROFILES, plain, runs

LABELS = ("diagnosis", "treatment", "other")
TEXTS = tuple(f"text {n}" for n in range(len(GOLD)))
DATA = Dataset("mine", LABELS, Split(("a", "b"), (0, 1)), Split(TEXTS, tuple(GOLD.tolist())))


def records(dataset: Dataset = DATA) -> list[Record]:
    """Runs of two rows of the article's table on some data, under a profile that exists."""
    made = [*runs("base", [20, 21, 22], "smoke"), *runs("svm", [10, 10, 10], "smoke")]
    stages = ({**made[0].stages[0], "summary": {}},)
    digests = dataset.digests
    return [replace(one, table="ernie3_kuake_qic", digests=digests, stages=stages) for one in made]


def test_full_report_without_published_values(tmp_path: Path) -> None:
    """REPORT.md, its pictures and the page are beside the records; no published figure is in them."""
    for one in records():
        write_record(one, tmp_path)
    path = report.write_own(tmp_path, DATA)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# The rows on `mine`\n")
    assert "**0.9000 ± 0.0000 (3)**" in text
    assert "F1 of class 1 is that of treatment" in text
    assert "[1](./smoke/ernie3_kuake_qic/base/seed-1.json)" in text
    for row in load_tables(EXPECTED)["ernie3_kuake_qic"].rows:
        assert not [value.printed for value in row.published.values() if value.printed in text]
    assert "published |" not in text
    assert (tmp_path / "docs" / "figures" / "confusion-ernie3_kuake_qic-smoke.svg").is_file()
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "text 17" not in html
    report.write_own(tmp_path, DATA, tmp_path / "with" / "texts.html", texts=True)
    assert '"text 17"' in (tmp_path / "with" / "texts.html").read_text(encoding="utf-8")


def test_claims_and_what_to_do(tmp_path: Path) -> None:
    """The article's claims are judged on these data, and what to do is told of them; every link leads somewhere."""
    rows = {"base": [20, 22, 21, 20], "augment": [26, 29, 27, 27], "prune-1-2": [26, 28, 28, 27]}
    of_row = {row: runs(row, wrongs, "smoke") for row, wrongs in rows.items()}
    for one in (one for made in of_row.values() for one in made):
        write_record(replace(one, table="ernie3_kuake_qic", digests=DATA.digests), tmp_path)
    text = report.write_own(tmp_path, DATA).read_text(encoding="utf-8")
    words = plain(text)
    assert "| Data augmentation lowers accuracy and F1. | **not distinguishable**: -0.0650 (" in words
    assert "| **Augment?** | **No.** 1 way of augmenting all lines" in words
    assert "| **Prune?** | **Yes.** `prune-1-2` keeps: +0.0000 (" in words
    assert text.index("### Rows of *ernie3_kuake_qic*") < text.index("## What compression costs and buys")
    assert "What others have published" not in text
    assert "which has 676" not in text
    for target in re.findall(r"\]\(([^)\s#]+)\)", text):
        assert (tmp_path / target).exists(), target


def test_records_of_another_version_of_the_data_are_left_out(tmp_path: Path) -> None:
    """A dev set that was changed since is another data set."""
    changed = replace(DATA, dev=Split((*TEXTS[:-1], "another"), DATA.dev.labels))
    assert own_material(load_tables(EXPECTED), records(), PROFILES, changed).records == ()
    for one in records():
        write_record(one, tmp_path)
    with pytest.raises(UserError, match="no records of these data; `replicate run --dataset_dir` makes them"):
        report.write_own(tmp_path, changed)
    assert not (tmp_path / "REPORT.md").exists()


def test_answer_names_best_row_and_baseline() -> None:
    """The highest mean stands first, with the baseline beside it where that is another row."""
    better = [replace(one, row="base") if one.row == "svm" else replace(one, row="svm") for one in records()]
    profiles = {"smoke": replace(PROFILES["small"], id="smoke")}
    material = own_material(load_tables(EXPECTED), better, profiles, DATA)
    text = plain("\n".join(str(block) for block in section_own_answer(material)))
    assert "`base`: **0.9000 ± 0.0000 (3)**" in text
    assert "the linear baseline `svm` has 0.7900 ± 0.0100 (3)" in text


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
