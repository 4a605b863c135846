"""The HTML page: what it embeds, what it escapes, and what it must not show."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.corpus import generated
from replicate.corpus.formats import Dataset, Split
from replicate.findings.compute import compute
from replicate.findings.evidence import gather
from replicate.records.run import Record
from replicate.report.examples import Shown, known_labels, page_data
from replicate.report.html import html
from replicate.report.pages import project_pages
from replicate.report.site import Site
from replicate.tables.table import ResultsTable
from tests.synthetic import GOLD, PROFILES, article, record, runs

EVIL = '</script><script>alert("x")</script> & <img src=x onerror=alert(1)> <!--'


@pytest.fixture
def table(tmp_path: Path) -> ResultsTable:
    """The synthetic table."""
    return article(tmp_path)


class Tags(HTMLParser):
    """Every element of a page with its attributes, and the text of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.stack: list[str] = []
        self.texts: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keeps the element."""
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self.stack.append(f"{tag}#{dict(attrs).get('id', '')}")

    def handle_endtag(self, tag: str) -> None:
        """What follows is outside."""
        self.stack.append("")

    def handle_data(self, data: str) -> None:
        """Keeps the text of scripts and styles."""
        if self.stack and self.stack[-1].startswith(("script", "style")):
            self.texts[self.stack[-1]] = self.texts.get(self.stack[-1], "") + data

    def of(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every element of a name."""
        return [attributes for name, attributes in self.tags if name == tag]


def page(table: ResultsTable, records: Sequence[Record], shown: Sequence[Shown] = (), base: str = "") -> str:
    """The file of the synthetic table's records."""
    evidence = gather({table.id: table}, records, PROFILES)
    return html(Site(project_pages(compute(evidence))), evidence.records, base, shown)


def data(page: str) -> dict[str, Any]:
    """What the page embeds for its script."""
    found: dict[str, Any] = json.loads(Tags(page).texts["script#data"])
    return found


def test_page_loads_nothing_and_runs_only_its_own(table: ResultsTable) -> None:
    """No element names a file to load; the policy allows exactly the embedded script and style."""
    tags = Tags(page(table, runs("base", [18, 20, 25], "small")))
    assert not [one for one in tags.of("script") if "src" in one]
    assert not tags.of("link")
    images = tags.of("img")
    assert images
    assert all(one["src"].startswith("data:image/svg+xml;base64,") and one["alt"] for one in images)
    (policy,) = (one["content"] for one in tags.of("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for text in (tags.texts["script#"], tags.texts["style#"]):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert not [name for _, attributes in tags.tags for name in attributes if name.startswith("on") or name == "style"]


def test_every_page_is_in_it_and_links_stay_inside(table: ResultsTable) -> None:
    """Each page is one element that the navigation names, and every link inside the file has its target."""
    tags = Tags(page(table, runs("base", [18, 20, 25], "small") + runs("svm", [3, 3], "small")))
    ids = [attributes["id"] for _, attributes in tags.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [one["href"] for one in tags.of("a")]
    targets = {one[1:] for one in links if one.startswith("#")}
    pages = [one["id"] for one in tags.of("article")]
    assert pages == [
        f"page-{name}" for name in ("report", "article", "small", "compression", "inference", "method", "examples")
    ]
    assert set(pages) <= targets <= set(ids)
    assert not [one for one in links if one.endswith(".md") and "report/" in one]


def test_seeds_behind_a_mean_and_a_difference(table: ResultsTable) -> None:
    """A mean's button has each seed's score; that of a difference each pair's, on the front page too."""
    text = page(table, runs("base", [18, 20, 25], "small") + runs("prune", [20, 21, 25], "small"))
    seeds = [one["data-seeds"] for one in Tags(text).of("button")]
    assert "seed 1: 0.8200; seed 2: 0.8000; seed 3: 0.7500" in seeds
    front, _, rest = text.partition('id="page-article"')
    difference = "seed 1: -0.0200; seed 2: -0.0100; seed 3: +0.0000"
    assert difference in front
    assert difference in rest


def test_every_mean_with_seeds_has_them(table: ResultsTable) -> None:
    """Whatever table a mean ± deviation stands in, its button tells the seeds."""
    text = page(table, runs("base", [18, 20, 25], "small") + runs("prune", [20, 21, 25], "small"))
    means = re.findall(r"<td[^>]*>((?:(?!</td>).)* ± 0\.\d{4} \(\d\)(?:(?!</td>).)*)</td>", text)
    assert len(means) > 10
    assert [one for one in means if 'class="seeds"' not in one] == []


def test_lines_know_their_rows_and_profiles(table: ResultsTable) -> None:
    """What the filter goes by: rows and profiles of each line, and of the section of a profile."""
    tags = Tags(page(table, runs("base", [18, 20], "small") + runs("prune", [18, 20], "small")))
    about = {(one.get("data-rows"), one.get("data-profiles")) for one in tags.of("tr")}
    assert {("base", "small"), ("base prune", "small"), ("base", None)} <= about
    assert "small" in [one.get("data-profiles") for one in tags.of("section")]


def test_cells_are_sorted_by_their_values(table: ResultsTable) -> None:
    """A cell knows the number behind it to the last digit, not only what it prints."""
    values = [
        one["data-value"]
        for one in Tags(page(table, runs("base", [18, 20, 25], "small"))).of("td")
        if "data-value" in one
    ]
    assert repr(float(np.mean([0.82, 0.80, 0.75]))) in values


def test_everything_is_escaped(table: ResultsTable) -> None:
    """A record's words and labels make no element, in the tables and in the embedded data."""
    labels = (EVIL, "treatment", "other")
    evil = replace(record("base", 1, 3, profile="small"), labels=labels)
    failed = record("base", 2, 0, profile="small", status="error", reason=EVIL)
    failed = replace(failed, labels=labels, counts={}, correct="")
    text = page(table, [evil, failed])
    assert "<img src=x" not in text
    assert text.count("</script>") == 2
    assert data(text)["records"][0]["labels"][0] == EVIL
    assert "alert(&quot;x&quot;)" in text


def test_links_follow_the_page(table: ResultsTable) -> None:
    """From another folder every relative link leads back to the report's."""
    records = runs("base", [18], "small")
    hrefs = {one.get("href", "") for one in Tags(page(table, records, base="../there")).of("a")}
    assert "../there/measured/small/article/base" in hrefs
    assert not [one for one in hrefs if one.startswith("measured/")]


def test_texts_are_only_those_that_may_be_shown(table: ResultsTable) -> None:
    """Without leave no text is embedded; labels that some record gets right are known from the records alone."""
    texts = tuple(f"secret {n}" for n in range(len(GOLD)))
    dataset = Dataset(
        "own", ("diagnosis", "treatment", "other"), Split(("t",), (0,)), Split(texts, tuple(GOLD.tolist()))
    )
    digest = dataset.digests["dev"]
    records = [replace(one, digests={"dev": digest}) for one in runs("base", [10, 20], "small")]
    closed = page(table, records)
    assert "secret" not in closed
    gold = data(closed)["dev"][digest]["gold"]
    assert gold == [-1] * 10 + GOLD[10:].tolist()
    numbers = page(table, records, [Shown(dataset, texts=False)])
    assert "secret" not in numbers
    assert data(numbers)["dev"][digest] == {"gold": GOLD.tolist(), "texts": None}
    assert data(page(table, records, [Shown(dataset, texts=True)]))["dev"][digest]["texts"] == list(texts)
    other = replace(dataset, dev=Split(texts[::-1], tuple(GOLD.tolist())))
    assert "secret" not in page(table, records, [Shown(other, texts=True)])


def test_known_labels_never_guess() -> None:
    """Each label that the records tell is the true one."""
    labels = known_labels(runs("base", [10, 20]))
    known = labels >= 0
    np.testing.assert_array_equal(labels[known], GOLD[known])
    assert known.sum() == 90
    assert known_labels([]).tolist() == []


def test_committed_records_show_the_generated_corpus_and_no_other() -> None:
    """With the page's own leave, smoke's examples have texts and those of KUAKE-QIC have none."""
    from replicate.records.run import load_records

    found = page_data(load_records(), [Shown(generated.generate(), texts=True)])
    by_profile = {one["profile"]: found["dev"][one["dev"]]["texts"] for one in found["records"]}
    assert by_profile["smoke"] == generated.generate().dev.texts
    assert all(texts is None for profile, texts in by_profile.items() if profile != "smoke")
    assert re.fullmatch(r"[\d ]+", found["records"][0]["predictions"])
