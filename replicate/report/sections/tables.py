"""The sections of REPORT.md: each a function from the material to blocks of Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable

from replicate.common.markdown import STATISTICS, cell, interval, number, plural, sentence, spread, table_of
from replicate.findings.evidence import Material
from replicate.findings.rows import RowResult, RowVerdict, compare, judge_claims, judge_row
from replicate.report.pictures.figures import Estimate, Series, forest
from replicate.report.pictures.picture import Block, Picture
from replicate.report.sections.answer import CLAIMS, PRINTED_F1, claims_under
from replicate.report.sections.biases import biases
from replicate.report.sections.nets import nets
from replicate.scores.metrics import METRICS
from replicate.tables.profile import Profile
from replicate.tables.table import LATENCY, ResultsTable, Row, Step
from replicate.verdicts.equivalence import t_interval
from replicate.verdicts.pairs import RowComparison, published_pair

NAMES = {
    "accuracy": "accuracy",
    "precision": "precision of class 1",
    "recall": "recall of class 1",
    "f1": "F1 of class 1",
    "average": "(accuracy + F1) / 2",
    "macro_f1": "macro-F1",
    LATENCY: "ms per example",
}


def section_first_table(material: Material) -> list[Block]:
    """The first table, its claims, and the whole numbers behind its figures."""
    table = material.tables[0]
    behaviour = [block for profile in material.comparable(table) for block in nets(material, table, profile)]
    return [*_published(material, table), *_claims(material, table), *_counts(table), *behaviour]


def section_profiles(material: Material) -> list[Block]:
    """The profiles on the first table's data whose figures must not be compared with published ones."""
    table = material.tables[0]
    return _apart(material, [profile for profile in material.profiles if material.same_data(table, profile)])


def section_elsewhere(material: Material) -> list[Block]:
    """The profiles on other data than the first table's, which tell nothing of it."""
    table = material.tables[0]
    return _apart(material, [profile for profile in material.profiles if not material.same_data(table, profile)])


def _apart(material: Material, profiles: Iterable[Profile]) -> list[Block]:
    """Profiles whose figures must not be compared with published ones, each under its own heading."""
    blocks: list[Block] = []
    for profile in profiles:
        tables = [
            table
            for table in material.tables
            if table.is_published and any(material.result(row, profile).records for row in table.rows)
        ]
        if profile.comparable or not tables:
            continue
        blocks += [
            f"## `{profile.id}`: not a replication",
            f"The question of this profile: {sentence(profile.question)} Why none of its figures is compared with a "
            f"published value: {sentence(profile.reason)} Mean ± standard deviation (seeds).",
        ]
        for table in tables:
            blocks += rows_of(material, table, profile)
    return blocks


def section_studies(material: Material) -> list[Block]:
    """The rows that were run of tables that nobody published, profile by profile."""
    blocks: list[Block] = []
    for profile in material.profiles:
        for table in material.tables:
            if not table.is_published and any(material.result(row, profile).records for row in table.rows):
                blocks += rows_of(material, table, profile)
    return ["## Rows that nobody published", "Mean ± standard deviation (seeds).", *blocks] if blocks else []


def rows_of(material: Material, table: ResultsTable, profile: Profile) -> list[Block]:
    """A table's rows under a profile, compared with each other and with nothing published."""
    return [
        *_measured(material, table, profile),
        *_differences(material, table, profile),
        *nets(material, table, profile),
        *biases(material, table, profile),
    ]


def section_other_tables(material: Material) -> list[Block]:
    """The published tables after the first, in the same form."""
    return [
        block
        for table in material.tables[1:]
        if table.is_published
        for block in (*_published(material, table), *_claims(material, table), *_counts(table))
    ]


def _published(material: Material, table: ResultsTable) -> list[Block]:
    """Published and measured values one below the other, with the verdict and its reason."""
    metrics = [metric for metric in (*METRICS, LATENCY) if any(metric in row.published for row in table.rows)]
    lines, details, results = [], [], []
    # Where nobody can run any row, for one reason, that is said once.
    reasons = {row.not_run for row in table.rows}
    never = reasons.pop() if len(reasons) == 1 else None
    for row in table.rows:
        if row.profiles and not any(row.runs_under(profile.id) for profile in material.comparable(table)):
            continue
        if row.published:
            printed = [_printed(row, metric) for metric in metrics]
            lines.append([_named(row), "published", "", *printed])
        for profile in () if never else material.beside(table, row):
            result = material.result(row, profile)
            results.append(result)
            verdict = judge_row(table, result) if row.published else None
            cells = [_score(result, metric) if metric in METRICS else "not-run" for metric in metrics]
            words = f"**{verdict.status}**: {verdict.reason}" if verdict else "nothing published"
            name = "" if row.published else _named(row)
            lines.append([name, material.link(result, f"`{profile.id}`"), words, *cells])
            details += _verdicts(table, row, profile, verdict) if verdict else []
    head = ["row", "", "verdict", *(NAMES[metric] for metric in metrics)]
    source = (
        f"Source: {sentence(table.provenance.source)} Published values as printed; "
        "measured: mean ± standard deviation (seeds)."
    )
    blocks: list[Block] = [f"## {table.title}", source, *_beside_published(material, table)]
    if never:
        blocks.append(f"**not-run**, every row: {sentence(never)}")
    blocks += [table_of(head, lines), *_failures(material, results)]
    blocks += _tolerances(table)
    if details:
        head = [
            "row",
            "profile",
            "metric",
            "published",
            "mean",
            "interval",
            "one more seed",
            "tolerance",
            "verdict",
            "reason",
        ]
        blocks.append(table_of(head, details))
    return blocks


def _beside_published(material: Material, table: ResultsTable) -> list[Picture]:
    """Published accuracies beside the seeds of the profiles that may be compared with them."""
    profiles, rows = material.comparable(table), [row for row in table.rows if "accuracy" in row.published]
    tolerance = table.tolerances.get("accuracy")
    if not profiles or tolerance is None or not any(row.recipe for row in rows):
        return []
    alpha = float(table.statistics.alpha.value)
    estimates = {profile.id: [_estimate(material.result(row, profile), alpha) for row in rows] for profile in profiles}
    values = [float(row.published["accuracy"].value) for row in rows]
    words = [
        f"{row.id} published {value:.4f}, "
        + ", ".join(
            f"{name} {one.value:.4f} ({interval(one.interval) or 'no interval'})" if one else f"{name} not run"
            for name, found in estimates.items()
            for one in [found[at]]
        )
        for at, (row, value) in enumerate(zip(rows, values, strict=True))
    ]
    return [
        forest(
            f"published-{table.id}",
            "Published accuracy, and the seeds of those who ran it again",
            f"Accuracy by row: {'; '.join(words)}.",
            f"accuracy on {table.dataset.split} (mean over seeds, {100 * (1 - alpha):g} % interval)",
            [row.id for row in rows],
            [Series(name, tuple(found)) for name, found in estimates.items()],
            centre=None,
            band=float(tolerance.value),
            published=values,
            sign="",
        )
    ]


def _of_seeds(table: ResultsTable, profile: Profile, results: Iterable[RowResult]) -> list[Picture]:
    """Accuracies of a profile that may not be compared with published ones: each row with its seeds and interval."""
    alpha = float(table.statistics.alpha.value)
    drawn = [(result, one) for result in results if (one := _estimate(result, alpha))]
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


def _estimate(result: RowResult, alpha: float) -> Estimate | None:
    """What a picture draws of a row's accuracy."""
    values = tuple(value for value in result.samples("accuracy") if math.isfinite(value))
    return Estimate(result.summary("accuracy")[0], t_interval(values, alpha), values) if values else None


def _tolerances(table: ResultsTable) -> list[str]:
    """What counts as the same, and how sure a verdict must be, each with its reason."""
    if not table.tolerances:
        return []
    alpha, seeds = table.statistics.alpha, table.statistics.minimum_seeds
    lines = [[NAMES[metric], f"± {one.value}", one.reason] for metric, one in table.tolerances.items()]
    lines += [
        [f"{NAMES[metric]} of `{row}`", f"± {one.value}", one.reason] for (row, metric), one in table.overrides.items()
    ]
    lines += [["significance level", str(alpha.value), alpha.reason], ["fewest seeds", str(seeds.value), seeds.reason]]
    words = f"What counts as the same, and what a verdict takes (how they are made: {STATISTICS})."
    return [words, table_of(["", "value", "reason"], lines)]


def _verdicts(table: ResultsTable, row: Row, profile: Profile, verdict: RowVerdict) -> list[list[str]]:
    return [
        [
            f"`{row.id}`",
            f"`{profile.id}`",
            NAMES[metric],
            _printed(row, metric),
            number(one.comparison.mean) if one.comparison else "",
            interval(one.comparison.ci) if one.comparison else "",
            interval(one.comparison.prediction_interval) if one.comparison else "",
            f"± {table.tolerance(row.id, metric).value}",
            one.status,
            one.reason,
        ]
        for metric, one in verdict.metrics.items()
    ]


def _claims(material: Material, table: ResultsTable) -> list[str]:
    """What the source says of its rows, what its own totals can show of that, and what our seeds show."""
    if not table.claims:
        return []
    lines = []
    for claim in table.claims:
        a, b = table.row(claim.row), table.row(claim.against)
        for metric in claim.metrics:
            both = metric in a.published and metric in b.published
            difference = f"{a.published[metric].value - b.published[metric].value:+.4f}" if both else ""
            names = [claim.text, _minus(a, b)] if metric == claim.metrics[0] else ["", ""]
            lines.append([*names, NAMES[metric], difference, _totals(table, a, b, metric)])
    blocks = [
        f"### {CLAIMS}",
        "The source has one seed a row. What its totals alone can show, whichever examples each row got right:",
        table_of(["claim", "difference", "metric", "published", "what the totals can show"], lines),
    ]
    for profile in material.comparable(table):
        blocks += [f"The same claims with the seeds of `{profile.id}`:", *_claim_verdicts(material, table, profile)]
    return blocks


def _totals(table: ResultsTable, a: Row, b: Row, metric: str) -> str:
    if metric != "accuracy" or a.counts is None or b.counts is None:
        return ""
    alpha = float(table.statistics.alpha.value)
    return published_pair(a.counts.correct, b.counts.correct, table.dataset.examples, alpha).words


def _claim_verdicts(material: Material, table: ResultsTable, profile: Profile) -> list[str]:
    lines, results = [], judge_claims(table, material.records, profile.id)
    if not any(result.comparisons for result in results):
        return [f"**not-run**: {results[0].verdict.reason}."]
    for result in results:
        claim, verdict = result.claim, result.verdict
        # That a profile has no such row is no news.
        if not result.comparisons and not all(
            table.row(row).runs_under(profile.id) for row in (claim.row, claim.against)
        ):
            continue
        for metric in claim.metrics:
            measured = _difference(result.comparisons.get(metric))
            words = f"**{verdict.status}**: {verdict.reason}"
            a, b = (material.result(table.row(row), profile) for row in (claim.row, claim.against))
            names, of_claim = [claim.text, material.minus(a, b)], [number(verdict.p_corrected), words]
            if metric != claim.metrics[0]:
                names, of_claim = ["", ""], ["", ""]
            lines.append([*names, NAMES[metric], *measured, *of_claim])
    head = ["claim", "rows", "metric", "difference (pairs)", "interval", "p of the claim, corrected", "verdict"]
    return [table_of(head, lines)]


def _counts(table: ResultsTable) -> list[str]:
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
        lines.append([_named(row), *map(str, parts)])
    return [
        f"### {PRINTED_F1}",
        f"The published precision, recall and F1 are those of class index {facts.positive_index} of the label list "
        f"alone: {facts.positive_class}, which has {facts.positive_examples} of the {facts.examples} "
        f"{facts.split} examples. "
        "They are neither the macro nor the micro F1 of the task. "
        "Each printed figure follows from these whole numbers, to 1e-12:",
        table_of(["row", "accuracy", "tp", "fp", "fn", "precision", "recall", "F1"], lines),
    ]


def _measured(material: Material, table: ResultsTable, profile: Profile) -> list[Block]:
    alpha = float(table.statistics.alpha.value)
    lines, results = [], [material.result(row, profile) for row in table.rows if row.runs_under(profile.id)]
    for result in results:
        accuracy, *others = (_score(result, metric) for metric in ("accuracy", "macro_f1", "f1"))
        cells = [accuracy, interval(t_interval(result.samples("accuracy"), alpha)), *others]
        sizes = sorted({record.parameters for record in result.records if record.counts})
        size = " to ".join(f"{number:,}" for number in sizes)
        lines.append([material.named(result), steps(table, result.row), *cells, size])
    head = ["row", "stages", "accuracy", "interval", "macro-F1", "F1 of class 1", "parameters"]
    return [
        f"### Rows of *{table.title}*",
        *_of_seeds(table, profile, results),
        table_of(head, lines),
        *_failures(material, results),
    ]


def _failures(material: Material, results: Iterable[RowResult]) -> list[str]:
    """The seeds that diverged or failed, counted and listed with their reasons, and those not run yet."""
    results, seeds = list(results), {profile.id: profile.seeds for profile in material.profiles}
    notes = [
        f"- `{result.row.id}`, `{result.profile}`, seed {material.seeds([record])}: {cell(record.reason)}"
        for result in results
        for record in result.failed
    ]
    blocks = [f"{plural(len(notes), 'seed')} did not end well:", "\n".join(notes)] if notes else []
    waiting = [
        f"`{result.row.id}` ({', '.join(map(str, left))})"
        for result in results
        if result.records and (left := sorted({*seeds[result.profile]} - {record.seed for record in result.records}))
    ]
    return [*blocks, f"Seeds of the profile without a record yet: {', '.join(waiting)}."] if waiting else blocks


def _differences(material: Material, table: ResultsTable, profile: Profile) -> list[str]:
    """Every row against its parent, and every pair that a claim names, paired by seed."""
    pairs = {(row.id, row.parent): None for row in table.rows if row.parent} | {
        (claim.row, claim.against): None for claim in table.claims
    }
    alpha, lines = float(table.statistics.alpha.value), []
    for pair in pairs:
        a, b = (material.result(table.row(row), profile) for row in pair)
        for metric in ("accuracy", "macro_f1", "f1"):
            if found := compare(a, b, metric, alpha=alpha):
                tests = [number(found.p), number(found.p_sign_flip), interval(found.bootstrap_ci), _mcnemar(found)]
                name = material.minus(a, b) if metric == "accuracy" else ""
                lines.append([name, NAMES[metric], *_difference(found), *tests])
    if not lines:
        return []
    tests = ["p, paired t", "p, sign flip", "interval, seeds and examples resampled", "p, McNemar, one a seed"]
    words = (
        "Differences paired by seed, mean ± standard deviation (pairs), none of these p corrected. The interval is "
        "about other seeds on this dev set; the resampled one about other dev examples too; McNemar's test is what "
        "one seed alone would have said."
    )
    blocks = [words, table_of(["difference", "metric", "mean (pairs)", "interval", *tests], lines)]
    if table.claims and material.same_data(table, profile):
        blocks += [f"### {claims_under(profile)}", *_claim_verdicts(material, table, profile)]
    return blocks


def _mcnemar(comparison: RowComparison) -> str:
    """The exact p of each seed pair, from least to most."""
    found = sorted(one.p for one in comparison.mcnemar)
    return f"{found[0]:.2g} to {found[-1]:.2g}" if found else ""


def steps(table: ResultsTable, row: Row) -> str:
    """The row's stages in words; what a published row is called would be wrong for another net."""
    chain = table.chain(row.id)
    return " → ".join(" ".join([step.stage, *_settings(step)]) for step in chain)


def _settings(step: Step) -> list[str]:
    return [f"{name} {value}" for name, value in step.options.items() if name in ("width", "importance", "start")]


def _named(row: Row) -> str:
    return f"{row.title} (`{row.id}`)"


def _printed(row: Row, metric: str) -> str:
    if metric not in row.published:
        return ""
    published = row.published[metric]
    return f"{published.printed} %" if published.unit == "percent" else published.printed


def _score(result: RowResult, metric: str) -> str:
    return spread(*result.summary(metric)) if result.records else "not-run"


def _minus(a: Row, b: Row) -> str:
    return f"`{a.id}` minus `{b.id}`"


def _difference(comparison: RowComparison | None) -> list[str]:
    if comparison is None:
        return ["not-run", ""]
    found = spread(comparison.difference, comparison.sd, comparison.n, "+.4f")
    return [found, interval(comparison.ci)]
