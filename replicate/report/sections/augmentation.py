"""The section on augmentation: each strategy beside its controls, and the learning curve."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from replicate.findings.augmentation import Ablation, AugmentationFinding, Clause, Contrast
from replicate.findings.training_sets import METRIC, Arm
from replicate.report.blocks import Block, Items, Line, Plain, Prose, Table, Text
from replicate.report.pictures.axes import Estimate, Series
from replicate.report.pictures.estimates import forest
from replicate.report.pictures.picture import Picture
from replicate.report.sections.contrasts import DUPLICATES, PLAIN, differences, gain, made
from replicate.report.sections.learning_curve import learning_curve
from replicate.report.sections.paired import OPEN, STUDY, counted
from replicate.report.words import (
    STATISTICS,
    figure,
    interval,
    named,
    plural,
    reason,
    score,
    sentence,
)

PREDICATES = {
    "above": ("lies above", "lie above"),
    "below": ("lies below", "lie below"),
    "no difference": ("makes no difference", "make no difference"),
    "not worse": ("is not worse", "are not worse"),
    **OPEN,
}


def section_augmentation(finding: AugmentationFinding) -> list[Block]:
    """Whether augmentation helps, for each profile that runs rows for it; nothing where there are no such rows."""
    blocks: list[Block] = []
    for found in finding.ablations:
        blocks += [
            *_answer(found),
            *_forest(found),
            *_rows(found),
            *_choices(found),
            *_copies(found),
            *learning_curve(found),
        ]
    return blocks


def in_short(found: Ablation) -> Prose:
    """The answer in bold and how it is counted; empty where nothing was run together with its control."""
    ways, words = found.ways, [one.word for one in found.ways]
    if found.answer == "not-run":
        return ""
    if found.answer == "some help":
        helped = {one.arm.row.id for one in ways if one.word == "above"}
        beside = [f"`{one.arm.row.id}` {one.word}" for one in _beside(found) if one.arm.row.id in helped]
        answer = (
            f"**Some ways help.** They beat {PLAIN}: {_named(ways, 'above')}. Compared with {DUPLICATES}: "
            f"{', '.join(beside) or 'no such rows'}."
        )
    elif found.answer == "none helps":
        every = "The only way" if len(ways) == 1 else f"Each of {len(ways)} ways"
        answer = f"**No.** {every} of augmenting all lines gains less than {found.tolerance.value}."
    else:
        answer = f"**No gain is shown.** {_none(len(ways), 'is')} shown to help."
    if "below" in words:
        answer += f" Worse than {PLAIN}: {_named(ways, 'below')}."
    return f"{answer}{_counted(PLAIN, ways, found.most, ('way', 'ways'))}"


def _none(ways: int, verb: str) -> str:
    """The start of a sentence that denies something of every way."""
    what = "of augmenting all lines"
    return f"The only way {what} {verb} not" if ways == 1 else f"None of {ways} ways {what} {verb}"


def _counted(control: str, contrasts: Sequence[Contrast], most: float, nouns: tuple[str, str] = ("row", "rows")) -> str:
    """How often each word occurs, and the largest gain that is left open; empty where nothing was run."""
    if not any(one.difference for one in contrasts):
        return ""
    words = counted([one.word for one in contrasts], PREDICATES, nouns)
    limit = f"; no interval reaches above {most:+.4f}" if math.isfinite(most) else ""
    return f" Compared with {control}, {words}{limit}."


def _answer(found: Ablation) -> list[Block]:
    """The answer in plain words, and each clause of the source's conclusion with what the seeds show of it."""
    unknown = f"**Not known yet.** {_none(len(found.ways), 'has')} been run together with its control."
    duplicates = _counted(DUPLICATES, _beside(found), found.most_over_duplicates)
    answer: list[Prose] = [f"Under `{found.profile.id}`: ", in_short(found) or unknown, duplicates]
    if not found.profile.comparable:
        answer += [" This holds for ", reason(found.profile.reason)]
    if not found.clauses:
        return [Text(tuple(answer))]
    source = ("What the source concludes, clause by clause (", Plain(found.table.provenance.source), "):")
    return [Text(tuple(answer)), Text(source), Items(tuple(map(_clause, found.clauses)))]


def _clause(clause: Clause) -> Prose:
    """A clause, its verdict in the words of claims, and the words of the rows that it rests on."""
    shown = ", ".join(f"`{one.arm.row.id}` {one.word}{_measured(one)}" for one in clause.contrasts)
    return (Plain(sentence(clause.text)), f" **{clause.verdict}**: against `{clause.against}`, {shown}")


def _measured(one: Contrast) -> str:
    """Mean difference, interval and number of pairs in brackets; empty where it was not run."""
    if one.difference is None:
        return ""
    bounds = interval(one.judged.interval)
    pairs = plural(one.difference.found.n, "pair")
    return f" ({gain(one)}{f', interval {bounds}' if bounds else ''}, {pairs})"


def _rows(found: Ablation) -> list[Block]:
    """The rows on all lines with their scores and words, and their differences to both controls."""
    over_plain, over_duplicates = (
        {one.arm.row.id: f"**{one.word}**" for one in contrasts}
        for contrasts in (found.against_plain, found.against_duplicates)
    )
    head = ("row", "copies of each line", "accuracy", "macro-F1", "steps", "to no copies", "to as many duplicates")
    lines = tuple(
        Line(
            (
                named(arm.result),
                made(arm.training),
                score(arm.result, METRIC),
                score(arm.result, "macro_f1"),
                figure(arm.steps, ",.0f"),
                over_plain.get(arm.row.id, ""),
                over_duplicates.get(arm.row.id, ""),
            ),
            *_about(found, arm),
        )
        for arm in found.arms
        if arm.is_whole
    )
    tolerance = found.tolerance.value
    return [
        Text(
            f"Rows on all lines under `{found.profile.id}`, mean ± standard deviation (seeds). More copies mean more "
            "steps, so each row is compared twice: with no copies, and with as many mere duplicates where there is "
            "such a row."
        ),
        Table(head, lines),
        Text(
            (
                f"Differences in accuracy. {STUDY} A difference within ± {tolerance} is none: ",
                reason(found.tolerance.reason),
                " How words are made: ",
                STATISTICS,
                ".",
            )
        ),
        differences((*_whole(found.against_plain), *_beside(found))),
    ]


def _choices(found: Ablation) -> list[Block]:
    """Where a row and its control differ in more than their training set: how they are fine-tuned and chosen."""
    told: dict[str, list[str]] = {}
    for one in found.against_plain:
        if one.choices:
            told.setdefault(_differing(one), []).append(f"`{one.arm.row.id}`")
    if not told:
        return []
    every = len(found.against_plain)
    groups = [f"{what} ({'all of them' if len(rows) == every else ', '.join(rows)})" for what, rows in told.items()]
    free = any(one.choices for one in found.against_duplicates)
    more = "" if free else " Differences to duplicates are free of that."
    return [Text(f"Rows with copies differ from those without in more than their data: {'; '.join(groups)}.{more}")]


def _differing(one: Contrast) -> str:
    """Settings of fine-tuning in which a row and its control differ, in words."""
    return ", ".join(
        f"`{key}` {'unset' if mine is None else mine} against {'unset' if other is None else other}"
        for key, mine, other in one.choices
    )


def _copies(found: Ablation) -> list[Block]:
    """How many copies came out equal to their original or empty, where the records have counted them."""
    lines = tuple(
        Line(
            (
                named(arm.result),
                made(arm.training),
                figure(arm.copies.per_seed, ",.0f"),
                figure(arm.copies.unchanged, ".1%"),
                figure(arm.copies.dropped, ".1%"),
            ),
            *_about(found, arm),
        )
        for arm in found.arms
        if arm.copies
    )
    if not lines:
        return []
    head = ("row", "copies of each line", "copies a seed", "equal to their original", "empty, left out")
    return [Text("How much the strategies change, counted while they ran:"), Table(head, lines)]


def _forest(found: Ablation) -> list[Picture]:
    """The differences to both controls; none where there are none."""
    contrasts, others = _whole(found.against_plain), _beside(found)
    if not any(_effect(one) for one in contrasts):
        return []
    words = "; ".join(
        f"compared with {control}, {counted([one.word for one in group], PREDICATES)}"
        for control, group in ((PLAIN, contrasts), (DUPLICATES, others))
        if group
    )
    series = [Series("minus no copies", tuple(map(_effect, contrasts)))]
    if any(_effect(one) for one in others):
        other = {one.arm.row.id: one for one in others}
        beside = tuple(_effect(other[one.arm.row.id]) if one.arm.row.id in other else None for one in contrasts)
        series.append(Series("minus as many duplicates", beside))
    return [
        forest(
            f"augmentation-{found.profile.id}",
            "Accuracy with copies of every training line, minus without",
            f"Difference in accuracy by row, with seeds and intervals: {words}.",
            "difference in accuracy (mean over seeds, with the study's interval)",
            [one.arm.row.id for one in contrasts],
            series,
            band=float(found.tolerance.value),
        )
    ]


def _effect(one: Contrast) -> Estimate | None:
    """What a picture draws of a difference."""
    if one.difference is None or not math.isfinite(one.difference.found.difference):
        return None
    found = one.difference
    return Estimate(found.found.difference, one.judged.interval, tuple(found.by_seed.values()))


def _about(found: Ablation, arm: Arm) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The row and profile that a line is about."""
    return (arm.row.id,), (found.profile.id,)


def _whole(contrasts: Iterable[Contrast]) -> list[Contrast]:
    """Those on all lines."""
    return [one for one in contrasts if one.arm.is_whole]


def _beside(found: Ablation) -> list[Contrast]:
    """The rows on all lines minus as many mere duplicates."""
    return _whole(found.against_duplicates)


def _named(contrasts: Iterable[Contrast], word: str) -> str:
    """The rows with this word, each with its mean difference and interval."""
    return ", ".join(f"`{one.arm.row.id}`{_measured(one)}" for one in contrasts if one.word == word)
