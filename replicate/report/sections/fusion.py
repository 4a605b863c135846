"""The section on fusion: ensembles, soups and students of ensembles, each beside one net."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from replicate.findings.fusion import Fused, FusedTable, FusionFinding
from replicate.findings.pairs import ACCURACY
from replicate.findings.rows import RowResult
from replicate.report.blocks import Block, Cell, Heading, Items, Line, Prose, Runs, Table, Text
from replicate.report.pictures.axes import Estimate
from replicate.report.pictures.scatter import Cloud, Spot, scatter
from replicate.report.sections.claims import section_claims
from replicate.report.sections.compression import PREDICATES, timed_on
from replicate.report.sections.paired import Paired, counted, difference_table
from replicate.report.words import figure, interval, named, number, plural, quoted, reason, score
from replicate.timing.summary import shown_ratio

_READING = Text(
    "An ensemble asks all its members, so one of n nets costs what n nets cost. A soup is one net with the mean of "
    "their weights, and a student of an ensemble is one net too. Each seed of a row takes members of its own, so "
    "no two pairs share a net. `over its members` is the accuracy minus the mean of the members', with the "
    "interval of that mean over other members; `disagreement` is the share of dev texts that two members label "
    "differently, over all pairs of them. Speed is measured beside the row that a row is compared with, on nets "
    "with as many parameters, each in the runtime in which it is the fastest in fp32; where no record has both it "
    "says not-run."
)
_HOWS: Mapping[str, str] = {
    "mean": "mean of the probabilities",
    "vote": "vote",
    "stack": "mean with fitted weights",
    "soup": "mean of the weights",
    "greedy": "mean of the weights of some",
    "first": "one",
}


def section_fusion(finding: FusionFinding) -> list[Block]:
    """What fusion buys, for each profile that runs fused rows; nothing where there are none."""
    if not finding.tables:
        return []
    blocks: list[Block] = [_READING]
    for found in finding.tables:
        name = found.profile.id
        blocks += [
            Heading(2, f"Under `{name}`", heading_id(found), (name,)),
            _answer(found),
            *_rows(found),
        ]
    neighbours = dict.fromkeys(words for found in finding.tables for words in found.table.neighbours)
    if neighbours:
        blocks += [
            Heading(2, "What others have published of this", "fusion-neighbours"),
            Items(tuple(map(reason, neighbours))),
        ]
    return blocks


def heading_id(found: FusedTable) -> str:
    """By which a link finds a profile's part of the section."""
    return f"fusion-{found.table.id}-{found.profile.id}"


def _answer(found: FusedTable) -> Text:
    """How many of them lie above what they are compared with, and which gains most for how many nets."""
    own = [one for one in found.rows if one.against]
    words = [one.judged.word or "undecided" for one in own]
    if set(words) <= {"not-run"}:
        rows = plural(len(own), "fused row")
        return Text(f"**Not known yet.** Of {rows}, none has been run beside the row that it is compared with.")
    told = counted(words, PREDICATES, ("fused row", "fused rows"))
    answer = f"Compared with one of its members, or with the row that its line names, {told}."
    if gaining := [one for one in own if one.asks_all and math.isfinite(one.gain)]:
        most = max(gaining, key=lambda one: one.gain)
        answer += (
            f" The ensemble that gains most over its members: `{most.row.id}`, {number(most.gain, '+.4f')} for the "
            f"cost of {most.members} nets."
        )
    if found.profile.comparable:
        return Text(answer)
    return Text((f"{answer} This holds for ", reason(found.profile.reason)))


def _rows(found: FusedTable) -> list[Block]:
    """The rows with their differences, what is claimed of them, and what their members' votes tell."""
    title, name = quoted(found.table.title), found.profile.id
    if not found.is_run:
        names = ", ".join(f"`{one.row.id}`" for one in found.rows)
        return [Text(("Rows of ", title, f", **not-run**: {names}."))]
    places = {timed_on(one.latency) for one in found.rows if one.latency}
    timed = f" Speed: {next(iter(places))}." if len(places) == 1 else ""
    head = (
        "row",
        "made by",
        "accuracy",
        "over its members",
        "disagreement",
        "parameters",
        "ms, beside that of",
        "times as fast",
    )
    return [
        Text(("Rows of ", title, f", and their differences.{timed}")),
        Table(head, tuple(Line(_cells(one, not timed), (one.row.id,), (name,)) for one in found.rows)),
        difference_table(
            Paired(one.result, one.against, one.difference, one.judged) for one in found.rows if one.against
        ),
        *_claims(found),
        *_disagreement(found),
        *_votes(found),
    ]


def _cells(one: Fused, told: bool) -> tuple[Cell | Prose, ...]:
    """What stands in a row's line; `told` says that each line tells what its speed was measured on."""
    size = Cell("no model") if one.parameters == 0 else figure(one.parameters or math.nan, ",.0f")
    speed: tuple[Cell, Cell] = (Cell("not-run"), Cell("not-run"))
    if one.parameters == 0 or one.against is None or one.is_one:
        speed = (Cell(""), Cell(""))
    elif one.against_parameters == one.parameters:
        speed = (Cell(f"as `{one.against.row.id}`"), Cell("as large", 1.0))
    elif one.latency:
        latency = one.latency
        where = f", {timed_on(latency)}" if told else ""
        beside = f"{1000 * latency.seconds:.2f}, `{one.against.row.id}` {1000 * latency.whole_seconds:.2f}"
        speed = (
            Cell(beside, 1000 * latency.seconds),
            Cell(f"{shown_ratio(latency.ratio)}{where}", latency.ratio.median),
        )
    return (
        named(one.result),
        _made(one),
        score(one.result, ACCURACY),
        _gain(one),
        figure(one.apart),
        size,
        *speed,
    )


def _made(one: Fused) -> str:
    """How, and of how many nets."""
    what = _HOWS[one.how] + (f" of {one.members}" if one.members else "")
    return f"student of the {what}" if one.is_student else what


def _gain(one: Fused) -> Cell:
    """The accuracy minus the mean of the members', with its interval and each seed behind it."""
    if not one.gains or one.is_one:
        return Cell("" if one.is_one else "not-run")
    ends = interval(one.interval)
    shown = f"{number(one.gain, '+.4f')} ({ends})" if ends else number(one.gain, "+.4f")
    return Cell(shown, one.gain, Runs(one.gains, "+.4f"))


def _claims(found: FusedTable) -> list[Block]:
    """What the table claims of its rows."""
    if found.table.is_published or not found.compared.claims:
        return []
    return [Text("What is claimed of these rows:"), *section_claims(found.compared)]


def _disagreement(found: FusedTable) -> list[Block]:
    """Whether the gain grows with disagreement: a picture, and a slope where there are rows enough."""
    asking = [one for one in found.rows if one.asks_all and math.isfinite(one.gain) and math.isfinite(one.apart)]
    if len(asking) < 2:
        return []
    name = found.profile.id
    hows = list(dict.fromkeys(one.how for one in asking))
    clouds = [Cloud(_HOWS[how], tuple(map(_spot, (one for one in asking if one.how == how)))) for how in hows]
    told = "; ".join(f"{one.row.id} {number(one.gain, '+.4f')} at {one.apart:.3f}" for one in asking)
    picture = scatter(
        f"fusion-{found.table.id}-{name}",
        "Gain of an ensemble over its members, by how often they disagree",
        f"Gain over the members' mean accuracy, and the share of dev texts that two of them label differently: {told}.",
        (
            "share of dev texts that two members label differently",
            f"gain in accuracy over the members (mean over seeds, {100 * found.level:g} % interval)",
        ),
        clouds,
    )
    return [
        Heading(3, "Does the gain grow with disagreement?", f"{heading_id(found)}-disagreement", (name,)),
        Text(_slope(found)),
        picture,
    ]


def _slope(found: FusedTable) -> str:
    """The slope of the gain, if there are rows enough."""
    slope = found.slope
    if slope is None or not all(map(math.isfinite, slope.by_seed.values())):
        return (
            "**Not known yet:** that takes the means of three rows with members of their own, over two seeds or more."
        )
    mean, ends = math.fsum(slope.by_seed.values()) / len(slope.by_seed), slope.interval
    lead = "**Yes**" if ends[0] > 0 else "**No, it shrinks**" if ends[1] < 0 else "**Undecided**"
    rows = ", ".join(f"`{row}`" for row in slope.rows)
    return (
        f"{lead}: for each 0.1 of disagreement more, the gain changes by {number(mean / 10, '+.4f')} "
        f"({interval((ends[0] / 10, ends[1] / 10))}; the slope over {rows} within a seed, of "
        f"{plural(len(slope.by_seed), 'seed')}). No plan and no study has this comparison: its interval of "
        f"{100 * found.level:g} % stands alone, so it is an idea and no decision."
    )


def _spot(one: Fused) -> Spot:
    return Spot(one.row.id, one.apart, Estimate(one.gain, one.interval))


def _votes(found: FusedTable) -> list[Block]:
    """How often so many members agree, and how often they are right then."""
    name = found.profile.id
    voting = [(one.result, one.votes, one.members) for one in found.rows if one.how == "vote" and one.votes]
    every = [(result, votes, len(result.scores)) for result, votes in found.of_singles]
    lines = [line for one in (*voting, *every) for line in _vote_lines(*one, name)]
    if not lines:
        return []
    return [
        Heading(3, "Which answers are sure?", f"{heading_id(found)}-votes", (name,)),
        Text(
            "How many members agree on a text tells how far to trust the answer. Of a row of single nets, the "
            "votes are those of all its seeds, each with a net of its own; of another those of its members, all "
            "seeds together."
        ),
        Table(("votes of", "agree", "share of dev texts", "of these right"), tuple(lines)),
    ]


def _vote_lines(result: RowResult, votes: Mapping[int, tuple[int, int]], members: int, profile: str) -> Iterable[Line]:
    texts = sum(number for number, _ in votes.values())
    for together in sorted(votes, reverse=True):
        there, right = votes[together]
        cells = (named(result), f"{together} of {members}", figure(there / texts, ".1%"), figure(right / there, ".1%"))
        yield Line(cells, (result.row.id,), (profile,))
