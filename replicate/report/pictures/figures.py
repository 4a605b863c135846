"""Kinds of pictures: estimates about a line or beside published values, bars against an ideal, curves, a Pareto front.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; each series has a marker of its own too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from replicate.report.pictures.picture import (
    BAND,
    LEADING,
    MARGIN,
    QUIET,
    RULE,
    SIZE,
    TEXT,
    WIDTH,
    Picture,
    width_of,
    write,
)
from replicate.verdicts.equivalence import NO_INTERVAL, Interval

# Left, lower, right and upper end, in points.
Box = tuple[float, float, float, float]
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
MARKERS = ("o", "s", "D", "^")
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


@dataclass(frozen=True)
class Spot:
    """A point of a scatter: what it is called, its place to the right, and the estimate that is its height."""

    label: str
    place: float
    estimate: Estimate


@dataclass(frozen=True)
class Cloud:
    """The points of one colour and marker."""

    label: str
    spots: tuple[Spot, ...]


def forest(
    name: str,
    title: str,
    finding: str,
    axis: str,
    groups: Sequence[str],
    series: Sequence[Series],
    *,
    centre: float | None = 0.0,
    band: float = 0.0,
    published: Sequence[float] = (),
    sign: str = "+",
) -> Picture:
    """Estimates with their intervals and seeds, one line a group, about a vertical line or their published values.

    Args:
        name: of the file.
        title: stands above it.
        finding: the text alternative.
        axis: what the numbers are.
        groups: names of the lines, from the top.
        series: one estimate a group.
        centre: where the vertical line stands; None draws none.
        band: half the width of the shaded part about the line, or about each published value; 0 shades nothing.
        published: a value a group, drawn as a stroke; NaN draws none.
        sign: of the numbers along the axis: `+` writes that of positive ones too.
    """
    pitch = 14.0
    line = 12.0 + pitch * len(series)
    height = HEAD + line * len(groups) + FOOT

    def draw(figure: Any) -> None:
        axes = _rows(figure, height, groups, line, axis, sign)
        if centre is not None:
            axes.axvspan(centre - band, centre + band, color=BAND, linewidth=0, zorder=0)
            axes.axvline(centre, color=RULE, linewidth=1, zorder=1)
        for at, value in enumerate(published):
            # Half the height of a line, as a share of it.
            ends = [at - 0.38, at + 0.38]
            axes.fill_betweenx(ends, value - band, value + band, color=BAND, linewidth=0, zorder=0)
            axes.plot([value] * 2, ends, color=TEXT, linewidth=2.2, zorder=2)
        for at, _ in enumerate(groups):
            shown = [
                (estimate, colour, marker)
                for one, (_, colour, marker) in zip(series, _entries(series), strict=True)
                if (estimate := _drawn(one.estimates[at]))
            ]
            if not shown:
                place = published[at] if published else centre or 0.0
                _not_run(axes, place, at)
            for n, (estimate, colour, marker) in enumerate(shown):
                y = at + (n - (len(shown) - 1) / 2) * pitch / line
                dots = [y + 5 / line] * len(estimate.seeds)
                axes.plot(estimate.seeds, dots, ".", color=colour, alpha=0.6, markersize=4.5, zorder=3)
                _interval(axes, estimate, y, colour, 1.6)
                axes.plot([estimate.value], [y], marker, color=colour, markersize=6, zorder=4)
        stroke = [("published", TEXT, "|")] if any(map(math.isfinite, published)) else []
        shaded = [(f"within ± {band:g}", BAND, "s")] if band else []
        _legend(figure, height, [*_entries(series), *stroke, *shaded])

    return Picture(name, title, finding, height, draw)


def bars(
    name: str,
    title: str,
    finding: str,
    axis: str,
    groups: Sequence[str],
    series: Sequence[Series],
    *,
    form: str = ".2f",
) -> Picture:
    """Bars from 0 with their intervals, in groups; an upright stroke where the ideal of each would end.

    Args:
        name: of the file.
        title: stands above it.
        finding: the text alternative.
        axis: what the numbers are.
        groups: names of the groups of bars, from the top.
        series: one estimate a group.
        form: of the number beside each bar, which names its ideal too.
    """
    pitch = 16.0
    line = 14.0 + pitch * len(series)
    height = HEAD + line * len(groups) + FOOT

    def draw(figure: Any) -> None:
        axes = _rows(figure, height, groups, line, axis)
        axes.grid(axis="x", color=BAND, linewidth=0.8)
        thick = 12 / line
        for at, n in itertools.product(range(len(groups)), range(len(series))):
            estimate, colour = _drawn(series[n].estimates[at]), COLOURS[n]
            y = at + (n - (len(series) - 1) / 2) * pitch / line
            if estimate is None:
                _not_run(axes, 0, y)
                continue
            axes.barh(y, estimate.value, height=thick, color=colour, linewidth=0, zorder=2)
            _interval(axes, estimate, y, TEXT, 1.2)
            if math.isfinite(estimate.ideal):
                # Little longer than the bar is thick, or it would reach the words beside the next one.
                ends = [y - 0.6 * thick, y + 0.6 * thick]
                axes.plot([estimate.ideal] * 2, ends, color=TEXT, linewidth=2.2, zorder=5)
            end = max(filter(math.isfinite, (estimate.value, *estimate.interval, estimate.ideal)))
            ideal = f" of {format(estimate.ideal, form)}" if math.isfinite(estimate.ideal) else ""
            words = format(estimate.value, form) + ideal
            axes.annotate(words, (end, y), (5, 0), textcoords="offset points", va="center", size=SIZE - 1)
        axes.set_xlim(left=0, right=axes.get_xlim()[1] * 1.15)
        any_ideal = any(one is not None and math.isfinite(one.ideal) for part in series for one in part.estimates)
        bars_of = [(label, colour, "s") for label, colour, _ in _entries(series)]
        _legend(figure, height, [*bars_of, *([("ideal", TEXT, "|")] if any_ideal else [])])

    return Picture(name, title, finding, height, draw)


def curve(
    name: str,
    title: str,
    finding: str,
    axes_names: tuple[str, str],
    places: Sequence[float],
    series: Sequence[Series],
) -> Picture:
    """Estimates along a logarithmic axis, joined by lines, with intervals and seeds.

    Args:
        name: of the file.
        title: stands above it.
        finding: the text alternative.
        axes_names: what runs to the right, and what runs upwards.
        places: the groups of the series as positive numbers, rising.
        series: one estimate a place.
    """
    height = 340.0

    def draw(figure: Any) -> None:
        from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

        left = MARGIN + 44
        axes = axes_at(figure, height, left, FOOT - 6, WIDTH - left - MARGIN, height - FOOT - HEAD - LEADING)
        axes.set_xscale("log")
        for n, (one, (_, colour, marker)) in enumerate(zip(series, _entries(series), strict=True)):
            # Side by side, or intervals would hide each other.
            shift = 1.045 ** (n - (len(series) - 1) / 2)
            found = [
                (place * shift, drawn)
                for place, estimate in zip(places, one.estimates, strict=True)
                if (drawn := _drawn(estimate))
            ]
            axes.plot([x for x, _ in found], [e.value for _, e in found], color=colour, linewidth=1.6, zorder=2)
            for x, estimate in found:
                seeds = estimate.seeds
                axes.plot([x * 1.02] * len(seeds), seeds, ".", color=colour, alpha=0.6, markersize=4.5, zorder=3)
                if all(map(math.isfinite, estimate.interval)):
                    axes.plot([x, x], estimate.interval, color=colour, linewidth=1.6, zorder=3)
                axes.plot([x], [estimate.value], marker, color=colour, markersize=6, zorder=4)
        axes.set_xlim(places[0] / 1.18, places[-1] * 1.18)
        axes.xaxis.set_major_locator(FixedLocator(list(places)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        even_ticks(axes.yaxis)
        axes.grid(axis="y", color=BAND, linewidth=0.8)
        axes.set_xlabel(axes_names[0])
        write(figure, MARGIN, height - HEAD - 2, axes_names[1], va="center", color=QUIET, size=SIZE - 1)
        _legend(figure, height, _entries(series))

    return Picture(name, title, finding, height, draw)


def scatter(
    name: str,
    title: str,
    finding: str,
    axes_names: tuple[str, str],
    clouds: Sequence[Cloud],
    front: Sequence[Spot],
) -> Picture:
    """Points with their intervals, and the front that joins those that no other beats, which alone are named.

    Args:
        name: of the file.
        title: stands above it.
        finding: the text alternative.
        axes_names: what runs to the right, from 0, and what runs upwards.
        clouds: the points, by what they are.
        front: those of them on the front, from the left.
    """
    height = 380.0

    def draw(figure: Any) -> None:
        from matplotlib.ticker import MaxNLocator

        left = MARGIN + 44
        axes = axes_at(figure, height, left, FOOT - 6, WIDTH - left - MARGIN, height - FOOT - HEAD - LEADING)
        path = [spot.place for spot in front], [spot.estimate.value for spot in front]
        axes.step(*path, where="post", color=RULE, linewidth=1.2, zorder=1)
        for cloud, (_, colour, marker) in zip(clouds, _entries(clouds), strict=True):
            for spot in cloud.spots:
                if all(map(math.isfinite, spot.estimate.interval)):
                    ends = spot.estimate.interval
                    axes.plot([spot.place] * 2, ends, color=colour, linewidth=1.2, alpha=0.6, zorder=2)
                axes.plot([spot.place], [spot.estimate.value], marker, color=colour, markersize=7, zorder=4)
        top = max(spot.place for cloud in clouds for spot in cloud.spots)
        axes.set_xlim(0, 1.08 * top)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
            even_ticks(axis)
        _name(axes, front, [spot for cloud in clouds for spot in cloud.spots])
        axes.grid(axis="y", color=BAND, linewidth=0.8)
        axes.set_xlabel(axes_names[0])
        write(figure, MARGIN, height - HEAD - 2, axes_names[1], va="center", color=QUIET, size=SIZE - 1)
        _legend(figure, height, [*_entries(clouds), ("Pareto front", RULE, "_")])

    return Picture(name, title, finding, height, draw)


def _name(axes: Any, front: Sequence[Spot], spots: Sequence[Spot]) -> None:
    """Writes the names of the front beside its points, each where it hides least of what is drawn already."""
    frame = axes.bbox
    places = [axes.transData.transform((spot.place, spot.estimate.value)) for spot in spots]
    marks = [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    ends = [(spot.place, spot.estimate.interval) for spot in spots if all(map(math.isfinite, spot.estimate.interval))]
    lines = [(*axes.transData.transform((x, low)), *axes.transData.transform((x, high))) for x, (low, high) in ends]
    written: list[Box] = []
    for spot in front:
        x, y = axes.transData.transform((spot.place, spot.estimate.value))
        wide, high = width_of(spot.label, SIZE - 1), SIZE

        # Above and to the left of the front there is nothing, so that comes first.
        choices = [(side, up) for up in (6.0, 18.0, -14.0, 30.0, -26.0) for side in (-1, 1)]
        boxes = {}
        for side, up in choices:
            left = x + 6 if side > 0 else x - 6 - wide
            boxes[side, up] = (left, y + up - 2, left + wide, y + up - 2 + high)

        def hidden(choice: tuple[int, float], boxes: dict[tuple[int, float], Box] = boxes) -> int:
            box = boxes[choice]
            outside = not (frame.x0 < box[0] and box[2] < frame.x1 and frame.y0 < box[1] and box[3] < frame.y1)
            return 100 * (outside + _over(box, written)) + 10 * _over(box, marks) + _over(box, lines)

        side, up = min(choices, key=hidden)
        written.append(boxes[side, up])
        how = {"textcoords": "offset points", "ha": "right" if side < 0 else "left", "size": SIZE - 1, "zorder": 5}
        axes.annotate(spot.label, (spot.place, spot.estimate.value), (6 * side, up), **how)


def _over(box: Box, others: Sequence[Box]) -> int:
    """How many of the others the box overlaps."""
    left, low, right, high = box
    return sum(left < one[2] and one[0] < right and low < one[3] and one[1] < high for one in others)


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


def _entries(series: Sequence[Series | Cloud]) -> list[tuple[str, str, str]]:
    """Label, colour and marker of each series; more than there are colours is an error."""
    return list(zip([one.label for one in series], COLOURS[: len(series)], MARKERS[: len(series)], strict=True))


def axes_at(figure: Any, height: float, left: float, bottom: float, width: float, up: float) -> Any:
    """Axes at a place in points from the lower left corner."""
    axes = figure.add_axes((left / WIDTH, bottom / height, width / WIDTH, up / height), facecolor="none")
    axes.set_axisbelow(True)
    return axes


def _rows(figure: Any, height: float, groups: Sequence[str], line: float, axis: str, sign: str = "") -> Any:
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


def _drawn(estimate: Estimate | None) -> Estimate | None:
    """The estimate, unless its value is not a number."""
    return estimate if estimate is not None and math.isfinite(estimate.value) else None


def _not_run(axes: Any, x: float, y: float) -> None:
    # An offset, since SVG drops leading spaces.
    axes.annotate("not run", (x, y), (6, 0), textcoords="offset points", va="center", color=QUIET, size=SIZE - 1)


def _interval(axes: Any, estimate: Estimate, y: float, colour: str, thick: float) -> None:
    if all(map(math.isfinite, estimate.interval)):
        axes.plot(estimate.interval, [y, y], color=colour, linewidth=thick, zorder=3)


def _legend(figure: Any, height: float, entries: Sequence[tuple[str, str, str]]) -> None:
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
