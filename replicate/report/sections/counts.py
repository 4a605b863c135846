"""The whole numbers behind published figures of one class, and what those figures are."""

from __future__ import annotations

from replicate.report.blocks import Block, Heading, Line, Plain, Prose, Table, Text
from replicate.tables.table import ResultsTable, Row


def titled(row: Row) -> Prose:
    """A row's title with its id."""
    return (Plain(row.title), f" (`{row.id}`)")


def section_counts(table: ResultsTable) -> list[Block]:
    """The whole numbers that the published figures decode to."""
    rows = [(row, row.counts) for row in table.rows if row.counts is not None and row.counts.tp is not None]
    facts = table.dataset
    if not rows or facts.positive_class is None:
        return []
    lines = []
    for row, counts in rows:
        tp, fp, fn = counts.tp or 0, counts.fp or 0, counts.fn or 0
        f1 = f"{2 * tp}/{2 * tp + fp + fn} = {counts.scores()['f1']:.4f}"
        parts = [f"{counts.correct}/{counts.examples}", tp, fp, fn, f"{tp}/{tp + fp}", f"{tp}/{tp + fn}", f1]
        lines.append(Line((titled(row), *map(str, parts)), (row.id,)))
    head = ("row", "accuracy", "tp", "fp", "fn", "precision", "recall", "F1")
    if not any("f1" in row.published for row, _ in rows):
        return [
            Heading(2, "What is printed of one class", f"printed-class-{table.id}"),
            Text(
                (
                    "The source prints precision and recall of one class, ",
                    Plain(facts.positive_class),
                    f", which has {facts.positive_examples} of the {facts.examples} {facts.split} examples, beside its "
                    "table. They follow from these whole numbers:",
                )
            ),
            Table(head, tuple(lines)),
        ]
    return [
        Heading(2, "What the printed F1 is", f"printed-f1-{table.id}"),
        Text(
            (
                f"The published precision, recall and F1 are those of one class, index {facts.positive_index} of the "
                "label list: ",
                Plain(facts.positive_class),
                f", which has {facts.positive_examples} of the {facts.examples} {facts.split} examples. They are "
                "neither the macro nor the micro F1 of the task. Each printed figure follows from these whole numbers, "
                "to 1e-12:",
            )
        ),
        Table(head, tuple(lines)),
    ]
