"""Tables of a timing record: milliseconds, speed-ups, sizes, padding, services."""

from __future__ import annotations

from replicate.findings.inference import TimingFinding
from replicate.findings.raced import TimedRace
from replicate.records.timing import BATCHINGS
from replicate.report.blocks import Block, Cell, Code, Line, Plain, Prose, Table, Text
from replicate.report.sections.timed import part, ratio_cell, title
from replicate.report.words import figure, plural

_RANDOM = (
    "The weights are random. Speed does not depend on their values, since the same operations run on the same shapes, "
    "in int8 too. The labels of such nets mean nothing: what pruning costs in accuracy is measured with trained nets."
)


def races(found: TimingFinding) -> list[Block]:
    """Every race with its figures, the sizes of the nets, and what their weights are."""
    if not found.races:
        return []
    blocks: list[Block] = [
        part(found, "Milliseconds and speed-ups", "races"),
        Text(
            "`over its base`: over the first net of the same runtime and precision, the whole one where widths are "
            "compared. `over the best`: over the whole net in the runtime that is fastest in fp32."
        ),
    ]
    if any(one.race.weights == "random" for one in found.races):
        blocks.append(Text(_RANDOM))
    for one in found.races:
        blocks += [Text(Plain(f"{title(one.race)}, {one.race.weights} weights:")), _race(one)]
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


def padding(found: TimingFinding) -> list[Block]:
    """What padding costs: a data set in the order of its file, and by length."""
    if not found.datasets:
        return []
    blocks: list[Block] = [
        part(found, "Padding: texts in the order of their file, or by length", "padding"),
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


def services(found: TimingFinding) -> list[Block]:
    """The HTTP service with a pruned and a whole net under the same load."""
    if not found.services:
        return []
    blocks: list[Block] = [
        part(found, "The service under load", "service"),
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


def _stability(stable: bool) -> str:
    return "" if stable else "unstable"
