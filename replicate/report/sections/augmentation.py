"""The report's section on augmentation: each strategy against its controls, and the learning curve."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import takewhile

from replicate.common.errors import UserError
from replicate.common.markdown import STATISTICS, interval, number, plural, sentence, spread, table_of, tally
from replicate.findings.augmentation import Ablation, Arm, Contrast, Size, ablation
from replicate.findings.evidence import Material
from replicate.report.pictures.axes import Estimate, Series
from replicate.report.pictures.curves import curve
from replicate.report.pictures.estimates import forest
from replicate.report.pictures.picture import Block, Picture
from replicate.tables.table import Conclusion
from replicate.verdicts.equivalence import t_interval

HEADING = "Does augmentation help?"
PLAIN, DUPLICATES = "training on the lines as they are", "mere duplicates"
# What a word leaves possible; a clause holds where all of that is expected, and fails where none of it is.
EFFECTS_OF = {
    "helps": {"gain"},
    "hurts": {"loss"},
    "no difference": {"neither"},
    "no gain": {"loss", "neither"},
    "not distinguishable": {"gain", "loss", "neither"},
    "not-run": {"gain", "loss", "neither"},
}
# Each of these shows that a row does not help.
NO_HELP = {"hurts", "no difference", "no gain"}


def ablations(material: Material) -> list[Ablation]:
    """Every table that nobody published whose rows differ in their training set, under every profile that runs it."""
    return [
        found
        for table in material.tables
        if not table.is_published
        for profile in material.profiles
        if table.id in profile.tables and material.same_data(table, profile)
        if (found := ablation(material, table, profile)).against_plain
    ]


def section_augmentation(material: Material) -> list[Block]:
    """Whether augmentation helps, for each profile that runs rows for it; nothing where there are no such rows."""
    every = ablations(material)
    blocks: list[Block] = [f"## {HEADING}"] if every else []
    for found in every:
        blocks += [
            *_answer(found),
            *_forest(found),
            *_rows(material, found),
            *_choices(found),
            *_unchanged(material, found),
            *_curve(material, found),
        ]
    return blocks


def in_short(found: Ablation) -> str:
    """The answer in bold and how it is counted; empty where nothing was run together with its control."""
    ways = found.ways
    words = {one.word for one in ways}
    count = plural(len(ways), "way")
    if words == {"not-run"}:
        return ""
    if "helps" in words:
        answer = f"**Some ways help.** Over {PLAIN}: {_named(ways, 'helps')}."
        helped = {one.arm.row.id for one in ways if one.word == "helps"}
        beside = [
            f"`{one.arm.row.id}` {one.word}" for one in _whole(found.against_duplicates) if one.arm.row.id in helped
        ]
        answer += f" Of these, over {DUPLICATES}: {', '.join(beside) or 'no such rows'}."
    elif words <= NO_HELP:
        answer = f"**No.** {count.capitalize()} of augmenting all lines: each gains less than {found.tolerance.value}."
    else:
        answer = f"**No gain is shown.** Of {count} of augmenting all lines none is shown to help."
    if "hurts" in words:
        answer += f" Worse than {PLAIN}: {_named(ways, 'hurts')}."
    return f"{answer}{_counted(PLAIN, ways)}"


def _counted(name: str, contrasts: Sequence[Contrast]) -> str:
    """How often each word occurs, and the largest gain that is left open; empty where nothing was run."""
    run = [one for one in contrasts if one.comparison is not None]
    return f" Against {name}: {tally(one.word for one in contrasts)}{_open(run)}." if run else ""


def _answer(found: Ablation) -> list[str]:
    """The answer in plain words, and each clause of the source's conclusion with what the seeds show of it."""
    ways = plural(len(found.ways), "way")
    unknown = f"**Not known yet.** None of {ways} of augmenting all lines has been run together with its control."
    answer = f"Under `{found.profile.id}`: {in_short(found) or unknown}"
    answer += _counted(DUPLICATES, _whole(found.against_duplicates))
    if not found.profile.comparable:
        answer += f" What that is about: {sentence(found.profile.reason)}"
    clauses = [_clause(found, conclusion) for conclusion in found.table.conclusions]
    source = f"What the source concludes, clause by clause ({found.table.provenance.source}):"
    return [answer, source, "\n".join(clauses)] if clauses else [answer]


def _open(run: Sequence[Contrast]) -> str:
    """The largest gain that an interval of these still allows."""
    tops = [one.comparison.ci[1] for one in run if one.comparison and math.isfinite(one.comparison.ci[1])]
    return f"; no interval reaches above {max(tops):+.4f}" if tops else ""


def _named(contrasts: Iterable[Contrast], word: str) -> str:
    """The rows with this word, each with its mean difference."""
    return ", ".join(f"`{one.arm.row.id}` ({_gain(one)})" for one in contrasts if one.word == word)


def _gain(one: Contrast) -> str:
    return number(one.comparison.difference, "+.4f") if one.comparison else ""


def _clause(found: Ablation, conclusion: Conclusion) -> str:
    """A clause, its verdict in the words of claims, and the words of the rows that it rests on.

    Raises:
        UserError: a row of the clause is not compared with the one that the clause names.
    """
    rows = []
    for row in conclusion.rows:
        one = found.contrast_of(row, conclusion.against)
        if one is None:
            what = f"table {found.table.id}: a conclusion compares {row!r} with {conclusion.against!r}"
            raise UserError(what, hint="a row's controls are those on the same lines without copies or with duplicates")
        rows.append(one)
    words = [one.word for one in rows]
    expected = set().union(*(EFFECTS_OF[word] for word in conclusion.expects))
    if all(EFFECTS_OF[word] <= expected for word in words):
        verdict = "supported"
    elif any(EFFECTS_OF[word].isdisjoint(expected) for word in words):
        verdict = "contradicted"
    else:
        verdict = "not-run" if set(words) == {"not-run"} else "not distinguishable"
    shown = [f"`{one.arm.row.id}` {one.word}" + (f" ({_measured(one)})" if one.comparison else "") for one in rows]
    return f"- {sentence(conclusion.text)} **{verdict}**: against `{conclusion.against}`, {', '.join(shown)}"


def _measured(one: Contrast) -> str:
    """Mean difference, interval and number of pairs."""
    assert one.comparison is not None
    bounds = f", interval {interval(one.comparison.ci)}" if interval(one.comparison.ci) else ""
    return f"{_gain(one)}{bounds}, {plural(one.comparison.n, 'pair')}"


def _rows(material: Material, found: Ablation) -> list[str]:
    """The rows on all lines with their scores and words, and their differences to both controls."""
    arms = [arm for arm in found.arms if arm.training.lines is None]
    words = [
        {one.arm.row.id: f"**{one.word}**" for one in contrasts}
        for contrasts in (found.against_plain, found.against_duplicates)
    ]
    lines = [
        [
            material.named(arm.result),
            arm.training.made,
            _score(arm, "accuracy"),
            _score(arm, "macro_f1"),
            number(arm.of_training("steps"), ",.0f"),
            *(column.get(arm.row.id, "") for column in words),
        ]
        for arm in arms
    ]
    head = ["row", "copies of each line", "accuracy", "macro-F1", "steps", "to no copies", "to as many duplicates"]
    return [
        f"Rows on all lines under `{found.profile.id}`, mean ± standard deviation (seeds). More copies are more steps, "
        "so each row is compared twice: with no copies, and with as many mere duplicates where there is such a row.",
        table_of(head, lines),
        "Differences in accuracy, paired by seed; the interval is about other seeds on this dev set. `helps` and "
        f"`hurts`: the paired t-test's p, corrected over the rows of a column (Holm), is at most {found.alpha:g}. Else "
        f"`no difference`: shown to lie within ± {found.tolerance.value} (two one-sided tests), or `no gain`: at least "
        f"a gain of {found.tolerance.value} is ruled out; these are not corrected. {sentence(found.tolerance.reason)} "
        f"Why the t-test: {STATISTICS}.",
        _differences(material, _whole(found.against_plain) + _whole(found.against_duplicates)),
    ]


def _differences(material: Material, contrasts: Iterable[Contrast]) -> str:
    lines = []
    for one in contrasts:
        c = one.comparison
        cells = ["not-run", "", "", ""]
        if c is not None:
            cells = [spread(c.difference, c.sd, c.n, "+.4f"), interval(c.ci), number(c.p, ".2g"), number(one.p, ".2g")]
        lines.append([material.minus(one.arm.result, one.control.result), *cells, f"**{one.word}**: {one.reason}"])
    return table_of(["difference", "mean (pairs)", "interval", "p", "p, corrected", "verdict"], lines)


def _choices(found: Ablation) -> list[str]:
    """Where a row and its control differ in more than their training set: how they are fine-tuned and chosen."""
    told: dict[str, list[str]] = {}
    for one in found.against_plain:
        if differing := _differing(one):
            told.setdefault(differing, []).append(f"`{one.arm.row.id}`")
    if not told:
        return []
    every = len(found.against_plain)
    groups = [f"{what} ({'all of them' if len(rows) == every else ', '.join(rows)})" for what, rows in told.items()]
    free = "" if any(map(_differing, found.against_duplicates)) else " Differences to duplicates are free of that."
    return [f"Rows with copies differ from those without in more than their data: {'; '.join(groups)}.{free}"]


def _differing(one: Contrast) -> str:
    """Settings of fine-tuning in which a row and its control differ, in words."""
    mine, other = dict(one.arm.finetune), dict(one.control.finetune)
    keys = [key for key in sorted(mine | other) if mine.get(key) != other.get(key)]
    return ", ".join(f"`{key}` {mine.get(key, 'unset')} against {other.get(key, 'unset')}" for key in keys)


def _unchanged(material: Material, found: Ablation) -> list[str]:
    """How many copies came out equal to their original or empty, where the records have counted them."""
    lines = []
    for arm in found.arms:
        counts = [
            stage["summary"]
            for record in arm.result.records
            for stage in record.stages
            if stage["stage"] == "augment" and stage["summary"].get("copies")
        ]
        if counts:
            copies, unchanged, dropped = (sum(one[key] for one in counts) for key in ("copies", "unchanged", "dropped"))
            made = f"{copies / len(counts):,.0f}"
            shares = [f"{unchanged / copies:.1%}", f"{dropped / (copies + dropped):.1%}"]
            lines.append([material.named(arm.result), arm.training.made, made, *shares])
    if not lines:
        return []
    head = ["row", "copies of each line", "copies a seed", "equal to their original", "empty, left out"]
    return ["How much the strategies change, counted while they ran:", table_of(head, lines)]


def _curve(material: Material, found: Ablation) -> list[Block]:
    """Accuracy by number of training lines, and from which on augmentation stops helping."""
    if len(found.curve) < 2:
        return []
    lines, contrasts = [], []
    for size in found.curve:
        arms = (size.plain, size.duplicates, size.augmented)
        lines.append([size.name, *(material.link(arm.result, _score(arm, "accuracy")) if arm else "" for arm in arms)])
        pairs = [(size.augmented, size.plain), (size.augmented, size.duplicates), (size.duplicates, size.plain)]
        contrasts += [one for arm, control in pairs if (one := found.contrast(arm, control))]
    neighbours = "\n".join(f"- {sentence(one)}" for one in found.table.neighbours)
    made = next(size.augmented.training.made for size in found.curve if size.augmented)
    return [
        "### From which number of training lines on does it stop helping?",
        f"Over {PLAIN}: {_stops(found, False)} Over {DUPLICATES}: {_stops(found, True)}",
        *_learning_curve(found),
        f"Accuracy by number of training lines; augmented: {made} of each line. Lines are drawn by the seed, so pairs "
        "share them. Where only some lines are used, p is corrected over the rows of those sizes.",
        table_of(["trained on", "as they are", "with as many duplicates", "augmented"], lines),
        _differences(material, contrasts),
        *(["What others have published of this:", neighbours] if neighbours else []),
    ]


def _stops(found: Ablation, over_duplicates: bool) -> str:
    """A sentence on the verdicts along the learning curve."""
    pairs = [(size, size.duplicates if over_duplicates else size.plain) for size in found.curve]
    compared = [(size.name, one) for size, control in pairs if (one := found.contrast(size.augmented, control))]
    words = [one.word for _, one in compared]
    helped = len(list(takewhile(lambda word: word == "helps", words)))
    rest = words[helped:]
    each = "; ".join(f"{name}: {one.word}" + (f" ({_gain(one)})" if _gain(one) else "") for name, one in compared)
    if not words or set(words) == {"not-run"}:
        return "not run yet."
    if set(rest) <= NO_HELP:
        if not rest:
            told = "it helps at every size tried"
        elif helped:
            told = f"it helps up to {compared[helped - 1][0]} and no longer from {compared[helped][0]} on"
        else:
            told = f"it helps at no size tried, not even at {compared[0][0]}"
    elif "helps" in rest:
        told = "its effect does not follow the size"
    elif helped:
        told = f"it helps up to {compared[helped - 1][0]}; for more, these seeds can't tell"
    else:
        told = "these seeds can't tell from where on it stops helping"
    return f"{told} ({each})."


def _forest(found: Ablation) -> list[Picture]:
    """The differences to both controls; none where there are none."""
    contrasts = _whole(found.against_plain)
    if not any(_effect(one) for one in contrasts):
        return []
    other = {one.arm.row.id: one for one in _whole(found.against_duplicates)}
    words = "; ".join(
        f"against {name}: {tally(one.word for one in group)}"
        for name, group in ((PLAIN, contrasts), (DUPLICATES, list(other.values())))
        if group
    )
    series = [Series("minus no copies", tuple(_effect(one) for one in contrasts))]
    if any(_effect(one) for one in other.values()):
        beside = tuple(_effect(other[one.arm.row.id]) if one.arm.row.id in other else None for one in contrasts)
        series.append(Series("minus as many duplicates", beside))
    return [
        forest(
            f"augmentation-{found.profile.id}",
            "Accuracy with copies of every training line, minus without",
            f"Difference in accuracy by row, with seeds and intervals: {words}.",
            f"difference in accuracy (mean over seeds, {100 * (1 - found.alpha):g} % interval)",
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
    series = [Series(name, tuple(_score_of(arm, found.alpha) for arm in arms)) for name, arms in columns.items()]
    if sum(any(one.estimates[at] for one in series) for at, _ in enumerate(sizes)) < 2:
        return []
    level = f"{100 * (1 - found.alpha):g} %"
    ends = [f"{one.label}, {_ends(one, sizes)}" for one in series if any(one.estimates)]
    return [
        curve(
            f"learning-curve-{found.profile.id}",
            "Accuracy by number of training lines",
            f"Accuracy by number of training lines: {'; '.join(ends)}. Over {PLAIN}: {_stops(found, False)}",
            ("training lines before copies (logarithmic)", f"accuracy on dev (mean over seeds, {level} interval)"),
            [size.lines for size in sizes],
            series,
        )
    ]


def _ends(series: Series, sizes: Sequence[Size]) -> str:
    return ", ".join(
        f"{estimate.value:.3f} with {size.name}"
        for estimate, size in zip(series.estimates, sizes, strict=True)
        if estimate is not None
    )


def _whole(contrasts: Iterable[Contrast]) -> list[Contrast]:
    """Those on all lines."""
    return [one for one in contrasts if one.arm.training.lines is None]


def _score(arm: Arm, metric: str) -> str:
    return spread(*arm.result.summary(metric)) if arm.result.records else "not-run"


def _effect(one: Contrast) -> Estimate | None:
    """What a picture draws of a difference."""
    if one.comparison is None or not math.isfinite(one.comparison.difference):
        return None
    return Estimate(one.comparison.difference, one.comparison.ci, one.differences)


def _score_of(arm: Arm | None, alpha: float) -> Estimate | None:
    """What a picture draws of a score."""
    if arm is None or not arm.values:
        return None
    return Estimate(arm.result.summary("accuracy")[0], t_interval(arm.values, alpha), arm.values)
