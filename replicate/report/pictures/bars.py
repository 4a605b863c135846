"""Bars from 0, each beside the ideal that it should reach."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from replicate.report.pictures.axes import (
    COLOURS,
    FOOT,
    HEAD,
    Series,
    draw_interval,
    drawable,
    entries,
    legend,
    not_run,
    rows_at,
)
from replicate.report.pictures.picture import BAND, SIZE, TEXT, Picture


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
        axes = rows_at(figure, height, groups, line, axis)
        axes.grid(axis="x", color=BAND, linewidth=0.8)
        thick = 12 / line
        for at, n in itertools.product(range(len(groups)), range(len(series))):
            estimate, colour = drawable(series[n].estimates[at]), COLOURS[n]
            y = at + (n - (len(series) - 1) / 2) * pitch / line
            if estimate is None:
                not_run(axes, 0, y)
                continue
            axes.barh(y, estimate.value, height=thick, color=colour, linewidth=0, zorder=2)
            draw_interval(axes, estimate, y, TEXT, 1.2)
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
        bars_of = [(label, colour, "s") for label, colour, _ in entries(series)]
        legend(figure, height, [*bars_of, *([("ideal", TEXT, "|")] if any_ideal else [])])

    return Picture(name, title, finding, height, draw)
