"""The HTML page in a real browser, from a file and without a network; `tox -e html` installs what this needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from replicate.common.paths import MEASURED
from replicate.corpus import generated
from replicate.records.run import load_records
from replicate.report import build as report
from tests.browsers import WINDOWS, axe, opened_page, serious

pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the committed records, as the address of a file."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.write_html(path)
    return path.as_uri()


@pytest.fixture(params=WINDOWS)
def page(request: pytest.FixtureRequest, browser: Any, address: str) -> Iterator[Any]:
    """The open page; a complaint of the browser or a request to anywhere fails the test."""
    with opened_page(browser, address, request.param) as page:
        yield page


def opened(page: Any, name: str) -> Any:
    """The page of the report that a click on its name in the navigation opens."""
    page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
    return page.locator(".page:visible")


def test_one_page_at_a_time(page: Any) -> None:
    """The navigation opens a page and says which one is open; a link to a heading opens its page."""
    names = page.locator("nav a:visible").all_inner_texts()
    assert names[0] == "Front page"
    assert names[-1] == "Examples"
    assert page.locator(".page:visible").count() == 1
    for name in names:
        assert opened(page, name).count() == 1
        assert page.locator("nav a[aria-current=page]").all_inner_texts() == [name]
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
    opened(page, "Front page").locator("a[href='#claims-ernie3_kuake_qic-small']").first.click()
    assert page.locator("#claims-ernie3_kuake_qic-small").is_visible()
    assert page.locator("nav a[aria-current=page]").all_inner_texts() == ["Small"]
    page.go_back()
    assert page.locator("#page-report").is_visible()


def test_pictures_are_drawn(page: Any) -> None:
    """Every picture has loaded, under the file's own policy, and is no wider than the page."""
    page.wait_for_function("[...document.images].every(i => i.complete)")
    sizes = page.evaluate("[...document.images].map(i => i.naturalWidth)")
    assert len(sizes) > 10
    assert all(natural > 300 for natural in sizes)
    shown = opened(page, "Small").locator("img").evaluate_all("all => all.map(i => i.clientWidth)")
    assert shown
    assert all(0 < width <= page.viewport_size["width"] for width in shown)


def test_table_is_sorted_by_a_click(page: Any) -> None:
    """A click on a heading sorts upwards, another downwards, by the number behind a cell."""
    table = opened(page, "Small").locator("table").first
    head = table.locator("th", has_text="accuracy")
    column = head.evaluate("th => th.cellIndex")
    for way, sign in (("ascending", 1), ("descending", -1)):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == way
        cells = table.locator(f"td:nth-child({column + 1})").all_inner_texts()
        values = [float(re.split("[, ]", text)[0]) for text in cells]
        assert len(set(values)) > 3
        assert values == sorted(values, key=lambda value: sign * value)


def test_published_and_measured_stay_together(page: Any) -> None:
    """A line without a name stays below the one that it belongs to, however the table is sorted."""
    table = opened(page, "Article").locator("table").first
    table.locator("th button").first.click()
    table.locator("th button").first.click()
    kinds = table.locator("td:nth-child(2)").all_inner_texts()
    assert kinds.count("published") == 4
    assert all(kinds[at + 1] == "paper" for at, kind in enumerate(kinds) if kind == "published")


def test_filter_by_profile_and_row(page: Any) -> None:
    """Only lines of the row and sections of the profile stay; everything comes back."""
    lines = "() => document.querySelectorAll('main tbody tr:not([hidden])').length"
    whole = page.evaluate(lines)
    page.get_by_label("Profile").first.select_option("smoke")
    opened(page, "Small")
    assert not page.locator("#rows-ernie3_kuake_qic-small").is_visible()
    opened(page, "Smoke")
    assert page.locator("#rows-ernie3_kuake_qic-smoke").is_visible()
    page.get_by_label("Row").first.select_option("svm")
    about = page.locator("main tr[data-rows]:visible").evaluate_all("lines => lines.map(one => one.dataset.rows)")
    assert about
    assert all("svm" in rows.split() for rows in about)
    assert 0 < page.evaluate(lines) < whole
    page.get_by_role("button", name="Show everything").click()
    assert page.evaluate(lines) == whole


def test_seeds_on_hover_and_by_keyboard(page: Any) -> None:
    """Each seed's score stands beside a mean that is pointed at or focused, until Escape."""
    button, tip = opened(page, "Small").locator(".seeds").first, page.locator("#tip")
    seeds = int(button.inner_text().rpartition("(")[2].rstrip(")"))
    assert seeds > 5
    for act in (button.hover, button.focus):
        assert not tip.is_visible()
        act()
        lines = tip.inner_text().splitlines()
        assert [line.split(":")[0] for line in lines] == [f"seed {n}" for n in range(1, seeds + 1)]
        page.keyboard.press("Escape")
        page.mouse.move(0, 0)


@pytest.mark.parametrize("name", ["Compression", "Augmentation"])
def test_every_mean_has_its_seeds(page: Any, name: str) -> None:
    """In tables of scores and of differences alike, a mean ± deviation has the seeds behind it."""
    cells = opened(page, name).locator("td", has_text=re.compile(r"± 0\.\d{4} \(\d+\)")).all()
    assert len(cells) > 20
    assert [one.inner_text() for one in cells if not one.locator(".seeds").count()] == []


def test_cell_opens_its_examples(page: Any) -> None:
    """The examples of a cell are those of the record, with their texts where these may be shown."""
    record = next(one for one in load_records(MEASURED) if (one.profile, one.row, one.seed) == ("smoke", "svm", 2))
    dev, predicted = generated.generate().dev, record.predictions.split()
    examples = opened(page, "Examples")
    for label, value in (("Profile", "smoke"), ("Row", "ernie3_kuake_qic/svm"), ("Seed", "2")):
        examples.get_by_label(label).select_option(value)
    name = f"{record.labels[1]} taken for {record.labels[10]}: {record.counts['confusion'][1][10]}"
    page.get_by_role("button", name=name, exact=True).click()
    wanted = [n for n, gold in enumerate(dev.labels) if gold == 1 and predicted[n] == "10"]
    shown = page.locator("#list li").all_inner_texts()
    assert len(shown) == len(wanted) > 2
    for text, n in zip(shown, wanted, strict=True):
        assert text.startswith(f"example {n + 1}")
        assert dev.texts[n] in text


def test_cell_of_kuake_qic_has_numbers_only(page: Any) -> None:
    """Of data that may not be shown there is the number of each example and its confidence."""
    examples = opened(page, "Examples")
    for label, value in (("Profile", "small"), ("Row", "ernie3_kuake_qic/base")):
        examples.get_by_label(label).select_option(value)
    page.locator(".matrix button").first.click()
    assert "not in" in page.locator("#list").inner_text()
    shown = page.locator("#list li").all_inner_texts()
    assert shown
    for text in shown:
        assert text.rsplit(" ", 1)[0].endswith("confidence")


def test_no_serious_accessibility_fault(page: Any, browser: Any, address: str) -> None:
    """On no page does axe-core find anything serious or critical, with a cell opened and a line of seeds shown."""
    # The page's policy would keep axe out too.
    scheme = "dark" if page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"
    context = browser.new_context(viewport=page.viewport_size, color_scheme=scheme, bypass_csp=True)
    other = context.new_page()
    other.goto(address)
    other.add_script_tag(content=axe())
    faults, passes = [], 0
    for name in other.locator("nav a:visible").all_inner_texts():
        shown = opened(other, name)
        if name == "Examples":
            shown.locator(".matrix button").first.click()
        elif shown.locator(".seeds").count():
            shown.locator(".seeds").first.focus()
        found = other.evaluate("axe.run()")
        passes += len(found["passes"])
        faults += [f"{name}: {one}" for one in serious(found)]
    context.close()
    assert passes > 100
    assert faults == []


def test_without_script_everything_is_readable(browser: Any, address: str) -> None:
    """Where scripts are off, tables, pictures and links are there, and no dead control."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("main table:visible").count() > 10
    assert not page.locator("#filter").is_visible()
    assert not page.locator("#page-examples").is_visible()
    assert "Examples" not in page.locator("nav a:visible").all_inner_texts()
    context.close()
