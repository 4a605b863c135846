"""Rows that are compared with each other and with nothing published, as the page of their profile shows them."""

from __future__ import annotations

from replicate.findings.apart import Apart, TableApart
from replicate.findings.pairs import METRICS, related_rows
from replicate.findings.published import Measured
from replicate.findings.rows import Difference
from replicate.report.blocks import Block, Cell, Heading, Line, Plain, Table, Text
from replicate.report.pictures.axes import Series
from replicate.report.pictures.estimates import forest
from replicate.report.pictures.picture import Picture
from replicate.report.sections.biases import section_biases
from replicate.report.sections.claims import section_claims
from replicate.report.sections.nets import section_nets
from replicate.report.sections.origins import section_origins
from replicate.report.sections.paired import STUDY
from replicate.report.sections.published import estimate, section_unfinished
from replicate.report.sections.selected import section_selected
from replicate.report.words import (
    NAMES,
    STATISTICS,
    bounds,
    difference,
    ends,
    figure,
    interval,
    minus,
    named,
    quoted,
    score,
    sentence,
    verdict,
)
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable, Row, Step


def section_apart(finding: Apart) -> list[Block]:
    """Why nothing here is compared with published values, and each table's rows."""
    profile = finding.profile
    return [
        Text(
            (
                "This profile asks: ",
                Plain(sentence(profile.question)),
                " None of its figures is compared with a published value. They hold for ",
                Plain(sentence(profile.reason)),
                " Scores are mean ± standard deviation (seeds).",
            )
        ),
        *(block for one in finding.tables for block in section_rows(one, profile)),
    ]


def section_rows(finding: TableApart, profile: Profile) -> list[Block]:
    """A table's rows under a profile, their differences, their nets and the biases of how they are made."""
    compared = finding.compared
    name = f"{compared.table.id}-{profile.id}"
    return [
        Heading(2, ("Rows of ", quoted(compared.table.title)), f"rows-{name}", (profile.id,)),
        *_scores(finding, profile),
        *section_origins(finding.origins),
        *section_unfinished(finding.unfinished),
        *_differences(finding, profile),
        *section_selected(finding.ruled, compared.table, name, profile.id),
        *section_nets(finding.nets),
        *section_biases(finding.biases, name, profile.id),
    ]


def _scores(finding: TableApart, profile: Profile) -> list[Block]:
    compared, table = finding.compared, finding.compared.table
    alpha = float(table.statistics.alpha.value)
    results = [compared.results[row.id] for row in table.rows if row.runs_under(profile.id)]
    metrics = [metric for metric in METRICS if metric != "f1" or table.has_positive]
    lines = []
    for result in results:
        accuracy, *others = (score(result, metric) for metric in metrics)
        sizes = sorted({record.parameters for record in result.records if record.counts})
        size = Cell(" to ".join(f"{number:,}" for number in sizes), sizes[0] if sizes else None)
        cells = (accuracy, bounds(result.interval("accuracy", alpha)), *others, size)
        lines.append(Line((named(result), steps(table, result.row), *cells), (result.row.id,), (profile.id,)))
    head = ("row", "stages", "accuracy", "interval", *(NAMES[metric] for metric in metrics[1:]), "parameters")
    return [*_picture(table, profile, [Measured(profile, one, None) for one in results]), Table(head, tuple(lines))]


def _picture(table: ResultsTable, profile: Profile, rows: list[Measured]) -> list[Picture]:
    """Each row's accuracy with its seeds and interval."""
    alpha = float(table.statistics.alpha.value)
    drawn = [(one.result, found) for one in rows if (found := estimate(one, alpha))]
    if not drawn:
        return []
    words = [f"{result.row.id} {one.value:.4f} ({interval(one.interval) or 'no interval'})" for result, one in drawn]
    return [
        forest(
            f"seeds-{table.id}-{profile.id}",
            f"Accuracy of each row under {profile.id}",
            f"Accuracy by row with seeds and intervals: {'; '.join(words)}.",
            f"accuracy on dev (mean over seeds, {100 * (1 - alpha):g} % interval)",
            [result.row.id for result, _ in drawn],
            [Series(profile.id, tuple(one for _, one in drawn))],
            centre=None,
            sign="",
        )
    ]


def _differences(finding: TableApart, profile: Profile) -> list[Block]:
    """Every row minus the ones that it is compared with, and what that makes of the claims."""
    compared, table = finding.compared, finding.compared.table
    lines = [
        _difference(one, profile)
        for pair in related_rows(table)
        for metric in METRICS
        if metric != "f1" or table.has_positive
        if (one := compared.difference(*pair, metric))
    ]
    if not lines:
        return []
    tests = ("p, sign flip", "seeds and examples resampled", "p, McNemar, one a seed")
    blocks: list[Block] = [
        Text(
            (
                f"Differences, mean ± standard deviation (pairs). {STUDY} Those marked `planned` or `post hoc` have "
                "the interval of the table's plan instead, which holds at every look. The columns behind the word are "
                "for reading and decide nothing: neither p is corrected, the resampled 95 % interval is about other "
                "dev examples too, and McNemar's test is what one seed alone would have said. ",
                STATISTICS,
                ".",
            )
        ),
        Table(("difference", "metric", "mean (pairs)", "interval", "word", *tests), tuple(lines)),
    ]
    if table.claims and finding.claims_hold_here:
        words = f"What the claims come to under `{profile.id}`"
        blocks += [
            Heading(3, words, f"claims-{table.id}-{profile.id}", (profile.id,)),
            *section_claims(compared),
        ]
    return blocks


def _difference(one: Difference, profile: Profile) -> Line:
    found = one.found
    exact = sorted(test.p for test in found.mcnemar)
    cells = (
        minus(one.a, one.b) if one.metric == METRICS[0] else "",
        NAMES[one.metric],
        difference(one),
        ends(one.judged) if one.judged else "",
        verdict(one.judged) if one.judged else "",
        figure(found.p_sign_flip),
        bounds(found.bootstrap_ci),
        Cell(f"{exact[0]:.2g} to {exact[-1]:.2g}", exact[0]) if exact else "",
    )
    return Line(cells, (one.a.row.id, one.b.row.id), (profile.id,))


def steps(table: ResultsTable, row: Row) -> str:
    """The row's stages in words; what a published row is called would be wrong for another net."""
    return " → ".join(" ".join([step.stage, *_settings(step)]) for step in table.chain(row.id))


def _settings(step: Step) -> list[str]:
    return [f"{name} {value}" for name, value in step.options.items() if name in ("width", "importance", "start")]
