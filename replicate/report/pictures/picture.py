"""A picture of the report: SVG that hangs on the numbers alone, for a light or a dark page.

Each picture is a white card with a rim, since no single grey is legible on white and on black alike. Text stays text:
the reader's fonts draw it, Chinese included. Places follow from the number of letters, never from installed fonts.
"""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from replicate.common.errors import UserError

FOLDER = "docs/figures"
TEXT, QUIET, RULE, BAND, CARD, RIM = "#1f2328", "#57606a", "#8c959f", "#e4e9ee", "#ffffff", "#d0d7de"
FONTS = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', 'Noto Sans CJK SC', sans-serif"
# All in points.
SIZE, LEADING = 10.0, 15.0
WIDTH, MARGIN = 620.0, 18.0


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        name: of its file, without the ending.
        title: stands above it.
        finding: what it shows, in a sentence; the text alternative.
        height: in points; the width is always the same.
        draw: puts everything but card and title on a Matplotlib figure of 72 dots per inch.
    """

    name: str
    title: str
    finding: str
    height: float
    draw: Callable[[Any], None]

    @property
    def path(self) -> str:
        """Its file as seen from the report."""
        return f"{FOLDER}/{self.name}.svg"

    def svg(self) -> str:
        """The file's content; the same numbers give the same bytes in every process.

        Raises:
            UserError: Matplotlib is not installed.
        """
        try:
            import matplotlib
            from matplotlib.figure import Figure
            from matplotlib.patches import FancyBboxPatch
        except ImportError:
            raise UserError(
                "the report's pictures need Matplotlib, which is not installed", hint="pip install matplotlib"
            ) from None
        buffer = io.BytesIO()
        with matplotlib.rc_context(), warnings.catch_warnings():
            # Matplotlib's own font lacks Chinese; the reader's won't.
            warnings.filterwarnings("ignore", "Glyph .* missing")
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(
                {
                    "svg.fonttype": "none",
                    "svg.hashsalt": "replicate",
                    "font.family": ["DejaVu Sans"],
                    "font.size": SIZE,
                    "text.parse_math": False,
                    "text.color": TEXT,
                    "axes.edgecolor": RULE,
                    "axes.labelcolor": TEXT,
                    "xtick.color": RULE,
                    "ytick.color": RULE,
                    "xtick.labelcolor": TEXT,
                    "ytick.labelcolor": TEXT,
                    "axes.spines.top": False,
                    "axes.spines.right": False,
                }
            )
            figure = Figure(figsize=(WIDTH / 72, self.height / 72), dpi=72, facecolor="none")
            card = FancyBboxPatch(
                (1, 1),
                WIDTH - 2,
                self.height - 2,
                boxstyle="round,pad=0,rounding_size=7",
                transform=None,
                facecolor=CARD,
                edgecolor=RIM,
                zorder=-1,
            )
            figure.add_artist(card)
            write(figure, MARGIN, self.height - MARGIN, self.title, va="top", weight="bold", size=SIZE + 2)
            self.draw(figure)
            figure.savefig(buffer, format="svg", metadata={"Date": None, "Title": self.title})
        text = _named_in_order(buffer.getvalue().decode("utf-8")).replace("'DejaVu Sans'", FONTS)
        head, title, rest = text.partition("</title>\n")
        description = f" <desc>{escape(' '.join(self.finding.split()))}</desc>\n"
        return head.replace("<svg ", '<svg role="img" ', 1) + title + description + rest


def _named_in_order(svg: str) -> str:
    """The picture with its parts numbered, where Matplotlib names them after the last bits of their coordinates.

    Those differ between versions of Python, which add floats up in different ways.
    """
    names = dict.fromkeys(re.findall(r'id="([a-z][0-9a-f]{10})"', svg))
    numbered = {name: f"{name[0]}{place}" for place, name in enumerate(names, start=1)}
    return re.sub(r"\b[a-z][0-9a-f]{10}\b", lambda found: numbered.get(found[0], found[0]), svg)


def width_of(text: str, size: float = SIZE) -> float:
    """About how many points wide a text is, in any sans serif font; Chinese signs are as wide as they are high."""
    return size * sum(1.0 if unicodedata.east_asian_width(sign) in "WF" else 0.58 for sign in text)


def shortened(text: str, width: float, size: float = SIZE) -> str:
    """A text that is cut, with a mark of that, to about so many points."""
    if width_of(text, size) <= width:
        return text
    while text and width_of(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def write(figure: Any, x: float, y: float, text: str, **how: Any) -> None:
    """Puts a text on a figure, its left end at a place in points from the lower left corner."""
    figure.text(x / WIDTH, y / (figure.get_figheight() * 72), text, ha="left", **how)
