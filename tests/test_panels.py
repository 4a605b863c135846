"""Small panels and matrices: the points and counts that go in are those that are drawn."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from replicate.report.pictures.panels import Line, Panel, matrix, panels

LABELS = ("病情诊断", "治疗方案", "其他 <x>")
COUNTS = [[7.5, 0.0, 1.0], [2.0, 30.0, 0.0], [0.0, 12.25, 5.0]]


def texts(svg: str) -> list[str]:
    """What the picture's text elements say, spaces as SVG shows them."""
    root = ElementTree.fromstring(svg)
    return [" ".join("".join(one.itertext()).split()) for one in root.iter("{http://www.w3.org/2000/svg}text")]


def test_matrix_has_every_count_and_label() -> None:
    """Each count but zeros is printed once, each class by number and name; names are text for the reader's fonts."""
    picture = matrix("m", "Matrix", "It confuses & mixes.", ("true", "predicted"), LABELS, COUNTS)
    svg = picture.svg()
    found = texts(svg)
    for words in ("7.5", "30", "12", "5"):
        assert found.count(words) == 1, words
    for number, label in enumerate(LABELS):
        assert f"{number} {label}" in found
        # The number alone names the column, where a reader has no font for the label.
        assert str(number) in found
    assert found.count("0") == 1
    assert "Noto Sans CJK SC" in svg
    assert "<desc>It confuses &amp; mixes.</desc>" in svg


def test_matrix_of_a_class_without_examples() -> None:
    """A true class that no dev example has is an empty line, not a division by zero."""
    svg = matrix("m", "Matrix", "None.", ("true", "predicted"), LABELS[:2], [[0, 0], [1, 2]]).svg()
    assert "nan" not in svg


@pytest.mark.parametrize("diagonal", [False, True])
def test_panels_draw_each_line_and_name(diagonal: bool) -> None:
    """One panel a part, its name above; the picture grows with the lines of panels and is the same every time."""
    line = Line((0.1, 0.5, 0.9), (0.2, 0.4, 0.8), (10.0, 20.0, 30.0) if diagonal else ())
    parts = [Panel(f"row-{n}", (line,), () if diagonal else ((0.5, 0.4),)) for n in range(4)]
    small, large = (
        panels("p", "Panels", "Four.", ("steps", "accuracy"), some, diagonal=diagonal, mark="kept")
        for some in (parts[:3], parts)
    )
    assert small.height < large.height
    svg = large.svg()
    found = texts(svg)
    assert [name for name in found if name.startswith("row-")] == [part.name for part in parts]
    assert "kept" in found
    assert svg == large.svg()
    assert len(re.findall(r'id="PathCollection', svg)) == (4 if diagonal else 0)


def test_panel_of_one_point() -> None:
    """Limits of an axis on which everything is at one place have some width."""
    assert panels("p", "Panels", "One.", ("x", "y"), [Panel("a", (Line((1.0,), (0.5,)),))]).svg()


@pytest.mark.parametrize("name", ["字" * 56, "letters " * 12, "😀" * 100])
def test_matrix_cuts_long_names(name: str) -> None:
    """A label of any length leaves room for the counts; the number still tells which class it is."""
    found = texts(matrix("m", "Matrix", "None.", ("true", "predicted"), (name, "b"), [[3, 1], [2, 4]]).svg())
    assert {"1", "2", "3", "4"} <= set(found)
    assert [words for words in found if words.startswith("0 ") and words.endswith("…")]


def test_matrix_counts_stay_in_their_cells() -> None:
    """Digits shrink with the cells, and are left out where they would be too small to read."""
    counts = [[193 if line == column else 12 for column in range(40)] for line in range(40)]
    few = texts(matrix("m", "Matrix", "None.", ("true", "predicted"), [f"c{n}" for n in range(40)], counts).svg())
    assert few.count("12") > 40 * 39
    labels = ["字" * 30 for _ in range(40)]
    assert texts(matrix("m", "Matrix", "None.", ("true", "predicted"), labels, counts).svg()).count("193") == 0


def test_matrix_of_many_classes_is_small() -> None:
    """300 classes are an image of less than 300 KB, the same bytes each time."""
    counts = [[5 if line == column else (line * column) % 3 for column in range(300)] for line in range(300)]
    picture = matrix("m", "Matrix", "None.", ("true", "predicted"), [f"class {n}" for n in range(300)], counts)
    svg = picture.svg()
    assert len(svg) < 300_000
    assert "<image" in svg
    assert "class 7" not in svg
    assert svg == picture.svg()
