"""Decisions: every claim of a plan after the seeds that there are, and the runs that come next.

A decision is replayed from the scores, look by look, so it doesn't hang on when or how often somebody looked: a claim
is decided at the first look whose interval allows a deciding word, and later seeds change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from replicate.verdicts import sequential
from replicate.verdicts.equivalence import NO_INTERVAL, Interval
from replicate.verdicts.plan import Claim, Plan
from replicate.verdicts.plan import Scores as Scores
from replicate.verdicts.sequential import Array, Estimates, Word

Answer = Literal["yes", "no", "undecided"]

ANSWERS: dict[str, dict[Word, Answer]] = {
    "lowers": {"below": "yes", "above": "no", "no difference": "no"},
    "raises": {"above": "yes", "below": "no", "no difference": "no"},
    "keeps": {"above": "yes", "no difference": "yes", "not worse": "yes", "below": "no"},
}


@dataclass(frozen=True)
class Verdict:
    """What the plan says of one claim.

    Attributes:
        claim: the claim.
        word: what its interval allows.
        interval: the repeated confidence interval of row a minus row b at that look, outward to the printed digits.
        answer: whether the claim holds, by word and kind.
        look: seeds (on each net) that the word rests on.
        difference: mean over them; NaN before there is a pair.
        decided: whether later seeds can change anything.
        p: the smallest level at which it would have been decided by now; decided where it is at most the plan's level.
        stuck: why no further seed can decide it; empty where one can, or where it is decided.
        deterministic: rows whose scores the seed doesn't change.
        nets: each net's own interval at the same look and level, for reading only: the family is over the pooled ones.
    """

    claim: Claim
    word: Word
    interval: Interval
    answer: Answer
    look: int
    difference: float
    decided: bool
    p: float
    stuck: str
    deterministic: tuple[str, ...]
    nets: Mapping[str, Interval]


@dataclass(frozen=True)
class Beside:
    """A further metric of a claim, at the look of its verdict and at the same level; it decides nothing.

    `difference` and `interval` are NaN before the first look.
    """

    metric: str
    difference: float
    interval: Interval


def decide(plan: Plan, scores: Mapping[str, Scores]) -> tuple[Verdict, ...]:
    """The verdicts on a plan's claims, in its order.

    Nets are strata: a look takes the same number of seeds from each net of both rows, and a seed's difference is the
    mean over the nets. So the interval is about the mean over these nets, and what they differ by is in no spread.

    Args:
        plan: the family.
        scores: by metric.

    Raises:
        ValueError: a row that descends from a net which isn't one of the plan.
    """
    return tuple(_decide(plan, claim, scores.get(claim.metric, {})) for claim in plan.claims)


def next_runs(
    plan: Plan, scores: Mapping[str, Scores], verdicts: Iterable[Verdict] | None = None, stop: int | None = None
) -> tuple[tuple[str, str, int], ...]:
    """The (row, net, seed) to be run for the next look, seeds from 1 in order; empty where nothing is left to decide.

    All rows of all undecided claims go together, up to the first look or one seed beyond what the shortest has; a row
    that only decided claims need is left alone.

    Args:
        plan: the family.
        scores: by metric; a run has its score in every metric.
        verdicts: on the claims that matter; on all of the plan's without them.
        stop: seeds on each net beyond which nothing runs, if that is before the plan's last look.
    """
    verdicts = decide(plan, scores) if verdicts is None else verdicts
    open_claims = [verdict.claim for verdict in verdicts if not (verdict.decided or verdict.stuck)]
    rows = {row: claim.metric for claim in open_claims for row in (claim.b, claim.a)}
    there = {
        (row, net): len(scores.get(metric, {}).get(row, {}).get(net, ()))
        for row, metric in rows.items()
        for net in plan.nets
    }
    if not there:
        return ()
    target = min(plan.most, max(plan.first, min(there.values()) + 1), plan.most if stop is None else stop)
    return tuple(
        (row, net, seed) for seed in range(1, target + 1) for (row, net), seeds in there.items() if seeds < seed
    )


def beside(plan: Plan, verdict: Verdict, scores: Scores, metric: str) -> Beside:
    """Another metric of a claim after as many seeds as its verdict rests on.

    Args:
        plan: the family that the verdict is of.
        verdict: of the claim.
        scores: of that metric.
        metric: its name.
    """
    if verdict.look < plan.first:
        return Beside(metric, np.nan, NO_INTERVAL)
    a, b = (_block(plan, scores[row], verdict.look) for row in (verdict.claim.a, verdict.claim.b))
    estimates, low, high, _ = _looks(plan, a, b)
    return Beside(metric, float(estimates.mean[-1]), (float(low[-1]), float(high[-1])))


def _decide(plan: Plan, claim: Claim, scores: Scores) -> Verdict:
    a, b = scores.get(claim.a, {}), scores.get(claim.b, {})
    if strange := sorted((set(a) | set(b)) - set(plan.nets)):
        raise ValueError(f"claim {claim.name}: a row descends from {strange[0]}, which is no net of the plan")
    looks = min(plan.most, *(len(one.get(net, ())) for one in (a, b) for net in plan.nets))
    blocks = {row: _block(plan, one, looks) for row, one in ((claim.a, a), (claim.b, b))}
    margin = plan.margins[claim.metric]
    if looks < plan.first:
        difference = float(np.mean(blocks[claim.a] - blocks[claim.b])) if looks else np.nan
        stuck = _stuck(plan, blocks, looks)
        return Verdict(claim, "undecided", NO_INTERVAL, "undecided", looks, difference, False, 1.0, stuck, (), {})
    estimates, low, high, known = _looks(plan, blocks[claim.a], blocks[claim.b])
    place = int(sequential.decided_at(sequential.codes(low, high, margin), claim.kind))
    decided = place >= 0
    ends = (float(low[place]), float(high[place]))
    word = sequential.word(*ends, margin)
    look = int(estimates.look[place])
    so_far = sequential.up_to(estimates, look)
    p = 0.0 if decided and known[place] else sequential.sequential_p(so_far, plan, claim.kind, margin)
    each = {net: _one_net(plan, blocks[claim.a][i], blocks[claim.b][i], look) for i, net in enumerate(plan.nets)}
    return Verdict(
        claim=claim,
        word=word,
        interval=ends,
        answer=ANSWERS[claim.kind].get(word, "undecided") if decided else "undecided",
        look=look,
        difference=float(estimates.mean[place]),
        decided=decided,
        p=p,
        stuck="" if decided else _stuck(plan, blocks, looks),
        deterministic=tuple(row for row, block in blocks.items() if _flat(block)[look - 1]),
        nets=each if len(plan.nets) > 1 else {},
    )


def _block(plan: Plan, of_nets: Mapping[str, Sequence[float]], seeds: int) -> Array:
    """The first seeds of a row on each net, shape (nets, seeds)."""
    return np.array([list(of_nets.get(net, ()))[:seeds] for net in plan.nets], dtype=float)


def _looks(plan: Plan, a: Array, b: Array) -> tuple[Estimates, Array, Array, NDArray[np.bool_]]:
    """At each look of two blocks the estimates and both ends, and whether no seed has changed either row so far."""
    estimates = _estimates(plan, a.mean(axis=0), b.mean(axis=0))
    low, high = sequential.intervals(estimates, plan)
    # Such rows have a difference, and no spread to be unsure about.
    known = (_flat(a) & _flat(b))[plan.first - 1 :]
    at_mean = sequential.outward(estimates.mean, estimates.mean)
    low, high = (np.where(known, point, end) for point, end in zip(at_mean, (low, high), strict=True))
    return estimates, low, high, known


def _estimates(plan: Plan, a: Array, b: Array) -> Estimates:
    if plan.pairing == "seed":
        return sequential.paired(a - b, plan.first)
    return sequential.separate(a, b, plan.first)


def _flat(block: Array) -> NDArray[np.bool_]:
    """Whether all scores up to each seed are those of the first, on every net; `block` is (nets, seeds)."""
    same = np.abs(block - block[:, :1]) < sequential.FUZZ
    return np.logical_and.accumulate(same.all(axis=0))


def _one_net(plan: Plan, a: Array, b: Array, look: int) -> Interval:
    low, high = sequential.intervals(_estimates(plan, a[:look], b[:look]), plan)
    return float(low[-1]), float(high[-1])


def _stuck(plan: Plan, blocks: Mapping[str, Array], looks: int) -> str:
    nets = len(plan.nets)
    for row, block in blocks.items():
        bad = np.argwhere(~np.isfinite(block.T))
        if len(bad):
            place, net = bad[0]
            seed = place * nets + net + 1
            return f"seed {seed} of {row} gave no number, and leaving it out would choose among the seeds"
    return f"undecided after {plan.most * nets} seeds" if looks == plan.most else ""
