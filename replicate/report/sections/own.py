"""The front page of a report on somebody's own data: where the nets stand, and what the data are like."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from replicate.findings.decided import Decided
from replicate.findings.own import OwnAnswer
from replicate.findings.rows import RowResult
from replicate.findings.standing import MACHINERY, Standing
from replicate.report.blocks import Block, Heading, Items, Line, Plain, Prose, Table, Text
from replicate.report.words import (
    STATISTICS,
    bounds,
    interval,
    listed,
    mean_sd,
    named,
    number,
    on_nets,
    plural,
    score,
    summary,
)
from replicate.runs.held_out import HeldOut
from replicate.tables.profile import Profile

_NEXT = (
    "What may change that: a net that is pretrained, with `--profile paper` on a GPU or `replicate finetune "
    "--model_name`; `replicate pretrain` on much more text of the same kind; more labelled lines."
)
_NO_BASELINE = "The linear baseline was not run: `replicate run svm` takes a second and tells what a net is worth."
_MORE = "More seeds, `--seeds 1,2,3,4,5,6`, may tell."


def section_own_answer(finding: OwnAnswer) -> list[Block]:
    """Where the nets stand under each profile, what advice rests on, and the data."""
    facts = finding.facts
    counted = f"{plural(facts.examples, 'dev example')}, {plural(finding.records, 'record')}."
    blocks: list[Block] = [Text(_stands(one)) for one in finding.standings]
    blocks += [Text(_on_test(one)) for one in finding.held_out]
    blocks += _withheld(finding.standings)
    blocks += [
        Table(("", "accuracy", "macro-F1"), tuple(line for one in finding.standings for line in _lines(one))),
        Text(
            f"{counted} These scores are of the dev set, which also chooses the step that is kept, and the highest of "
            "several means is partly luck. Nothing here is compared with a published value."
        ),
    ]
    if finding.decided:
        blocks += _plans(finding.decided)
    if finding.data:
        blocks += [Heading(2, "The data", "data"), Items(tuple(map(Plain, finding.data)))]
    return blocks


def _plans(found: Sequence[tuple[Profile, Decided]]) -> list[Block]:
    """What the tables' plans say of their claims, seed by seed."""
    head = ("claim", "answer", "what the interval shows", "difference", "interval", "seeds", "")
    lines = [_claim(profile, one, name) for profile, one in found for name in one.verdicts]
    return [
        Heading(2, "Claims, until they are decided", "plans"),
        Text(
            (
                "Row minus row in accuracy. The interval holds at every look at once, and it is what decides: ",
                STATISTICS,
                " has the rule. `post hoc`: there were seeds before the claim was in a plan that was kept.",
            )
        ),
        Table(head, tuple(lines)),
    ]


def _claim(profile: Profile, found: Decided, name: str) -> Line:
    verdict = found.verdicts[name]
    cells = (
        Plain(found.claims[name].text),
        verdict.answer,
        verdict.word,
        number(verdict.difference, "+.4f"),
        bounds(verdict.interval),
        f"{verdict.look}{on_nets(len(found.plan.nets))}",
        Plain("; ".join(filter(None, ("post hoc" if name in found.post_hoc else "", verdict.stuck)))),
    )
    return Line(cells, (verdict.claim.a, verdict.claim.b), (profile.id,))


def _stands(one: Standing) -> Prose:
    """The answer in one sentence, with what to do next where no net is worth its cost."""
    under = f"Under `{one.profile.id}`"
    if one.net is None:
        return _without_net(one)
    net: Prose = (named(one.net), f", {summary(one.net, 'accuracy')}")
    if one.baseline is None:
        always: Prose = ("always naming ", Plain(one.commonest[0]), f" has {one.commonest[1]:.4f}")
        if one.state == "worse":
            return (f"**{under} no net beats naming one label**: ", net, ", ", always, f". {_NEXT}")
        return (f"{under} the best net is ", net, "; ", always, f". {_cost(one)}{_NO_BASELINE}")
    mean = summary(one.baseline, "accuracy")
    if one.state == "worse":
        baseline: Prose = (named(one.baseline), f" has {mean} after {_time(one.baseline)}")
        opening = f"**{under} no net beats the linear baseline**: "
        return (opening, baseline, "; the best net, ", net, f" after {_time(one.net)}. {_NEXT}")
    baseline = (named(one.baseline), f", {mean}")
    gain = "they have no seed in common"
    if one.difference:
        found = one.difference.found
        gain = f"the difference is {found.difference:+.4f} ({interval(found.ci) or 'no interval'})"
    if one.state == "better":
        return (f"**{under} a net beats the linear baseline**: ", net, ", beside ", baseline, f"; {gain}. {_cost(one)}")
    opening = f"{under} it is open whether a net beats the linear baseline: "
    return (opening, net, ", beside ", baseline, f"; {gain}. {_cost(one)}{_MORE}")


def _without_net(one: Standing) -> Prose:
    """What there is where no net was run, or none gave a score."""
    under = f"Under `{one.profile.id}`"
    if one.baseline is None:
        return f"{under} no net gave a score."
    mean = summary(one.baseline, "accuracy")
    after = f", has {mean} after {_time(one.baseline)}. `replicate run --dataset_dir` without a row's name tries nets."
    return (f"{under} no net has a score; the linear baseline, ", named(one.baseline), after)


def _cost(one: Standing) -> str:
    """What the net takes to train, beside the baseline, and to label a text."""
    if one.net is None:
        return ""
    beside = f", where the baseline takes {_time(one.baseline)}" if one.baseline else ""
    labels = "; how fast it labels was not measured"
    if found := one.speed:
        each, at_once = (
            f"{1000 * found.seconds / found.batch:.3g} ms",
            f"{found.batch} of {found.length} tokens at once",
        )
        labels = f"; it labels a text in {each} ({at_once}, {plural(found.threads, 'thread')}, `{found.runtime}`)"
    return f"It takes {_time(one.net)} to train{beside}{labels}. "


def _time(result: RowResult) -> str:
    """What a run of a row took on average, at least a second."""
    return plural(max(1, round(result.seconds)), "second")


def _on_test(one: HeldOut) -> str:
    """The scores on the test set, which lead: it has chosen nothing."""
    told = []
    for row, of_seed in one.scores.items():
        accuracy, macro = ([found[name] for found in of_seed.values()] for name in ("accuracy", "macro_f1"))
        sd = float(np.std(accuracy, ddof=1)) if len(accuracy) > 1 else math.nan
        mean = mean_sd(float(np.mean(accuracy)), sd, len(accuracy))
        told.append(f"`{row.partition('/')[2]}` has {mean} and macro-F1 {np.mean(macro):.4f}")
    again = (
        "" if one.times == 1 else f" It has been scored {one.times} times with other rows or seeds, and so had a say."
    )
    return f"**On the test set**, which chose nothing, under `{one.profile}` {listed(told)}.{again}"


def _withheld(standings: Sequence[Standing]) -> list[Block]:
    """Why there is no advice, where there is none."""
    machinery = [f"`{one.profile.id}`" for one in standings if one.profile.id in MACHINERY]
    worse = [f"`{one.profile.id}`" for one in standings if one.state == "worse" and one.profile.id not in MACHINERY]
    told = []
    if worse:
        told.append(
            f"Whether to augment, prune or distil is therefore not told of {listed(worse)}: nobody wants to improve "
            "a net that isn't worth its cost."
        )
    if machinery:
        told.append(
            f"The net of {listed(machinery)} is so small that it shows that everything runs, and no more: advice on "
            "augmenting, pruning and distilling needs another profile."
        )
    return [Text(words) for words in told]


def _lines(one: Standing) -> list[Line]:
    label, share = one.commonest
    about = (one.profile.id,)
    lines = [Line((("always naming ", Plain(label)), number(share), ""), (), about)]
    for result in (one.baseline, one.net):
        if result is not None:
            cells = (score(result, "accuracy"), score(result, "macro_f1"))
            lines.append(Line(((named(result), f" under `{one.profile.id}`"), *cells), (result.row.id,), about))
    return lines
