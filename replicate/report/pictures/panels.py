"""Kinds of pictures of nets: small panels side by side, one a row of the table, and a matrix of counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replicate.report.pictures.axes import COLOURS, axes_at, even_ticks
from replicate.report.pictures.picture import (
    BAND,
    CARD,
    LEADING,
    MARGIN,
    QUIET,
    RULE,
    SIZE,
    TEXT,
    WIDTH,
    Picture,
    shortened,
    width_of,
    write,
)

COLUMNS = 3
# Of a panel's axes, and what its name takes above and its numbers below and beside them, in points.
HIGH, ABOVE, BELOW, BESIDE = 112.0, 22.0, 22.0, 40.0
# Of a matrix's classes: more are drawn as an image, without names and counts, which nobody could read.
MOST_NAMED = 40
# Share of the width that names may take, and points of the smallest digits that are drawn.
NAMES, SMALLEST = 0.4, 5.0


@dataclass(frozen=True)
class Line:
    """Points that belong together, joined in their order; `sizes` are the areas of their marks, none without."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    sizes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Panel:
    """One small picture: its name, its lines, and the point of each that is marked (NaN marks none)."""

    name: str
    lines: tuple[Line, ...]
    marks: tuple[tuple[float, float], ...] = ()


def panels(
    name: str,
    title: str,
    finding: str,
    axes_names: tuple[str, str],
    parts: Sequence[Panel],
    *,
    diagonal: bool = False,
    mark: str = "",
) -> Picture:
    """Panels three beside each other; upwards they share one scale.

    Args:
        name: of the file.
        title: stands above it.
        finding: the text alternative.
        axes_names: what runs to the right, and what runs upwards, in every panel.
        parts: at least one, with at least one point.
        diagonal: draw where both axes are equal, from 0 to 1.
        mark: what a marked point is, for the legend.
    """
    rows = math.ceil(len(parts) / COLUMNS)
    head, foot = MARGIN + 2 * LEADING + 14, MARGIN + LEADING
    height = head + rows * (ABOVE + HIGH + BELOW) + foot
    ys = [y for part in parts for line in part.lines for y in line.ys]

    def draw(figure: Any) -> None:
        from matplotlib.ticker import MaxNLocator

        wide = (WIDTH - 2 * MARGIN - COLUMNS * BESIDE) / COLUMNS
        for at, part in enumerate(parts):
            row, column = divmod(at, COLUMNS)
            left = MARGIN + column * (BESIDE + wide) + BESIDE - 4
            bottom = height - head - row * (ABOVE + HIGH + BELOW) - ABOVE - HIGH
            axes = axes_at(figure, height, left, bottom, wide, HIGH)
            if diagonal:
                axes.plot([0, 1], [0, 1], color=RULE, linewidth=1, zorder=1)
            for line in part.lines:
                axes.plot(line.xs, line.ys, color=COLOURS[0], alpha=0.55, linewidth=1.3, zorder=2)
                if line.sizes:
                    axes.scatter(line.xs, line.ys, s=line.sizes, color=COLOURS[0], linewidths=0, zorder=3)
            for x, y in part.marks:
                axes.plot([x], [y], "D", color=COLOURS[1], markersize=4.5, zorder=4)
            axes.set_xlim(*_ends([x for line in part.lines for x in line.xs], diagonal))
            axes.set_ylim(*_ends(ys, diagonal))
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
                even_ticks(axis)
            axes.tick_params(labelsize=SIZE - 1.5)
            axes.grid(color=BAND, linewidth=0.8)
            write(figure, left, bottom + HIGH + 7, part.name, size=SIZE - 0.5, weight="bold")
        right, upwards = axes_names
        write(figure, MARGIN, height - MARGIN - 2 * LEADING, f"up: {upwards}", va="center", color=QUIET, size=SIZE - 1)
        write(figure, MARGIN, MARGIN + 2, f"to the right: {right}", va="center", color=QUIET, size=SIZE - 1)
        if mark:
            x, y = WIDTH - MARGIN - width_of(mark), height - MARGIN - 2 * LEADING
            from matplotlib.lines import Line2D

            figure.add_artist(Line2D([x - 9], [y], color=COLOURS[1], marker="D", markersize=5, transform=None))
            write(figure, x, y, mark, va="center_baseline", size=SIZE - 1)

    return Picture(name, title, finding, height, draw)


def matrix(
    name: str,
    title: str,
    finding: str,
    axes_names: tuple[str, str],
    labels: Sequence[str],
    counts: ArrayLike,
) -> Picture:
    """Counts by true and predicted class; a cell is the darker, the larger its share of the true class.

    Classes are numbered. Names stand beside the lines only: where a reader has no font for them, the numbers still tell
    which is which, and the report names them in text. Counts that would not fit into their cells are left out, and of
    more than `MOST_NAMED` classes there is an image alone.

    Args:
        name: of the file.
        title: stands above it.
        finding: the text alternative.
        axes_names: of the lines and of the columns.
        labels: of the classes.
        counts: [true, predicted], not negative.
    """
    values = np.asarray(counts, dtype=np.float64)
    classes, many = len(labels), len(labels) > MOST_NAMED
    cell = (WIDTH - 2 * MARGIN - BESIDE) / classes if many else 26.0
    head, foot = MARGIN + 3 * LEADING + 24, MARGIN + 4
    height = head + cell * classes + foot
    shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)

    def draw(figure: Any) -> None:
        from matplotlib.colors import LinearSegmentedColormap

        names = [shortened(f"{number}  {label}", NAMES * WIDTH) for number, label in enumerate(labels)]
        left = MARGIN + BESIDE if many else MARGIN + max(map(width_of, names)) + 14
        wide = min(WIDTH - left - MARGIN, 1.7 * cell * classes)
        axes = axes_at(figure, height, left, foot, wide, cell * classes)
        colours = LinearSegmentedColormap.from_list("share", [CARD, COLOURS[0]])
        if many:
            axes.imshow(shares, cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        else:
            axes.pcolormesh(shares, cmap=colours, vmin=0, vmax=1, edgecolors=BAND, linewidth=0.8)
            _write_counts(axes, values, shares, wide / classes)
            axes.set_ylim(classes, 0)
            axes.set_yticks(np.arange(classes) + 0.5, names)
            axes.set_xticks(np.arange(classes) + 0.5, [str(number) for number in range(classes)])
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        y = height - MARGIN - 2 * LEADING
        down, right = axes_names
        write(figure, MARGIN, y, f"down: {down}; to the right: {right}", va="center", color=QUIET, size=SIZE - 1)

    return Picture(name, title, finding, height, draw)


def _write_counts(axes: Any, values: NDArray[np.float64], shares: NDArray[np.float64], wide: float) -> None:
    """Each count but zeros in its cell, which is so many points wide, where its digits are not too small for that."""
    for (line, column), value in np.ndenumerate(values):
        words = f"{value:.0f}" if value >= 9.95 or value == round(value) else f"{value:.1f}"
        size = min(SIZE - 1.5, (wide - 2) / width_of(words, 1.0))
        if value and size >= SMALLEST:
            colour = CARD if shares[line, column] > 0.6 else TEXT
            axes.text(column + 0.5, line + 0.5, words, ha="center", va="center", color=colour, size=size)


def _ends(values: Sequence[float], whole: bool) -> tuple[float, float]:
    """Limits of an axis that hold all values with some air; from 0 to 1 where it is whole."""
    low, high = (0.0, 1.0) if whole else (min(values), max(values))
    air = 0.06 * (high - low) or 0.01
    return low - air / (3 if whole else 1), high + air / (3 if whole else 1)
