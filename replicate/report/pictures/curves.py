"""Estimates along a logarithmic axis: a learning curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from replicate.report.pictures.axes import CURVES, FOOT, HEAD, Series, axes_at, drawable, entries, even_ticks, legend
from replicate.report.pictures.picture import BAND, LEADING, MARGIN, QUIET, SIZE, WIDTH, Picture, write


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
        series: one estimate a place; six at most.
    """
    height = 340.0

    def draw(figure: Any) -> None:
        from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

        left = MARGIN + 44
        axes = axes_at(figure, height, left, FOOT - 6, WIDTH - left - MARGIN, height - FOOT - HEAD - LEADING)
        axes.set_xscale("log")
        for n, (one, (_, colour, marker)) in enumerate(zip(series, entries(series, CURVES), strict=True)):
            # Side by side, or intervals would hide each other.
            shift = 1.045 ** (n - (len(series) - 1) / 2)
            found = [
                (place * shift, drawn)
                for place, estimate in zip(places, one.estimates, strict=True)
                if (drawn := drawable(estimate))
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
        legend(figure, height, entries(series, CURVES))

    return Picture(name, title, finding, height, draw)
