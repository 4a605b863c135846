"""What to do, in one table: whether to augment, prune, distil, fuse, compute less precisely, or correct labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from replicate.findings.advice import Advice, Answered, Precision, is_enough
from replicate.findings.answer import Answer
from replicate.findings.clean import CleanFinding, Gain
from replicate.findings.compressed import Compressed
from replicate.findings.fusion import Fused
from replicate.findings.judged import Judged
from replicate.report.blocks import Block, Heading, Line, Link, Prose, Table, Text
from replicate.report.sections import augmentation, compression, fusion
from replicate.report.words import interval, joined, listed, named, number, plural
from replicate.tables.auto import AUTO
from replicate.timing.summary import shown_ratio

NOT_RUN = "**not-run**"
_LEFT_OUT = f"{NOT_RUN}: a larger `--budget` may hold it"
_EXPLORATORY = "**Not known yet:** there are exploratory runs of few seeds only."
_AUGMENT = {
    "below": "**No:** it lowers accuracy",
    "no difference": "**No:** it makes no difference, for more steps",
    "above": "**Yes:** it raises accuracy",
}
# Fused rows that the front page names.
MOST_FUSED = 3
_QUESTIONS = {"pruned": "Prune?", "distilled": "Distil?"}
_THAN_PRUNING = {
    "more": "More speed than pruning",
    "less": "Less speed than pruning",
    "alike": "Its speed can't be told from pruning's",
}


def section_advice(finding: Advice, answer: Answer | None = None, clean: CleanFinding | None = None) -> list[Block]:
    """A table of questions with what the records answer; nothing where no rows ask any.

    Args:
        finding: what the records say to do.
        answer: of the main table; with it, words rest on plans or ten seeds, and without it on any.
        clean: what is known of the data.
    """
    lines = [
        *_augment(finding, answer),
        *_smaller(finding, answer),
        *_fused(finding),
        *_precision(finding),
        *_labels(clean),
    ]
    if not lines:
        return []
    told: list[Line] = []
    before = ""
    for question, words, place, profiles in lines:
        told.append(Line(("" if question == before else f"**{question}**", words, place), profiles=profiles))
        before = question
    return [
        Heading(2, "What to do", "advice"),
        Text("Each answer is for the nets and the machine that it was measured with:"),
        Table(("", "answer", "measured in"), tuple(told)),
    ]


_Entry = tuple[str, Prose, Prose, tuple[str, ...]]


def _augment(finding: Advice, answer: Answer | None) -> Iterable[_Entry]:
    question = "Augment?"
    if answer and answer.best.tests and answer.best.profile:
        for result in answer.ruled[:1]:
            name, judged = answer.best.profile.id, result.judged
            lead = _AUGMENT.get(judged.word, "**Undecided**")
            words = f"{lead}, {_figures(judged)}, both rows' steps chosen by accuracy."
            yield question, words, Link(f"`{name}`", f"#claims-{answer.table.id}-{name}"), (name,)
        if answer.ruled:
            return
    for study in finding.augment:
        name = study.profile.id
        place = Link(f"`{name}`", "docs/report/augmentation.md")
        enough = answer is None or all(is_enough(one.judged) for one in study.ways)
        told = augmentation.in_short(study) if enough or study.answer == "not-run" else _EXPLORATORY
        yield question, told or (_LEFT_OUT if name == AUTO else NOT_RUN), place, (name,)


def _smaller(finding: Advice, answer: Answer | None) -> Iterable[_Entry]:
    pruning = answer.pruning.id if answer and answer.pruning else ""
    for kind, found in finding.smaller:
        # What few seeds say is told where no study says more.
        are_sure = {name for name, one in found if any(is_enough(row.judged) for row in one.rows)}
        for name, one in found:
            place = Link(f"`{name}`", f"#compression-{name}")
            if answer is None:
                left_out = _LEFT_OUT if name == AUTO else NOT_RUN
                yield _QUESTIONS[kind], compression.in_short(one) or left_out, place, (name,)
            elif kind == "pruned" and name == pruning:
                rows = [row.row for row in answer.pruned if not row.leaks]
                yield _QUESTIONS[kind], _sure(rows), place, (name,)
            elif (kind != "pruned" or not pruning) and (not are_sure or name in are_sure):
                yield _QUESTIONS[kind], _sure(one.rows) if one.told else NOT_RUN, place, (name,)


def _sure(rows: Sequence[Compressed]) -> Prose:
    """What may be said of smaller nets, from words that rest on enough; those that cost nothing stand first."""
    sure = [one for one in rows if is_enough(one.judged)]
    if not sure:
        return _EXPLORATORY
    kept, others = [one for one in sure if one.is_kept], [one for one in sure if not one.is_kept]
    if kept and others:
        words = "**Yes, some:** these cost no accuracy that counts. Over the net that was made smaller: "
        return (words, _told(kept), ". The others: ", _told(others), ".")
    lead = "**Undecided**"
    if kept:
        lead = "**Yes:** it costs no accuracy that counts"
    elif all(one.judged.word == "below" for one in others):
        lead = "**Only at a price:** accuracy is lost"
    return (f"{lead}. Over the net that was made smaller: ", _told(sure), ".")


def _told(rows: Iterable[Compressed]) -> Prose:
    return joined(
        "; ",
        ((named(one.result), f" {_figures(one.judged)}, {one.judged.word}{_speed(one)}") for one in rows),
    )


def _fused(finding: Advice) -> Iterable[_Entry]:
    for study in finding.fused:
        name = study.profile.id
        own = [one for one in study.rows if one.against]
        words = _fusing([one for one in own if is_enough(one.judged)]) if study.is_run else NOT_RUN
        yield "Fuse?", words, Link(f"`{name}`", f"#{fusion.heading_id(study)}"), (name,)


def _fusing(sure: Sequence[Fused]) -> Prose:
    """What may be said of fused rows, from words that rest on enough: gains, the largest first, and their cost."""
    if not sure:
        return _EXPLORATORY
    gaining = sorted((one for one in sure if one.judged.word == "above"), key=lambda one: -one.judged.difference)
    if not gaining:
        is_open = any(one.judged.word == "undecided" for one in sure)
        lead = "**Undecided:** none with a plan or ten seeds is shown to gain" if is_open else "**No:** none gains"
    elif all(one.asks_all for one in gaining):
        lead = "**Where its time may be spent:** it gains"
    else:
        lead = "**Yes:** one net may have the gain"
    shown = gaining[:MOST_FUSED] or sorted(sure, key=lambda one: -one.judged.difference)[:MOST_FUSED]
    told = joined(
        "; ",
        (
            (named(one.result), f" {_figures(one.judged)}, {one.judged.word}, at the cost of {_nets(one)}")
            for one in shown
        ),
    )
    return (f"{lead}. Over the row that each is compared with: ", told, ".")


def _labels(clean: CleanFinding | None) -> Iterable[_Entry]:
    for one in clean.wrong_labels if clean else ():
        sure = [gain for gain in one.gains if is_enough(gain.judged)]
        if one.gains:
            place = Link(f"`{one.profile.id}`", f"#wrong-labels-{one.profile.id}")
            yield "Audit the labels?", _correcting(sure) if sure else _EXPLORATORY, place, (one.profile.id,)


def _correcting(sure: Sequence[Gain]) -> Prose:
    """What correcting the lines that an audit doubts brings, beside labels left wrong and lines chosen by chance."""
    words = [one.judged.word for one in sure]
    lead = "**Undecided**"
    if "above" in words:
        lead = "**Yes, where they may be wrong:** correcting the lines that it doubts raises accuracy"
    elif all(word in ("below", "no difference") for word in words):
        lead = "**No:** correcting the lines that it doubts gains nothing"
    told = joined(
        "; ", ((named(one.result), f" {_figures(one.judged)}, {one.judged.word}{_chance(one)}") for one in sure)
    )
    return (f"{lead}. Over the row whose labels stay wrong: ", told, ".")


def _chance(one: Gain) -> str:
    beside = one.beside_chance
    return f", and over lines at random {_figures(beside)}, {beside.word}" if beside and beside.has_interval else ""


def _nets(one: Fused) -> str:
    return plural(one.members if one.asks_all else 1, "net")


def _speed(one: Compressed) -> str:
    return f", {shown_ratio(one.latency.ratio)} times as fast" if one.latency else ", speed not measured"


def _figures(judged: Judged) -> str:
    ends = f" ({interval(judged.interval)})" if judged.has_interval else ""
    return f"{number(judged.difference, '+.4f') or 'no score'}{ends}"


def _precision(finding: Advice) -> Iterable[_Entry]:
    question = "Lower precision instead?"
    for one in finding.lower:
        yield question, _answered(one), Link(f"`{one.record}`", f"#inference-{one.record}"), ()
    known = {one.model for one in finding.lower}
    for each in finding.precision:
        if each.nets.whole.model not in known:
            yield question, _speed_alone(each), Link(f"`{each.record}`", f"#inference-{each.record}"), ()


def _answered(one: Answered) -> str:
    """Speed and accuracy of each lower precision side by side."""
    ways = [
        f"{way.precision} in `{way.runtime}` is {shown_ratio(way.ratio)} times as fast as fp32, with "
        f"{_more(round((way.accuracy - one.accuracy) * one.race.texts))} of {one.race.texts:,} texts right "
        f"({way.accuracy:.4f}, fp32 {one.accuracy:.4f})"
        for way in one.ways
    ]
    return f"On one trained net (`{one.model}`, {one.race.dataset}), {listed(ways)}."


def _more(examples: int) -> str:
    return f"{abs(examples)} {'more' if examples > 0 else 'fewer'}" if examples else "as many"


def _speed_alone(one: Precision) -> str:
    """What other precisions of the whole net buy beside pruning; their accuracy was not measured, so no advice."""
    ways = one.nets.less_precise
    best, narrowest = max(ways, key=lambda way: way.ratio.median), one.nets.nets[0]
    told = listed([f"{way.precision} in `{way.runtime}` {shown_ratio(way.ratio)}" for way in ways])
    return (
        f"**No recommendation:** the accuracy of {one.nets.whole.model} in it was not measured. "
        f"{_THAN_PRUNING[best.beside]}: times as fast as the whole net in fp32, {told}; "
        f"{shown_ratio(narrowest.speed_up)} with {narrowest.net} in fp32."
    )
