"""Pages as Markdown. All escaping of words is in `escaped`; links are relative to the page's own place."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from replicate.report.blocks import Block, Cell, Heading, Items, Page, Prose, Table, Text
from replicate.report.pictures.picture import Picture
from replicate.report.site import Site, is_address
from replicate.report.spans import Span, spans

# Signs that mean something in Markdown wherever they stand; an underline inside a word means nothing.
_SIGNS = re.compile(r"[\\`*\[\]<>~$]|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])")
# What would make a line a heading, a list, a quotation, a rule or a block of code.
_START = re.compile(r"([-+=#:](?=[-+=#: ]|$))|(\d{1,9})(?=[.)](?:\s|$))")


def escaped(text: str) -> str:
    """Text that Markdown shows letter by letter."""
    return _SIGNS.sub(lambda sign: f"\\{sign[0]}", text)


def markdown(site: Site) -> dict[str, str]:
    """Each page's text, by its path.

    Raises:
        ValueError: a link to a heading that no page has.
    """
    return {page.path: _Writer(site, page).page_text() for page in site.pages}


def table_text(block: Table) -> str:
    """A table without links, by itself."""
    page = Page("README.md", "")
    return _Writer(Site((page,)), page).table(block)


@dataclass(frozen=True)
class _Writer:
    """Writes one page."""

    site: Site
    page: Page

    def page_text(self) -> str:
        parts = [self._heading(1, self.page.title), *self._ways(), *map(self._block, self.page.blocks)]
        return "\n\n".join(parts) + "\n"

    def _ways(self) -> list[str]:
        """The way to the other pages, on every page but the front page, which has its own."""
        if self.page == self.site.pages[0]:
            return []
        ways = (
            f"**{escaped(one.brief)}**" if one == self.page else self._link(escaped(one.brief), one.path)
            for one in self.site.pages
        )
        return [" · ".join(ways)]

    def _block(self, block: Block) -> str:
        if isinstance(block, Picture):
            return f"![{escaped(' '.join(block.finding.split()))}]({self._relative(block.path)})"
        if isinstance(block, Table):
            return self.table(block)
        if isinstance(block, Items):
            return "\n".join(f"- {self._line(item)}" for item in block.items)
        if isinstance(block, Heading):
            return self._heading(block.level, block.words)
        assert isinstance(block, Text)
        return self._line(block.words)

    def _heading(self, level: int, words: Prose) -> str:
        # Signs at the end would be taken for those that may close a heading.
        text = self._line(words)
        ends = len(text.rstrip("#"))
        return f"{'#' * level} {text[:ends]}" + (f"\\{text[ends:]}" if text[ends:] else "")

    def table(self, block: Table) -> str:
        """A table. Cells are not padded: one longer link would change every line of it."""
        lines = [list(map(self._cell, line)) for line in (block.head, *(line.cells for line in block.lines))]
        lines.insert(1, ["---"] * len(block.head))
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def _cell(self, cell: Cell | Prose) -> str:
        # A table is cut at its bars before anything inside a cell is read, code included.
        return self._prose(cell.shown if isinstance(cell, Cell) else cell).strip().replace("|", "\\|")

    def _line(self, prose: Prose) -> str:
        """Prose as a block by itself, which no sign at its start may make anything else."""
        text = self._prose(prose).strip()
        found = _START.match(text)
        if not found:
            return text
        return f"\\{text}" if found[1] else f"{found[2]}\\{text[found.end():]}"

    def _prose(self, prose: Prose) -> str:
        return "".join(map(self._span, spans(prose)))

    def _span(self, span: Span) -> str:
        if span.kind == "text":
            return escaped(span.text)
        if span.kind == "code":
            return _code(span.text)
        inside = "".join(map(self._span, span.inside))
        if span.kind == "link":
            return self._link(inside, span.target)
        mark = "**" if span.kind == "strong" else "*"
        return f"{mark}{inside}{mark}"

    def _link(self, words: str, target: str) -> str:
        if is_address(target):
            return f"[{words}]({target})"
        if place := self.site.heading(target):
            way = "" if place.page == self.page.path else self._relative(place.page)
            return f"[{words}]({way}#{place.anchor})"
        file = target if self.site.is_page(target) else self.site.file(target)
        # A report on somebody's own data does not lie beside the project's files.
        return f"{words} of the project" if file is None else f"[{words}]({self._relative(file)})"

    def _relative(self, path: str) -> str:
        """The way from this page to what is at a path from the front page."""
        return posixpath.relpath(path, posixpath.dirname(self.page.path) or ".")


def _code(text: str) -> str:
    """A code span in as many backticks as its text needs."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence, pad = "`" * (longest + 1), " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"
