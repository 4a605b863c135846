"""All pages together: every heading's place, and where a link of a page leads."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from replicate.report.blocks import Heading, Page
from replicate.report.spans import plain
from replicate.report.words import MEASURED


@dataclass(frozen=True)
class Place:
    """Where a heading is: the path of its page, and the anchor that GitHub gives it there."""

    page: str
    anchor: str


@dataclass(frozen=True)
class Site:
    """The pages of one report, the front page first.

    Attributes:
        pages: in their order.
        records: the folder of records as seen from the front page.
        in_project: whether the pages lie in the project, so that links to its other files lead somewhere.
    """

    pages: tuple[Page, ...]
    records: str = MEASURED
    in_project: bool = True

    def __post_init__(self) -> None:
        """Refuse two pages of one path, or two headings of one id (ValueError)."""
        ids = [block.id for page in self.pages for block in page.blocks if isinstance(block, Heading)]
        for name, count in Counter([*(page.path for page in self.pages), *ids]).items():
            if count > 1:
                raise ValueError(f"two pages or headings are called {name!r}")

    @cached_property
    def places(self) -> Mapping[str, Place]:
        """Every heading's place, by its id."""
        found = {}
        for page in self.pages:
            seen = Counter([anchor(plain(page.title))])
            for block in page.blocks:
                if isinstance(block, Heading):
                    name = anchor(plain(block.words))
                    # GitHub numbers a heading that is called like one before it.
                    found[block.id] = Place(page.path, f"{name}-{seen[name]}" if seen[name] else name)
                    seen[name] += 1
        return found

    def heading(self, target: str) -> Place | None:
        """The place that a target names by `#id`; None for one that names a file.

        Raises:
            ValueError: no page has such a heading.
        """
        if not target.startswith("#"):
            return None
        if target[1:] not in self.places:
            raise ValueError(f"a link to a heading that no page has: {target}")
        return self.places[target[1:]]

    def is_page(self, target: str) -> bool:
        """Whether the target is the path of one of these pages."""
        return any(page.path == target for page in self.pages)

    def file(self, target: str) -> str | None:
        """The way from the front page to a file or folder, quoted; None where it is not beside these pages."""
        if target == MEASURED or target.startswith(f"{MEASURED}/"):
            inner = target.removeprefix(MEASURED).removeprefix("/")
            return quote(posixpath.normpath(posixpath.join(self.records, inner)), safe="/%")
        return quote(target, safe="/%") if self.in_project else None


def is_address(target: str) -> bool:
    """Whether a target is an address of the web."""
    return re.match(r"[a-z]+:", target) is not None


def anchor(heading: str) -> str:
    """The name under which GitHub finds a heading: small letters, digits, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
