"""Which profile's records test a table's claims, and which can only give ideas."""

from __future__ import annotations

from dataclasses import dataclass

from replicate.findings.compared import AllCompared, Compared
from replicate.findings.evidence import Evidence
from replicate.tables.profile import Profile
from replicate.tables.sequential import plan_of
from replicate.tables.table import ResultsTable


@dataclass(frozen=True)
class Best:
    """The profile with the best evidence on a table's claims.

    Attributes:
        profile: it; None where nothing of them was run on the table's data.
        compared: the table's rows under it.
        tests: whether it has as many seeds as the table's plan may take; else its figures are exploratory.
        waiting: the profiles that would test the claims better, and of which no claim has both rows.
    """

    profile: Profile | None
    compared: Compared | None
    tests: bool
    waiting: tuple[Profile, ...]


def best_of(evidence: Evidence, table: ResultsTable, compared: AllCompared) -> Best:
    """Comparable profiles stand first, then those with as many seeds as the plan takes, then the others."""
    on_data = [one for one in evidence.profiles if table.id in one.tables and evidence.same_data(table, one)]
    ranked = sorted(on_data, key=lambda one: not _can_decide(table, one))
    waiting: list[Profile] = []
    for profile in ranked:
        here, decides = compared[table.id, profile.id], _can_decide(table, profile)
        if here.has_claims:
            return Best(profile, here, decides, tuple(waiting))
        if decides:
            waiting.append(profile)
    return Best(None, None, False, tuple(waiting))


def _can_decide(table: ResultsTable, profile: Profile) -> bool:
    plan = plan_of(table, profile)
    if profile.comparable or plan is None:
        return profile.comparable
    return {*range(1, plan.most * len(plan.nets) + 1)} <= {*profile.seeds}
