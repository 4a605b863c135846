"""One picture of what grows with what: the cost of a line, class, token or seed beside that of the first ones."""

from __future__ import annotations

from replicate.records.timing import Curve, TimingRecord
from replicate.report.blocks import Block, Line, Plain, Table, Text
from replicate.report.pictures.axes import CURVES, Estimate, Series
from replicate.report.pictures.curves import curve
from replicate.report.sections.timed import where

_READING = (
    "Seconds of the processor for each of what grows, as a share of those at the smallest size. What grows in "
    "proportion stays level, after it has fallen, since the start is shared by more; what rises grows faster."
)


def growth(record: TimingRecord) -> list[Block]:
    """Picture and table of a record's curves; nothing where it has none."""
    if not record.curves:
        return []
    drawn = record.curves[: len(CURVES)]
    places = sorted({times for one in drawn for times in _times(one)})
    series = [Series(_name(one), _shares(one, places)) for one in drawn]
    told = "; ".join(f"{_name(one)} {_last(one):.2f} at {one.sizes[-1]:,}" for one in drawn)
    picture = curve(
        f"growth-{record.name}",
        "What one more costs",
        f"Share of the smallest size's seconds for each of what grows, on {where(record)}: {told}.",
        ("times the smallest size", "seconds for each, as a share of those at the smallest size"),
        places,
        series,
    )
    head = ("command", "grows with", "sizes", "seconds of the processor", "MB at most")
    lines = tuple(
        Line(
            (
                Plain(one.command),
                one.grows,
                ", ".join(f"{size:,}" for size in one.sizes),
                ", ".join(f"{took:,.1f}" for took in one.seconds),
                ", ".join(f"{held:,.0f}" for held in one.megabytes),
            )
        )
        for one in record.curves
    )
    return [Text(_READING), picture, Table(head, lines)]


def _name(one: Curve) -> str:
    return f"{one.command}, {one.grows}"


def _times(one: Curve) -> list[float]:
    return [size / one.sizes[0] for size in one.sizes]


def _last(one: Curve) -> float:
    return one.seconds[-1] / one.sizes[-1] / (one.seconds[0] / one.sizes[0])


def _shares(one: Curve, places: list[float]) -> tuple[Estimate | None, ...]:
    """An estimate at each of the places where the curve has a size."""
    found = {times: took / times / one.seconds[0] for times, took in zip(_times(one), one.seconds, strict=True)}
    return tuple(Estimate(found[place]) if place in found else None for place in places)
