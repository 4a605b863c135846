"""Estimates about a line or beside published values, one line a group: a forest plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from replicate.report.pictures.axes import (
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
from replicate.report.pictures.picture import BAND, RULE, TEXT, Picture


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
        axes = rows_at(figure, height, groups, line, axis, sign)
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
                for one, (_, colour, marker) in zip(series, entries(series), strict=True)
                if (estimate := drawable(one.estimates[at]))
            ]
            if not shown:
                place = published[at] if published else centre or 0.0
                not_run(axes, place, at)
            for n, (estimate, colour, marker) in enumerate(shown):
                y = at + (n - (len(shown) - 1) / 2) * pitch / line
                dots = [y + 5 / line] * len(estimate.seeds)
                axes.plot(estimate.seeds, dots, ".", color=colour, alpha=0.6, markersize=4.5, zorder=3)
                draw_interval(axes, estimate, y, colour, 1.6)
                axes.plot([estimate.value], [y], marker, color=colour, markersize=6, zorder=4)
        stroke = [("published", TEXT, "|")] if any(map(math.isfinite, published)) else []
        shaded = [(f"within ± {band:g}", BAND, "s")] if band else []
        legend(figure, height, [*entries(series), *stroke, *shaded])

    return Picture(name, title, finding, height, draw)
