"""The one verdict on a comparison, wherever it is printed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from replicate.findings.decided import Decided
from replicate.findings.pairs import Pair
from replicate.verdicts.decisions import Answer, Verdict
from replicate.verdicts.effects import Effect
from replicate.verdicts.equivalence import NO_INTERVAL, Interval

# `plan`: decided by a plan from before the first seed. `post hoc`: by a plan that was not there yet. `study`: one of
# many comparisons that nobody planned, judged together.
Rule = Literal["plan", "post hoc", "study"]
NO_PAIRS = "there are no records of both rows over the same seeds"


@dataclass(frozen=True)
class Judged:
    """An interval and the word that it allows.

    Attributes:
        word: what the printed interval allows; empty in a metric that is told beside another and decides nothing.
        interval: rounded outward to four digits; NaN where there is none yet.
        difference: mean over the pairs; NaN where there is none.
        pairs: that both rest on.
        margin: the difference that counts as none.
        rule: what the interval is of.
        decided: whether later seeds can change nothing.
        separate: whether the rows are two samples, since they share no stage.
        reason: why there is no interval, or no decision any more; empty where there is nothing to say.
        nets: the interval on each pretrained net, where there are several; for reading only.
    """

    word: Effect | Literal[""]
    interval: Interval
    difference: float
    pairs: int
    margin: float
    rule: Rule
    decided: bool = False
    separate: bool = False
    reason: str = ""
    nets: Mapping[str, Interval] = field(default_factory=dict)

    @property
    def has_interval(self) -> bool:
        """Whether there is one to print."""
        return all(map(math.isfinite, self.interval))


NOT_RUN = Judged("not-run", NO_INTERVAL, math.nan, 0, math.nan, "study", reason=NO_PAIRS)


def finite(ends: Interval) -> Interval:
    """An interval with two ends; the whole line is none."""
    return ends if all(map(math.isfinite, ends)) else NO_INTERVAL


def planned(found: Decided) -> Mapping[Pair, Judged]:
    """What a plan says of its comparisons, and of each in the metrics beside, after the same seeds."""
    judged: dict[Pair, Judged] = {}
    for name, verdict in found.verdicts.items():
        claim, rule = verdict.claim, rule_of(found, name)
        pair = (claim.a, claim.b)
        margin, pairs = found.plan.margins[claim.metric], verdict.look * len(found.plan.nets)
        judged.setdefault(
            (*pair, claim.metric),
            Judged(
                verdict.word if pairs else "not-run",
                finite(verdict.interval),
                verdict.difference,
                pairs,
                margin,
                rule,
                decided=verdict.decided,
                reason=_reason(found, verdict),
                nets={net: finite(ends) for net, ends in verdict.nets.items()},
            ),
        )
        for metric, one in found.secondary[name].items():
            beside = Judged("", finite(one.interval), one.difference, pairs, math.nan, rule, decided=verdict.decided)
            judged.setdefault((*pair, metric), beside)
    return judged


def rule_of(found: Decided, claim: str) -> Rule:
    """Whether the plan of a claim was there before the data."""
    return "post hoc" if claim in found.post_hoc else "plan"


def answer_of(found: Decided, claim: str) -> Answer | Literal["not-run"]:
    """Whether a claim in the plan holds."""
    verdict = found.verdicts[claim]
    return verdict.answer if verdict.look else "not-run"


def _reason(found: Decided, verdict: Verdict) -> str:
    if verdict.stuck:
        return verdict.stuck if verdict.look < found.plan.most else f"after all {_seeds(found, verdict.look)}"
    if not verdict.look:
        return NO_PAIRS
    if verdict.look < found.plan.first:
        return f"before the first look, which is after {_seeds(found, found.plan.first)}"
    return "" if verdict.decided else f"so far, after {_seeds(found, verdict.look)} of {_most(found)}"


def _most(found: Decided) -> int:
    return found.plan.most * len(found.plan.nets)


def _seeds(found: Decided, looks: int) -> str:
    return f"{looks * len(found.plan.nets)} seeds"
