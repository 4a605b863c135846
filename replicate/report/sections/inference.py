"""The report's section on inference: what pruning buys beside int8 and another runtime, each machine by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from typing import Any
from urllib.parse import quote

from replicate.common.markdown import cell, number, plural, sentence, table_of
from replicate.findings.evidence import Material
from replicate.records.run import TIMING
from replicate.records.timing import BATCHINGS, Contestant, DatasetRace, Race, ServiceRace, TimingRecord
from replicate.report.pictures.axes import COLOURS, Estimate, Series
from replicate.report.pictures.bars import bars
from replicate.report.pictures.picture import Block, Picture
from replicate.tables.table import LATENCY
from replicate.timing.goals import goals, pick, whole_and_pruned
from replicate.timing.pruned import WHOLE, Pruned, largest, net_name, pruned_of
from replicate.timing.race import speed_up, unstable
from replicate.timing.summary import ANSWERS, dataset_rows, goal_rows, rows_of, service_rows, shown, shown_ratio

_READING = (
    "Each record is one machine by itself; none of its figures is compared with another record's. Within a record "
    "contestants took turns, so a speed-up is the median of the rounds' ratios, with its interval (95 % unless it says "
    "less). `unstable`: the interquartile range of the milliseconds is over 10 % of their median."
)
_IDEAL = (
    "The ideal is the ratio of the operations in the encoder's matrix products, all layers in full. The exported "
    "graphs (`paddle-inference`, `onnxruntime`) leave out what the last layer computes for tokens but [CLS]: 7 % of "
    "Base's operations, 14 % of Medium's, at any width. So the ideal is theirs too, but that saving is part of what "
    "they gain over `dygraph` and `pytorch`."
)
_RANDOM = (
    "The weights are random. Speed does not depend on their values, since the same operations run on the same shapes, "
    "in int8 too. The labels of such nets mean nothing: what pruning costs in accuracy stands in the sections above."
)


def section_inference(material: Material) -> list[Block]:
    """What pruning buys at inference, for each timing record; where there is none, that it has not been timed."""
    blocks: list[Block] = ["## What pruning buys at inference"]
    if not material.timings:
        return [*blocks, "**not-run**: no inference has been timed; `tox -e timing` does it."]
    blocks += [_READING, _IDEAL, *_published(material)]
    for record in material.timings:
        blocks += [
            f"### `{record.name}`: {_where(record)}",
            *_answer(record),
            *_pictures(record),
            *_goals(record),
            *_tables(record),
            *_padding(record),
            *_services(record),
            *_exceptions(record),
            *_method(material, record),
        ]
    return blocks


def _published(material: Material) -> list[str]:
    """What sources print of the speed of pruned nets, with what they tell and don't tell of how it was measured."""
    blocks = []
    for table in material.tables:
        ratios = []
        for row in table.rows:
            own = row.published.get(LATENCY)
            parent = table.row(row.parent).published.get(LATENCY) if row.parent else None
            if own and parent:
                figures = f"{parent.printed} over {own.printed} ms"
                ratios.append(f"{parent.value / own.value:.2f} for {row.title} ({figures})")
        if ratios:
            source = table.provenance
            known, unknown = (
                " ".join(sentence(fact) for fact in facts if "latency" in fact.casefold())
                for facts in (source.protocol_known, source.protocol_unknown)
            )
            blocks.append(
                "Published, on another machine and without an interval, so it stands here and beside no figure below: "
                f"{'; '.join(ratios)}. {known}{f' Not told: {unknown}' if unknown else ''} "
                f"Source: {sentence(source.source)}"
            )
    return blocks


def _answer(record: TimingRecord) -> list[str]:
    """In plain words what pruning buys in the largest batches, and whether something else buys more."""
    if not record.comparisons:
        return []
    found = largest(record)
    if not found:
        return ["**Not known from this record.** No whole net in fp32 stands beside a pruned one of its runtime."]
    first, *others = found
    of, whole = first.race, first.whole
    gains = ", ".join(f"{_gain(row)} with {name}" for name, row in first.named.items())
    ideals = ", ".join(f"{row['ideal']:.2f}" for _, row in first.nets)
    answer = (
        f"**Times as fast as the whole {whole.model}: {gains}** (ideal: {ideals}). That is on {_where(record)}, "
        f"in batches of {of.batch} texts of {of.length} tokens, with the runtime that is the fastest there in fp32, "
        f"`{whole.runtime}`, in which the whole net takes {1000 * median(of.seconds[whole.label]):,.1f} ms. "
        f"{_beside(first)}"
    )
    lines = []
    for one in others:
        gains = ", ".join(f"{_gain(row)} of {row['ideal']:.2f} with {name}" for name, row in one.named.items())
        lines.append(f"- {_title(one.race)}, `{one.whole.runtime}`: {gains}. {_beside(one)}")
    more = ["The same for other nets and lengths, each gain beside its ideal:", "\n".join(lines)]
    return [answer, *(more if lines else [])]


def _beside(found: Pruned) -> str:
    """What another precision or runtime gives the whole net, beside what the narrowest width does; and both."""
    comparison, whole, (narrowest, row) = found.race, found.whole, found.nets[0]
    name, (_, low, high, _) = net_name(comparison, narrowest), row["speed-up"]
    full = [one for one in comparison.contestants if (one.model, one.width) == (whole.model, "1") and one != whole]
    kinds = dict.fromkeys(one.precision for one in full if one.precision != "fp32")
    best = [one for kind in kinds if (one := pick(comparison, replace(WHOLE, precision=kind))) in full and one]
    ways = [(f"{one.precision} in `{one.runtime}`", one, whole) for one in best]
    ways += [(f"`{whole.runtime}` instead of `{one.runtime}`", whole, one) for one in full if one.precision == "fp32"]
    if not ways:
        return "No other precision or runtime took part."
    more: list[str] = []
    less: list[str] = []
    alike: list[str] = []
    for way, one, over in ways:
        ratio = speed_up(comparison.seconds, one.label, over.label)
        group = more if ratio.low > high else less if ratio.high < low else alike
        group.append(f"{way} {_over(comparison, one, over)}")
    told = [f"**More than {name} buys, with nothing pruned: {', '.join(more)}.**"] if more else []
    told += [f"Less: {', '.join(less)}."] if less else []
    told += [f"Not told apart from it, since the intervals overlap: {', '.join(alike)}."] if alike else []
    for half in best:
        wanted = (half.runtime, half.precision, narrowest.model, narrowest.width)
        for one in comparison.contestants:
            if (one.runtime, one.precision, one.model, one.width) == wanted:
                told.append(
                    f"{one.precision} and {name} together, in `{one.runtime}`: {_over(comparison, one, whole)}."
                )
    return " ".join(told)


def _pictures(record: TimingRecord) -> list[Picture]:
    """Pruned over whole nets against the ideal in the fastest fp32 runtime; and everyone over the best whole net."""
    found = [one for comparison in record.comparisons if (one := pruned_of(comparison))]
    if not found:
        return []
    groups = {_title(one.race): one.named for one in found}
    common = [name for name in found[0].named if all(name in rows for rows in groups.values())]
    names = (common or list(dict.fromkeys(name for rows in groups.values() for name in rows)))[: len(COLOURS)]
    words = [
        f"{group}: " + ", ".join(f"{_gain(rows[name])} with {name}" for name in names if name in rows)
        for group, rows in groups.items()
    ]
    pictures = [
        bars(
            f"inference-pruned-{record.name}",
            "Pruned over whole nets, each in the runtime that is fastest in fp32",
            f"Speed-up of pruned nets beside the ideal, on {_where(record)}. {'; '.join(words)}.",
            "times as fast as the whole net (median of paired ratios, interval)",
            list(groups),
            [Series(name, tuple(_estimate(rows.get(name)) for rows in groups.values())) for name in names],
        )
    ]
    return pictures + [_everyone(record, one) for one in largest(record)[:1]]


def _everyone(record: TimingRecord, found: Pruned) -> Picture:
    """Every runtime and precision of a comparison's whole and pruned nets over its fastest whole net in fp32."""
    comparison, whole, seconds = found.race, found.whole, found.race.seconds
    nets = whole_and_pruned(comparison)
    groups = list(dict.fromkeys(f"{one.runtime} {one.precision}" for one in nets))
    # The narrowest first, so that a width has the same colour in both pictures.
    by_width = sorted(nets, key=lambda one: one.flops)
    names = list(dict.fromkeys(net_name(comparison, one) for one in by_width))[: len(COLOURS)]
    ratios = {
        (net_name(comparison, one), f"{one.runtime} {one.precision}"): speed_up(seconds, one.label, whole.label)
        for one in nets
    }
    series = [
        Series(
            name,
            tuple(
                Estimate(ratio.median, (ratio.low, ratio.high)) if (ratio := ratios.get((name, group))) else None
                for group in groups
            ),
        )
        for name in names
    ]
    words = [f"{group} {name} {ratio.median:.2f}" for (name, group), ratio in ratios.items()]
    return bars(
        f"inference-everyone-{record.name}",
        f"Every runtime and precision: {_title(comparison)}",
        f"Times as fast as {whole.runtime} with the whole net in fp32, on {_where(record)}: {', '.join(words)}.",
        f"times as fast as {whole.runtime} with the whole net in fp32 (interval)",
        groups,
        series,
    )


def _goals(record: TimingRecord) -> list[str]:
    """The goals beside what was reached; one line where the record is about none of them."""
    if not record.comparisons:
        return []
    results = goals(record)
    if all(one.status == "not measured" for one in results):
        reasons = "; ".join(dict.fromkeys(one.words for one in results))
        return [f"Goals, which this record measures none of: {sentence(reasons)}"]
    measured = [one for one in results if one.status != "not measured"]
    lines = [[*cells[:4], f"**{cells[4]}**", cells[5]] for cells in goal_rows(measured)]
    head = ["goal", "batch × length", "wanted", "reached", "verdict", "of"]
    words = "`reached` or `missed`: the whole interval is on that side of what is wanted; `undecided`: it is on both."
    lacking = Counter(one.words for one in results if one not in measured)
    reasons = "; ".join(f"{plural(count, 'goal')}: {reason}" for reason, count in lacking.items())
    more = [f"Not measured by this record: {sentence(reasons)}"] if reasons else []
    return ["#### Goals beside what was reached", words, table_of(head, lines), *more]


def _tables(record: TimingRecord) -> list[str]:
    """Every comparison with its figures, the sizes of the nets, and what their weights are."""
    if not record.comparisons:
        return []
    blocks = [
        "#### Milliseconds and speed-ups",
        "`over its base`: over the first net of the same runtime and precision, the whole one where widths are "
        "compared. `over the best`: over the whole net in the runtime that is fastest in fp32.",
    ]
    if any(one.weights == "random" for one in record.comparisons):
        blocks.append(_RANDOM)
    head = ["runtime", "precision", "net", "ms", "over its base", "ideal", "over the best", ""]
    for comparison in record.comparisons:
        best = pick(comparison, WHOLE)
        lines = [
            [
                one.runtime,
                one.precision,
                net_name(comparison, one),
                f"{row['ms']:,.2f}",
                shown(row["speed-up"]),
                "-" if row["ideal"] is None else f"{row['ideal']:.2f}",
                shown_ratio(speed_up(comparison.seconds, one.label, best.label) if best and one != best else None),
                shown(row["stable"]),
            ]
            for one, row in zip(comparison.contestants, rows_of(comparison), strict=True)
        ]
        blocks += [f"{_title(comparison)}, {comparison.weights} weights:", table_of(head, lines)]
    return [*blocks, *_sizes(record)]


def _sizes(record: TimingRecord) -> list[str]:
    """Parameters and megabytes of each net, its runtimes together where they read as much."""
    sizes: dict[tuple[str, ...], list[str]] = {}
    for comparison in record.comparisons:
        for one in comparison.contestants:
            figures = (f"{one.parameters / 1e6:.1f}", f"{one.bytes / 1e6:.1f}")
            runtimes = sizes.setdefault((one.model, f"width {one.width}", one.precision, *figures), [])
            runtimes += [one.runtime] if one.runtime not in runtimes else []
    head = ["net", "", "precision", "millions of parameters", "MB of weights", "runtimes"]
    return ["Sizes:", table_of(head, [[*key, ", ".join(runtimes)] for key, runtimes in sizes.items()])]


def _padding(record: TimingRecord) -> list[str]:
    """What padding costs: a data set in the order of its file, and by length."""
    if not record.datasets:
        return []
    blocks = [
        "#### Padding: texts in the order of their file, or by length",
        "A batch is padded to its longest text, so texts sorted by length before they are cut into batches are "
        "computed with less padding; the labels are put back in order. Timed end to end, tokenisation included.",
    ]
    of_each = [f"{what}, {how}" for what in ("s", "padding") for how in BATCHINGS]
    for comparison in record.datasets:
        lines = []
        for one, row in zip(comparison.contestants, dataset_rows(comparison), strict=True):
            figures = [f"{row[name]:.1%}" if name.startswith("padding") else f"{row[name]:,.3f}" for name in of_each]
            names = [one.model, f"width {one.width}", one.runtime, one.precision]
            answers = [number(row[name]) if row[name] is not None else "" for name in ANSWERS if name in row]
            lines.append([*names, *figures, shown(row["speed-up"]), shown(row["stable"]), *answers])
        trained = comparison.weights == "trained"
        head = ["net", "", "runtime", "precision", *of_each, "by length over file order", ""]
        head += ["accuracy", "share of labels equal", "p of equal accuracy"] if trained else []
        blocks += [
            f"{comparison.texts:,} dev texts of `{comparison.dataset}` in batches of {comparison.batch}, cut after "
            f"{comparison.max_length} tokens, {comparison.weights} weights, {plural(comparison.rounds, 'round')}:",
            table_of(head, lines),
        ]
        if trained:
            blocks.append(
                "Labels and accuracy are compared with the first line of the same net; p is McNemar's, exact, on these "
                "texts and not corrected."
            )
    return blocks


def _services(record: TimingRecord) -> list[str]:
    """The HTTP service with a pruned and a whole net under the same load."""
    if not record.services:
        return []
    blocks = [
        "#### The service under load",
        "`replicate serve`, a process for each net on loopback, loaded in turn by the same clients, each of which "
        "waits for its answer before it asks again; service and clients share the cores. The rate is that of the "
        "median round, p50 and p99 are over all answers, and `over the first` is the median of the rounds' ratios.",
    ]
    head = ["net", "", "runtime", "precision", "requests/s", "p50 ms", "p99 ms", "over the first", ""]
    for comparison in record.services:
        blocks += [
            f"{comparison.shape}, {comparison.weights} weights: {plural(comparison.clients, 'client')}, "
            f"{comparison.requests:,} requests a round, {plural(comparison.rounds, 'round')}, texts of "
            f"{comparison.length} tokens, at most {comparison.max_batch} computed together:",
            table_of(head, [[shown(one) for one in _service_cells(row)] for row in service_rows(comparison)]),
        ]
    return blocks


def _service_cells(row: Mapping[str, Any]) -> list[Any]:
    return [row["model"], f"width {row['width']}", *list(row.values())[2:]]


def _exceptions(record: TimingRecord) -> list[str]:
    """Who could not take part and why, and how many contestants' figures wander; the tables mark which."""
    left_out: dict[str, dict[str, None]] = {}
    for comparison in record.comparisons:
        for label, why in comparison.left_out.items():
            left_out.setdefault(why, {})[f"`{label}`"] = None
    lines = [f"- Left out: {', '.join(labels)}: {sentence(cell(why))}" for why, labels in left_out.items()]
    wandering = [(_title(one), [unstable(samples) for samples in one.seconds.values()]) for one in record.comparisons]
    wandering += [("the service", [unstable(samples) for samples in one.seconds.values()]) for one in record.services]
    wandering += [
        (f"`{one.dataset}`", [any(map(unstable, by.values())) for by in one.seconds.values()])
        for one in record.datasets
    ]
    counts = "; ".join(f"{sum(found)} of {len(found)} at {where}" for where, found in wandering if any(found))
    lines += [f"- Unstable, and marked so in the tables: {counts}."] if counts else []
    return ["Who could not take part, and whose figures wander:", "\n".join(lines)] if lines else []


def _method(material: Material, record: TimingRecord) -> list[str]:
    """How the record was measured, and where it is."""
    rounds: dict[str, list[str]] = {}
    for one in record.comparisons:
        words = f"{plural(one.rounds, 'round')} after {plural(one.warmups, 'warm-up')}"
        rounds.setdefault(words, []).append(_title(one))
    races: list[Race | DatasetRace | ServiceRace] = [
        *record.comparisons,
        *record.datasets,
        *record.services,
    ]
    pauses = dict.fromkeys(f"{race.pause:g} s" for race in races)
    ran = dict.fromkeys(f"{one.runtime} {one.environment}" for race in races for one in race.contestants)
    path = quote(f"{material.measured}/{TIMING}/{record.name}.json")
    facts = {
        "record": f"[{record.name}]({path}), with every raw second",
        "command": f"`{' '.join(record.command)}`",
        "when": f"{record.started} to {record.finished}",
        "commit": f"{record.commit}{', with changes' if record.dirty else ''}",
        "machine": _listed(record.machine),
        "device": _listed(record.device),
        "versions": _listed(record.versions),
        "runtimes": "; ".join(ran),
        "rounds": "; ".join(f"{words}: {', '.join(where)}" for words, where in rounds.items()),
        "idle before each call": ", ".join(pauses),
    }
    lines = [f"- {name}: {cell(fact)}" for name, fact in facts.items() if fact]
    return [f"How `{record.name}` was measured:", "\n".join(lines)]


def _listed(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {facts[name]}" for name in sorted(facts))


def _where(record: TimingRecord) -> str:
    """The device, and on a CPU how many of its threads."""
    name = str(record.device["name"])
    return f"{plural(record.threads, 'thread')} of {name}" if record.device.get("kind") == "cpu" else name


def _title(comparison: Race) -> str:
    return f"{comparison.shape}, {comparison.batch} × {comparison.length}"


def _gain(row: Mapping[str, Any]) -> str:
    return f"{shown(row['speed-up'])}{'' if row['stable'] else ', unstable'}"


def _over(comparison: Race, one: Contestant, over: Contestant) -> str:
    """A speed-up with its interval, marked where either side is unstable."""
    found = speed_up(comparison.seconds, one.label, over.label)
    wanders = any(unstable(comparison.seconds[side.label]) for side in (one, over))
    return f"{shown_ratio(found)}{', unstable' if wanders else ''}"


def _estimate(row: Mapping[str, Any] | None) -> Estimate | None:
    """What a picture draws of a speed-up."""
    if row is None:
        return None
    middle, low, high, _ = row["speed-up"]
    return Estimate(middle, (low, high), ideal=row["ideal"])
