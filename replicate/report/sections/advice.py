"""What to do, in one table: whether to augment, prune, distil or compute less precisely."""

from __future__ import annotations

from collections.abc import Mapping

from replicate.findings.advice import Advice, Precision
from replicate.report.blocks import Block, Heading, Line, Link, Prose, Table, Text
from replicate.report.sections import augmentation, compression
from replicate.timing.summary import shown_ratio

NOT_RUN = "**not-run**"
_QUESTIONS: Mapping[str, str] = {"pruned": "Prune?", "distilled": "Distil?"}
_THAN_PRUNING = {
    "more": "More speed than pruning.",
    "less": "Less speed than pruning.",
    "alike": "Its speed can't be distinguished from pruning's.",
}


def section_advice(finding: Advice) -> list[Block]:
    """A table of questions with what the records answer, profile by profile; nothing where no rows ask any."""
    answers: list[tuple[str, Prose, Prose, tuple[str, ...]]] = []
    for study in finding.augment:
        name, told = study.profile.id, augmentation.in_short(study)
        answers.append(("Augment?", told or NOT_RUN, Link(f"`{name}`", "docs/report/augmentation.md"), (name,)))
    for kind, found in finding.smaller:
        for name, answer in found:
            where = Link(f"`{name}`", f"#compression-{name}")
            answers.append((_QUESTIONS[kind], compression.in_short(answer) or NOT_RUN, where, (name,)))
    for one in finding.precision:
        machine = Link(f"`{one.record}`", f"#inference-{one.record}")
        answers.append(("Lower precision instead?", _precision(one), machine, ()))
    if not answers:
        return []
    lines: list[Line] = []
    before = ""
    for question, words, place, profiles in answers:
        lines.append(Line(("" if question == before else f"**{question}**", words, place), profiles=profiles))
        before = question
    return [
        Heading(2, "What to do", "advice"),
        Text("As far as the verdicts tell, each for the nets and the machine that it was measured with:"),
        Table(("", "answer", "measured in"), tuple(lines)),
    ]


def _precision(one: Precision) -> Prose:
    """What other precisions of the whole net buy beside what pruning buys in fp32."""
    ways = one.nets.less_precise
    best, narrowest = max(ways, key=lambda way: way.ratio.median), one.nets.nets[0]
    named = ", ".join(f"{way.precision} in `{way.runtime}` {shown_ratio(way.ratio)}" for way in ways)
    return (
        f"**{_THAN_PRUNING[best.beside]}** Times as fast as the whole {one.nets.whole.model} in fp32: {named}; "
        f"{shown_ratio(narrowest.speed_up)} with {narrowest.net} in fp32."
    )
