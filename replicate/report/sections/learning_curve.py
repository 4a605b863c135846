"""The part on the learning curve: accuracy by number of training lines, and where augmentation stops helping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from replicate.findings.augmentation import Ablation, Size, Stop
from replicate.findings.training_sets import METRIC, Arm
from replicate.report.blocks import Block, Cell, Heading, Items, Line, Table, Text
from replicate.report.pictures.axes import Estimate, Series
from replicate.report.pictures.curves import curve
from replicate.report.pictures.picture import Picture
from replicate.report.sections.contrasts import DUPLICATES, PLAIN, differences, gain, level, made
from replicate.report.words import (
    reason,
    score,
    to_records,
)


def learning_curve(found: Ablation) -> list[Block]:
    """Accuracy by number of training lines, and from which on augmentation stops helping."""
    if len(found.curve) < 2:
        return []
    head = ("trained on", "as they are", "with as many duplicates", "augmented")
    lines = []
    for size in found.curve:
        arms = [size.plain, size.duplicates, size.augmented]
        cells = (_name(size), *(_linked_score(arm) if arm else "" for arm in arms))
        lines.append(Line(cells, tuple(arm.row.id for arm in arms if arm), (found.profile.id,)))
    copies = next(made(size.augmented.training) for size in found.curve if size.augmented)
    others: list[Block] = []
    if found.table.neighbours:
        others = [Text("What others have published of this:"), Items(tuple(map(reason, found.table.neighbours)))]
    return [
        Heading(
            2,
            "From which number of training lines on does it stop helping?",
            f"augmentation-{found.table.id}-{found.profile.id}-sizes",
            (found.profile.id,),
        ),
        Text(
            f"Compared with {PLAIN}, {_stops(found.over_plain)} Compared with {DUPLICATES}, "
            f"{_stops(found.over_duplicates)}"
        ),
        *_picture(found),
        Text(
            f"Accuracy by number of training lines; augmented: {copies} of each line. Lines are drawn by the seed, so "
            "pairs share them."
        ),
        Table(head, tuple(lines)),
        differences(one for size in found.curve for one in size.contrasts),
        *others,
    ]


def _stops(stop: Stop) -> str:
    """The end of a sentence on the verdicts along the learning curve."""
    if stop.pattern == "not-run":
        return "it has not been run yet."
    names = [_name(size) for size, _ in stop.compared]
    last = names[stop.helped - 1] if stop.helped else ""
    told = {
        "always": "it helps at every size tried",
        "never": f"it helps at no size tried, not even at {names[0]}",
        "until": f"it helps up to {last} and no longer from {names[min(stop.helped, len(names) - 1)]} on",
        "no order": "its effect does not follow the size",
        "until, then open": f"it helps up to {last}; for more, these seeds can't tell",
        "open": "these seeds can't tell from where on it stops helping",
    }[stop.pattern]
    each = "; ".join(
        f"{name}: {one.word}" + (f" ({gain(one)})" if gain(one) else "")
        for name, (_, one) in zip(names, stop.compared, strict=True)
    )
    return f"{told} ({each})."


def _picture(found: Ablation) -> list[Picture]:
    """Accuracy by lines; none without two sizes that have scores."""
    sizes = [size for size in found.curve if math.isfinite(size.lines)]
    columns: dict[str, list[Arm | None]] = {
        "as they are": [size.plain for size in sizes],
        "with as many duplicates": [size.duplicates for size in sizes],
        "augmented": [size.augmented for size in sizes],
    }
    series = [Series(name, tuple(map(_score_of, arms))) for name, arms in columns.items()]
    if sum(any(one.estimates[at] for one in series) for at, _ in enumerate(sizes)) < 2:
        return []
    ends = [f"{one.label}, {_ends(one, sizes)}" for one in series if any(one.estimates)]
    return [
        curve(
            f"learning-curve-{found.profile.id}",
            "Accuracy by number of training lines",
            f"Accuracy by number of training lines: {'; '.join(ends)}. Compared with {PLAIN}, "
            f"{_stops(found.over_plain)}",
            (
                "training lines before copies (logarithmic)",
                f"accuracy on dev (mean over seeds, {level(found)} interval)",
            ),
            [size.lines for size in sizes],
            series,
        )
    ]


def _ends(series: Series, sizes: Sequence[Size]) -> str:
    return ", ".join(
        f"{estimate.value:.3f} with {_name(size)}"
        for estimate, size in zip(series.estimates, sizes, strict=True)
        if estimate is not None
    )


def _score_of(arm: Arm | None) -> Estimate | None:
    """What a picture draws of a score."""
    if arm is None or not arm.seeds:
        return None
    return Estimate(arm.result.summary(METRIC)[0], arm.interval, tuple(arm.seeds.values()))


def _linked_score(arm: Arm) -> Cell:
    found = score(arm.result, METRIC)
    return replace(found, shown=to_records(arm.result, found.shown))


def _name(size: Size) -> str:
    """The number of lines in words."""
    return f"{size.lines:,.0f} lines" if math.isfinite(size.lines) else "all lines"
