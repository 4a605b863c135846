"""The section on inference: what pruning buys beside int8 and another runtime, each machine by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from replicate.findings.inference import (
    InferenceFinding,
    PrunedNets,
    PublishedSpeed,
    TimedNet,
    TimedRace,
    TimingFinding,
    Way,
)
from replicate.records.run import TIMING
from replicate.records.timing import BATCHINGS, DatasetRace, Race, ServiceRace, TimingRecord
from replicate.report.blocks import Block, Cell, Code, Heading, Items, Line, Link, Plain, Prose, Table, Text
from replicate.report.pictures.axes import COLOURS, Estimate, Series
from replicate.report.pictures.bars import bars
from replicate.report.pictures.picture import Picture
from replicate.report.sections.ratios import ratio, ratio_cell
from replicate.report.words import MEASURED, figure, joined, plural, reason, sentence
from replicate.timing.goals import BATCH

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
_RANDOM = (
    "The weights are random. Speed does not depend on their values, since the same operations run on the same shapes, "
    "in int8 too. The labels of such nets mean nothing: what pruning costs in accuracy is measured with trained nets."
)


def section_inference(finding: InferenceFinding) -> list[Block]:
    """What pruning buys at inference, for each timing record; where there is none, that it has not been timed."""
    if not finding.records:
        return [Text("**not-run**: no inference has been timed; `tox -e timing` does it.")]
    blocks: list[Block] = [*_READING, *map(_published, finding.published)]
    for found in finding.records:
        blocks += [
            Heading(2, (Code(found.record.name), ": ", Plain(_where(found.record))), heading_id(found.record)),
            *_answer(found),
            *_pictures(found),
            *_goals(found),
            *_races(found),
            *_padding(found),
            *_services(found),
            *_exceptions(found),
            *_method(found.record),
        ]
    return blocks


def heading_id(record: TimingRecord) -> str:
    """By which a link finds a record's part of the section."""
    return f"inference-{record.name}"


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
        Plain(_where(found.record)),
        f", in batches of {race.batch} texts of {race.length} tokens, with the runtime that is the fastest there in "
        f"fp32, `{whole.runtime}`, in which the whole net takes {first.whole_ms:,.1f} ms. {_beside(first)}",
    )
    if not others:
        return [Text(answer)]
    more = "The same for other nets and lengths, each gain beside its ideal:"
    return [Text(answer), Text(more), Items(tuple(map(_other_answer, others)))]


def _other_answer(one: PrunedNets) -> Prose:
    gains = ", ".join(
        f"{_gain(net)}{f' of {net.ideal:.2f}' if net.ideal else ''} with {name}" for name, net in one.named.items()
    )
    return f"{_title(one.race)}, `{one.whole.runtime}`: {gains}. {_beside(one)}"


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
        f"{one.precision} and {narrowest} together, in `{one.runtime}`: {ratio(one.ratio)}{_mark(one.stable)}."
        for one in found.together
    ]
    return " ".join(told)


def _way(one: Way) -> str:
    what = f"{one.precision} in `{one.runtime}`" if one.precision else f"`{one.runtime}` instead of `{one.instead_of}`"
    return f"{what} {ratio(one.ratio)}{_mark(one.stable)}"


def _pictures(found: TimingFinding) -> list[Picture]:
    """Pruned over whole nets against the ideal in the fastest fp32 runtime; and everyone over the best whole net."""
    pruned = [one.pruned for one in found.races if one.pruned]
    if not pruned:
        return []
    groups = {_title(one.race): one.named for one in pruned}
    common = [name for name in pruned[0].named if all(name in nets for nets in groups.values())]
    names = (common or list(dict.fromkeys(name for nets in groups.values() for name in nets)))[: len(COLOURS)]
    words = [
        f"{group}: " + ", ".join(f"{_gain(nets[name])} with {name}" for name in names if name in nets)
        for group, nets in groups.items()
    ]
    record = found.record
    pictures = [
        bars(
            f"inference-pruned-{record.name}",
            "Pruned over whole nets, each in the runtime that is fastest in fp32",
            f"Speed-up of pruned nets beside the ideal, on {_where(record)}. {'; '.join(words)}.",
            "times as fast as the whole net (median of paired ratios, interval)",
            list(groups),
            [Series(name, tuple(_estimate(nets.get(name)) for nets in groups.values())) for name in names],
        )
    ]
    return pictures + [_everyone(record, one) for one in found.largest[:1]]


def _everyone(record: TimingRecord, found: PrunedNets) -> Picture:
    """Every runtime and precision of a race's whole and pruned nets over its fastest whole net in fp32."""
    runtime = found.whole.runtime
    groups = list(dict.fromkeys(f"{one.contestant.runtime} {one.contestant.precision}" for one in found.everyone))
    # The narrowest first, so that a width has the same colour in both pictures.
    by_width = sorted(found.everyone, key=lambda one: one.contestant.flops)
    names = list(dict.fromkeys(one.net for one in by_width))[: len(COLOURS)]
    ratios = {(one.net, f"{one.contestant.runtime} {one.contestant.precision}"): one.ratio for one in found.everyone}
    series = [
        Series(
            name,
            tuple(
                Estimate(one.median, (one.low, one.high)) if (one := ratios.get((name, group))) else None
                for group in groups
            ),
        )
        for name in names
    ]
    words = [f"{group} {name} {one.median:.2f}" for (name, group), one in ratios.items()]
    return bars(
        f"inference-everyone-{record.name}",
        f"Every runtime and precision: {_title(found.race)}",
        f"Times as fast as {runtime} with the whole net in fp32, on {_where(record)}: {', '.join(words)}.",
        f"times as fast as {runtime} with the whole net in fp32 (interval)",
        groups,
        series,
    )


def _goals(found: TimingFinding) -> list[Block]:
    """The goals beside what was reached; one line where the record is about none of them."""
    if not found.goals:
        reasons = "; ".join(found.lacking)
        return [Text(("This record measures none of the goals: ", reason(reasons)))] if reasons else []
    head = ("goal", "batch × length", "wanted", "reached", "verdict", "of")
    lines = tuple(
        Line(
            (
                one.goal.words,
                f"{BATCH} × {one.length}",
                Cell(f"≥ {one.goal.at_least:g}", one.goal.at_least),
                ratio_cell(one.found),
                f"**{one.status}**",
                Plain(one.words),
            )
        )
        for one in found.goals
    )
    words = "`reached` or `missed`: the whole interval is on that side of what is wanted; `undecided`: it is on both."
    blocks: list[Block] = [_part(found, "Goals beside what was reached", "goals"), Text(words), Table(head, lines)]
    if found.lacking:
        reasons = "; ".join(f"{plural(count, 'goal')}: {why}" for why, count in found.lacking.items())
        blocks.append(Text(("Not measured by this record: ", reason(reasons))))
    return blocks


def _races(found: TimingFinding) -> list[Block]:
    """Every race with its figures, the sizes of the nets, and what their weights are."""
    if not found.races:
        return []
    blocks: list[Block] = [
        _part(found, "Milliseconds and speed-ups", "races"),
        Text(
            "`over its base`: over the first net of the same runtime and precision, the whole one where widths are "
            "compared. `over the best`: over the whole net in the runtime that is fastest in fp32."
        ),
    ]
    if any(one.race.weights == "random" for one in found.races):
        blocks.append(Text(_RANDOM))
    for one in found.races:
        blocks += [Text(Plain(f"{_title(one.race)}, {one.race.weights} weights:")), _race(one)]
    return [*blocks, Text("Sizes:"), _sizes(found)]


def _race(found: TimedRace) -> Table:
    head = ("runtime", "precision", "net", "ms", "over its base", "ideal", "over the best", "")
    lines = tuple(
        Line(
            (
                one.contestant.runtime,
                one.contestant.precision,
                Plain(one.net),
                figure(one.ms, ",.2f"),
                ratio_cell(one.speed_up),
                Cell("-") if one.ideal is None else figure(one.ideal, ".2f"),
                ratio_cell(one.over_best),
                _stability(one.stable),
            )
        )
        for one in found.nets
    )
    return Table(head, lines)


def _sizes(found: TimingFinding) -> Table:
    """Parameters and megabytes of each net, its runtimes together where they read as much."""
    head = ("net", "width", "precision", "millions of parameters", "MB of weights", "runtimes")
    lines = tuple(
        Line(
            (
                Plain(one.model),
                one.width,
                one.precision,
                figure(one.millions, ".1f"),
                figure(one.megabytes, ".1f"),
                ", ".join(one.runtimes),
            )
        )
        for one in found.sizes
    )
    return Table(head, lines)


def _padding(found: TimingFinding) -> list[Block]:
    """What padding costs: a data set in the order of its file, and by length."""
    if not found.datasets:
        return []
    blocks: list[Block] = [
        _part(found, "Padding: texts in the order of their file, or by length", "padding"),
        Text(
            "A batch is padded to its longest text, so texts sorted by length before they are cut into batches are "
            "computed with less padding; the labels are put back in order. Timed end to end, tokenisation included."
        ),
    ]
    for race, contestants in found.datasets:
        head = [
            "net",
            "width",
            "runtime",
            "precision",
            *(f"{what}, {how}" for what in ("s", "padding") for how in BATCHINGS),
        ]
        head += ["by length over file order", ""]
        trained = race.weights == "trained"
        head += ["accuracy", "share of labels equal", "p of equal accuracy"] if trained else []
        lines = []
        for one in contestants:
            cells: list[Cell | Prose] = [
                Plain(one.contestant.model),
                one.contestant.width,
                one.contestant.runtime,
                one.contestant.precision,
                *(figure(one.seconds[how], ",.3f") for how in BATCHINGS),
                *(figure(one.padded[how], ".1%") for how in BATCHINGS),
                ratio_cell(one.speed_up),
                _stability(one.stable),
            ]
            if trained:
                cells += ["" if value is None else figure(value) for value in (one.accuracy, one.equal, one.p)]
            lines.append(Line(tuple(cells)))
        blocks += [
            Text(
                (
                    f"{race.texts:,} dev texts of ",
                    Code(race.dataset),
                    f" in batches of {race.batch}, cut after {race.max_length} tokens, {race.weights} weights, "
                    f"{plural(race.rounds, 'round')}:",
                )
            ),
            Table(tuple(head), tuple(lines)),
        ]
        if trained:
            blocks.append(
                Text(
                    "Labels and accuracy are compared with the first line of the same net; p is McNemar's, exact, on "
                    "these texts and not corrected."
                )
            )
    return blocks


def _services(found: TimingFinding) -> list[Block]:
    """The HTTP service with a pruned and a whole net under the same load."""
    if not found.services:
        return []
    blocks: list[Block] = [
        _part(found, "The service under load", "service"),
        Text(
            "`replicate serve`, a process for each net on loopback, loaded in turn by the same clients, each of which "
            "waits for its answer before it asks again; service and clients share the cores. The rate is that of the "
            "median round, p50 and p99 are over all answers, and `over the first` is the median of the rounds' ratios."
        ),
    ]
    head = ("net", "width", "runtime", "precision", "requests/s", "p50 ms", "p99 ms", "over the first", "")
    for race, contestants in found.services:
        lines = tuple(
            Line(
                (
                    Plain(one.contestant.model),
                    one.contestant.width,
                    one.contestant.runtime,
                    one.contestant.precision,
                    *(Cell(str(value), value) for value in (one.rate, one.p50, one.p99)),
                    ratio_cell(one.over_first),
                    _stability(one.stable),
                )
            )
            for one in contestants
        )
        blocks += [
            Text(
                Plain(
                    f"{race.shape}, {race.weights} weights: {plural(race.clients, 'client')}, {race.requests:,} "
                    f"requests a round, {plural(race.rounds, 'round')}, texts of {race.length} tokens, at most "
                    f"{race.max_batch} computed together:"
                )
            ),
            Table(head, lines),
        ]
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
    return Code(race.dataset) if isinstance(race, DatasetRace) else Plain(_title(race))


def _method(record: TimingRecord) -> list[Block]:
    """How the record was measured, and where it is."""
    rounds: dict[str, list[str]] = {}
    for one in record.comparisons:
        words = f"{plural(one.rounds, 'round')} after {plural(one.warmups, 'warm-up')}"
        rounds.setdefault(words, []).append(_title(one))
    races: list[Race | DatasetRace | ServiceRace] = [*record.comparisons, *record.datasets, *record.services]
    pauses = dict.fromkeys(f"{race.pause:g} s" for race in races)
    ran = dict.fromkeys(f"{one.runtime} {one.environment}" for race in races for one in race.contestants)
    facts = {
        "when": f"{record.started} to {record.finished}",
        "commit": f"{record.commit}{', with changes' if record.dirty else ''}",
        "machine": _listed(record.machine),
        "device": _listed(record.device),
        "versions": _listed(record.versions),
        "runtimes": "; ".join(ran),
        "rounds": "; ".join(f"{words}: {', '.join(where)}" for words, where in rounds.items()),
        "idle before each call": ", ".join(pauses),
    }
    path = quote(f"{MEASURED}/{TIMING}/{record.name}.json")
    items: list[Prose] = [
        ("record: ", Link(Plain(record.name), path), ", with every raw second"),
        ("command: ", Code(" ".join(record.command))),
    ]
    items += [(f"{name}: ", Plain(fact)) for name, fact in facts.items() if fact]
    return [Text(("How ", Code(record.name), " was measured:")), Items(tuple(items))]


def _part(found: TimingFinding, words: str, name: str) -> Heading:
    return Heading(3, words, f"{heading_id(found.record)}-{name}")


def _listed(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {facts[name]}" for name in sorted(facts))


def _where(record: TimingRecord) -> str:
    """The device, and on a CPU how many of its threads."""
    name = str(record.device["name"])
    return f"{plural(record.threads, 'thread')} of {name}" if record.device.get("kind") == "cpu" else name


def _title(race: Race) -> str:
    return f"{race.shape}, {race.batch} × {race.length}"


def _gains(found: PrunedNets) -> str:
    return ", ".join(f"{_gain(net)} with {name}" for name, net in found.named.items())


def _gain(net: TimedNet) -> str:
    return f"{ratio(net.speed_up)}{_mark(net.stable)}" if net.speed_up else ""


def _mark(stable: bool) -> str:
    return "" if stable else ", unstable"


def _stability(stable: bool) -> str:
    return "" if stable else "unstable"


def _estimate(net: TimedNet | None) -> Estimate | None:
    """What a picture draws of a speed-up."""
    if net is None or net.speed_up is None:
        return None
    ideal = math.nan if net.ideal is None else net.ideal
    return Estimate(net.speed_up.median, (net.speed_up.low, net.speed_up.high), ideal=ideal)
