"""The section on few labels: each method by how many there are, advice from verdicts, chosen lines, others' work."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from replicate.findings.fewshot import DRAWN, LINEAR, Advice, FewShot, Learner, advise
from replicate.findings.pairs import ACCURACY
from replicate.report.blocks import Block, Cell, Heading, Line, Link, Plain, Prose, Table, Text
from replicate.report.pictures.axes import Estimate, Series
from replicate.report.pictures.curves import curve
from replicate.report.sections.claims import section_claims
from replicate.report.sections.paired import Paired, difference_table, mean_and_interval, opening
from replicate.report.words import NAMES, listed, named, quoted, reason, score
from replicate.tables.elsewhere import Elsewhere, Flattened
from replicate.tables.table import ResultsTable

# By so much a net has to beat the linear model to be worth its cost, at the size that is asked about.
WORTH, ASKED = 0.03, 16
_READING = Text(
    "`8` stands for 8 labelled lines of each class, and so on. With one seed, fewer lines are among more, and the seed "
    "is the split. Every net takes as many steps, however few its lines, and its last step is scored: dev chooses "
    "nothing. `frozen` is a linear head on the pretrained net as it is; `contrastive` the same once pairs of the lines "
    "have drawn classes apart; `cloze` fills in the label behind `[MASK]`; `self-trained` is a cloze that goes on with "
    "text which it has labelled itself, and its control goes on with as many steps on its own lines."
)
# What the nets show together: the first that one of them shows.
_LEADS = (("yes", "Yes"), ("undecided", "Undecided"), ("not-run", "So far no"), ("no", "No"))
_ADVICE = {
    LINEAR: "the linear model on character n-grams",
    "fine-tuned": "fine-tuning",
    "cloze": "a cloze",
    "cloze, twice the steps": "a cloze with twice the steps",
}


def section_fewshot(findings: Sequence[FewShot]) -> list[Block]:
    """How many labels are enough, for each profile that runs such rows; nothing where there are none."""
    if not findings:
        return []
    blocks: list[Block] = [_READING]
    for found in findings:
        blocks += _profile(found)
    tables = {found.table.id: found.table for found in findings}
    for table in tables.values():
        blocks += _others(table)
    return blocks


def _profile(found: FewShot) -> list[Block]:
    name, title = found.profile.id, quoted(found.table.title)
    blocks: list[Block] = [Heading(2, f"Under `{name}`", f"few-shot-{found.table.id}-{name}", (name,)), _answer(found)]
    if not found.compared.is_run:
        names = ", ".join(f"`{one.result.row.id}`" for one in found.learners)
        return [*blocks, _worth(found), Text(("Rows of ", title, f", **not-run**: {names}.")), *_chosen(found)]
    compared = found.compared
    pairs = [(one, found.at(LINEAR, one.per_class)) for one in found.learners if one.judged]
    return [
        *blocks,
        _worth(found),
        *_picture(found),
        *(block for metric in (ACCURACY, "macro_f1") for block in _matrix(found, metric)),
        Text(("Rows of ", title, ", each beside the linear model with the same lines:")),
        difference_table(
            Paired(
                one.result,
                linear.result,
                compared.difference(one.result.row.id, linear.result.row.id),
                one.judged,
            )
            for one, linear in pairs
            if linear and one.judged
        ),
        *_chosen(found),
        Heading(3, "What is claimed of these rows", f"few-shot-{found.table.id}-{name}-claims", (name,)),
        *section_claims(compared),
    ]


def _answer(found: FewShot) -> Text:
    """What to take with how many labels, from verdicts alone."""
    advice = advise(found)
    words = "; ".join(_advised(one, "with" if at else "With") for at, one in enumerate(advice))
    told = f"{words}." if advice else "**Not known yet:** no row has been run."
    return Text(told if found.profile.comparable else (f"{told} This holds for ", reason(found.profile.reason)))


def _advised(one: Advice, lead: str) -> str:
    where = f"**{lead} {_sizes(one.sizes)} take {_ADVICE.get(one.method, f'the {one.method} net')}**"
    if one.method != LINEAR:
        gains = listed([str(mean_and_interval(judged)) for judged in one.judged])
        return f"{where}, which lies above the linear model by {gains}"
    if one.sure:
        return f"{where}: every net is below it, or no different"
    return f"{where}: no net is shown to lie above it, though not all are shown not to"


def _sizes(sizes: Sequence[int | None]) -> str:
    few = [str(size) for size in sizes if size is not None]
    parts = [*([f"{listed(few)} lines of each class"] if few else []), *(["all lines"] if None in sizes else [])]
    return " and ".join(parts)


def _worth(found: FewShot) -> Text:
    """Whether any net beats the linear model at the size that is asked about by as much as makes it worth its cost."""
    nets = [one for one in found.learners if one.per_class == ASKED and one.judged]
    said = {one.result.row.id: one.beats_linear_by(WORTH) for one in nets}
    asked = f"Does any net beat the linear model with {ASKED} lines of each class by {WORTH:g}?"
    if set(said.values()) <= {"not-run"}:
        return Text(f"{asked} **not-run**")
    lead = next(lead for word, lead in _LEADS if word in said.values())
    told = [
        f"`{one.result.row.id}` {mean_and_interval(one.judged)} ({said[one.result.row.id]})"
        for one in nets
        if one.judged
    ]
    return Text(f"{asked} **{lead}**: {listed(told)}, over the linear model.")


def _picture(found: FewShot) -> list[Block]:
    """Accuracy by lines with a label; none without two sizes that have scores."""
    places = {size: _lines(found, size) for size in found.sizes}
    sizes = [size for size, place in places.items() if math.isfinite(place)]
    if len(sizes) < 2:
        return []
    series = [
        Series(method, tuple(_estimate(found, found.at(method, size)) for size in sizes))
        for method in found.methods[:DRAWN]
    ]
    ends = [
        f"{one.label} "
        + ", ".join(
            f"{estimate.value:.3f} with {places[size]:,.0f} lines"
            for estimate, size in zip(one.estimates, sizes, strict=True)
            if estimate
        )
        for one in series
        if any(one.estimates)
    ]
    return [
        curve(
            f"few-shot-{found.profile.id}",
            "Accuracy by number of labelled lines",
            f"Accuracy by number of labelled lines: {'; '.join(ends)}.",
            (
                "labelled lines (logarithmic)",
                f"accuracy on dev (mean over seeds, {100 * found.level:g} % interval)",
            ),
            [places[size] for size in sizes],
            series,
        )
    ]


def _lines(found: FewShot, size: int | None) -> float:
    """Labelled lines at a size, which all its rows have in common."""
    counts = [one.lines for one in found.learners if one.per_class == size]
    return next((one for one in counts if math.isfinite(one)), math.nan)


def _estimate(found: FewShot, one: Learner | None) -> Estimate | None:
    if one is None or not one.result.scores:
        return None
    seeds = tuple(scores[ACCURACY] for scores in one.result.scores.values())
    return Estimate(one.result.summary(ACCURACY)[0], found.interval(one), seeds)


def _matrix(found: FewShot, metric: str) -> Iterable[Block]:
    """Every method at every size in one metric."""
    head = ("method", *("all lines" if size is None else str(size) for size in found.sizes))
    lines = []
    for method in found.methods:
        learners = [found.at(method, size) for size in found.sizes]
        cells = [score(one.result, metric) if one else Cell("") for one in learners]
        rows = tuple(one.result.row.id for one in learners if one)
        lines.append(Line((method, *cells), rows, (found.profile.id,)))
    yield Text(f"{opening(NAMES[metric])} on dev, mean ± standard deviation (seeds), by lines of each class:")
    yield Table(head, tuple(lines))


def _chosen(found: FewShot) -> list[Block]:
    """Rows on 500 lines and 50 more."""
    if not found.chosen:
        return []
    name = found.profile.id
    lines = tuple(
        Line((named(one), Plain(one.row.title), score(one, ACCURACY), score(one, "macro_f1")), (one.row.id,), (name,))
        for one in found.chosen
    )
    return [
        Heading(3, "Does it pay to choose which lines to label?", f"few-shot-{found.table.id}-{name}-chosen", (name,)),
        Table(("row", "lines", "accuracy", "macro-F1"), lines),
        difference_table(
            Paired(one.a, one.b, one.differences.get(ACCURACY), one.judged) for one in found.claims_on_chosen
        ),
    ]


def _others(table: ResultsTable) -> list[Block]:
    """What others have published of the like."""
    if not table.elsewhere and not table.flattened:
        return []
    blocks: list[Block] = [
        Heading(2, "What others have published of this", f"few-shot-{table.id}-elsewhere"),
        Text("As printed; other data, nets, splits and protocols, so no figure here is compared with them."),
        Table(("task", "net", "labels or method", "printed", "what it is"), tuple(map(_elsewhere, table.elsewhere))),
    ]
    if table.flattened:
        classes = table.flattened[0].classes
        nothing = (classes - 1) / classes
        less = sum(float(one.micro) < 100 * nothing for one in table.flattened)
        blocks += [
            Heading(3, "Zero-shot figures of this task, decoded", f"few-shot-{table.id}-flattened"),
            Text(
                f"PaddleNLP scores its universal classifier on {classes} yes/no decisions a text, each of them an "
                f"example: always “no” gives a micro-F1 of {nothing:.2%}, and {less} of these {len(table.flattened)} "
                "nets have less. From both figures follows how often a net says yes to a text's own label, and to how "
                "many others, where each text has one label. No accuracy of the usual kind follows."
            ),
            Table(
                ("net", "micro-F1", "macro-F1", "texts whose own label gets a yes", "other labels with a yes, a text"),
                tuple(map(_flattened, table.flattened)),
            ),
        ]
    return blocks


def _elsewhere(one: Elsewhere) -> Line:
    printed: Prose = Link(Plain(one.printed), one.source)
    return Line((Plain(one.task), Plain(one.net), Plain(one.method), printed, Plain(one.note)))


def _flattened(one: Flattened) -> Line:
    found = one.decisions
    return Line(
        (
            Link(Plain(one.net), one.source),
            Plain(one.micro),
            Plain(one.macro),
            Cell(f"{found.right:.1%}", found.right),
            Cell(f"{found.wrong:.2f}", found.wrong),
        )
    )
