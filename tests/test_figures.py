"""Pictures: valid and the same bytes everywhere, legible, and showing the numbers that they were given."""

from __future__ import annotations

import itertools
import math
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from replicate.common.errors import UserError
from replicate.report.blocks import Page
from replicate.report.markdown import markdown
from replicate.report.pictures.axes import CURVES, Estimate, Series
from replicate.report.pictures.bars import bars
from replicate.report.pictures.curves import curve
from replicate.report.pictures.estimates import forest
from replicate.report.pictures.picture import CARD, FONTS, QUIET, SIZE, TEXT, WIDTH, Picture, width_of
from replicate.report.pictures.scatter import Cloud, Spot, scatter
from replicate.report.site import Site

SVG = "{http://www.w3.org/2000/svg}"
A = Estimate(0.71, (0.7, 0.72), (0.705, 0.715), ideal=0.8)
B = Estimate(-0.002, (-0.01, 0.006), (-0.004, 0.0))
BARE = Estimate(0.73)
BROKEN = Estimate(math.nan, (math.nan, math.nan), (math.nan,))
SERIES = (Series("治疗 & <one>", (A, None, BARE)), Series("two", (B, BROKEN, A)))
GROUPS = ("$first_", "second --", "第三")


def a_forest(series: tuple[Series, ...] = SERIES) -> Picture:
    """A forest of three lines."""
    return forest("f", "A title & more", "It shows [this].", "difference", GROUPS, series, band=0.018)


def some_bars(series: tuple[Series, ...] = SERIES) -> Picture:
    """Bars of three groups."""
    return bars("b", "Bars", "Longer is better.", "times as fast", GROUPS, series)


def a_curve(series: tuple[Series, ...] = SERIES) -> Picture:
    """A curve over three places."""
    return curve("c", "Curve", "It rises.", ("lines", "accuracy"), (500, 2000, 6931), series)


def a_scatter(series: tuple[Series, ...] = SERIES) -> Picture:
    """Clouds of two points each; the first is the front."""
    clouds = [
        Cloud(
            one.label,
            tuple(
                Spot(group, place, estimate)
                for group, place, estimate in zip(GROUPS, (1.5, 2.0, 8.0), one.estimates, strict=True)
                if estimate is not None and math.isfinite(estimate.value)
            ),
        )
        for one in series
    ]
    return scatter("s", "Scatter", "Less is more.", ("ms", "accuracy"), clouds, clouds[0].spots)


def on_a_page(picture: Picture) -> str:
    """The Markdown of a page with this picture."""
    (text,) = markdown(Site((Page("REPORT.md", "Title", (picture,)),))).values()
    return text


KINDS = pytest.mark.parametrize("kind", [a_forest, some_bars, a_curve, a_scatter])
Kind = Callable[..., Picture]


def texts(svg: str) -> list[str]:
    """Every text of the picture."""
    return ["".join(text.itertext()) for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@KINDS
def test_it_is_an_svg_that_says_what_it_shows(kind: Kind) -> None:
    """The file is XML with the role of a picture, a title and a description; no path has a number that is none."""
    picture = kind()
    root = ElementTree.fromstring(picture.svg())
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == picture.title
    assert root.findtext(f"{SVG}desc") == picture.finding
    for element in root.iter():
        assert not re.search(r"\b(nan|inf)", " ".join(value for key, value in element.items() if key != "style"), re.I)


@KINDS
def test_text_stays_text(kind: Kind) -> None:
    """Labels stand in the file as they were given, Chinese and dollars too, in the reader's own fonts."""
    svg = kind().svg()
    found = texts(svg)
    assert {"治疗 & <one>", "two"} <= set(found)
    if kind in (a_forest, some_bars):
        assert set(GROUPS) <= set(found)
    assert "DejaVu" not in svg
    assert FONTS.endswith("sans-serif")
    assert svg.count(FONTS) == len(found)


def test_the_same_numbers_give_the_same_bytes_in_two_processes() -> None:
    """Neither a process's hash seed nor its date or settings of Matplotlib change a byte."""
    code = (
        "import matplotlib, sys; matplotlib.rcParams['lines.linewidth'] = 9; from tests.test_figures import *;"
        "sys.stdout.buffer.write(''.join(kind().svg() for kind in (a_forest, some_bars, a_curve, a_scatter)).encode())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] == "".join(kind().svg() for kind in (a_forest, some_bars, a_curve, a_scatter)).encode()


@KINDS
def test_another_number_gives_another_picture(kind: Kind) -> None:
    """A mean that differs in its third digit is drawn elsewhere."""
    other = (Series(SERIES[0].label, (Estimate(0.711, A.interval, A.seeds), None, BARE)), SERIES[1])
    assert kind(other).svg() != kind().svg()


def test_what_was_not_run_is_said_and_not_drawn() -> None:
    """A line of a forest without any estimate, and each missing bar, says so; a bar's number names its ideal."""
    assert sum("not run" in text for text in texts(a_forest().svg())) == 1
    empty = tuple(Series(name, (A, None, BROKEN)) for name in "xy")
    assert sum("not run" in text for text in texts(a_forest(empty).svg())) == 2
    found = texts(some_bars().svg())
    assert sum("not run" in text for text in found) == 2
    assert "0.71 of 0.80" in found
    assert "0.73" in found
    assert "ideal" in found
    assert "ideal" not in texts(some_bars((Series("x", (BARE, BARE, BARE)),)).svg())


def test_a_forest_tells_its_band_and_seeds() -> None:
    """The legend names the band's half width; each seed is a dot of its own."""
    assert "within ± 0.018" in texts(a_forest().svg())
    assert not any("within" in text for text in texts(forest("f", "t", "d", "x", GROUPS, SERIES).svg()))
    few, many = (
        forest("f", "t", "d", "x", ("a",), (Series("x", (Estimate(0.0, (-1, 1), seeds),)),)).svg().count("<use")
        for seeds in ((0.5,), (0.5, -0.5, 0.2))
    )
    assert many - few == 2


def test_a_scatter_names_its_front_alone() -> None:
    """Points on the front have their names; the axis begins at 0, and the legend says what the line is."""
    found = texts(a_scatter().svg())
    assert found.count(GROUPS[0]) == found.count(GROUPS[2]) == 1
    assert {"0", "ms", "accuracy", "Pareto front"} <= set(found)


def test_names_of_near_points_do_not_overlap() -> None:
    """Each name of the front stands clear of the others and inside the axes, whatever the points are called."""
    spots = [
        Spot(f"a-long-name-{n}", place, Estimate(0.78 + n / 1e4)) for n, place in enumerate((0.2, 1.9, 2.0, 2.1, 7.9))
    ]
    picture = scatter("s", "t", "d", ("x", "y"), [Cloud("one", tuple(spots))], spots)
    figure = Figure(figsize=(WIDTH / 72, picture.height / 72), dpi=72)
    picture.draw(figure)
    axes: Any = figure.axes[0]
    boxes = []
    for name in axes.texts:
        x, y = axes.transData.transform(name.xy) + name.xyann
        wide = width_of(name.get_text(), SIZE - 1)
        left = x - wide if name.get_ha() == "right" else x
        assert axes.bbox.x0 < left < left + wide < axes.bbox.x1
        boxes.append((left, y, left + wide, y + SIZE - 2))
    assert len(boxes) == len(spots)
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_ticks_of_an_axis_have_the_same_decimals() -> None:
    """0.8 beside 0.79 is 0.80; zero stays zero, and a difference has its sign."""
    near = (Series("x", tuple(Estimate(value, (value - 0.01, value + 0.01)) for value in (0.79, 0.80, 0.81))),)
    found = texts(forest("f", "t", "d", "x", GROUPS, near, centre=None, sign="").svg())
    assert {"0.79", "0.80", "0.81"} <= set(found)
    found = texts(forest("f", "t", "d", "x", GROUPS, (Series("x", (B, B, B)),)).svg())
    assert {"−0.010", "0", "+0.005"} <= set(found)


def test_it_is_legible() -> None:
    """On the card, text has a contrast of 4.5 and what stands for a series one of 3; the card is there on any page."""
    for colours, least in (((TEXT, QUIET), 4.5), (CURVES, 3.0)):
        for colour in colours:
            assert (luminance(CARD) + 0.05) / (luminance(colour) + 0.05) >= least
    assert f"fill: {CARD}" in a_forest().svg()


def test_width_does_not_hang_on_fonts() -> None:
    """A Chinese sign is as wide as it is high, a Latin letter little more than half of that."""
    assert width_of("治疗", 10) == 20
    assert 5 <= width_of("a", 10) <= 7


def test_markdown_has_the_finding_and_the_file() -> None:
    """The block is an image whose text is the finding on one line, without what Markdown would take for its own."""
    picture = forest("name", "t", "It [shows]\n*this*.", "x", ("a",), (Series("x", (A,)),))
    assert r"It \[shows\] \*this\*." in on_a_page(picture)
    assert "](docs/figures/name.svg)" in on_a_page(picture)


def test_more_series_than_colours_is_an_error() -> None:
    """A fifth series would look like the first; curves have two more."""
    many = tuple(Series(str(n), (A, A, A)) for n in range(7))
    assert len(set(CURVES)) == 6
    assert a_curve(many[:6]).svg()
    for draw, series in ((a_forest, many[:5]), (a_curve, many)):
        with pytest.raises(ValueError, match="zip"):
            draw(series).svg()


def test_without_matplotlib_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing Matplotlib is one line with what to do; the Markdown needs none."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert a_forest().path in on_a_page(a_forest())
    with pytest.raises(UserError, match="Matplotlib, which is not installed; pip install"):
        a_forest().svg()
