"""Each row's accuracy with its step chosen by every rule, so that a rule doesn't pose as an effect."""

from __future__ import annotations

from collections.abc import Sequence

from replicate.findings.selected import Ruled
from replicate.records.selection import RULES
from replicate.report.blocks import Block, Cell, Heading, Line, Runs, Table, Text
from replicate.report.sections.claims import CHOSEN
from replicate.report.words import NAMES, named, number, score
from replicate.tables.table import ResultsTable


def section_selected(rows: Sequence[Ruled], table: ResultsTable, name: str, profile: str) -> list[Block]:
    """The rows under every rule; nothing where no record holds a history."""
    if not rows:
        return []
    rules = {
        rule: (of, chooser) for rule, (of, chooser) in RULES.items() if table.has_positive or "f1" not in (of, chooser)
    }
    head = (
        "row",
        "its recipe chooses by",
        "accuracy so",
        *(f"{NAMES[of]}, {CHOSEN[chooser]}" for of, chooser in rules.values()),
    )
    lines = tuple(
        Line(
            (
                named(one.result),
                NAMES[one.own] if one.own else "-",
                score(one.result, "accuracy"),
                *(_cell(one, rule) for rule in rules),
            ),
            (one.result.row.id,),
            (profile,),
        )
        for one in rows
    )
    return [
        Heading(3, "The same rows under one rule", f"selection-{name}", (profile,)),
        Text(
            "Rows keep the step that is best by their own rule, on the dev set that is scored. Two rows with different "
            "rules differ by these too: here every row is told by each rule, from the evaluations that its records "
            "hold (mean over seeds)."
        ),
        Table(head, lines),
    ]


def _cell(one: Ruled, rule: str) -> Cell:
    mean = one.mean(rule)
    seeds = one.scores[rule]
    return Cell(number(mean), mean if seeds else None, Runs(seeds) if seeds else None)
