"""The page on explanations: are they faithful, and do smaller nets look where their parents look?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from replicate.findings.looked_at import LookedAt, LookedAtFinding
from replicate.records.explained import ExplainedRun
from replicate.records.run import EXPLAINED
from replicate.report.blocks import Block, Cell, Code, Heading, Line, Link, Plain, Runs, Table, Text
from replicate.report.pictures.axes import Estimate, Series
from replicate.report.pictures.estimates import forest
from replicate.report.words import MEASURED, bounds, mean_sd

Value = Callable[[ExplainedRun], float | None]


def section_looked_at(findings: Sequence[LookedAtFinding]) -> list[Block]:
    """One part for each record; nothing where there is none."""
    return [block for one in findings for block in _part(one)]


def _part(finding: LookedAtFinding) -> list[Block]:
    record, name = finding.record, finding.record.name
    blocks: list[Block] = [
        Heading(2, f"Under `{record.profile}`", f"looked-at-{name}"),
        Text(
            (
                f"{record.texts} dev texts, the same for every net; pieces are scored by {record.method} and hidden "
                "behind [MASK]. **Comprehensiveness**: what the label's probability loses without the highest 10, 20 "
                "and 50 % of the pieces. **Sufficiency**: what it loses when those are all there is. Each stands "
                "beside the same for random orders on the same net, and only that is a fair comparison: raw values of "
                "two nets aren't comparable. From ",
                Link(Code(f"{name}.json"), f"{MEASURED}/{EXPLAINED}/{name}.json"),
                ".",
            )
        ),
        _picture(finding),
        _faithful(finding),
        *_missed(finding),
    ]
    return blocks + _kept(finding) if finding.verdicts or finding.controls else blocks


def _picture(finding: LookedAtFinding) -> Block:
    series = [
        Series(words, tuple(_estimate(one, value) for one in finding.rows))
        for words, value in (
            ("highest pieces first", lambda run: run.comprehensiveness),
            ("random order", lambda run: run.floor[0]),
        )
    ]
    ratios = [run.comprehensiveness / run.floor[0] for run in finding.nets if run.floor[0] > 0]
    said = (
        f"Explanations take from the label {np.median(ratios):.1f} times as much as random orders (median of the nets)"
    )
    return forest(
        f"explained-{finding.record.name}",
        f"What the label loses without its pieces, {finding.record.profile}",
        said,
        "loss of probability (comprehensiveness)",
        [one.row for one in finding.rows],
        series,
        centre=0.0,
        sign="",
    )


def _faithful(finding: LookedAtFinding) -> Table:
    head = ("row", "comprehensiveness", "random", "sufficiency", "random", "times random")
    values: tuple[Value, ...] = (
        lambda run: run.comprehensiveness,
        lambda run: run.floor[0],
        lambda run: run.sufficiency,
        lambda run: run.floor[1],
    )
    return Table(
        head,
        tuple(
            Line(
                (
                    f"`{one.row}`",
                    *(_cell(one, value) for value in values),
                    _cell(one, lambda run: run.comprehensiveness / run.floor[0] if run.floor[0] > 0 else None, ".1f"),
                ),
                (one.row,),
                (finding.record.profile,),
            )
            for one in finding.rows
        ),
    )


def _missed(finding: LookedAtFinding) -> list[Block]:
    """That sufficiency is above 0, and why; nothing where it isn't."""
    nets = finding.nets
    above = sum(run.sufficiency > 0 for run in nets)
    if not above:
        return []
    return [
        Text(
            (
                f"The aim was a sufficiency of at most 0, and {above} of {len(nets)} nets miss it: the highest 10 % of "
                "a short text is a single piece, which alone is seldom enough, and a net that is sure has little to "
                "gain.",
            )
        )
    ]


def _kept(finding: LookedAtFinding) -> list[Block]:
    head = ("row", "rank, parent", "rank, other seed", "top 20 %, parent", "by chance", "same label", "gain", "verdict")
    lines = []
    told: list[tuple[LookedAt, Cell | str, str]] = [
        *((one, bounds(verdict.interval), f"**{verdict.status}**") for one, verdict in finding.verdicts),
        *((one, "", "control") for one in finding.controls),
    ]
    for one, gain, word in told:
        cells = (
            _cell(one, lambda run: run.parent.rank if run.parent else None),
            _cell(one, lambda run: run.peer.rank if run.peer else None),
            _cell(one, lambda run: run.parent.top if run.parent else None),
            _cell(one, lambda run: run.parent.by_chance if run.parent else None),
            _cell(one, lambda run: run.parent.same_label if run.parent else None),
        )
        lines.append(Line((f"`{one.row}`", *cells, gain, word), (one.row,), (finding.record.profile,)))
    return [
        Heading(3, "Does a smaller net look where its parent looks?", f"kept-{finding.record.name}"),
        Text(
            (
                "Rank correlation of the scores, beside that with the same row of another seed: a net that only learns "
                "the same task would agree as well with that one. The claim ",
                Plain("“it looks at the same characters as the net that it was made from”"),
                " is supported where the interval of the gain, the first less the second, lies above 0. All intervals "
                "of a profile hold at once, in 95 % of cases. Students of another kind than their teacher share with "
                "each other what their kind looks at. A control has learnt nothing from that net: what it agrees with "
                "it comes from the task.",
            )
        ),
        Table(head, tuple(lines)),
    ]


def _values(one: LookedAt, value: Value) -> dict[int, float]:
    return {run.seed: found for run in one.runs if (found := value(run)) is not None}


def _cell(one: LookedAt, value: Value, form: str = ".3f") -> Cell:
    found = _values(one, value)
    if not found:
        return Cell("")
    numbers = list(found.values())
    spread = float(np.std(numbers, ddof=1)) if len(numbers) > 1 else float("nan")
    mean = float(np.mean(numbers))
    return Cell(mean_sd(mean, spread, len(numbers), form), mean, Runs(found, form))


def _estimate(one: LookedAt, value: Value) -> Estimate:
    numbers = tuple(_values(one, value).values())
    return Estimate(float(np.mean(numbers)), seeds=numbers)
