"""A published table as a page: its values beside what was measured, its claims, and what its printed F1 is."""

from __future__ import annotations

from collections.abc import Sequence

from replicate.findings.compared import ClaimResult
from replicate.findings.published import Measured, Published, Unfinished
from replicate.findings.rows import RowVerdict
from replicate.report.blocks import Block, Cell, Heading, Items, Line, Plain, Prose, Table, Text
from replicate.report.pictures.axes import Estimate, Series
from replicate.report.pictures.estimates import forest
from replicate.report.pictures.picture import Picture
from replicate.report.sections.nets import section_nets
from replicate.report.words import (
    NAMES,
    STATISTICS,
    bounds,
    difference,
    figure,
    interval,
    minus,
    plural,
    reason,
    score,
    seeds,
    sentence,
    to_records,
)
from replicate.scores.metrics import METRICS
from replicate.tables.profile import Profile
from replicate.tables.table import LATENCY, ResultsTable, Row


def section_published(finding: Published) -> list[Block]:
    """The table, its claims, the whole numbers behind its figures, and how nets behave that may stand beside it."""
    return [
        *_rows(finding),
        *_tolerances(finding.table),
        *_verdicts(finding),
        *_claims(finding),
        *_counts(finding.table),
        *_nets(finding),
    ]


def _rows(finding: Published) -> list[Block]:
    """Published and measured values one below the other, with the verdict and its reason."""
    table = finding.table
    metrics = [metric for metric in (*METRICS, LATENCY) if any(metric in row.published for row in table.rows)]
    lines = []
    for row, measured in finding.rows:
        if row.published:
            lines.append(Line((titled(row), "published", "", *(printed(row, metric) for metric in metrics)), (row.id,)))
        lines += [_measured(row, one, metrics) for one in measured]
    head = ("row", "", "verdict", *(NAMES[metric] for metric in metrics))
    blocks: list[Block] = [
        Text(
            (
                "Source: ",
                Plain(sentence(table.provenance.source)),
                " Published values are as printed; measured ones are mean ± standard deviation (seeds).",
            )
        ),
        *_picture(finding),
    ]
    if finding.never:
        blocks.append(Text(("**not-run**, every row: ", reason(finding.never))))
    return [*blocks, Table(head, tuple(lines)), *section_unfinished(finding.unfinished)]


def _measured(row: Row, one: Measured, metrics: Sequence[str]) -> Line:
    verdict: Prose = "nothing published"
    if one.verdict:
        verdict = (f"**{one.verdict.status}**: ", Plain(one.verdict.reason))
    cells = [score(one.result, metric) if metric in METRICS else Cell("not-run") for metric in metrics]
    name = "" if row.published else titled(row)
    return Line((name, to_records(one.result, f"`{one.profile.id}`"), verdict, *cells), (row.id,), (one.profile.id,))


def _picture(finding: Published) -> list[Picture]:
    """Published accuracies beside the seeds of the profiles that may be compared with them."""
    table, profiles = finding.table, finding.comparable
    rows = [(row, measured) for row, measured in finding.rows if "accuracy" in row.published]
    tolerance = table.tolerances.get("accuracy")
    if not profiles or tolerance is None or not any(row.recipe for row, _ in rows):
        return []
    alpha = float(table.statistics.alpha.value)
    estimates: dict[str, list[Estimate | None]] = {profile.id: [] for profile in profiles}
    words = []
    for row, measured in rows:
        of_row = {one.profile.id: estimate(one, alpha) for one in measured}
        told = []
        for name, column in estimates.items():
            one = of_row.get(name)
            column.append(one)
            told.append(
                f"{name} {one.value:.4f} ({interval(one.interval) or 'no interval'})" if one else f"{name} not run"
            )
        words.append(f"{row.id} published {row.published['accuracy'].value:.4f}, {', '.join(told)}")
    return [
        forest(
            f"published-{table.id}",
            "Published accuracy, and the seeds of those who ran it again",
            f"Accuracy by row: {'; '.join(words)}.",
            f"accuracy on {table.dataset.split} (mean over seeds, {100 * (1 - alpha):g} % interval)",
            [row.id for row, _ in rows],
            [Series(name, tuple(found)) for name, found in estimates.items()],
            centre=None,
            band=float(tolerance.value),
            published=[float(row.published["accuracy"].value) for row, _ in rows],
            sign="",
        )
    ]


def estimate(one: Measured, alpha: float) -> Estimate | None:
    """What a picture draws of a row's accuracy; None where no seed gave one."""
    values = tuple(scores["accuracy"] for scores in one.result.scores.values())
    if not values:
        return None
    return Estimate(one.result.summary("accuracy")[0], one.result.interval("accuracy", alpha), values)


def _tolerances(table: ResultsTable) -> list[Block]:
    """What counts as the same, and how sure a verdict must be, each with its reason."""
    if not table.tolerances:
        return []
    alpha, fewest = table.statistics.alpha, table.statistics.minimum_seeds
    lines = [
        Line((NAMES[metric], Cell(f"± {one.value}", float(one.value)), Plain(one.reason)))
        for metric, one in table.tolerances.items()
    ]
    lines += [
        Line((f"{NAMES[metric]} of `{row}`", Cell(f"± {one.value}", float(one.value)), Plain(one.reason)), (row,))
        for (row, metric), one in table.overrides.items()
    ]
    lines += [
        Line((name, Cell(str(one.value), float(one.value)), Plain(one.reason)))
        for name, one in (("significance level", alpha), ("fewest seeds", fewest))
    ]
    words = ("What counts as the same, and what a verdict takes. How verdicts are made: ", STATISTICS, ".")
    return [Text(words), Table(("", "value", "reason"), tuple(lines))]


def _verdicts(finding: Published) -> list[Block]:
    """The verdict on each metric of each row that was run."""
    lines = [
        line for row, profile, verdict in finding.verdicts for line in _details(finding.table, row, profile, verdict)
    ]
    if not lines:
        return []
    head = ("row", "profile", "metric", "published", "mean", "interval", "one more seed", "tolerance")
    return [Table((*head, "verdict", "reason"), tuple(lines))]


def _details(table: ResultsTable, row: Row, profile: Profile, verdict: RowVerdict) -> list[Line]:
    return [
        Line(
            (
                f"`{row.id}`",
                f"`{profile.id}`",
                NAMES[metric],
                printed(row, metric),
                figure(one.comparison.mean) if one.comparison else "",
                bounds(one.comparison.ci) if one.comparison else "",
                bounds(one.comparison.prediction_interval) if one.comparison else "",
                f"± {table.tolerance(row.id, metric).value}",
                one.status,
                Plain(one.reason),
            ),
            (row.id,),
            (profile.id,),
        )
        for metric, one in verdict.metrics.items()
    ]


def _claims(finding: Published) -> list[Block]:
    """What the source says of its rows, what its own totals can show of that, and what our seeds show."""
    table = finding.table
    if not finding.claims:
        return []
    lines = []
    for one in finding.claims:
        claim, about = one.claim, (one.claim.row, one.claim.against)
        for metric in claim.metrics:
            first = metric == claim.metrics[0]
            names: tuple[Prose, ...] = ("", "")
            if first:
                names = (Plain(claim.text), f"`{claim.row}` minus `{claim.against}`")
            value = one.differences.get(metric)
            shown = Cell("") if value is None else Cell(f"{value:+.4f}", value)
            totals = Plain(one.totals.words) if one.totals and metric == "accuracy" else ""
            lines.append(Line((*names, NAMES[metric], shown, totals), about))
    blocks: list[Block] = [
        Heading(2, "What the source claims", f"claims-{table.id}"),
        Text("The source has one seed a row. What its totals alone can show, whichever examples each row got right:"),
        Table(("claim", "difference", "metric", "published", "what the totals can show"), tuple(lines)),
    ]
    for compared in finding.compared:
        blocks += [
            Text(f"The same claims with the seeds of `{compared.profile}`:"),
            *claim_verdicts(compared.claims, compared.table, compared.profile),
        ]
    return blocks


def claim_verdicts(results: Sequence[ClaimResult], table: ResultsTable, profile: str) -> list[Block]:
    """Each claim's difference in each metric, and its verdict; one line where no claim's rows were run."""
    if not any(result.differences for result in results):
        return [Text(("**not-run**: ", reason(results[0].verdict.reason)))]
    lines = []
    for result in results:
        claim, verdict = result.claim, result.verdict
        # That a profile has no such row is no news.
        if not result.differences and not all(table.row(row).runs_under(profile) for row in (claim.row, claim.against)):
            continue
        for metric in claim.metrics:
            one = result.differences.get(metric)
            names: tuple[Cell | Prose, ...] = ("", "")
            of_claim: tuple[Cell | Prose, ...] = ("", "")
            if metric == claim.metrics[0]:
                names = (Plain(claim.text), minus(result.a, result.b))
                of_claim = (figure(verdict.p_corrected), (f"**{verdict.status}**: ", Plain(verdict.reason)))
            measured = (difference(one), bounds(one.found.ci) if one else "")
            about = (claim.row, claim.against)
            lines.append(Line((*names, NAMES[metric], *measured, *of_claim), about, (profile,)))
    head = ("claim", "rows", "metric", "difference (pairs)", "interval", "p of the claim, corrected", "verdict")
    return [Table(head, tuple(lines))]


def _counts(table: ResultsTable) -> list[Block]:
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
        Table(("row", "accuracy", "tp", "fp", "fn", "precision", "recall", "F1"), tuple(lines)),
    ]


def _nets(finding: Published) -> list[Block]:
    """How the nets behave that may stand beside the table."""
    blocks: list[Block] = []
    for nets in finding.nets:
        if own := section_nets(nets):
            name = f"nets-{nets.table}-{nets.profile}"
            blocks += [Heading(2, f"How the nets of `{nets.profile}` behave", name, (nets.profile,)), *own]
    return blocks


def section_unfinished(finding: Unfinished) -> list[Block]:
    """The seeds that diverged or failed, counted and listed with their reasons, and those not run yet."""
    blocks: list[Block] = []
    if finding.failed:
        notes = tuple(
            (f"`{result.row.id}`, `{result.profile}`, seed ", seeds([record]), ": ", Plain(record.reason))
            for result, record in finding.failed
        )
        blocks += [Text(f"{plural(len(notes), 'seed')} did not end well:"), Items(notes)]
    if finding.waiting:
        left = [f"`{result.row.id}` ({', '.join(map(str, seeds))})" for result, seeds in finding.waiting]
        blocks.append(Text(f"Seeds of the profile without a record yet: {', '.join(left)}."))
    return blocks


def titled(row: Row) -> Prose:
    """A row's title with its id."""
    return (Plain(row.title), f" (`{row.id}`)")


def printed(row: Row, metric: str) -> Cell:
    """A published figure as its source prints it; empty where it prints none."""
    if metric not in row.published:
        return Cell("")
    published = row.published[metric]
    shown = f"{published.printed} %" if published.unit == "percent" else published.printed
    return Cell(Plain(shown), float(published.value))
