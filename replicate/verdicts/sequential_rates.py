"""Simulated error rates and power of sequential plans, by the very functions that judge real records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.verdicts import sequential
from replicate.verdicts.boundaries import quantile
from replicate.verdicts.plan import Claim, Plan
from replicate.verdicts.rates import EXAMPLES, Rate
from replicate.verdicts.sequential import WORDS

Array = NDArray[np.float64]
Words = NDArray[np.int_]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]

# Right answers of 1,955 on the dev set, seeds 1 to 6: measured/exploratory/ernie3_kuake_qic, commit c6240a5.
MEASURED = {
    "augment": (1520, 1515, 1520, 1499, 1498, 1530),
    "prune-1-2": (1545, 1521, 1532, 1517, 1520, 1557),
    "prune-2-3": (1532, 1556, 1544, 1515, 1505, 1553),
    "base": (1521, 1536, 1534, 1543, 1535, 1528),
}
ROWS = tuple(MEASURED)
# The right answers that the article's table prints, one run a row.
PUBLISHED = {"augment": 1560, "prune-1-2": 1561, "prune-2-3": 1582, "base": 1569}
ARTICLE = (
    Claim("augmentation lowers", "lowers", "augment", "base"),
    Claim("width 1/2 keeps", "keeps", "prune-1-2", "augment"),
    Claim("width 2/3 raises", "raises", "prune-2-3", "augment"),
    Claim("width 2/3 beats base", "raises", "prune-2-3", "base"),
)
MARGIN = 0.010
PLAN = Plan(ARTICLE, {"accuracy": MARGIN})
NETS = ("net-0", "net-1")
# Correlations of rows over seeds: as six seeds have them, and with base on its own, as it shares no stage.
STRUCTURES = ("as measured", "base apart")


def _bad_seeds(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """One in ten is four standard deviations lower."""
    z = rng.standard_normal(shape) - 4.0 * (rng.random(shape) < 0.1)
    return np.asarray((z + 0.4) / np.sqrt(1 + 16 * 0.09))


# All of mean 0 and variance 1; the skewed ones have a skewness of -1 and -2.
DRAWS: Mapping[str, Draw] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "t4": lambda rng, shape: np.asarray(rng.standard_t(4, shape) / np.sqrt(2)),
    "bad seeds": _bad_seeds,
    "skewed": lambda rng, shape: np.asarray((4 - rng.gamma(4, size=shape)) / 2),
    "very skewed": lambda rng, shape: np.asarray(1 - rng.exponential(size=shape)),
}


@dataclass(frozen=True)
class Outcomes:
    """Of many simulated families: the word's place in WORDS and the seeds it took, shape (trials, claims) each."""

    words: Words
    seeds: NDArray[np.int_]


def scores(
    rng: np.random.Generator,
    means: Mapping[str, float],
    trials: int,
    *,
    draw: str = "normal",
    spread: float = 1.0,
    structure: str = STRUCTURES[0],
    seeds: int = PLAN.most,
    nets: int = 1,
    measured: Mapping[str, Sequence[int]] = MEASURED,
) -> dict[str, Array]:
    """Accuracies of each row, (trials, seeds), means over so many nets of whole numbers of examples.

    `spread` is in units of the measured one.
    """
    covariance = np.cov(np.array([*measured.values()]) / EXAMPLES)
    if structure == "base apart":
        covariance[-1, :-1] = covariance[:-1, -1] = 0
    noise = DRAWS[draw](rng, (nets, trials, seeds, len(measured))) @ np.linalg.cholesky(covariance).T
    values = 0.78 + np.array([means.get(row, 0.0) for row in measured]) + spread * noise
    rounded = (np.round(values * EXAMPLES) / EXAMPLES).mean(axis=0)
    return {row: rounded[..., place] for place, row in enumerate(measured)}


def run(plan: Plan, drawn: Mapping[str, Array], level: float | None = None) -> Outcomes:
    """Every claim until it is decided or the plan ends."""
    found = [_walk(plan, claim, drawn, level) for claim in plan.claims]
    return Outcomes(*(np.stack(part, axis=1) for part in zip(*found, strict=True)))


def holm(plan: Plan, drawn: Mapping[str, Array]) -> Outcomes:
    """For comparison: Holm's correction, each decision of any word raising the level of the claims that are left."""
    family = len(plan.claims)
    tables = [[_codes(plan, claim, drawn, plan.alpha / k) for claim in plan.claims] for k in range(family, 0, -1)]
    found = np.stack([np.stack(table, axis=1) for table in tables])
    _, trials, _, looks = found.shape
    words = np.full((trials, family), WORDS.index("undecided"))
    seeds = np.full((trials, family), plan.most)
    for look in range(looks):
        for _ in range(family):
            is_open = words == WORDS.index("undecided")
            round_ = np.minimum(family - is_open.sum(axis=1), family - 1)
            now = found[round_, np.arange(trials), :, look]
            deciding = [
                sequential.decided_at(now[:, [place]], claim.kind) == 0 for place, claim in enumerate(plan.claims)
            ]
            new = is_open & np.stack(deciding, axis=1)
            if not new.any():
                break
            words[new], seeds[new] = now[new], look + plan.first
    return Outcomes(words, seeds)


def naive(plan: Plan, drawn: Mapping[str, Array], looks: Sequence[int]) -> Outcomes:
    """For comparison: a plain t interval of the plan's level at each look, as if it were the only one."""
    words, seeds = [], []
    for claim in plan.claims:
        estimates = sequential.paired(drawn[claim.a] - drawn[claim.b], 2)
        half = quantile(estimates.df, plan.level) * estimates.se
        ends = sequential.outward(estimates.mean - half, estimates.mean + half)
        codes = sequential.codes(*ends, plan.margins[claim.metric])[..., np.array(looks) - 2]
        word, place = _first(codes, claim)
        words.append(word)
        seeds.append(np.array(looks)[place])
    return Outcomes(np.stack(words, axis=1), np.stack(seeds, axis=1))


def any_false(outcomes: Outcomes, plan: Plan, means: Mapping[str, float]) -> Rate:
    """Share of families with at least one word that is not true of the means."""
    wrong = np.zeros(len(outcomes.words), dtype=bool)
    for place, claim in enumerate(plan.claims):
        truth, margin = means.get(claim.a, 0.0) - means.get(claim.b, 0.0), plan.margins[claim.metric]
        slack = sequential.FUZZ
        untrue = {
            "above": truth <= slack,
            "below": truth >= -slack,
            "no difference": abs(truth) >= margin - slack,
            "not worse": truth <= -margin + slack,
        }
        wrong |= np.isin(outcomes.words[:, place], [WORDS.index(word) for word, is_so in untrue.items() if is_so])
    return Rate(int(wrong.sum()), len(wrong))


@dataclass(frozen=True)
class Study:
    """A plan of the profile `small`, and right answers of its rows over six seeds of one net."""

    plan: Plan
    measured: Mapping[str, Sequence[int]]

    def draw(self, rng: np.random.Generator, means: Mapping[str, float], trials: int, **how: Any) -> dict[str, Array]:
        """As `scores`, of these rows, with the plan's seeds on its nets."""
        return scores(rng, means, trials, seeds=self.plan.most, nets=len(self.plan.nets), measured=self.measured, **how)

    @property
    def means(self) -> dict[str, float]:
        """What was measured of each row, less 0.78."""
        return {row: float(np.mean(right)) / EXAMPLES - 0.78 for row, right in self.measured.items()}


# Two tables of `expected/` under `small`: 20 seeds in all on two nets. tests/test_small_plan.py holds them together.
# The fifth row is `augment` at its step of the best accuracy.
SMALL = {
    "the article's claims": Study(
        Plan((*ARTICLE, Claim("augmentation lowers, one rule", "lowers", "augment, by accuracy", "base")),
             {"accuracy": MARGIN}, most=10, nets=NETS),
        {"augment, by accuracy": (1523, 1531, 1528, 1556, 1517, 1530), **MEASURED},
    ),
    "pruning without a leak": Study(
        Plan(tuple(Claim(f"{row} keeps", "keeps", row, "parent")
                   for row in ("native-1-2", "native-2-3", "cleared-1-2", "cleared-2-3")),
             {"accuracy": MARGIN}, most=10, nets=NETS),
        {
            "native-1-2": (1536, 1515, 1519, 1500, 1524, 1503),
            "native-2-3": (1524, 1527, 1506, 1538, 1522, 1496),
            "cleared-1-2": (1513, 1509, 1542, 1515, 1532, 1509),
            "cleared-2-3": (1535, 1520, 1528, 1533, 1528, 1508),
            "parent": (1541, 1508, 1520, 1511, 1524, 1508),
        },
    ),
}  # fmt: skip


def corners(margin: float = MARGIN, rows: Sequence[str] = ROWS) -> dict[str, dict[str, float]]:
    """Means at which some word is only just false: all rows equal, and each row a margin from the others."""
    found: dict[str, dict[str, float]] = {"no row differs": {}}
    for row in reversed(rows):
        for sign in (-1, 1):
            found[f"{row} {'−' if sign < 0 else '+'}{margin:.3f}"] = {row: sign * margin}
    if "prune-1-2" in rows:
        found[f"width 1/2 doesn't keep, 2/3 −{margin:.3f} too"] = {"prune-1-2": -margin, "prune-2-3": -margin}
    return found


def worlds() -> dict[str, dict[str, float]]:
    """Means of the rows: as measured, all equal, and as published."""
    measured = {row: float(np.mean(MEASURED[row])) / EXAMPLES - 0.78 for row in ROWS}
    published = {row: PUBLISHED[row] / EXAMPLES - 0.78 for row in ROWS}
    return {"as measured": measured, "no row differs": {}, "as published": published}


def expected(
    plan: Plan,
    claim: Claim,
    difference: float,
    sd: float,
    trials: int = 4000,
    rng: np.random.Generator | None = None,
) -> tuple[float, float]:
    """Before a run: the share of studies that decide this claim, and their mean number of seeds.

    Args:
        plan: the family that the claim belongs to.
        claim: the claim.
        difference: assumed true mean of row a minus row b.
        sd: assumed spread of a seed's difference.
        trials: simulated studies.
        rng: of the simulation; seeded with 0 where none is given.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    drawn = {claim.a: rng.normal(difference, sd, (trials, plan.most)), claim.b: np.zeros((trials, plan.most))}
    words, seeds = _walk(replace(plan, pairing="seed"), claim, drawn, None)
    return float(np.mean(words != WORDS.index("undecided"))), float(seeds.mean())


def _walk(plan: Plan, claim: Claim, drawn: Mapping[str, Array], level: float | None) -> tuple[Words, Words]:
    word, place = _first(_codes(plan, claim, drawn, level), claim)
    return word, plan.first + place


def _first(codes: Words, claim: Claim) -> tuple[Words, Words]:
    """The deciding word and the place of its look; `undecided` and the last place where there is none."""
    place = sequential.decided_at(codes, claim.kind)
    last = np.where(place < 0, codes.shape[-1] - 1, place)
    word = np.take_along_axis(codes, last[:, None], axis=1)[:, 0]
    return np.where(place < 0, WORDS.index("undecided"), word), last


def _codes(plan: Plan, claim: Claim, drawn: Mapping[str, Array], level: float | None) -> Words:
    a, b = drawn[claim.a], drawn[claim.b]
    if plan.pairing == "seed":
        estimates = sequential.paired(a - b, plan.first)
    else:
        estimates = sequential.separate(a, b, plan.first)
    return sequential.codes(*sequential.intervals(estimates, plan, level), plan.margins[claim.metric])
