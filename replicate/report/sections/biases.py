"""Two biases of the published protocol: the dev set chooses the step, and the heads that pruning keeps."""

from __future__ import annotations

from replicate.findings.biases import Biases, Selection
from replicate.findings.pairs import METRICS
from replicate.report.blocks import Block, Cell, Heading, Line, Prose, Runs, Table, Text
from replicate.report.words import NAMES, ends, figure, listed, mean_sd, minus, named, plural, verdict
from replicate.verdicts.optimism import SEED, SPLITS


def section_biases(finding: Biases, name: str, profile: str) -> list[Block]:
    """Both, under one heading; nothing where no record tells of them."""
    blocks = [*_selection(finding, profile), *_importance(finding, profile)]
    return [Heading(3, "Two biases of the protocol", f"biases-{name}", (profile,)), *blocks] if blocks else []


def _selection(finding: Biases, profile: str) -> list[Block]:
    left_out = []
    if finding.untold:
        rows = listed([f"`{one.row.id}`" for one in finding.untold])
        left_out.append(
            Text(
                f"How much {rows} gain from choosing on the examples that are scored can't be told: they choose by F1, "
                "and their records are older than what tells an evaluation's F1 on half of the examples."
            )
        )
    if not finding.selections:
        return [*left_out]
    head = ("row", "evaluations", "half that chose", "other half", "gain from choosing (seeds)")
    return [
        Text(
            "The dev set that a score is of has also chosen the step that is scored. Here the dev set is split into "
            f"two random halves {SPLITS:,} times (generator seed {SEED}); the evaluation that is best on one half, by "
            "the row's own rule, is scored on the other. The gain is how much of the accuracy comes from choosing on "
            "the examples that are scored; the other half has no part in it."
        ),
        Table(head, tuple(_selected(one, profile) for one in finding.selections)),
        *left_out,
    ]


def _selected(one: Selection, profile: str) -> Line:
    found = one.found
    drop = Cell(mean_sd(found.drop, found.sd, found.seeds, "+.4f"), found.drop, Runs(one.by_seed, "+.4f"))
    cells = (figure(found.evaluations, ".1f"), figure(found.chosen_on), figure(found.other_half), drop)
    return Line((named(one.result), *cells), (one.result.row.id,), (profile,))


def _importance(finding: Biases, profile: str) -> list[Block]:
    """Rows that differ in nothing but the examples that importance is computed on."""
    if not finding.importance:
        return []
    lines = []
    for both in finding.importance:
        for metric in METRICS:
            if one := both.get(metric):
                pair = minus(one.a, one.b) if metric == "accuracy" else ""
                mean = Cell(
                    f"{one.found.difference:+.4f} ({one.found.n})", one.found.difference, Runs(one.by_seed, "+.4f")
                )
                about = (one.a.row.id, one.b.row.id)
                judged: tuple[Cell | Prose, ...] = ("", "")
                if one.judged:
                    judged = (ends(one.judged), verdict(one.judged))
                cells = (pair, NAMES[metric], mean, *judged)
                lines.append(Line(cells, about, (profile,)))
    pairs = plural(len(finding.importance), "row")
    return [
        Text(
            "DynaBERT keeps the heads and units that matter most for the loss on the dev set, which is also the score. "
            f"With their importance computed on as many training examples instead ({pairs}, paired by seed):"
        ),
        Table(("difference", "metric", "mean (pairs)", "interval", "word"), tuple(lines)),
    ]
