"""The pages of `explain` and `audit` in a real browser, with texts that are hard to lay out, coloured and filtered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.audit.audit import Audit
from replicate.audit.classes import class_facts
from replicate.audit.faults import KINDS, Fault
from replicate.corpus.checkup import check_up
from replicate.corpus.formats import Dataset, Split
from replicate.explain.explanation import Explanation
from replicate.explain.pieces import Pieces
from replicate.report.explained import explained
from replicate.report.html import html
from replicate.report.sections.audit import audit_page
from replicate.report.site import Site
from tests.browsers import WINDOWS, axe, opened_page, serious

pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

LONG = "我最近总是头疼而且恶心想知道该吃什么药才好得快" * 12
TEXTS = (
    "感冒吃什么药好得快",
    LONG,
    "VeryLongWordWithoutAnyBreak" * 12,
    "头疼😀👍🏽👨‍👩‍👧怎么办？",
    "<b>药</b> & </p><script>alert(1)</script>",
    "\u202e药么什吃\u202c مرحبا  \t 牙",
)
LABELS = ("治疗方案", "一个名字长得没有道理的标签" * 4, "x😀")
PAGES = ("explain", "audit", "audit-texts")


def explanation(text: str, truncated: bool) -> Explanation:
    """One that gives every character a score of every strength, for and against."""
    spans = tuple((at, at + 1) for at in range(len(text)) if not text[at].isspace())
    scores = np.linspace(-1, 1, 2 * len(spans)).reshape(-1, 2)
    ids = np.arange(len(spans) + 2)
    return Explanation(Pieces(text, ids, spans, truncated), LABELS[:2], (0.61, 0.32), scores, "occlusion")


def found() -> tuple[Audit, Dataset]:
    """An audit that found something of each kind in each of the texts."""
    split = Split(TEXTS, tuple(at % len(LABELS) for at in range(len(TEXTS))))
    data = Dataset("my 数据 😀", LABELS, split, split)
    faults = tuple(
        Fault(kind, part, at + 1, split.labels[at], (split.labels[at] + 1) % len(LABELS), 0.25, ("train", 2))
        for kind in KINDS
        for part in ("train", "dev")
        for at in range(len(TEXTS))
    )
    labels = np.asarray(split.labels)
    facts = class_facts(LABELS, labels, labels, np.ones(len(LABELS), dtype=np.int64))
    return Audit(data.name, LABELS, check_up(data, 48, set("感冒")), facts, faults, records=12), data


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Each page as the address of a file."""
    audit, data = found()
    told = [explanation(text, at == 1) for at, text in enumerate(TEXTS)]
    nothing = Explanation(Pieces("", np.arange(2), ()), (), (), np.zeros((0, 2)), "occlusion")
    near = [f"like line 7 (0.93): {LABELS[1]}: {text}" for text in TEXTS]
    pages = {"explain": explained([*told, nothing], f"Why {LONG} says so", [*([one] for one in near), []])}
    for name, texts in (("audit", None), ("audit-texts", data)):
        site = Site((audit_page(audit, texts),), in_project=False)
        pages[name] = html(site, filters=("Finding", "Label"))
    folder = tmp_path_factory.mktemp("pages")
    for name, page in pages.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: Path(folder, f"{name}.html").as_uri() for name in pages}


@pytest.fixture(params=WINDOWS)
def window(request: pytest.FixtureRequest) -> str:
    """Wide and light, or narrow and dark."""
    return str(request.param)


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_its_window(name: str, window: str, browser: Any, addresses: dict[str, str]) -> None:
    """Neither a long text nor a long label widens it; a table scrolls by itself, and no text became an element."""
    with opened_page(browser, addresses[name], window) as page:
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert page.locator("b, main script").count() == 0
        assert page.locator("main").inner_text().count("alert(1)") == {"explain": 2, "audit": 0}.get(name, 18)


@pytest.mark.parametrize("name", PAGES)
def test_no_serious_accessibility_fault(name: str, window: str, browser: Any, addresses: dict[str, str]) -> None:
    """Axe-core finds nothing serious or critical: every shade leaves the text on it legible."""
    viewport, scheme = WINDOWS[window]
    context = browser.new_context(viewport=viewport, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(addresses[name])
    page.add_script_tag(content=axe())
    found = page.evaluate("axe.run()")
    context.close()
    assert len(found["passes"]) > 10
    assert serious(found) == []


@pytest.fixture
def audited(browser: Any, addresses: dict[str, str], window: str) -> Iterator[Any]:
    """The page of the audit, with texts."""
    with opened_page(browser, addresses["audit-texts"], window) as page:
        yield page


def test_an_audit_is_filtered(audited: Any) -> None:
    """By the kind of finding and by label, whatever the label's name."""
    lines = audited.locator("#lines ~ .scroll tbody tr:visible")
    whole = lines.count()
    assert whole == len(KINDS) * 2 * len(TEXTS)
    finding, label = audited.locator("#filter select").all()
    finding.select_option("leak")
    assert lines.count() == 2 * len(TEXTS)
    label.select_option(index=2)
    assert 0 < lines.count() < 2 * len(TEXTS)
    audited.get_by_role("button", name="Show everything").click()
    assert lines.count() == whole


def test_an_audit_is_sorted(audited: Any) -> None:
    """By line number, as a number."""
    table = audited.locator("table").last
    head = table.locator("th", has_text="line").first
    head.locator("button").click()
    column = head.evaluate("th => th.cellIndex") + 1
    values = [int(text) for text in table.locator(f"td:nth-child({column})").all_inner_texts()]
    assert values == sorted(values)
