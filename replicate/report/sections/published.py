"""A published table as a page: its values beside what was measured, its claims, and what its printed F1 is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from replicate.findings.published import Measured, Published, Unfinished
from replicate.findings.rows import BASELINE_METRICS, RowVerdict
from replicate.report.blocks import Block, Cell, Heading, Items, Line, Plain, Prose, Table, Text
from replicate.report.pictures.axes import Estimate, Series
from replicate.report.pictures.estimates import forest
from replicate.report.pictures.picture import Picture
from replicate.report.sections.claims import section_claims
from replicate.report.sections.counts import section_counts, titled
from replicate.report.sections.nets import section_nets
from replicate.report.sections.originals import section_originals
from replicate.report.words import (
    NAMES,
    STATISTICS,
    bounds,
    figure,
    interval,
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
from replicate.verdicts.published import Comparison


def section_published(finding: Published) -> list[Block]:
    """The table, its claims, the whole numbers behind its figures, and how nets behave that may stand beside it."""
    return [
        *_rows(finding),
        *_plausible(finding),
        *_claims(finding),
        *section_originals(finding),
        *section_counts(finding.table),
        *_verdicts(finding),
        *_nets(finding),
    ]


def _rows(finding: Published) -> list[Block]:
    """Published and measured values one below the other, and what was not run."""
    table = finding.table
    metrics = [metric for metric in (*METRICS, LATENCY) if any(metric in row.published for row in table.rows)]
    lines = []
    for row, measured in finding.rows:
        if row.published:
            lines.append(Line((titled(row), "published", "", *(printed(row, metric) for metric in metrics)), (row.id,)))
        lines += [_measured(row, one, metrics) for one in measured]
    head = ("row", "", "state", *(NAMES[metric] for metric in metrics))
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
    state: Prose = "nothing published"
    if one.verdict:
        run = one.verdict.status not in ("not-run", "error")
        state = "" if run else (f"**{one.verdict.status}**: ", Plain(one.verdict.reason))
    cells = [score(one.result, metric) if metric in METRICS else Cell("not-run") for metric in metrics]
    name = "" if row.published else titled(row)
    return Line((name, to_records(one.result, f"`{one.profile.id}`"), state, *cells), (row.id,), (one.profile.id,))


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


def _plausible(finding: Published) -> list[Block]:
    """Whether each printed value could be one more seed of ours, where values may be compared at all."""
    if finding.never:
        return []
    name, alpha = f"plausible-{finding.table.id}", float(finding.table.statistics.alpha.value)
    blocks: list[Block] = [
        Heading(2, "Could the printed value be one of our seeds?", name),
        Text(
            "One published run says little: all that it can be asked is whether it is a plausible seed of ours. The "
            f"interval is the one in which one more seed falls with {1 - alpha:.0%} probability; a value outside was "
            "made otherwise, or by rare luck."
        ),
    ]
    lines = [
        Line(
            (
                f"`{row.id}`",
                f"`{profile.id}`",
                NAMES[metric],
                printed(row, metric),
                figure(found.mean),
                bounds(found.prediction_interval),
                _inside(found),
            ),
            (row.id,),
            (profile.id,),
        )
        for row, profile, verdict in finding.verdicts
        for metric, one in verdict.metrics.items()
        if (found := one.comparison)
    ]
    if lines:
        head = ("row", "profile", "metric", "published", "mean of ours", "one more seed of ours", "plausible?")
        return [*blocks, Table(head, tuple(lines))]
    names = " or ".join(f"`{profile.id}`" for profile in finding.comparable) or "a comparable profile"
    return [
        *blocks,
        Text(
            f"**not-run**: no published row has a record under {names}. Nets of other profiles are not the source's: "
            "their values can't be compared with printed ones, and their differences can."
        ),
    ]


def _inside(found: Comparison) -> str:
    low, high = found.prediction_interval
    if not (math.isfinite(low) and math.isfinite(high)):
        return "too few seeds"
    return "yes" if low <= found.published <= high else "**no**"


def _verdicts(finding: Published) -> list[Block]:
    """The verdict within a tolerance on accuracy and F1 of each row that was run, with what counts as the same."""
    table = finding.table
    lines = [line for row, profile, verdict in finding.verdicts for line in _details(table, row, profile, verdict)]
    if not table.tolerances or finding.never:
        return []
    alpha, fewest = table.statistics.alpha, table.statistics.minimum_seeds
    settings = [
        Line((NAMES[metric], Cell(f"± {one.value}", float(one.value)), Plain(one.reason)))
        for metric, one in table.tolerances.items()
        if metric in BASELINE_METRICS
    ]
    settings += [
        Line((f"{NAMES[metric]} of `{row}`", Cell(f"± {one.value}", float(one.value)), Plain(one.reason)), (row,))
        for (row, metric), one in table.overrides.items()
        if metric in BASELINE_METRICS
    ]
    settings += [
        Line((name, Cell(str(one.value), float(one.value)), Plain(one.reason)))
        for name, one in (("significance level", alpha), ("fewest seeds", fewest))
    ]
    head = (
        "row",
        "profile",
        "verdict",
        "metric",
        "published",
        "mean",
        "interval",
        "tolerance",
        "in this metric",
        "reason",
    )
    return [
        Heading(2, "Replicated within a tolerance?", f"tolerance-{table.id}"),
        Text(
            (
                "The last question, and the least: whether the mean of our seeds is shown to lie within a tolerance of "
                "the printed accuracy and F1. The tolerance is wider than all that the rows differ by, so it says "
                "nothing of their order. How verdicts are made: ",
                STATISTICS,
                ".",
            )
        ),
        Table(("", "value", "reason"), tuple(settings)),
        *([Table(head, tuple(lines))] if lines else []),
    ]


def _details(table: ResultsTable, row: Row, profile: Profile, verdict: RowVerdict) -> list[Line]:
    return [
        Line(
            (
                *(("", "", "") if place else (f"`{row.id}`", f"`{profile.id}`", f"**{verdict.status}**")),
                NAMES[metric],
                printed(row, metric),
                figure(one.comparison.mean) if one.comparison else "",
                bounds(one.comparison.ci) if one.comparison else "",
                f"± {table.tolerance(row.id, metric).value}",
                one.status,
                Plain(one.reason),
            ),
            (row.id,),
            (profile.id,),
        )
        for place, (metric, one) in enumerate(verdict.metrics.items())
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
            log = f" (by its log {one.logged:+.4f})" if one.logged is not None and metric == "accuracy" else ""
            shown = Cell("") if value is None else Cell(f"{value:+.4f}{log}", value)
            totals = Plain(one.totals.words) if one.totals and metric == "accuracy" else ""
            lines.append(Line((*names, NAMES[metric], shown, totals), about))
    blocks: list[Block] = [
        Heading(2, "What the source claims", f"claims-{table.id}"),
        Text("The source has one seed a row. What its totals alone can show, whichever examples each row got right:"),
        Table(("claim", "difference", "metric", "published", "what the totals can show"), tuple(lines)),
        *(
            Text(reason(one))
            for one in dict.fromkeys(
                found.claim.against_in_log.reason for found in finding.claims if found.claim.against_in_log
            )
        ),
    ]
    for compared in finding.compared:
        blocks += [Text(f"The same claims with the seeds of `{compared.profile}`:"), *section_claims(compared)]
    return blocks


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


def printed(row: Row, metric: str) -> Cell:
    """A published figure as its source prints it; empty where it prints none."""
    if metric not in row.published:
        return Cell("")
    published = row.published[metric]
    shown = f"{published.printed} %" if published.unit == "percent" else published.printed
    return Cell(Plain(shown), float(published.value))
