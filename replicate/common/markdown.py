"""Numbers, sentences and tables as Markdown."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

# The page on how verdicts are made, as the project's own report links to it.
STATISTICS = "[docs/statistics.md](docs/statistics.md)"


def number(value: float, form: str = ".4f") -> str:
    """Four decimals; empty for what is not a number."""
    return format(value, form) if math.isfinite(value) else ""


def spread(mean: float, sd: float, n: int, form: str = ".4f") -> str:
    """Mean ± standard deviation (number of values); the deviation of one value is left out."""
    if not math.isfinite(mean):
        return f"no score ({n})"
    return number(mean, form) + (f" ± {sd:.4f}" if math.isfinite(sd) else "") + f" ({n})"


def interval(bounds: tuple[float, float]) -> str:
    """Both ends of an interval; empty where there is none."""
    return f"{bounds[0]:.4f} to {bounds[1]:.4f}" if all(map(math.isfinite, bounds)) else ""


def tally(verdicts: Iterable[str]) -> str:
    """How often each verdict occurs."""
    found = list(verdicts)
    return ", ".join(f"{found.count(verdict)} {verdict}" for verdict in sorted(set(found)))


def plural(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def sentence(text: str) -> str:
    """`text` on one line, with a full stop unless it ends in a mark."""
    text = " ".join(text.split())
    return text if text.endswith((".", "?", "!")) else f"{text}."


def cell(value: Any) -> str:
    """`value` as one line that can stand between the bars of a table."""
    return " ".join(str(value).split()).replace("|", "\\|")


def table_of(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table. Cells are not padded: one longer link would change every line of it."""
    rule = ["---"] * len(head)
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in (head, rule, *lines))


def anchor(heading: str) -> str:
    """The name under which GitHub finds a heading: small letters, digits, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


class Anchors:
    """The anchors of a page's headings in their order; a name that was there before gets a number."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def of(self, heading: str) -> str:
        """The anchor of the next heading."""
        name = anchor(heading)
        self._seen[name] += 1
        return name if self._seen[name] == 1 else f"{name}-{self._seen[name] - 1}"
