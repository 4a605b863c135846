"""Points by two numbers, such as cost and score, and the front of those that no other beats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from replicate.report.pictures.axes import FOOT, HEAD, Estimate, axes_at, entries, even_ticks, legend
from replicate.report.pictures.picture import BAND, LEADING, MARGIN, QUIET, RULE, SIZE, WIDTH, Picture, width_of, write

# Left, lower, right and upper end, in points.
Box = tuple[float, float, float, float]


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


def scatter(
    name: str,
    title: str,
    finding: str,
    axes_names: tuple[str, str],
    clouds: Sequence[Cloud],
    front: Sequence[Spot] = (),
) -> Picture:
    """Points with their intervals, and the front that joins those that no other beats.

    Where there is a front, its points alone are named.

    Args:
        name: of the file.
        title: stands above it.
        finding: the text alternative.
        axes_names: what runs to the right, from 0, and what runs upwards.
        clouds: the points, by what they are.
        front: those of them on the front, from the left; none where neither side is better.
    """
    height = 380.0

    def draw(figure: Any) -> None:
        from matplotlib.ticker import MaxNLocator

        left = MARGIN + 44
        axes = axes_at(figure, height, left, FOOT - 6, WIDTH - left - MARGIN, height - FOOT - HEAD - LEADING)
        every = [spot for cloud in clouds for spot in cloud.spots]
        path = [spot.place for spot in front], [spot.estimate.value for spot in front]
        axes.step(*path, where="post", color=RULE, linewidth=1.2, zorder=1)
        for cloud, (_, colour, marker) in zip(clouds, entries(clouds), strict=True):
            for spot in cloud.spots:
                if all(map(math.isfinite, spot.estimate.interval)):
                    ends = spot.estimate.interval
                    axes.plot([spot.place] * 2, ends, color=colour, linewidth=1.2, alpha=0.6, zorder=2)
                axes.plot([spot.place], [spot.estimate.value], marker, color=colour, markersize=7, zorder=4)
        top = max(spot.place for spot in every)
        axes.set_xlim(0, 1.08 * top)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
            even_ticks(axis)
        _name(axes, front or every, every)
        axes.grid(axis="y", color=BAND, linewidth=0.8)
        axes.set_xlabel(axes_names[0])
        write(figure, MARGIN, height - HEAD - 2, axes_names[1], va="center", color=QUIET, size=SIZE - 1)
        legend(figure, height, [*entries(clouds), *([("Pareto front", RULE, "_")] if front else [])])

    return Picture(name, title, finding, height, draw)


def _name(axes: Any, named: Sequence[Spot], spots: Sequence[Spot]) -> None:
    """Writes the names of some points beside them, each where it hides least of what is drawn already."""
    frame = axes.bbox
    places = [axes.transData.transform((spot.place, spot.estimate.value)) for spot in spots]
    marks = [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    ends = [(spot.place, spot.estimate.interval) for spot in spots if all(map(math.isfinite, spot.estimate.interval))]
    lines = [(*axes.transData.transform((x, low)), *axes.transData.transform((x, high))) for x, (low, high) in ends]
    written: list[Box] = []
    for spot in named:
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
