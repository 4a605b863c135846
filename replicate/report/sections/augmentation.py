"""The section on augmentation: each strategy beside its controls, and the learning curve."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from replicate.findings.augmentation import (
    METRIC,
    Ablation,
    Arm,
    AugmentationFinding,
    Clause,
    Contrast,
    Size,
    Stop,
    TrainingSet,
)
from replicate.report.blocks import Block, Cell, Heading, Items, Line, Plain, Prose, Table, Text
from replicate.report.pictures.axes import Estimate, Series
from replicate.report.pictures.curves import curve
from replicate.report.pictures.estimates import forest
from replicate.report.pictures.picture import Picture
from replicate.report.sections.paired import OPEN, Paired, counted, difference_table
from replicate.report.words import (
    STATISTICS,
    figure,
    interval,
    named,
    number,
    plural,
    reason,
    score,
    sentence,
    to_records,
)

ID = "augmentation"
PLAIN, DUPLICATES = "training on the lines as they are", "mere duplicates"
PREDICATES = {
    "helps": ("helps", "help"),
    "hurts": ("hurts", "hurt"),
    "no difference": ("makes no difference", "make no difference"),
    "no gain": ("brings no gain", "bring no gain"),
    **OPEN,
}


def section_augmentation(finding: AugmentationFinding) -> list[Block]:
    """Whether augmentation helps, for each profile that runs rows for it; nothing where there are no such rows."""
    blocks: list[Block] = [Heading(2, "Does augmentation help?", ID)] if finding.ablations else []
    for found in finding.ablations:
        blocks += [
            *_answer(found),
            *_forest(found),
            *_rows(found),
            *_choices(found),
            *_copies(found),
            *_curve(found),
        ]
    return blocks


def in_short(found: Ablation) -> Prose:
    """The answer in bold and how it is counted; empty where nothing was run together with its control."""
    ways, words = found.ways, [one.word for one in found.ways]
    if found.answer == "not-run":
        return ""
    if found.answer == "some help":
        helped = {one.arm.row.id for one in ways if one.word == "helps"}
        beside = [f"`{one.arm.row.id}` {one.word}" for one in _beside(found) if one.arm.row.id in helped]
        answer = (
            f"**Some ways help.** They beat {PLAIN}: {_named(ways, 'helps')}. Compared with {DUPLICATES}: "
            f"{', '.join(beside) or 'no such rows'}."
        )
    elif found.answer == "none helps":
        answer = f"**No.** Each of {plural(len(ways), 'way')} of augmenting all lines gains less than "
        answer += f"{found.tolerance.value}."
    else:
        answer = f"**No gain is shown.** None of {plural(len(ways), 'way')} of augmenting all lines is shown to help."
    if "hurts" in words:
        answer += f" Worse than {PLAIN}: {_named(ways, 'hurts')}."
    return f"{answer}{_counted(PLAIN, ways, found.most)}"


def _counted(control: str, contrasts: Sequence[Contrast], most: float) -> str:
    """How often each word occurs, and the largest gain that is left open; empty where nothing was run."""
    if not any(one.difference for one in contrasts):
        return ""
    words = counted([one.word for one in contrasts], PREDICATES)
    limit = f"; no interval reaches above {most:+.4f}" if math.isfinite(most) else ""
    return f" Compared with {control}, {words}{limit}."


def _answer(found: Ablation) -> list[Block]:
    """The answer in plain words, and each clause of the source's conclusion with what the seeds show of it."""
    ways = plural(len(found.ways), "way")
    unknown = f"**Not known yet.** None of {ways} of augmenting all lines has been run together with its control."
    duplicates = _counted(DUPLICATES, _beside(found), found.most_over_duplicates)
    answer: Prose = (f"Under `{found.profile.id}`: ", in_short(found) or unknown, duplicates)
    if not found.profile.comparable:
        answer = (*answer, " This holds for ", reason(found.profile.reason))
    if not found.clauses:
        return [Text(answer)]
    source = ("What the source concludes, clause by clause (", Plain(found.table.provenance.source), "):")
    return [Text(answer), Text(source), Items(tuple(map(_clause, found.clauses)))]


def _clause(clause: Clause) -> Prose:
    """A clause, its verdict in the words of claims, and the words of the rows that it rests on."""
    shown = ", ".join(f"`{one.arm.row.id}` {one.word}{_measured(one)}" for one in clause.contrasts)
    return (Plain(sentence(clause.text)), f" **{clause.verdict}**: against `{clause.against}`, {shown}")


def _measured(one: Contrast) -> str:
    """Mean difference, interval and number of pairs in brackets; empty where it was not run."""
    if one.difference is None:
        return ""
    bounds = interval(one.difference.found.ci)
    pairs = plural(one.difference.found.n, "pair")
    return f" ({_gain(one)}{f', interval {bounds}' if bounds else ''}, {pairs})"


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
                _made(arm.training),
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
                "Differences in accuracy, paired by seed; the interval is about other seeds on this dev set. `helps` "
                "and `hurts`: the paired t-test's p, corrected over the rows of a column (Holm), is at most "
                f"{found.alpha:g}. Otherwise `no difference`: shown to lie within ± {tolerance} (two one-sided tests), "
                f"or `no gain`: at least a gain of {tolerance} is ruled out; these are not corrected. ",
                reason(found.tolerance.reason),
                " Why the t-test: ",
                STATISTICS,
                ".",
            )
        ),
        _differences((*_whole(found.against_plain), *_beside(found))),
    ]


def _differences(contrasts: Iterable[Contrast]) -> Table:
    return difference_table(
        Paired(one.arm.result, one.control.result, one.difference, one.p, one.word, one.reason) for one in contrasts
    )


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
                _made(arm.training),
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


def _curve(found: Ablation) -> list[Block]:
    """Accuracy by number of training lines, and from which on augmentation stops helping."""
    if len(found.curve) < 2:
        return []
    head = ("trained on", "as they are", "with as many duplicates", "augmented")
    lines = []
    for size in found.curve:
        arms = [size.plain, size.duplicates, size.augmented]
        cells = (_name(size), *(_linked_score(arm) if arm else "" for arm in arms))
        lines.append(Line(cells, tuple(arm.row.id for arm in arms if arm), (found.profile.id,)))
    made = next(_made(size.augmented.training) for size in found.curve if size.augmented)
    others: list[Block] = []
    if found.table.neighbours:
        others = [Text("What others have published of this:"), Items(tuple(map(reason, found.table.neighbours)))]
    return [
        Heading(
            3,
            "From which number of training lines on does it stop helping?",
            f"{ID}-{found.table.id}-{found.profile.id}-sizes",
            (found.profile.id,),
        ),
        Text(
            f"Compared with {PLAIN}, {_stops(found.over_plain)} Compared with {DUPLICATES}, "
            f"{_stops(found.over_duplicates)}"
        ),
        *_learning_curve(found),
        Text(
            f"Accuracy by number of training lines; augmented: {made} of each line. Lines are drawn by the seed, so "
            "pairs share them. Where only some lines are used, p is corrected over the rows of those sizes."
        ),
        Table(head, tuple(lines)),
        _differences(one for size in found.curve for one in size.contrasts),
        *others,
    ]


def _stops(stop: Stop) -> str:
    """The end of a sentence on the verdicts along the learning curve."""
    if stop.pattern == "not-run":
        return "it has not been run yet."
    names = [_name(size) for size, _ in stop.compared]
    last = names[stop.helped - 1] if stop.helped else ""
    told = {
        "always": "it helps at every size tried",
        "never": f"it helps at no size tried, not even at {names[0]}",
        "until": f"it helps up to {last} and no longer from {names[min(stop.helped, len(names) - 1)]} on",
        "no order": "its effect does not follow the size",
        "until, then open": f"it helps up to {last}; for more, these seeds can't tell",
        "open": "these seeds can't tell from where on it stops helping",
    }[stop.pattern]
    each = "; ".join(
        f"{name}: {one.word}" + (f" ({_gain(one)})" if _gain(one) else "")
        for name, (_, one) in zip(names, stop.compared, strict=True)
    )
    return f"{told} ({each})."


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
            f"difference in accuracy (mean over seeds, {_level(found)} interval)",
            [one.arm.row.id for one in contrasts],
            series,
            band=float(found.tolerance.value),
        )
    ]


def _learning_curve(found: Ablation) -> list[Picture]:
    """Accuracy by lines; none without two sizes that have scores."""
    sizes = [size for size in found.curve if math.isfinite(size.lines)]
    columns: dict[str, list[Arm | None]] = {
        "as they are": [size.plain for size in sizes],
        "with as many duplicates": [size.duplicates for size in sizes],
        "augmented": [size.augmented for size in sizes],
    }
    series = [Series(name, tuple(map(_score_of, arms))) for name, arms in columns.items()]
    if sum(any(one.estimates[at] for one in series) for at, _ in enumerate(sizes)) < 2:
        return []
    ends = [f"{one.label}, {_ends(one, sizes)}" for one in series if any(one.estimates)]
    return [
        curve(
            f"learning-curve-{found.profile.id}",
            "Accuracy by number of training lines",
            f"Accuracy by number of training lines: {'; '.join(ends)}. Compared with {PLAIN}, "
            f"{_stops(found.over_plain)}",
            (
                "training lines before copies (logarithmic)",
                f"accuracy on dev (mean over seeds, {_level(found)} interval)",
            ),
            [size.lines for size in sizes],
            series,
        )
    ]


def _ends(series: Series, sizes: Sequence[Size]) -> str:
    return ", ".join(
        f"{estimate.value:.3f} with {_name(size)}"
        for estimate, size in zip(series.estimates, sizes, strict=True)
        if estimate is not None
    )


def _effect(one: Contrast) -> Estimate | None:
    """What a picture draws of a difference."""
    if one.difference is None or not math.isfinite(one.difference.found.difference):
        return None
    found = one.difference
    return Estimate(found.found.difference, found.found.ci, tuple(found.by_seed.values()))


def _score_of(arm: Arm | None) -> Estimate | None:
    """What a picture draws of a score."""
    if arm is None or not arm.seeds:
        return None
    return Estimate(arm.result.summary(METRIC)[0], arm.interval, tuple(arm.seeds.values()))


def _linked_score(arm: Arm) -> Cell:
    found = score(arm.result, METRIC)
    return replace(found, shown=to_records(arm.result, found.shown))


def _about(found: Ablation, arm: Arm) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The row and profile that a line is about."""
    return (arm.row.id,), (found.profile.id,)


def _made(training: TrainingSet) -> str:
    """The copies in words."""
    if not training.copies:
        return "none"
    how, mix = "duplicates", training.mix
    if mix:
        how = mix[0][0] if len(mix) == 1 else ", ".join(f"{name} {weight:g}" for name, weight in mix)
    return f"{training.copies} × {how}"


def _name(size: Size) -> str:
    """The number of lines in words."""
    return f"{size.lines:,.0f} lines" if math.isfinite(size.lines) else "all lines"


def _whole(contrasts: Iterable[Contrast]) -> list[Contrast]:
    """Those on all lines."""
    return [one for one in contrasts if one.arm.is_whole]


def _beside(found: Ablation) -> list[Contrast]:
    """The rows on all lines minus as many mere duplicates."""
    return _whole(found.against_duplicates)


def _named(contrasts: Iterable[Contrast], word: str) -> str:
    """The rows with this word, each with its mean difference."""
    return ", ".join(f"`{one.arm.row.id}` ({_gain(one)})" for one in contrasts if one.word == word)


def _gain(one: Contrast) -> str:
    return number(one.difference.found.difference, "+.4f") if one.difference else ""


def _level(found: Ablation) -> str:
    return f"{100 * (1 - found.alpha):g} %"
