"""What every kind of picture is drawn with: estimates in series, their colours and markers, axes, ticks and a legend.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; each series has a marker of its own too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from replicate.report.pictures.picture import LEADING, MARGIN, QUIET, SIZE, WIDTH, width_of, write
from replicate.verdicts.equivalence import NO_INTERVAL, Interval

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
# More than four don't stay apart where marks lie close; curves, which lines hold together, may have two more. Okabe and
# Ito's others are too pale for a white card, so the last one is a red of Tol's.
CURVES = (*COLOURS, "#000000", "#882255")
MARKERS = ("o", "s", "D", "^", "v", "P")
# What title and legend take above the axes, and the numbers and their name below them, in points.
HEAD, FOOT = MARGIN + 2 * LEADING + 16, 52.0


@dataclass(frozen=True)
class Estimate:
    """A number to draw; what is NaN is left out.

    Attributes:
        value: the mean, or the median.
        interval: both ends of its interval.
        seeds: what it is made of, drawn as dots.
        ideal: what it would be at best; only `bars` draws it.
    """

    value: float
    interval: Interval = NO_INTERVAL
    seeds: tuple[float, ...] = ()
    ideal: float = math.nan


@dataclass(frozen=True)
class Series:
    """What one colour and marker stands for: an estimate for each group, None where there is none."""

    label: str
    estimates: tuple[Estimate | None, ...]


class Labelled(Protocol):
    """What has a place in the legend."""

    @property
    def label(self) -> str:
        """What it is called there."""


def even_ticks(axis: Any, sign: str = "") -> None:
    """Numbers of one axis with as many decimals as the one that needs most; the sign is that of a format."""
    from matplotlib.ticker import FuncFormatter

    def words(value: float, _: object) -> str:
        # A float beside 0 is 0, and a hyphen is no minus.
        if abs(value) < 1e-9:
            return "0"
        decimals = max(len(f"{tick:.9f}".rstrip("0").partition(".")[2]) for tick in axis.get_majorticklocs())
        return f"{value:{sign}.{decimals}f}".replace("-", "−")

    axis.set_major_formatter(FuncFormatter(words))


def entries(series: Sequence[Labelled], colours: Sequence[str] = COLOURS) -> list[tuple[str, str, str]]:
    """Label, colour and marker of each series; more than there are colours is an error."""
    return list(zip([one.label for one in series], colours[: len(series)], MARKERS[: len(series)], strict=True))


def axes_at(figure: Any, height: float, left: float, bottom: float, width: float, up: float) -> Any:
    """Axes at a place in points from the lower left corner."""
    axes = figure.add_axes((left / WIDTH, bottom / height, width / WIDTH, up / height), facecolor="none")
    axes.set_axisbelow(True)
    return axes


def rows_at(figure: Any, height: float, groups: Sequence[str], line: float, axis: str, sign: str = "") -> Any:
    """Axes with one line a group, the first at the top."""
    from matplotlib.ticker import MaxNLocator

    left = MARGIN + max(map(width_of, groups), default=0) + 10
    axes = axes_at(figure, height, left, FOOT - 6, WIDTH - left - MARGIN, line * len(groups))
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_yticks(range(len(groups)), groups)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    even_ticks(axes.xaxis, sign)
    axes.set_xlabel(axis)
    return axes


def drawable(estimate: Estimate | None) -> Estimate | None:
    """The estimate, unless its value is not a number."""
    return estimate if estimate is not None and math.isfinite(estimate.value) else None


def not_run(axes: Any, x: float, y: float) -> None:
    """Says so beside a place of the axes."""
    # An offset, since SVG drops leading spaces.
    axes.annotate("not run", (x, y), (6, 0), textcoords="offset points", va="center", color=QUIET, size=SIZE - 1)


def draw_interval(axes: Any, estimate: Estimate, y: float, colour: str, thick: float) -> None:
    """Draws the estimate's interval to the right, if it has one."""
    if all(map(math.isfinite, estimate.interval)):
        axes.plot(estimate.interval, [y, y], color=colour, linewidth=thick, zorder=3)


def legend(figure: Any, height: float, entries: Sequence[tuple[str, str, str]]) -> None:
    """Label, colour and marker of each series on one line below the title."""
    from matplotlib.lines import Line2D

    x, y = MARGIN + 4, height - MARGIN - 2 * LEADING
    for label, colour, marker in entries:
        sign = Line2D([x], [y], color=colour, marker=marker, markersize=7, linewidth=0, transform=None)
        if marker in "|_":
            sign.set(markersize=11, markeredgewidth=2.2)
        figure.add_artist(sign)
        write(figure, x + 10, y, label, va="center_baseline", size=SIZE)
        x += 10 + width_of(label) + 22
