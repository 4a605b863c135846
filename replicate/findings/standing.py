"""Where the nets stand on somebody's own data: beside always naming one label, and beside the linear baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from replicate.findings.compressed import Speed, parameters, speed_of
from replicate.findings.evidence import Evidence
from replicate.findings.rows import Difference, RowResult, difference_of
from replicate.tables.profile import Profile

# `alone`: no baseline was run. `unclear`: a net's mean is higher, and its interval doesn't rule out that it isn't.
State = Literal["none", "alone", "worse", "unclear", "better"]
METRIC = "accuracy"
# Profiles whose net is there to try the machinery with.
MACHINERY = ("smoke",)


@dataclass(frozen=True)
class Standing:
    """The best net under a profile beside what needs none.

    Attributes:
        profile: the profile.
        commonest: the label of most dev examples, and its share of them.
        net: the row of a net, no control, with the highest mean accuracy; None where none gave a score.
        baseline: the row of the linear baseline; None where it gave none.
        difference: net minus baseline over their pairs of seeds.
        state: what that comes to.
        speed: of the net; None where it was not timed.
    """

    profile: Profile
    commonest: tuple[str, float]
    net: RowResult | None
    baseline: RowResult | None
    difference: Difference | None
    state: State
    speed: Speed | None = None

    @property
    def advises(self) -> bool:
        """Whether what the nets show is worth advice."""
        return self.state in ("alone", "unclear", "better") and self.profile.id not in MACHINERY


def _mean(result: RowResult) -> float:
    return result.summary(METRIC)[0]


def standing(evidence: Evidence, profile: Profile, commonest: tuple[str, float]) -> Standing:
    """Where the nets stand under a profile.

    Args:
        evidence: tables, profiles and records.
        profile: one of them.
        commonest: the label of most dev examples, and its share of them.
    """
    results = [evidence.result(row, profile) for table in evidence.tables for row in table.rows]
    scored = [one for one in results if one.scores]
    # The first of equals: rows are in order of their tables.
    baseline = max((one for one in scored if one.row.role == "baseline"), key=_mean, default=None)
    net = max((one for one in scored if one.row.role is None), key=_mean, default=None)
    if net is None:
        return Standing(profile, commonest, None, baseline, None, "none")
    speed = speed_of(evidence.timings, parameters(net))
    if baseline is None:
        state: State = "alone" if _mean(net) > commonest[1] else "worse"
        return Standing(profile, commonest, net, None, None, state, speed)
    difference = difference_of(net, baseline, METRIC, alpha=float(evidence.main.statistics.alpha.value))
    if _mean(net) <= max(_mean(baseline), commonest[1]):
        state = "worse"
    else:
        state = "better" if difference and difference.found.ci[0] > 0 else "unclear"
    return Standing(profile, commonest, net, baseline, difference, state, speed)
