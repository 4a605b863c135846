"""The report's section on compression: every pruned and distilled row beside the net that it was made from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from replicate.common.markdown import STATISTICS, interval, number, plural, sentence, spread, table_of, tally
from replicate.findings.compression import BYTES, KINDS, METRIC, Compressed, compressed_rows, parameters, pareto
from replicate.findings.evidence import Material
from replicate.findings.rows import RowResult, judge_claims
from replicate.report.pictures.axes import Estimate
from replicate.report.pictures.picture import Block, Picture
from replicate.report.pictures.scatter import Cloud, Spot, scatter
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable
from replicate.timing.summary import shown_ratio
from replicate.verdicts.equivalence import t_interval

_READING = (
    "Each row beside the net that it was made from, mean ± standard deviation (seeds). A megabyte is a million bytes, "
    f"{BYTES} a parameter. `times as fast` is measured, of nets with as many parameters, each in the runtime in which "
    "it is the fastest in fp32; where no record has both it says not-run, and the share of parameters beside it is no "
    "estimate of it.",
    "Differences in accuracy are paired by seed; the interval is about other seeds on this dev set. `gains` and "
    "`loses`: the paired t-test's p, corrected over the rows of a table (Holm), is at most the table's level; `loses "
    "little`: that, and shown to lie within the tolerance. Else `keeps`: shown to lie within it (two one-sided tests, "
    f"not corrected). How they are made: {STATISTICS}.",
)
# Words that say that no more is lost than the tolerance.
_KEPT = ("keeps", "gains", "loses little")
# Settings of a last stage that say what a row is; others are the profile's.
_TOLD = ("engine", "width", "depth", "start", "targets", "importance", "student")


def section_compression(material: Material) -> list[Block]:
    """What a smaller net costs and buys, for each profile and table with such rows; nothing where there are none."""
    blocks: list[Block] = []
    for profile in material.profiles:
        of_tables = {
            table.id: rows
            for table in material.tables
            if table.id in profile.tables and material.same_data(table, profile)
            if (rows := compressed_rows(material, table, profile))
        }
        if not of_tables:
            continue
        everyone = [one for rows in of_tables.values() for one in rows]
        blocks += [f"### {under(profile)}", _answer(profile, everyone), *_pictures(material, profile, everyone)]
        for table in material.tables:
            if table.id in of_tables:
                blocks += _rows(material, table, profile, of_tables[table.id])
    return ["## What compression costs and buys", *_READING, *blocks] if blocks else []


def under(profile: Profile) -> str:
    """The heading of a profile's part of the section."""
    return f"Under `{profile.id}`"


def in_short(material: Material, profile: Profile, rows: Sequence[Compressed]) -> str:
    """Whether rows of a kind keep their parent's accuracy, told of the smallest that does; empty where none was run."""
    own = [one for one in rows if not one.is_control]
    run = [one for one in own if one.comparison]
    if not run:
        return ""
    if kept := [one for one in run if one.word in _KEPT]:
        lead, told = "Yes.", min(kept, key=lambda one: _share(one) or math.inf)
    else:
        every = all(one.word == "loses" for one in run)
        lead = "Only at a price." if every else "That it costs no accuracy is not shown."
        told = max(run, key=lambda one: one.comparison.difference if one.comparison else -math.inf)
    share = _share(told)
    size = f", with {share:.0%} of its parameters" if share else ""
    speed = f", {shown_ratio(told.latency.ratio)} times as fast" if told.latency else ""
    assert told.comparison is not None
    assert told.parent is not None
    bounds = f" ({interval(told.comparison.ci)})" if interval(told.comparison.ci) else ""
    words = (
        f"**{lead}** {material.named(told.result)} {told.word}: {number(told.comparison.difference, '+.4f')}{bounds} "
        f"accuracy over {material.named(told.parent)}{size}{speed}. "
        f"Of {plural(len(own), 'row')}: {tally(one.word for one in own)}."
    )
    controls = {(one.table.id, one.row.id) for one in rows if one.is_control}
    claims = [
        (result, (table.id, result.claim.against) in controls)
        for table in {one.table.id: one.table for one in rows}.values()
        if not table.is_published
        for result in judge_claims(table, material.records, profile.id)
        if KINDS.get(table.chain(result.claim.row)[-1].stage) == rows[0].kind
    ]
    judged = [result.verdict.status for result, control in claims if control]
    if set(judged) - {"not-run"}:
        words += f" Claims that it beats its controls: {tally(judged)}."
    # Those stand in the section; what else was shown can change what is made of the rows.
    shown = [one.claim.text for one, control in claims if not control and one.verdict.status == "supported"]
    return f"{words} Shown beside: {' '.join(shown)}" if shown else words


def _answer(profile: Profile, rows: Sequence[Compressed]) -> str:
    """How many rows keep their parent's accuracy, and which is the smallest and the fastest of these."""
    count = plural(len(rows), "compressed row")
    if all(one.word == "not-run" for one in rows):
        return f"**Not known yet.** None of {count} has been run together with the net that it was made from."
    answer = f"Of {count}, accuracy against the net that it was made from: {tally(one.word for one in rows)}."
    kept = [one for one in rows if one.word in _KEPT and not one.is_control]
    shares = {one.row.full_id: share for one in kept if (share := _share(one))}
    if shares:
        smallest = min(shares, key=lambda name: shares[name])
        answer += (
            f" The smallest that is not worse by the tolerance: `{smallest}`, {shares[smallest]:.0%} of the parameters."
        )
    ratios = {one.row.full_id: one.latency.ratio for one in kept if one.latency}
    if ratios:
        fastest = max(ratios, key=lambda name: ratios[name].median)
        answer += f" The fastest of them: `{fastest}`, {shown_ratio(ratios[fastest])} times as fast."
    else:
        answer += " How fast they are: **not-run**."
    return answer if profile.comparable else f"{answer} What that is about: {sentence(profile.reason)}"


def _rows(material: Material, table: ResultsTable, profile: Profile, rows: Sequence[Compressed]) -> list[str]:
    """The rows with their parents, their differences, and what is claimed of them; their names where none was run."""
    if not any(one.result.records for one in rows):
        return [f"Rows of *{table.title}*, **not-run**: {', '.join(f'`{one.row.id}`' for one in rows)}."]
    parents = {one.parent.row.id: one.parent for one in rows if one.parent}
    lines = [[*_scores(material, result), "", ""] for result in parents.values()]
    made = {one.row.id: _made(table, one) for one in rows}
    places = {_where(one) for one in rows if one.latency}
    timed = f" `times as fast`: {places.pop()}." if len(places) == 1 else ""
    for one in rows:
        share = _share(one)
        where = f", {_where(one)}" if one.latency and not timed else ""
        speed = f"{shown_ratio(one.latency.ratio)}{where}" if one.latency else "not-run"
        of = f"{share:.0%}" if share else ""
        lines.append([*_scores(material, one.result, made[one.row.id]), of, speed])
    head = [
        "row",
        "made by",
        "accuracy",
        "macro-F1",
        "F1 of class 1",
        "parameters",
        "MB",
        "share of parameters",
        "times as fast",
    ]
    differences = []
    for one in rows:
        cells = ["not-run", "", "", ""]
        if (c := one.comparison) is not None:
            cells = [spread(c.difference, c.sd, c.n, "+.4f"), interval(c.ci), number(c.p, ".2g"), number(one.p, ".2g")]
        parentless = f"{material.named(one.result)}, no row is its parent"
        against = material.minus(one.result, one.parent) if one.parent else parentless
        differences.append([against, *cells, f"**{one.word}**: {one.reason}"])
    return [
        f"Rows of *{table.title}*, and their differences.{timed}",
        table_of(head, lines),
        table_of(["difference", "mean (pairs)", "interval", "p", "p, corrected", "verdict"], differences),
        *_claims(material, table, profile),
    ]


def _claims(material: Material, table: ResultsTable, profile: Profile) -> list[str]:
    """The claims of a table of measured rows; those of a published one stand in its own section."""
    if table.is_published or not table.claims:
        return []
    lines = []
    for result in judge_claims(table, material.records, profile.id):
        measured = [
            f"{metric} {number(c.difference, '+.4f')}" + (f" ({interval(c.ci)})" if interval(c.ci) else "")
            for metric, c in result.comparisons.items()
        ]
        a, b = (material.result(table.row(row), profile) for row in (result.claim.row, result.claim.against))
        verdict = result.verdict
        cells = [f"**{verdict.status}**", number(verdict.p, ".2g"), number(verdict.p_corrected, ".2g")]
        lines.append([result.claim.text, *cells, f"{material.minus(a, b)}: {', '.join(measured)}" if measured else ""])
    return [
        "What is claimed of these rows. `p` is of each claim alone, two-sided, over all its metrics; the verdict goes "
        f"by the one corrected over all {len(lines)} (Holm):",
        table_of(["claim", "verdict", "p", "p, corrected", "difference (interval)"], lines),
    ]


def _scores(material: Material, result: RowResult, made: str = "") -> list[str]:
    """Name, scores and size of a row."""
    count = parameters(result)
    scores = [spread(*result.summary(metric)) if result.records else "not-run" for metric in (METRIC, "macro_f1", "f1")]
    size = [f"{count:,}", f"{BYTES * count / 1e6:.2f}"] if count else ["", ""]
    return [material.named(result), made, *scores, *size]


def _made(table: ResultsTable, one: Compressed) -> str:
    """The last stage in words."""
    step = table.chain(one.row.id)[-1]
    return " ".join([step.stage, *(f"{name} {step.options[name]}" for name in _TOLD if name in step.options)])


def _share(one: Compressed) -> float | None:
    """Its parameters over its parent's."""
    own, whole = parameters(one.result), parameters(one.parent) if one.parent else None
    return own / whole if own and whole else None


def _where(one: Compressed) -> str:
    """What its speed was measured on."""
    assert one.latency is not None
    comparison, small, whole = one.latency.comparison, one.latency.small.runtime, one.latency.whole.runtime
    runtimes = f"`{small}`" if small == whole else f"`{small}` over `{whole}`"
    return f"{comparison.batch} × {comparison.length}, {runtimes}, `{one.latency.record.name}`"


def _pictures(material: Material, profile: Profile, rows: Sequence[Compressed]) -> list[Picture]:
    """Accuracy against latency with the Pareto front, and against size where some net has no latency beside others."""
    unit, timed = _latencies(rows)
    nets = [result for one in rows for result in (one.result, one.parent) if result and result.scores]
    sizes = {net.row.full_id: BYTES * count / 1e6 for net in nets if (count := parameters(net))}
    name, size, found = f"compression-{profile.id}", "megabytes of fp32 weights", list[Picture]()
    if timed:
        found += _picture(material, name, "latency", unit, timed, rows)
    if not set(sizes) <= set(timed):
        name, size = (f"{name}-size", size) if timed else (name, f"{size}; speed: not-run")
        found += _picture(material, name, "size", size, sizes, rows)
    return found


def _picture(
    material: Material, name: str, by: str, unit: str, costs: Mapping[str, float], rows: Sequence[Compressed]
) -> list[Picture]:
    """Accuracy against what nets cost; none where fewer than two are known."""
    alpha = float(material.tables[0].statistics.alpha.value)
    spots: dict[str, dict[str, Spot]] = {}
    for one in rows:
        for kind, result in (("whole", one.parent), (one.kind, one.result)):
            if result is None or result.row.full_id not in costs or not result.scores:
                continue
            values = tuple(score[METRIC] for score in result.scores.values())
            estimate = Estimate(result.summary(METRIC)[0], t_interval(values, alpha))
            spot = Spot(result.row.id, costs[result.row.full_id], estimate)
            # The same stages in two tables are one net, whose seeds have the same scores.
            spots.setdefault(kind, {}).setdefault(f"{spot.place} {values}", spot)
    points = [spot for of_kind in spots.values() for spot in of_kind.values()]
    if len(points) < 2:
        return []
    chosen = pareto((spot.place, spot.estimate.value) for spot in points)
    front = sorted(
        (spot for spot in points if (spot.place, spot.estimate.value) in chosen), key=lambda spot: spot.place
    )
    kinds = list(spots)
    named = ", ".join(f"{spot.label} {spot.estimate.value:.3f} at {spot.place:.3g}" for spot in front)
    return [
        scatter(
            name,
            f"Accuracy by {by}: {' and '.join([', '.join(kinds[:-1]), kinds[-1]] if len(kinds) > 1 else kinds)} nets",
            f"Accuracy by {unit}; on the Pareto front: {named}.",
            (unit, f"accuracy on dev (mean over seeds, {100 * (1 - alpha):g} % interval)"),
            [Cloud(kind, tuple(of_kind.values())) for kind, of_kind in spots.items()],
            front,
        )
    ]


def _latencies(rows: Iterable[Compressed]) -> tuple[str, Mapping[str, float]]:
    """Milliseconds of the rows and parents that took turns on one machine, where most of them did; and their unit."""
    groups: dict[str, dict[str, float]] = {}
    for one in rows:
        if one.latency is None or one.parent is None:
            continue
        batch, length = one.latency.comparison.batch, one.latency.comparison.length
        unit = f"ms for {plural(batch, 'text')} of {length} tokens ({one.latency.record.name})"
        group = groups.setdefault(unit, {})
        group[one.row.full_id] = 1000 * one.latency.seconds
        group[one.parent.row.full_id] = 1000 * one.latency.seconds_of_whole
    return max(groups.items(), key=lambda item: len(item[1]), default=("", {}))
