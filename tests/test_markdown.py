"""Blocks as Markdown: what is ours is marked up, and what comes from outside stays text."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replicate.report.blocks import Cell, Code, Heading, Items, Line, Link, Page, Plain, Prose, Runs, Table, Text
from replicate.report.html import html
from replicate.report.markdown import escaped, markdown
from replicate.report.site import Site, anchor
from replicate.report.spans import Span, plain, spans

markdown_it = pytest.importorskip("markdown_it")
FRONT = Page("REPORT.md", "Front", (Heading(2, "Results", "results"),), "Front page")
# Pieces that mean something to Markdown or HTML, and some that mean nothing.
PIECES = (
    *("<script>alert(1)</script>", "<b>", "<a href=x>", "<!--", "-->", "&lt;", "&", '"', "'", "{}", "$x$"),
    *("![b](http://x)", "[a](javascript:1)", "http://x", "www.x.org", "x@y.z", "(", ")", "[", "]", "!", ":"),
    *("`", "``", "|", "\\", "*", "**", "_", "__", "~~", "#", "# a", "- a", "+", "1.", "1)", "> a", "---", "==="),
    *("\n", "\t", " ", "\u2028", "a", "字", "é"),
)
FOREIGN = st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(
    st.characters(blacklist_categories=("Cs", "Cc")), max_size=12
)


def written(*blocks: object, path: str = "REPORT.md") -> str:
    """One page as Markdown."""
    return markdown(Site((Page(path, "Title", tuple(blocks)),)))[path]  # type: ignore[arg-type]


class Letters(HTMLParser):
    """The elements of some HTML, and its letters."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.letters = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keeps the element."""
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        """Keeps the letters."""
        self.letters += data


def on_one_line(text: str) -> str:
    """Without white space, which Markdown and HTML collapse."""
    return "".join(text.split())


@settings(max_examples=300, deadline=None)
@given(foreign=FOREIGN)
def test_what_comes_from_outside_stays_text(foreign: str) -> None:
    """In a paragraph, a list, a heading and a cell, whatever a label holds: the same letters, and no element more."""
    plain_text, code = Plain(foreign), Code(foreign)
    table = Table(("head", "other"), (Line((plain_text, Cell(code))), Line((("a ", plain_text), "b"))))
    blocks = (Heading(2, ("h ", plain_text), "h"), Text(plain_text), Items((plain_text,)), table)
    text = written(*blocks)
    rendered = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    found = Letters(rendered)
    once = "h1 h2 p ul li table thead tr th th tbody tr td td code tr td td".split()
    # A code span of nothing, or a paragraph of nothing, is no element.
    if foreign.strip():
        assert found.tags == once
    once_letters = on_one_line(foreign)
    wanted = f"Titleh{once_letters}{once_letters}{once_letters}headother{once_letters}{once_letters}a{once_letters}b"
    if foreign.strip():
        assert on_one_line(found.letters) == wanted
    page = html(Site((Page("REPORT.md", "Title", blocks),)))
    body = page.partition("<main>")[2].partition("</article>")[0]
    shown = Letters(body)
    assert on_one_line(shown.letters) == wanted
    assert not {"script", "img", "a", "b"} & set(shown.tags)


def test_own_text_is_marked_up() -> None:
    """Code, strong and emphasis, inside each other too, and links around any of them."""
    assert written(Text(("**Yes, `a|b`.** *So* ", Link("`row`", "https://x.org/a_b"), " 2 * 3 * 4"))) == (
        "# Title\n\n**Yes, `a|b`.** *So* [`row`](https://x.org/a_b) 2 \\* 3 \\* 4\n"
    )
    (span,) = spans("**more than `x` buys**")
    assert span == Span("strong", inside=(Span("text", "more than "), Span("code", "x"), Span("text", " buys")))
    assert plain(("a ", Link(("b ", Plain("*c*")), "#d"))) == "a b *c*"


@pytest.mark.parametrize("text", ["a `b", "**a", "a** b `c`"])
def test_half_a_mark_is_refused(text: str) -> None:
    """A mark of our own without its other half is a mistake, not text."""
    with pytest.raises(ValueError, match="without its other half"):
        spans(text)


def test_cells_keep_their_bars() -> None:
    """A bar in a cell, in code too, ends no cell."""
    table = Table(("a", "b"), (Line((Plain("x|y"), Code("p|q"))),))
    assert "| x\\|y | `p\\|q` |" in written(table)


def test_escaping_leaves_words_alone() -> None:
    """What means nothing in Markdown is not disfigured."""
    words = "macro_f1 of 3 rows: +0.01 (-0.02 to 0.03), p = 2.2e-05; 字 & co. 50 % - a/b"
    assert escaped(words) == words


def test_links_lead_from_page_to_page() -> None:
    """A heading is found wherever it stands, by the anchor that GitHub gives it; files are relative to the page."""
    inner = Page(
        "docs/report/x.md",
        "Inner",
        (
            Heading(2, "Under `small`: 1 of 2", "one"),
            Heading(2, "Under `small`: 1 of 2", "two"),
            Text((Link("f", "#results"), Link("t", "#two"), Link("r", "measured/a b"), Link("p", "REPORT.md"))),
        ),
        "X",
    )
    front = Page("REPORT.md", "Front", (*FRONT.blocks, Text((Link("o", "#one"), Link("x", inner.path)))), "Front page")
    pages = markdown(Site((front, inner)))
    assert "[o](docs/report/x.md#under-small-1-of-2)[x](docs/report/x.md)" in pages["REPORT.md"]
    assert pages[inner.path].splitlines()[2] == "[Front page](../../REPORT.md) · **X**"
    assert (
        "[f](../../REPORT.md#results)[t](#under-small-1-of-2-1)[r](../../measured/a%20b)[p](../../REPORT.md)"
        in (pages[inner.path])
    )
    assert anchor("Which classes? `a`, “b”") == "which-classes-a-b"


def test_records_may_lie_beside_the_pages() -> None:
    """On somebody's own data records are elsewhere, and a file of the project is named but not linked."""
    prose: Prose = (Link("row", "measured/smoke/t/r"), " ", Link("docs/s.md", "docs/s.md"))
    page = Page("docs/report/x.md", "Title", (Text(prose),), "X")
    site = Site((FRONT, page), records=".", in_project=False)
    assert markdown(site)[page.path].splitlines()[4] == "[row](../../smoke/t/r) docs/s.md of the project"


def test_a_link_to_no_heading_is_refused() -> None:
    """In Markdown and in HTML."""
    site = Site((Page("REPORT.md", "Title", (Text(Link("a", "#nowhere")),)),))
    for render in (markdown, html):
        with pytest.raises(ValueError, match="a heading that no page has: #nowhere"):
            render(site)


def test_ids_and_paths_are_unique() -> None:
    """Two headings of one id, or two pages of one path, are a mistake."""
    with pytest.raises(ValueError, match="called 'results'"):
        Site((FRONT, Page("other.md", "Other", FRONT.blocks)))
    with pytest.raises(ValueError, match=r"called 'REPORT\.md'"):
        Site((FRONT, Page("REPORT.md", "Other")))


def test_lines_are_as_wide_as_the_head() -> None:
    """A line of another width is a mistake."""
    with pytest.raises(ValueError, match="a line of 1 cells under a head of 2"):
        Table(("a", "b"), (Line(("c",)),))


def test_a_linked_mean_has_its_seeds_beside_it() -> None:
    """No link stands inside a button."""
    cell = Cell(Link("0.5", "https://x.org"), 0.5, Runs({1: 0.5}))
    page = html(Site((Page("REPORT.md", "Title", (Table(("a",), (Line((cell,)),)),)),)))
    assert (
        '<a href="https://x.org">0.5</a> <button type="button" class="seeds" data-seeds="seed 1: 0.5000">seeds' in page
    )
