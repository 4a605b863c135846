"""The page on the data: what an audit found, what the contested dev lines cost each row, and what wrong labels cost."""

from __future__ import annotations

import numpy as np

from replicate.audit.faults import KINDS
from replicate.findings.clean import CleanFinding, ContestedFinding, WrongLabels
from replicate.records.audited import AuditRecord
from replicate.records.run import AUDITED
from replicate.report.blocks import Block, Cell, Code, Heading, Items, Line, Link, Plain, Prose, Runs, Table, Text
from replicate.report.pictures.axes import Estimate, Series
from replicate.report.pictures.estimates import forest
from replicate.report.sections.claims import section_claims
from replicate.report.words import MEASURED, figure, listed, mean_sd, named, plural, reason, score
from replicate.tables.table import ResultsTable

# Rows of one picture; the table has all of them.
_DRAWN = 12
_SCORES = ("accuracy", "macro_f1")


def section_clean(finding: CleanFinding) -> list[Block]:
    """What is known of the data; nothing where nothing was looked at."""
    blocks: list[Block] = []
    for record in finding.audits:
        blocks += _audit(record)
    for wrong in finding.wrong_labels:
        blocks += _wrong_labels(wrong)
    for one in finding.contested:
        blocks += _contested(one)
    return blocks


def contested_sentence(finding: CleanFinding, table: ResultsTable) -> str:
    """One sentence for the front page, from the profile with the most records; empty where they contest nothing.

    Args:
        finding: what is known of the data.
        table: whose published accuracies lie beside it.
    """
    one = max(finding.contested, key=lambda each: each.records, default=None)
    printed = [float(row.published["accuracy"].value) for row in table.rows if "accuracy" in row.published]
    if one is None or not one.lines or not printed:
        return ""
    return (
        f"Not all labels seem right: {one.lines} of {one.examples:,} dev lines ({one.share:.2%}) get one other label "
        f"from at least 95 % of {one.records} records, and the published rows lie only "
        f"{max(printed) - min(printed):.2%} apart."
    )


def _audit(record: AuditRecord) -> list[Block]:
    parts = list(record.parts)
    lines = [
        Line((f"`{kind}`", *(Cell(f"{counts[part]:,}", counts[part]) for part in parts), KINDS[kind]))
        for kind, counts in record.counts.items()
        if kind in KINDS and any(counts.values())
    ]
    made: Prose = (Link(Code(" ".join(record.command)), f"{MEASURED}/{AUDITED}/{record.name}.json"), ".")
    sizes = ", ".join(f"{size:,} {part}" for part, size in record.parts.items())
    told: list[Prose] = [
        f"For dev to have the shares of train, {record.shift:.1%} of its texts would have to be of other classes."
    ]
    if record.shifted:
        told.append(("Classes whose share shifts by more than chance: ", Plain(listed(record.shifted)), "."))
    if record.thin:
        told.append(("Classes with few texts: ", Plain(listed(record.thin)), "."))
    clean = [kind for kind in ("conflict", "leak", "repeat") if not any(record.counts.get(kind, {}).values())]
    if clean:
        told.append(f"None of the kind {listed([f'`{kind}`' for kind in clean])} was found.")
    if record.records:
        asked = f"For `contested`, {plural(record.records, 'record')} of all profiles were asked"
        told.append(f"{asked}; those of one profile alone may contest other lines.")
    return [
        Heading(2, ("What an audit finds in ", Code(record.name)), f"audit-{record.name}"),
        Text(
            (
                f"Numbers only, of {sizes} texts; no line of them is in this project. A line that is named may be "
                "right, and one that isn't named may be wrong. Made by ",
                made,
            )
        ),
        Table(("finding", *parts, "what it is"), tuple(lines)),
        Items(tuple(told)),
    ]


def _wrong_labels(one: WrongLabels) -> list[Block]:
    name, table = one.profile.id, one.compared.table
    lines = [
        Line(
            (named(row.result), _mean(row.seen), _mean(row.wrong), *(score(row.result, metric) for metric in _SCORES)),
            (row.result.row.id,),
            (name,),
        )
        for row in one.rows
    ]
    return [
        Heading(2, f"What wrong labels cost under `{name}`", f"wrong-labels-{name}", (name,)),
        Text(
            (
                Plain(f"{table.title}. "),
                "A person who looks at a line gives it the label that it had; how many labels are wrong is known, "
                "since they were made so on purpose, with the seed. This holds for ",
                reason(one.profile.reason or one.profile.question),
            )
        ),
        Table(("row", "lines looked at", "wrong labels", "accuracy", "macro-F1"), tuple(lines)),
        *section_claims(one.compared),
        *([Text("What others have published of this:")] if table.neighbours else []),
        *([Items(tuple(map(Plain, table.neighbours)))] if table.neighbours else []),
    ]


def _mean(counts: tuple[int, ...]) -> Cell | Prose:
    if not counts:
        return ""
    value = float(np.mean(counts))
    return Cell(f"{value:g}" if value.is_integer() else f"{value:.1f}", value)


def _contested(one: ContestedFinding) -> list[Block]:
    name = one.profile.id
    head = ("row", "as given", "without the contested lines", "difference")
    lines = []
    for row in one.rows:
        cells = [_cell(scores) for scores in (row.as_given, row.without)]
        gain = float(np.mean(list(row.without.values())) - np.mean(list(row.as_given.values())))
        lines.append(Line(((named(row.result)), *cells, figure(gain, "+.4f")), (row.result.row.id,), (name,)))
    drawn = one.rows[:_DRAWN]
    means = [float(np.mean(list(row.as_given.values()))) for row in drawn]
    gains = [float(np.mean(list(row.without.values()))) - mean for row, mean in zip(drawn, means, strict=True)]
    finding = f"{one.lines} of {one.examples:,} dev lines are contested; without them accuracies change by "
    finding += f"{min(gains):+.4f} to {max(gains):+.4f}"
    series = [
        Series(words, tuple(_estimate(row.as_given if given else row.without) for row in drawn))
        for words, given in (("as given", True), ("without the contested lines", False))
    ]
    return [
        Heading(2, f"Contested dev lines under `{name}`", f"contested-{name}", (name,)),
        Text(
            (
                f"**{one.lines} of {one.examples:,} dev lines ({one.share:.2%}) get one other label from at least 95 % "
                f"of {plural(one.records, 'record')}.** Who is right isn't known: the records share their training "
                "lines, and with them their mistakes. Scores without these lines are higher by construction: the "
                "rows have chosen them; they stand beside the scores as given, never in their place. This holds for ",
                reason(one.profile.reason or one.profile.question),
            )
        ),
        forest(
            f"contested-{name}",
            f"Accuracy under {name}, as given and without the contested dev lines",
            finding,
            "accuracy on dev",
            [row.result.row.id for row in drawn],
            series,
            centre=None,
            sign="",
        ),
        Table(head, tuple(lines)),
    ]


def _estimate(scores: dict[int, float]) -> Estimate:
    return Estimate(float(np.mean(list(scores.values()))), seeds=tuple(scores.values()))


def _cell(scores: dict[int, float]) -> Cell:
    values = list(scores.values())
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    mean = float(np.mean(values))
    return Cell(mean_sd(mean, spread, len(values)), mean, Runs(scores))
