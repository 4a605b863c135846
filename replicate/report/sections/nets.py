"""How the nets behave: training curves, reliability of the probabilities, confused classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from replicate.findings.nets import BINS, Confusion, Course, Nets, Reliability
from replicate.findings.rows import RowResult
from replicate.report.blocks import Block, Cell, Heading, Plain, Runs, Table, Text
from replicate.report.blocks import Line as TableLine
from replicate.report.pictures.panels import MOST_NAMED, Line, Panel, matrix, panels
from replicate.report.words import figure, named, number, plural


def section_nets(finding: Nets) -> list[Block]:
    """The blocks on a table's nets under a profile; none where no record has what they need."""
    name = f"{finding.table}-{finding.profile}"
    return [
        *(_training(name, finding.profile, finding.courses) if finding.courses else []),
        *(_reliability(name, finding.profile, finding.reliabilities) if finding.reliabilities else []),
        *(_confusion(name, finding.profile, finding.confusion) if finding.confusion else []),
    ]


def _training(name: str, profile: str, courses: Sequence[Course]) -> list[Block]:
    """Accuracy on dev at each evaluation of the last stage, a panel a row, a line a seed."""
    parts, words, lines = [], [], []
    for one in courses:
        drawn = tuple(Line(tuple(e for e, _ in curve), tuple(a for _, a in curve)) for curve in one.curves.values())
        parts.append(Panel(one.result.row.id, drawn, one.kept))
        first, top = (float(np.mean(list(found.values()))) for found in (one.firsts, one.tops))
        words.append(f"{one.result.row.id} from {first:.3f} to {top:.3f}")
        cells = (one.stage, _span(one.steps), _span(one.kept_at), _mean(one.firsts), _mean(one.tops))
        lines.append(TableLine((named(one.result), *cells), (one.result.row.id,), (profile,)))
    head = ("row", "last stage", "steps", "steps at the state that was kept", "first evaluation", "best")
    return [
        Heading(3, "How training went", f"training-{name}", (profile,)),
        Text(
            "Accuracy on dev at each evaluation of a row's last stage, one line a seed. Rows choose the state that is "
            "kept by accuracy or by an F1 on this same dev set."
        ),
        panels(
            f"training-{name}",
            "Accuracy on dev while training",
            f"Accuracy on dev during the last stage of each row, mean over seeds: {'; '.join(words)}.",
            ("epochs of the row's last stage", "accuracy on dev, one line a seed"),
            parts,
            mark="the state that was kept",
        ),
        Table(head, tuple(lines)),
    ]


def _reliability(name: str, profile: str, rows: Sequence[tuple[RowResult, Reliability]]) -> list[Block]:
    """Confidence beside accuracy."""
    parts, words, lines = [], [], []
    for result, found in rows:
        total = sum(count for *_, count in found.bins)
        sizes = tuple(6 + 110 * count / total for *_, count in found.bins)
        shown = Line(tuple(sure for sure, *_ in found.bins), tuple(right for _, right, _ in found.bins), sizes)
        parts.append(Panel(result.row.id, (shown,)))
        words.append(f"{result.row.id} {found.confidence:.3f} beside {found.accuracy:.3f}")
        gap = figure(found.confidence - found.accuracy, "+.4f")
        cells = (figure(found.confidence), figure(found.accuracy), gap, figure(found.gap))
        lines.append(TableLine((named(result), *cells), (result.row.id,), (profile,)))
    head = ("row", "mean confidence", "accuracy", "confidence minus accuracy", "calibration error")
    return [
        Heading(3, "How far the probabilities can be trusted", f"reliability-{name}", (profile,)),
        Text(
            "A net that says 0.9 should be right nine times in ten: points on the diagonal. All seeds of a row "
            f"together, in {BINS} equal parts of the confidence in the predicted class; the larger a point, the more "
            "examples. The calibration error is the mean distance from the diagonal, weighted by examples. The support "
            "vector machine gives no probabilities."
        ),
        panels(
            f"reliability-{name}",
            "Confidence and accuracy on dev",
            f"Reliability diagrams; mean confidence beside accuracy: {'; '.join(words)}.",
            ("confidence in the predicted class", "share of right predictions"),
            parts,
            diagonal=True,
        ),
        Table(head, tuple(lines)),
    ]


def _confusion(name: str, profile: str, found: Confusion) -> list[Block]:
    """The confusion matrix, and its classes by number and name."""
    row, labels = found.result.row.id, found.labels
    told = "; ".join(f"{labels[true]} taken for {labels[taken]} {value:.1f} times" for value, true, taken in found.most)
    lines = []
    for at, (label, of_seed) in enumerate(zip(labels, found.classes, strict=True)):
        support = next(iter(of_seed.values())).support
        scores = [{seed: getattr(one, what) for seed, one in of_seed.items()} for what in ("precision", "recall", "f1")]
        lines.append(
            TableLine(
                (Cell(str(at), at), Plain(label), Cell(str(support), support), *map(_mean, scores)), (row,), (profile,)
            )
        )
    where = ("Dev examples by true and predicted class: ", named(found.result))
    return [
        Heading(3, "Which classes are taken for which", f"confusion-{name}", (profile,)),
        Text((*where, f", mean over {plural(len(found.classes[0]), 'seed')}.")),
        matrix(
            f"confusion-{name}",
            f"Confusion matrix of {row} under {profile}",
            f"Confusion matrix of {row}, mean over seeds. Most often confused: {told or 'none'}.",
            ("true class", "predicted class, by number; mean number of dev examples"),
            labels,
            found.counts,
        ),
        # Where the picture has no room for counts.
        *([Text(("Most often confused: ", Plain(told), "."))] if told and len(labels) > MOST_NAMED else []),
        Text("The classes of the picture by number, with their scores (means over the same seeds):"),
        Table(("class", "label", "dev examples", "precision", "recall", "F1"), tuple(lines)),
    ]


def _mean(of_seed: Mapping[int, float]) -> Cell:
    value = float(np.mean(list(of_seed.values())))
    return Cell(number(value), value, Runs(of_seed))


def _span(values: Iterable[int]) -> Cell:
    """The least and the most of some numbers, one where they are equal."""
    found = sorted(values)
    shown = f"{found[0]:,}" if found[0] == found[-1] else f"{found[0]:,} to {found[-1]:,}"
    return Cell(shown, found[0])
