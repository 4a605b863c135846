"""The report as one HTML file that needs no network: the blocks of REPORT.md, sortable, filtered, with every seed.

Everything in it is escaped: Markdown may hold no HTML, and the script writes text, never markup. The content security
policy lets only this page's own script and style run, and nothing be loaded.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from markdown_it import MarkdownIt
from markdown_it.token import Token
from numpy.typing import NDArray

from replicate.common.markdown import Anchors
from replicate.corpus.formats import Dataset
from replicate.findings.evidence import Material
from replicate.findings.rows import RowResult, paired_seeds
from replicate.records.run import Record
from replicate.report.pictures.picture import Block, Picture
from replicate.report.sections.tables import NAMES
from replicate.scores.packing import unpack_bits, unpack_predictions

WEB = Path(__file__).with_name("web")
METRIC_OF = {name: metric for metric, name in NAMES.items()}
UNKNOWN = -1


@dataclass(frozen=True)
class Shown:
    """A data set whose dev examples the page may name; `texts` says whether their texts are embedded too."""

    dataset: Dataset
    texts: bool


def html_page(blocks: Sequence[Block], material: Material, base: str = "", shown: Iterable[Shown] = ()) -> str:
    """The page.

    Args:
        blocks: what REPORT.md is made of.
        material: what the blocks were made of.
        base: the way from the page's folder to the report's, before every relative link; "" where they are one.
        shown: data whose examples may be shown. Of other data the page has the number of an example, no text.
    """
    title, *_ = (block.removeprefix("# ") for block in blocks if isinstance(block, str))
    style, script = ((WEB / f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    data = json.dumps(page_data(material.records, shown), ensure_ascii=False, separators=(",", ":"))
    # Inside a script element only these can end it or open a comment.
    data = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<header id="filter" hidden></header>
<main>
{_Body(material, base).of(blocks)}
<section id="examples" hidden>
<h2>Look at single dev examples</h2>
</section>
</main>
<div id="tip" role="tooltip" hidden></div>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def _hash(text: str) -> str:
    """The source expression by which a content security policy knows an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def page_data(records: Iterable[Record], shown: Iterable[Shown] = ()) -> dict[str, Any]:
    """What the page's script reads: every record's predictions, and what may be told of each dev set."""
    runs = [record for record in records if record.counts]
    sets = {one.dataset.digests["dev"]: one for one in shown}
    dev: dict[str, Any] = {}
    for digest in dict.fromkeys(record.digests.get("dev", "") for record in runs):
        own = [record for record in runs if record.digests.get("dev", "") == digest]
        if digest in sets:
            part = sets[digest].dataset.dev
            dev[digest] = {"gold": part.labels, "texts": part.texts if sets[digest].texts else None}
        else:
            dev[digest] = {"gold": known_labels(own).tolist(), "texts": None}
    return {
        "dev": dev,
        "records": [
            {
                "profile": record.profile,
                "row": f"{record.table}/{record.row}",
                "seed": record.seed,
                "labels": record.labels,
                "confusion": record.counts["confusion"],
                "predictions": record.predictions,
                "confidence": record.confidence,
                "dev": record.digests.get("dev", ""),
            }
            for record in runs
        ],
    }


def known_labels(records: Sequence[Record]) -> NDArray[np.int64]:
    """The labels of one dev set [examples] that its records tell: where one is right; -1 where none is."""
    examples = max((record.counts["examples"] for record in records), default=0)
    labels = np.full(examples, UNKNOWN, dtype=np.int64)
    for record in records:
        right = np.flatnonzero(unpack_bits(record.correct, record.counts["examples"]))
        labels[right] = unpack_predictions(record.predictions)[right]
    return labels


class _Body:
    """Blocks as HTML; tables know which rows and profiles each of their lines is about, and cells their seeds."""

    def __init__(self, material: Material, base: str) -> None:
        self.material, self.base = material, base
        self.parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
        self.anchors = Anchors()
        self.open_sections: list[int] = []
        self.profiles = {profile.id: profile for profile in material.profiles}
        self.rows = {row.full_id: row for table in material.tables for row in table.rows}
        self.row_ids = {row.id for row in self.rows.values()}

    def of(self, blocks: Sequence[Block]) -> str:
        parts = [self._picture(block) if isinstance(block, Picture) else self._text(block) for block in blocks]
        return "\n".join([*parts, *("</section>" for _ in self.open_sections)])

    def _picture(self, picture: Picture) -> str:
        source = base64.b64encode(picture.svg().encode()).decode()
        alt = escape(" ".join(picture.finding.split()))
        return f'<figure><img alt="{alt}" src="data:image/svg+xml;base64,{source}"></figure>'

    def _text(self, block: str) -> str:
        tokens = self.parser.parse(block)
        before = ""
        for at, token in enumerate(tokens):
            if token.type == "heading_open":
                before += self._section(token, tokens[at + 1])
            if token.type == "inline":
                self._links(token)
        for start in [at for at, token in enumerate(tokens) if token.type == "table_open"]:
            self._table(tokens, start)
        return before + self.parser.renderer.render(tokens, self.parser.options, {})

    def _section(self, token: Token, inline: Token) -> str:
        """Closes what a heading ends and opens its own section; deeper headings than the third stay inside."""
        level, tags = int(token.tag[1]), ""
        name = self.anchors.of(inline.content)
        token.attrSet("id", name)
        if level not in (2, 3):
            return ""
        while self.open_sections and self.open_sections[-1] >= level:
            self.open_sections.pop()
            tags += "</section>\n"
        self.open_sections.append(level)
        about = [one for one in _codes(inline) if one in self.profiles]
        return f'{tags}<section aria-labelledby="{escape(name)}" data-profiles="{escape(" ".join(about))}">\n'

    def _links(self, inline: Token) -> None:
        for child in inline.children or []:
            href = str(child.attrGet("href") or "")
            if child.type == "link_open" and self.base and not re.match(r"#|[a-z]+:", href):
                child.attrSet("href", f"{self.base}/{href}")

    def _table(self, tokens: list[Token], start: int) -> None:
        """Marks the lines of one table, and wraps it so that it can be scrolled by keyboard too."""
        end = next(at for at in range(start, len(tokens)) if tokens[at].type == "table_close")
        head: list[str] = []
        about: tuple[list[tuple[str, str]], set[str]] = [], set()
        for at in range(start, end):
            if tokens[at].type != "tr_open":
                continue
            close = next(k for k in range(at, end) if tokens[k].type == "tr_close")
            cells = [token for token in tokens[at:close] if token.type == "inline"]
            if not head:
                head = [_plain(cell) for cell in cells]
                continue
            about = self._line(tokens[at], head, cells, about)
        name = ", ".join(filter(None, head))
        tokens[start].attrSet("aria-label", f"Table of {name}")

    def _line(
        self, line: Token, head: Sequence[str], cells: Sequence[Token], above: tuple[list[tuple[str, str]], set[str]]
    ) -> tuple[list[tuple[str, str]], set[str]]:
        """Marks one line, which is about what the one above is about where it names nothing itself.

        Returns:
            Profile and row of the records that it is about, and its rows.
        """
        linked = list(dict.fromkeys(found for cell in cells for found in self._records_of(cell)))
        codes = [code for cell in cells for code in _codes(cell)] + [_plain(cell) for cell in cells[:1]]
        rows = {row for _, row in linked} | {self.rows[code].id for code in codes if code in self.rows}
        rows |= {code for code in codes if code in self.row_ids}
        if not _plain(cells[0]):
            linked, rows = linked or above[0], rows or above[1]
        profiles = {profile for profile, _ in linked} | {code for code in codes if code in self.profiles}
        line.attrSet("data-rows", " ".join(sorted({row.rpartition("/")[2] for row in rows})))
        line.attrSet("data-profiles", " ".join(sorted(profiles)))
        results = [self.material.result(self.rows[row], self.profiles[profile]) for profile, row in linked]
        column = dict(zip(head, cells, strict=False))
        for name, cell in column.items():
            metric = METRIC_OF.get(name)
            if name in ("difference (pairs)", "mean (pairs)") and "metric" in column:
                metric = METRIC_OF.get(_plain(column["metric"]))
            seeds = _seeds(results, metric) if metric and re.search(r"\(\d+\)$", _plain(cell)) else ""
            if seeds:
                cell.children = [
                    _html(f'<button type="button" class="seeds" data-seeds="{escape(seeds)}">'),
                    *(cell.children or []),
                    _html("</button>"),
                ]
        return linked, rows

    def _records_of(self, cell: Token) -> list[tuple[str, str]]:
        """Profile and row of each record that a cell links to."""
        found = []
        for child in cell.children or []:
            match = re.search(r"([^/]+)/([^/]+/[^/]+)(?:/seed-\d+\.json)?$", unquote(str(child.attrGet("href") or "")))
            if match and match[1] in self.profiles and match[2] in self.rows:
                found.append((match[1], match[2]))
        return found


def _seeds(results: Sequence[RowResult], metric: str) -> str:
    """Each seed's score, or the difference of two rows' scores where a line is about two."""
    if len(results) == 1:
        found = {seed: scores[metric] for seed, scores in results[0].scores.items()}
    elif len(results) == 2:
        a, b = results
        pairs = [seed for seed in paired_seeds(a, b) if seed in a.scores and seed in b.scores]
        found = {seed: a.score(seed, metric) - b.score(seed, metric) for seed in pairs}
    else:
        return ""
    form = "+.4f" if len(results) == 2 else ".4f"
    return "; ".join(f"seed {seed}: {format(value, form)}" for seed, value in sorted(found.items()))


def _codes(inline: Token) -> list[str]:
    return [child.content for child in inline.children or [] if child.type == "code_inline"]


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or []).strip()


def _html(markup: str) -> Token:
    return Token("html_inline", "", 0, content=markup)
