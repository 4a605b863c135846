"""What the plan of a table says of its claims, from the records: the one verdict that everything prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from replicate.findings.pairs import METRICS
from replicate.records.run import Record
from replicate.records.strata import nets_of, of_plan, scores_of
from replicate.tables.profile import Profile
from replicate.tables.sequential import plan_of, planned_claims
from replicate.tables.table import Claim, ResultsTable
from replicate.verdicts.decisions import Beside, Verdict, beside, decide
from replicate.verdicts.plan import Plan, Scores

SECONDS_AN_HOUR = 3600


@dataclass(frozen=True)
class Decided:
    """The claims in a table's plan under one profile.

    Attributes:
        plan: the family.
        claims: of the table's file, by name.
        verdicts: by the claim's name, in the plan's order.
        secondary: for each claim, its other metrics at the look that the verdict rests on; they decide nothing.
        post_hoc: names of claims that were not in the plan before the data, or under another rule.
        strata: the digest of each net that some record descends from, by the plan's name for it.
        scores: that the verdicts are of, by metric, row and net.
        seeds: by row of the plan, how many of the plan's seeds it has a record of.
        hours: that their stages took, each stage once.
    """

    plan: Plan
    claims: Mapping[str, Claim]
    verdicts: Mapping[str, Verdict]
    secondary: Mapping[str, Mapping[str, Beside]]
    post_hoc: frozenset[str]
    strata: Mapping[str, str]
    scores: Mapping[str, Scores]
    seeds: Mapping[str, int]
    hours: float


def decided(
    table: ResultsTable, profile: Profile, records: Iterable[Record], before: Plan | None = None
) -> Decided | None:
    """The verdicts of the table's plan under a profile; None where it has no plan there.

    Claims that stand in the earlier plan as they are now are decided by it, whatever was added since.

    Args:
        table: the table.
        profile: the profile.
        records: any; those of the table, profile and plan are taken.
        before: the plan as it was before the first seed; without one every claim is post hoc.

    Raises:
        UserError: records that can't belong to the plan's nets; names both files.
    """
    plan = plan_of(table, profile)
    if plan is None:
        return None
    rows = {row for claim in plan.claims for row in (claim.a, claim.b)}
    own = of_plan(plan, table.id, profile.id, records)
    told = {claim.id: claim for claim, _ in planned_claims(table)}
    besides = {
        claim.name: [metric for metric in METRICS if metric != claim.metric] if claim.metric in METRICS else []
        for claim in plan.claims
    }
    scores = scores_of(plan, own, [metric for metrics in besides.values() for metric in metrics])
    first = _still(plan, before)
    verdicts = {one.claim.name: one for one in decide(plan, scores)}
    if first:
        verdicts |= {one.claim.name: one for one in decide(first, scores) if one.claim in plan.claims}
    by_plan = {name: first if first and one.claim in first.claims else plan for name, one in verdicts.items()}
    return Decided(
        plan=plan,
        claims={claim.name: told[claim.name] for claim in plan.claims},
        verdicts=verdicts,
        secondary={
            name: {metric: beside(by_plan[name], one, scores[metric], metric) for metric in besides[name]}
            for name, one in verdicts.items()
        },
        post_hoc=post_hoc_of(plan, before),
        strata=nets_of(plan, own),
        scores=scores,
        seeds={row: sum(one.row == row for one in own) for row in sorted(rows)},
        hours=_hours(own),
    )


def post_hoc_of(plan: Plan, before: Plan | None) -> frozenset[str]:
    """Names of the claims that were not in the earlier plan as they are now, or under another rule."""
    first = _still(plan, before)
    return frozenset(claim.name for claim in plan.claims if first is None or claim not in first.claims)


def _still(plan: Plan, before: Plan | None) -> Plan | None:
    """The earlier plan where its rule is still that of this one, whatever claims were added to it."""
    if before is None or any(plan.margins.get(metric) != margin for metric, margin in before.margins.items()):
        return None
    return before if replace(before, claims=plan.claims, margins=plan.margins) == plan else None


def _hours(records: Iterable[Record]) -> float:
    seconds = {stage["key"]: float(stage["seconds"]) for one in records for stage in one.stages}
    return sum(seconds.values()) / SECONDS_AN_HOUR
