"""The section on compression: every pruned and distilled row beside the net that it was made from."""

from __future__ import annotations

import math
from collections.abc import Sequence

from replicate.findings.compressed import Compressed, Latency
from replicate.findings.compression import CompressedTable, Compression, CompressionFinding, KindAnswer
from replicate.findings.pairs import ACCURACY
from replicate.findings.planes import BYTES, Place, Plane
from replicate.findings.rows import RowResult
from replicate.report.blocks import Block, Cell, Heading, Line, Prose, Table, Text
from replicate.report.pictures.axes import Estimate
from replicate.report.pictures.picture import Picture
from replicate.report.pictures.scatter import Cloud, Spot, scatter
from replicate.report.sections.claims import claim_verdicts
from replicate.report.sections.paired import OPEN, Paired, counted, difference_table, mean_and_interval, opening
from replicate.report.words import (
    STATISTICS,
    figure,
    listed,
    named,
    plural,
    quoted,
    reason,
    score,
)
from replicate.tables.profile import Profile
from replicate.timing.summary import shown_ratio

PREDICATES = {
    "above": ("lies above it", "lie above it"),
    "no difference": ("makes no difference", "make no difference"),
    "not worse": ("is not worse", "are not worse"),
    "below": ("lies below it", "lie below it"),
    **OPEN,
}
LEADS = {
    "kept": "Yes.",
    "at a price": "Only at a price.",
    "open": "That it costs no accuracy is not shown.",
    "not smaller": "No: it makes no smaller net here.",
}
_READING: tuple[Block, ...] = (
    Text(
        "Each row stands beside the net that it was made from, mean ± standard deviation (seeds). A megabyte is a "
        f"million bytes, {BYTES} a parameter. `times as fast` is measured, on nets with as many parameters, each in "
        "the runtime in which it is the fastest in fp32. Where no record has both it says not-run, and the share of "
        "parameters beside it is no estimate of it."
    ),
    Text(
        (
            "The interval is the rule: `above` 0, `below` 0, `no difference` within the margin, `not worse` by the "
            "margin or more, else `undecided`. A comparison marked `planned` was chosen, with its margin, before the "
            "first seed, and its interval holds at every look; `post hoc` came later. All others of a table are a "
            "study: their intervals hold at once in 95 % of such studies, and they are ideas and no decisions. How "
            "they are made: ",
            STATISTICS,
            ".",
        )
    ),
)
# Settings of a last stage that say what a row is; others are the profile's.
_TOLD = ("engine", "width", "depth", "start", "targets", "importance", "student")


def section_compression(finding: CompressionFinding) -> list[Block]:
    """What a smaller net costs and buys, for each profile with such rows; nothing where there are none."""
    if not finding.profiles:
        return []
    blocks: list[Block] = [*_READING]
    for found in finding.profiles:
        name = found.profile.id
        blocks += [
            Heading(2, f"Under `{name}`", heading_id(found.profile), (name,)),
            _answer(found),
            *(_picture(found, plane) for plane in found.planes),
        ]
        for table in found.tables:
            blocks += _rows(found.profile, table)
    return blocks


def heading_id(profile: Profile) -> str:
    """By which a link finds a profile's part of the section."""
    return f"compression-{profile.id}"


def in_short(answer: KindAnswer) -> Prose:
    """Whether rows of a kind keep their parent's accuracy, told of one of them; empty where none was run."""
    told = answer.told
    if told is None or told.parent is None:
        return ""
    size = f", with {told.share:.0%} of its parameters" if told.share else ""
    speed = ", speed not measured"
    if found := told.latency:
        speed = f", {shown_ratio(found.ratio)} times as fast ({1000 * found.seconds / found.batch:.3g} ms a text)"
    if (more := round(told.result.seconds - told.parent.seconds)) > 0:
        speed += f", for {plural(more, 'second')} more of training"
    words: list[Prose] = [
        f"**{LEADS[answer.lead]}** ",
        named(told.result),
        ", ",
        mean_and_interval(told.judged),
        f" **{told.judged.word}** over ",
        named(told.parent),
        f"{size}{speed}.",
    ]
    if len(answer.rows) > 1:
        words.append(f" Beside its parent, {counted([one.judged.word for one in answer.rows], PREDICATES)}.")
    judged = [one.verdict.status for one in answer.against_controls]
    if set(judged) - {"not-run"}:
        words.append(f" {opening(_claims_counted(judged))}.")
    return tuple(words)


def _claims_counted(judged: Sequence[str]) -> str:
    """How many of the claims that a row beats its controls hold."""
    holds = {
        "supported": ("is supported", "are supported"),
        "contradicted": ("is contradicted", "are contradicted"),
        **OPEN,
        "undecided": ("is undecided", "are undecided"),
    }
    beats = "that it beats its controls"
    return counted(judged, holds, (f"claim {beats}", f"claims {beats}"))


def _answer(found: Compression) -> Text:
    """How many rows keep their parent's accuracy, and which is the smallest and the fastest of these."""
    words = [one.judged.word for one in found.rows]
    if set(words) == {"not-run"}:
        none = "The only compressed row has not" if len(words) == 1 else f"None of {len(words)} compressed rows has"
        return Text(f"**Not known yet.** {none} been run together with the net that it was made from.")
    rows = ("compressed row", "compressed rows")
    answer = f"Compared with the net that each was made from, {counted(words, PREDICATES, rows)}."
    if (smallest := found.smallest) and smallest.share:
        answer += (
            f" The smallest that is not worse by the margin: `{smallest.row.full_id}`, {smallest.share:.0%} of the "
            "parameters."
        )
    if (fastest := found.fastest) and fastest.latency:
        answer += f" The fastest of them: `{fastest.row.full_id}`, {shown_ratio(fastest.latency.ratio)} times as fast."
    else:
        answer += " How fast they are: **not-run**."
    if found.profile.comparable:
        return Text(answer)
    return Text((f"{answer} This holds for ", reason(found.profile.reason)))


def _rows(profile: Profile, found: CompressedTable) -> list[Block]:
    """The rows with their parents, their differences, and what is claimed of them; their names where none was run."""
    title = quoted(found.table.title)
    if not found.is_run:
        names = ", ".join(f"`{one.row.id}`" for one in found.rows)
        return [Text(("Rows of ", title, f", **not-run**: {names}."))]
    places = {timed_on(one.latency) for one in found.rows if one.latency}
    timed = f" `times as fast`: {next(iter(places))}." if len(places) == 1 else ""
    head = (
        "row",
        "made by",
        "accuracy",
        "macro-F1",
        *(["F1 of class 1"] if found.table.has_positive else []),
        "parameters",
        "MB",
        "share of parameters",
        "times as fast",
    )
    metrics = [ACCURACY, "macro_f1", *(["f1"] if found.table.has_positive else [])]
    lines = [_line(profile, metrics, result, count, "", "", "") for result, count in found.parents]
    for one in found.rows:
        speed = Cell("not-run")
        if one.latency:
            where = "" if timed else f", {timed_on(one.latency)}"
            speed = Cell(f"{shown_ratio(one.latency.ratio)}{where}", one.latency.ratio.median)
        share = figure(one.share or math.nan, ".0%")
        lines.append(_line(profile, metrics, one.result, one.parameters, _made(one), share, speed))
    return [
        Text(("Rows of ", title, f", and their differences.{timed}")),
        Table(head, tuple(lines)),
        difference_table(Paired(one.result, one.parent, one.difference, one.judged) for one in found.rows),
        *_claims(profile, found),
    ]


def _line(
    profile: Profile,
    metrics: Sequence[str],
    result: RowResult,
    parameters: int | None,
    made: str,
    share: Cell | str,
    speed: Cell | str,
) -> Line:
    """Name, scores and size of a row, and what was made smaller by how much."""
    scores = [score(result, metric) for metric in metrics]
    count = math.nan if parameters is None else parameters
    size = [figure(count, ",.0f"), figure(BYTES * count / 1e6, ".2f")]
    return Line((named(result), made, *scores, *size, share, speed), (result.row.id,), (profile.id,))


def _claims(profile: Profile, found: CompressedTable) -> list[Block]:
    """The claims of a table of measured rows; those of a published one stand in its own section."""
    if not found.claims:
        return []
    return [Text("What is claimed of these rows:"), *claim_verdicts(found.claims, found.table, profile.id)]


def _made(one: Compressed) -> str:
    """The last stage in words."""
    options = one.made.options
    return " ".join([one.made.stage, *(f"{name} {options[name]}" for name in _TOLD if name in options)])


def timed_on(latency: Latency) -> str:
    """What a speed was measured on."""
    small, whole = latency.runtime, latency.whole_runtime
    runtimes = f"`{small}`" if small == whole else f"`{small}` over `{whole}`"
    return f"{latency.batch} × {latency.length}, {runtimes}, `{latency.record}`"


def _picture(found: Compression, plane: Plane) -> Picture:
    """Accuracy against what nets cost, with the Pareto front; it says where speed was not run."""
    latency = plane.latency
    name, unit = f"compression-{found.profile.id}", "megabytes of fp32 weights"
    if latency:
        unit = f"ms for {plural(latency.batch, 'text')} of {latency.length} tokens ({latency.record})"
    elif any(one.latency for one in found.planes):
        name += "-size"
    else:
        unit += "; speed: not-run"
    front = ", ".join(f"{place.row} {place.accuracy:.3f} at {place.cost:.3g}" for place in plane.front)
    return scatter(
        name,
        f"Accuracy by {plane.by}: {listed(list(plane.kinds))} nets",
        f"Accuracy by {unit}; on the Pareto front: {front}.",
        (unit, f"accuracy on dev (mean over seeds, {100 * plane.level:g} % interval)"),
        [Cloud(kind, tuple(map(_spot, places))) for kind, places in plane.kinds.items()],
        list(map(_spot, plane.front)),
    )


def _spot(place: Place) -> Spot:
    return Spot(place.row, place.cost, Estimate(place.accuracy, place.interval))
