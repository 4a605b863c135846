"""The pages as one HTML file that needs no network: sortable, filtered, with every seed behind every mean.

Every word in it is escaped, and the script writes text, never markup. The content security policy lets only this page's
own script and style run, and nothing be loaded.
"""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from replicate.records.run import Record
from replicate.report.blocks import Block, Cell, Heading, Items, Line, Page, Prose, Runs, Table, Text
from replicate.report.examples import Shown, page_data
from replicate.report.pictures.picture import Picture
from replicate.report.site import Site, is_address
from replicate.report.spans import Span, plain, spans

WEB = Path(__file__).with_name("web")
_TAGS = {"code": "code", "strong": "strong", "emphasis": "em"}
# Headings of these levels open a section of their own.
_SECTIONS = (2, 3)


def html(
    site: Site,
    records: Iterable[Record] = (),
    base: str = "",
    shown: Iterable[Shown] = (),
    filters: tuple[str, str] = ("Profile", "Row"),
) -> str:
    """The file.

    Args:
        site: the pages.
        records: runs whose dev examples can be looked at.
        base: the way from the file's folder to the front page's, before every relative link; "" where they are one.
        shown: data whose examples may be shown. Of other data the file has the number of an example, no text.
        filters: what the page calls the profiles and the rows of its lines.

    Raises:
        ValueError: a link to a heading that no page has.
    """
    style, script = ((WEB / f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    data = json.dumps(page_data(records, shown), ensure_ascii=False, separators=(",", ":"))
    # Inside a script element only these can end it or open a comment.
    data = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    pages = "\n".join(_Writer(site, page, base).article() for page in site.pages)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy(style, script))}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{escape(plain(site.pages[0].title))}</title>
<style>{style}</style>
</head>
<body>
<header>
<nav aria-label="Pages">
{_ways(site)}
</nav>
<div id="filter" data-profiles="{escape(filters[0])}" data-rows="{escape(filters[1])}" hidden></div>
</header>
<main>
{pages}
<article class="page" id="page-examples" aria-labelledby="examples-title" hidden>
<h1 id="examples-title">Single dev examples</h1>
</article>
</main>
<div id="tip" role="tooltip" hidden></div>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def policy(style: str, script: str = "") -> str:
    """The content security policy of a page that has this style and this script alone, and loads nothing."""
    scripts = f"script-src '{_hash(script)}'; " if script else ""
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; {scripts}base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    """The source expression by which a content security policy knows an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _ways(site: Site) -> str:
    """A link to each page."""
    links = [f'<a href="#{_name(page)}">{escape(page.brief or plain(page.title))}</a>' for page in site.pages]
    return "\n".join([*links, '<a href="#page-examples" hidden>Examples</a>'])


def _name(page: Page) -> str:
    """The id of a page's element."""
    return f"page-{posixpath.splitext(posixpath.basename(page.path))[0].lower()}"


@dataclass(frozen=True)
class _Writer:
    """Writes one page."""

    site: Site
    page: Page
    base: str

    def article(self) -> str:
        name = _name(self.page)
        parts = [
            f'<article class="page" id="{name}" aria-labelledby="{name}-title">',
            f'<h1 id="{name}-title">{self._prose(self.page.title)}</h1>',
        ]
        levels: list[int] = []
        for block in self.page.blocks:
            if isinstance(block, Heading) and block.level in _SECTIONS:
                while levels and levels[-1] >= block.level:
                    levels.pop()
                    parts.append("</section>")
                levels.append(block.level)
                about = escape(" ".join(block.profiles))
                parts.append(f'<section aria-labelledby="{escape(block.id)}" data-profiles="{about}">')
            parts.append(self._block(block))
        return "\n".join([*parts, *("</section>" for _ in levels), "</article>"])

    def _block(self, block: Block) -> str:
        if isinstance(block, Picture):
            source = base64.b64encode(block.svg().encode()).decode()
            alt = escape(" ".join(block.finding.split()))
            return f'<figure><img alt="{alt}" src="data:image/svg+xml;base64,{source}"></figure>'
        if isinstance(block, Table):
            return self._table(block)
        if isinstance(block, Items):
            return "\n".join(["<ul>", *(f"<li>{self._prose(item)}</li>" for item in block.items), "</ul>"])
        if isinstance(block, Heading):
            level = f"h{block.level}"
            return f'<{level} id="{escape(block.id)}">{self._prose(block.words)}</{level}>'
        assert isinstance(block, Text)
        return f"<p>{self._prose(block.words)}</p>"

    def _table(self, block: Table) -> str:
        name = ", ".join(filter(None, (plain(one).strip() for one in block.head)))
        head = "".join(f'<th scope="col">{self._prose(one)}</th>' for one in block.head)
        return "\n".join(
            [
                f'<table aria-label="{escape(f"Table of {name}")}">',
                f"<thead><tr>{head}</tr></thead>",
                "<tbody>",
                *map(self._line, block.lines),
                "</tbody>",
                "</table>",
            ]
        )

    def _line(self, line: Line) -> str:
        about = "".join(
            f' data-{name}="{escape(" ".join(sorted(set(words))))}"'
            for name, words in (("rows", line.rows), ("profiles", line.profiles))
            if words
        )
        return f"<tr{about}>{''.join(map(self._cell, line.cells))}</tr>"

    def _cell(self, cell: Cell | Prose) -> str:
        if not isinstance(cell, Cell):
            return f"<td>{self._prose(cell)}</td>"
        value = "" if cell.value is None else f' data-value="{cell.value!r}"'
        shown = self._prose(cell.shown)
        if not cell.runs or not cell.runs.scores:
            return f"<td{value}>{shown}</td>"
        button = f'<button type="button" class="seeds" data-seeds="{escape(_seeds(cell.runs))}">'
        # No link may stand inside a button.
        linked = any(span.kind == "link" for span in spans(cell.shown))
        return (
            f"<td{value}>{shown} {button}seeds</button></td>" if linked else f"<td{value}>{button}{shown}</button></td>"
        )

    def _prose(self, prose: Prose) -> str:
        return "".join(map(self._span, spans(prose)))

    def _span(self, span: Span) -> str:
        if span.kind == "link":
            return self._link(span)
        inside = escape(span.text) + "".join(map(self._span, span.inside))
        tag = _TAGS.get(span.kind)
        return f"<{tag}>{inside}</{tag}>" if tag else inside

    def _link(self, span: Span) -> str:
        words = "".join(map(self._span, span.inside))
        way = self._way(span.target)
        return f"{words} of the project" if way is None else f'<a href="{escape(way)}">{words}</a>'

    def _way(self, target: str) -> str | None:
        """Where a link leads; None for a file of the project that is not beside these pages."""
        if is_address(target):
            return target
        if self.site.heading(target):
            return target
        if self.site.is_page(target):
            return f"#{_name(next(page for page in self.site.pages if page.path == target))}"
        file = self.site.file(target)
        return posixpath.normpath(posixpath.join(self.base, file)) if file and self.base else file


def _seeds(runs: Runs) -> str:
    """Each seed's score, in the order of the seeds."""
    return "; ".join(f"seed {seed}: {format(value, runs.form)}" for seed, value in sorted(runs.scores.items()))
