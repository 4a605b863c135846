"""The report on one's own data: all rows, nothing published, and only the records of these very data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import markdown_it
import numpy as np
import pytest

from replicate.commands.main import main
from replicate.common.errors import UserError
from replicate.common.paths import EXPECTED
from replicate.corpus.checkup import check_up
from replicate.corpus.formats import Dataset, Split
from replicate.findings.own import OwnFindings, compute_own, own_evidence
from replicate.records.run import Record, write_record
from replicate.report import build as report
from replicate.report.markdown import markdown
from replicate.report.pages import own_pages
from replicate.report.site import Site
from replicate.scores.evaluation import RECORDED, evaluate
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile
from tests.synthetic import GOLD, PROFILES, runs

LABELS = ("diagnosis", "treatment", "other")
TEXTS = tuple(f"text {n}" for n in range(len(GOLD)))
SMOKE = load_profile("smoke")
# As a profile whose net is worth advice.
MINE = replace(SMOKE, id="mine")
DATA = Dataset("mine", LABELS, Split(("a", "b"), (0, 1)), Split(TEXTS, tuple(GOLD.tolist())))


def records(dataset: Dataset = DATA) -> list[Record]:
    """Runs of two rows of the article's table on some data, under a profile that exists."""
    made = [*runs("base", [20, 21, 22], "smoke"), *runs("svm", [10, 10, 10], "smoke")]
    stages = ({**made[0].stages[0], "summary": {}},)
    digests = dataset.digests
    return [replace(one, table="ernie3_kuake_qic", digests=digests, stages=stages) for one in made]


def found(own: list[Record], dataset: Dataset = DATA) -> OwnFindings:
    """What the records say, under a profile that exists."""
    evidence = own_evidence(load_tables(EXPECTED), own, {"smoke": SMOKE, "mine": MINE}, dataset)
    return compute_own(evidence, check_up(dataset, 64))


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


EVIL = ("<script>alert(1)</script>", "![b](http://beacon.invalid/x.png)", "`|` **x** [a](javascript:1) <img src=x>")


class Elements(HTMLParser):
    """The elements of some HTML with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keeps the element."""
        self.found.append((tag, dict(attrs)))


def test_labels_and_folders_act_in_no_report(tmp_path: Path) -> None:
    """A data set whose labels and folder are HTML and Markdown: no element, link or picture comes of them, on any page.

    A picture from elsewhere would tell its owner who looks at the report.
    """
    data = replace(DATA, labels=EVIL, name=EVIL[1])
    for one in records(data):
        write_record(replace(one, labels=EVIL), tmp_path)
    first = report.write_own(tmp_path, data, tmp_path / "report.html", texts=True)
    render = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table").render
    pages = {path: render(path.read_text(encoding="utf-8")) for path in (first, *(tmp_path / "docs").rglob("*.md"))}
    assert any("alert(1)" in one for one in pages.values())
    pages[tmp_path / "report.html"] = (tmp_path / "report.html").read_text(encoding="utf-8")
    pages |= {path: path.read_text(encoding="utf-8") for path in (tmp_path / "docs").rglob("*.svg")}
    for path, text in pages.items():
        for tag, attributes in Elements(text).found:
            assert tag != "script" or path.suffix == ".html"
            for name in ("src", "href", "onerror", "data"):
                value = attributes.get(name) or ""
                assert "beacon" not in value, (path, tag)
                assert not value.startswith("javascript"), (path, tag)
                assert value != "x", (path, tag)
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", pages[tmp_path / "report.html"], re.DOTALL)
    assert "alert(1)" not in map(str.strip, scripts)


def of_rows(rows: Mapping[str, list[int]], profile: str = "mine", **changes: Any) -> list[Record]:
    """Runs of rows of the article's table, with so many wrong answers of 100."""
    return [
        replace(one, table="ernie3_kuake_qic", digests=DATA.digests, **changes)
        for row, wrongs in rows.items()
        for one in runs(row, wrongs, profile)
    ]


def test_advice_where_a_net_is_worth_it() -> None:
    """A net above the baseline: what to do is told of it, with tolerances of this dev set's size."""
    rows = {"base": [20, 22, 21, 20], "augment": [26, 29, 27, 27], "prune-1-2": [26, 28, 28, 27], "svm": [40] * 4}
    findings = found(of_rows(rows))
    (one,) = findings.answer.standings
    assert one.net is not None
    assert one.difference is not None
    assert (one.state, one.net.row.id, one.advises) == ("better", "base", True)
    assert one.difference.found.difference == pytest.approx(0.1925)
    (augment,) = findings.advice.augment
    # The margin of the plan, on whatever data.
    assert augment.tolerance.value == Decimal("0.010")
    ((profile, answer),) = dict(findings.advice.smaller)["pruned"]
    assert (profile, answer.lead) == ("mine", "open")
    assert answer.told is not None
    assert (answer.told.row.id, answer.told.judged.word) == ("prune-1-2", "undecided")
    assert all(not one.table.neighbours for one in findings.augmentation.ablations)
    assert findings.answer.facts.positive_class is None


@pytest.mark.parametrize(
    ("rows", "state"),
    [
        ({"base": [20, 22, 21], "svm": [10, 10, 10]}, "worse"),
        ({"base": [20, 20, 20], "svm": [20, 20, 20]}, "worse"),
        ({"base": [20, 22, 21]}, "alone"),
        ({"base": [70, 72, 71]}, "worse"),
        ({"base": [70, 72, 71], "svm": [80, 80, 80]}, "worse"),
        ({"base": [19, 21, 19], "svm": [20, 20, 20]}, "unclear"),
        ({"base": [19], "svm": [20]}, "unclear"),
        ({"base": [19, 18, 19], "svm": [23, 23, 23]}, "better"),
        ({"svm": [20, 20, 20]}, "none"),
    ],
)
def test_nets_stand_beside_what_needs_none(rows: dict[str, list[int]], state: str) -> None:
    """No net that doesn't beat the linear baseline, or naming one label, gives advice."""
    own = of_rows(rows)
    (one,) = found(own).answer.standings
    assert one.commonest == ("diagnosis", 0.4)
    assert (one.state, one.advises) == (state, state in ("alone", "unclear", "better"))
    if not one.advises:
        front = next(iter(markdown(Site(own_pages(found(own)), records=".", in_project=False)).values()))
        assert "Yes" not in front
        assert "What to do" not in front


def front_of(findings: OwnFindings) -> str:
    """The front page as Markdown."""
    return next(iter(markdown(Site(own_pages(findings), records=".", in_project=False)).values()))


def test_the_first_sentence_is_the_answer() -> None:
    """Where the linear baseline wins it says so, and what both cost; else which net, by how much."""
    worse = front_of(found(of_rows({"base": [60, 62, 61], "svm": [20, 20, 20]}))).split("\n\n")[1]
    assert worse.startswith("**Under `mine` no net beats the linear baseline**: ")
    assert re.findall(r"(0\.\d{4})", worse)[0] == "0.8000"
    assert worse.count(" after ") == 2
    better = front_of(found(of_rows({"base": [18, 19, 17], "svm": [40, 40, 40]}))).split("\n\n")[1]
    assert better.startswith("**Under `mine` a net beats the linear baseline**: ")
    assert re.search(r"\+0\.2200 \(0\.\d{4} to 0\.\d{4}\)", better)
    assert "to train, where the baseline takes" in better
    assert "was not measured" in better
    only = front_of(found(of_rows({"svm": [40, 40, 40]}))).split("\n\n")[1]
    assert "0.6000" in only


def test_rows_that_nobody_ran_are_not_counted() -> None:
    """The front page of own data speaks of the rows that were run on them."""
    rows = {"base": [20, 22, 21, 20], "augment": [26, 29, 27, 27], "prune-1-2": [26, 28, 28, 27], "svm": [40] * 4}
    front = front_of(found(of_rows(rows)))
    assert "have not been run" not in front
    assert "has not been run" not in front


def test_three_seeds_give_an_interval() -> None:
    """No plan of the project's is followed that nobody has kept, and what was not run makes no interval wider."""
    rows = {"base": [20, 22, 21], "augment": [26, 27, 26], "prune-1-2": [26, 27, 27], "svm": [40] * 3}
    findings = found(of_rows(rows))
    ((_, pruned),) = dict(findings.advice.smaller)["pruned"]
    assert pruned.told is not None
    assert (pruned.told.judged.rule, pruned.told.judged.has_interval) == ("study", True)
    assert [one.row.id for one in pruned.rows] == ["prune-1-2"]
    low, high = pruned.told.judged.interval
    assert high - low < 0.06
    assert findings.answer.decided == ()


def test_the_machinerys_net_gives_no_advice() -> None:
    """Whatever it scores, the net of `smoke` is there to show that everything runs."""
    (one,) = found(of_rows({"base": [5, 5, 6], "svm": [40, 40, 40]}, "smoke")).answer.standings
    assert (one.state, one.advises) == ("better", False)


def test_a_larger_student_is_no_compression() -> None:
    """A row with more parameters than its parent is never the answer, however well it scores."""
    base = of_rows({"augment": [26, 29, 27, 27]}, parameters=1000)
    small = of_rows({"prune-1-2": [26, 28, 28, 27]}, parameters=800)
    large = of_rows({"prune-2-3": [20, 21, 20, 20]}, parameters=1250)
    ((_, answer),) = dict(found([*base, *small, *large]).advice.smaller)["pruned"]
    assert answer.told is not None
    assert (answer.lead, answer.told.row.id) == ("open", "prune-1-2")
    ((_, answer),) = dict(found([*base, *large]).advice.smaller)["pruned"]
    assert answer.lead == "not smaller"


def test_records_of_another_version_of_the_data_are_left_out(tmp_path: Path) -> None:
    """A dev set that was changed since is another data set."""
    changed = replace(DATA, dev=Split((*TEXTS[:-1], "another"), DATA.dev.labels))
    assert own_evidence(load_tables(EXPECTED), records(), PROFILES, changed).records == ()
    for one in records():
        write_record(one, tmp_path)
    with pytest.raises(UserError, match="no records of these data; `replicate run --dataset_dir` makes them"):
        report.write_own(tmp_path, changed)
    assert not (tmp_path / "REPORT.md").exists()


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


def test_many_classes_with_long_names(tmp_path: Path) -> None:
    """300 labels of 56 signs, with marks of Markdown and HTML: pictures under 300 KB, a page under 3 MB."""
    labels = tuple(f"*{at}*_<b>/," + "字" * 48 for at in range(300))
    gold = tuple(at % 300 for at in range(600))
    data = Dataset("many", labels, Split(("a",), (0,)), Split(tuple(f"t{at}" for at in range(600)), gold))
    rng = np.random.default_rng(1)
    for row in ("base", "augment", "prune-1-2", "prune-2-3", "svm"):
        for one in of_rows({row: [20, 21, 22]}, "smoke"):
            found = rng.random((600, 300)) ** 8
            found[np.arange(600), gold] += 0.5
            evaluation = evaluate(found / found.sum(axis=1, keepdims=True), data.dev, 300)
            recorded = {name: evaluation[name] for name in RECORDED}
            write_record(replace(one, labels=labels, digests=data.digests, **recorded), tmp_path)
    path = report.write_own(tmp_path, data)
    assert (tmp_path / "report.html").stat().st_size < 3 << 20
    assert max(one.stat().st_size for one in tmp_path.rglob("*.svg")) < 300 << 10
    text = "".join(one.read_text(encoding="utf-8") for one in tmp_path.rglob("*.md"))
    assert path.is_file()
    assert "<b>" not in text
