"""The section on inference: what pruning buys beside int8 and another runtime, each machine by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from replicate.findings.inference import InferenceFinding, PublishedSpeed, TimingFinding
from replicate.findings.raced import PrunedNets, Way
from replicate.records.run import TIMING
from replicate.records.timing import DatasetRace, Race, ServiceRace, StepRace, TimingRecord
from replicate.report.blocks import Block, Cell, Code, Heading, Items, Line, Link, Plain, Prose, Table, Text
from replicate.report.sections.growth import growth
from replicate.report.sections.limits import limits
from replicate.report.sections.timed import gain, heading_id, mark, part, ratio_cell, title, where
from replicate.report.sections.timing_pictures import pictures
from replicate.report.sections.timing_tables import padding, races, services
from replicate.report.words import MEASURED, joined, plural, reason, sentence
from replicate.timing.summary import batch_told, shown_ratio

_READING: tuple[Block, ...] = (
    Text(
        "Each record is one machine by itself; none of its figures is compared with another record's. Within a record "
        "contestants took turns, so a speed-up is the median of the rounds' ratios, with its interval (95 % unless it "
        "says less). `unstable`: the interquartile range of the milliseconds is over 10 % of their median."
    ),
    Text(
        "The ideal is the ratio of the operations in the encoder's matrix products, all layers in full. The exported "
        "graphs (`paddle-inference`, `onnxruntime`) leave out what the last layer computes for tokens but [CLS]: 7 % "
        "of Base's operations, 14 % of Medium's, at any width. So the ideal is theirs too, but that saving is part of "
        "what they gain over `dygraph` and `pytorch`."
    ),
)


def section_inference(finding: InferenceFinding) -> list[Block]:
    """What pruning buys at inference, for each timing record; where there is none, that it has not been timed."""
    if not finding.records:
        return [Text("**not-run**: no inference has been timed; `tox -e timing` does it.")]
    blocks: list[Block] = [*_READING, *map(_published, finding.published)]
    for found in finding.records:
        blocks += [
            Heading(2, (Code(found.record.name), ": ", Plain(where(found.record))), heading_id(found.record)),
            *_answer(found),
            *pictures(found),
            *_goals(found),
            *races(found),
            *padding(found),
            *services(found),
            *growth(found.record),
            *_exceptions(found),
            *_method(found.record),
        ]
    return [*blocks, *limits(finding.limits)]


def _published(found: PublishedSpeed) -> Text:
    """What a source prints of the speed of pruned nets, with what it tells and doesn't tell of how it was measured."""
    ratios = "; ".join(f"{one.ratio:.2f} for {one.title} ({one.whole} over {one.small} ms)" for one in found.ratios)
    known, unknown = (
        " ".join(map(sentence, facts)) for facts in (found.source.latency_known, found.source.latency_unknown)
    )
    words: list[Prose] = [
        "Published, on another machine and without an interval, so not comparable with the figures below: ",
        Plain(f"{ratios}."),
    ]
    words += [" ", Plain(known)] if known else []
    words += [" Not told: ", Plain(unknown)] if unknown else []
    return Text((*words, " Source: ", reason(found.source.source)))


def _answer(found: TimingFinding) -> list[Block]:
    """In plain words what pruning buys in the largest batches, and whether something else buys more."""
    if not found.races:
        return []
    if not found.largest:
        words = "**Not known from this record.** No whole net in fp32 stands beside a pruned one of its runtime."
        return [Text(words)]
    first, *others = found.largest
    race, whole = first.race, first.whole
    ideals = ", ".join(f"{one.ideal:.2f}" for one in first.nets if one.ideal)
    answer: Prose = (
        f"**Times as fast as the whole {whole.model}: {_gains(first)}** (ideal: {ideals}). Measured on ",
        Plain(where(found.record)),
        f", in batches of {race.batch} texts of {race.length} tokens, with the runtime that is the fastest there in "
        f"fp32, `{whole.runtime}`, in which the whole net takes {first.whole_ms:,.1f} ms. {_beside(first)}",
    )
    if not others:
        return [Text(answer)]
    more = "The same for other nets and lengths, each gain beside its ideal:"
    return [Text(answer), Text(more), Items(tuple(map(_other_answer, others)))]


def _other_answer(one: PrunedNets) -> Prose:
    gains = ", ".join(
        f"{gain(net)}{f' of {net.ideal:.2f}' if net.ideal else ''} with {name}" for name, net in one.named.items()
    )
    return f"{title(one.race)}, `{one.whole.runtime}`: {gains}. {_beside(one)}"


def _beside(found: PrunedNets) -> str:
    """What another precision or runtime gives the whole net, beside what the narrowest width does; and both."""
    if not found.ways:
        return "No other precision or runtime took part."
    narrowest = found.nets[0].net
    more, less, alike = (
        ", ".join(_way(one) for one in found.ways if one.beside == word) for word in ("more", "less", "alike")
    )
    told = [f"**More than {narrowest} buys, with nothing pruned: {more}.**"] if more else []
    told += [f"Less: {less}."] if less else []
    told += [f"Can't be distinguished from it, since the intervals overlap: {alike}."] if alike else []
    told += [
        f"{one.precision} and {narrowest} together, in `{one.runtime}`: {shown_ratio(one.ratio)}{mark(one.stable)}."
        for one in found.together
    ]
    return " ".join(told)


def _way(one: Way) -> str:
    what = f"{one.precision} in `{one.runtime}`" if one.precision else f"`{one.runtime}` instead of `{one.instead_of}`"
    return f"{what} {shown_ratio(one.ratio)}{mark(one.stable)}"


def _goals(found: TimingFinding) -> list[Block]:
    """The goals beside what was reached; one line where the record is about none of them."""
    if not found.goals:
        reasons = "; ".join(found.lacking)
        return [Text(("This record measures none of the goals: ", reason(reasons)))] if reasons else []
    # A column only where something is missed.
    missed = any(one.why for one in found.goals)
    head = ("goal", "batch × length", "wanted", "reached", "verdict", "of", *(["why it is missed"] if missed else []))
    lines = tuple(
        Line(
            (
                one.goal.words,
                batch_told(one.batch, one.length),
                Cell(f"≥ {one.goal.at_least:g}", one.goal.at_least),
                ratio_cell(one.found),
                f"**{one.status}**",
                Plain(one.words),
                *([one.why] if missed else []),
            )
        )
        for one in found.goals
    )
    words = "`reached` or `missed`: the whole interval is on that side of what is wanted; `undecided`: it is on both."
    blocks: list[Block] = [part(found, "Goals beside what was reached", "goals"), Text(words), Table(head, lines)]
    if found.lacking:
        reasons = "; ".join(f"{plural(count, 'goal')}: {why}" for why, count in found.lacking.items())
        blocks.append(Text(("Not measured by this record: ", reason(reasons))))
    return blocks


def _exceptions(found: TimingFinding) -> list[Block]:
    """Who could not take part and why, and how many contestants' times wander; the tables mark which."""
    items: list[Prose] = [
        ("Left out: ", joined(", ", map(Code, labels)), ": ", reason(why)) for why, labels in found.left_out.items()
    ]
    if found.unstable:
        counts = [(f"{one.count} of {one.of} at ", _where_run(one.race)) for one in found.unstable]
        items.append(("Unstable, and marked so in the tables: ", joined("; ", counts), "."))
    return [Text("What could not take part, and what is unstable:"), Items(tuple(items))] if items else []


def _where_run(race: Race | DatasetRace | ServiceRace) -> Prose:
    if isinstance(race, ServiceRace):
        return "the service"
    return Code(race.dataset) if isinstance(race, DatasetRace) else Plain(title(race))


def _method(record: TimingRecord) -> list[Block]:
    """How the record was measured, and where it is."""
    rounds: dict[str, list[str]] = {}
    timed: list[Race | StepRace] = [*record.comparisons, *record.steps]
    for one in timed:
        words = f"{plural(one.rounds, 'round')} after {plural(one.warmups, 'warm-up')}"
        rounds.setdefault(words, []).append(title(one))
    every: list[Race | DatasetRace | ServiceRace] = [*record.comparisons, *record.datasets, *record.services]
    pauses = dict.fromkeys(
        f"{pause:g} s" for pause in [one.pause for one in every] + [one.pause for one in record.steps]
    )
    ran = dict.fromkeys(f"{one.runtime} {one.environment}" for race in every for one in race.contestants)
    facts = {
        "when": f"{record.started} to {record.finished}",
        "commit": f"{record.commit}{', with changes' if record.dirty else ''}",
        "machine": _listed(record.machine),
        "device": _listed(record.device),
        "versions": _listed(record.versions),
        "runtimes": "; ".join(ran),
        "rounds": "; ".join(f"{words}: {', '.join(found)}" for words, found in rounds.items()),
        "idle before each call": ", ".join(pauses),
    }
    path = quote(f"{MEASURED}/{TIMING}/{record.name}.json")
    items: list[Prose] = [
        ("record: ", Link(Plain(record.name), path), ", with every raw second"),
        ("command: ", Code(" ".join(record.command))),
    ]
    items += [(f"{name}: ", Plain(fact)) for name, fact in facts.items() if fact]
    return [Text(("How ", Code(record.name), " was measured:")), Items(tuple(items))]


def _listed(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {facts[name]}" for name in sorted(facts))


def _gains(found: PrunedNets) -> str:
    return ", ".join(f"{gain(net)} with {name}" for name, net in found.named.items())
