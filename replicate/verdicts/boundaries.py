"""Exact boundaries of a t test that looks after each seed: how much a t statistic needs at every look.

n paired differences are normal with unknown variance; the test spends its level as `level * (n / most) ** rho` (the
power family of Kim and DeMets, 1987). With a true mean of 0 the direction of (x_1, ..., x_n) is uniform on a sphere,
whatever the variance, and V_n = sum(x) / sqrt(sum(x^2)) holds all of the t statistic, t = sqrt(n-1) V / sqrt(n - V^2).
Given V_n, the last difference is one coordinate of a uniform direction about its mean, so V_(n-1) has a known
distribution. That gives a recursion over one dimension for r_n(v): the probability that no earlier look left, given
V_n = v (compare Jennison and Turnbull, 1991: exact calculations for sequential t tests; and 2000, chapter 19).
`python -m replicate.verdicts.boundaries` prints the table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import resources
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, optimize, special

from replicate.verdicts.spending import RHO, spent

FIRST_LOOKS = (3, 4, 5, 6)
MOST_SEEDS = 30
# 0.05 over up to ten claims.
LEVELS = tuple(0.05 / k for k in range(1, 11))
TABLE = "boundaries.json"
# r is held on this many nodes, and each step is integrated on so many.
NODES = 161
INNER = 48
OUTER = 64
QUARTER = np.pi / 2

Array = NDArray[np.float64]
Survival = Callable[[Array], Array]


def nominal_levels(first: int, most: int, level: float, rho: float = RHO) -> tuple[float, ...]:
    """Two-sided p that a t test needs at each look from `first` to `most`, to be wrong at `level` over all of them.

    From the table where that has it, else computed.

    Raises:
        ValueError: a first look below 2 seeds or after the last, a level outside 0 to 1, or a rho that isn't positive.
    """
    if not (2 <= first <= most and 0 < level < 1 and rho > 0):
        raise ValueError(f"no boundaries for looks {first} to {most} at level {level} and rho {rho}")
    found = _table().get((first, most, _key(level))) if rho == RHO else None
    return found if found else computed(first, most, level, rho)


@lru_cache(maxsize=1024)
def computed(first: int, most: int, level: float, rho: float = RHO, nodes: int = NODES) -> tuple[float, ...]:
    """As `nominal_levels`, always by the recursion."""
    p = [spent(level, first, most, rho)]
    survival: Survival = np.ones_like
    for seeds in range(first + 1, most + 1):
        survival = _next(survival, seeds, p[-1], nodes)
        increment = spent(level, seeds, most, rho) - spent(level, seeds - 1, most, rho)

        def excess(log_p: float, seeds: int = seeds, survival: Survival = survival, goal: float = increment) -> float:
            return _leaving(survival, seeds, p[-1], float(np.exp(log_p))) / goal - 1

        # What leaves now is less than what a test of this look alone would reject, so p is at least the increment.
        p.append(float(np.exp(optimize.brentq(excess, np.log(increment) - 0.01, -1e-9, xtol=1e-10))))
    return tuple(p)


def crossing(first: int, nominal: Sequence[float], nodes: int = NODES) -> tuple[float, ...]:
    """Probability to leave at each look for the first time, with a true mean of 0, given two-sided p at each look."""
    left = [float(nominal[0])]
    survival: Survival = np.ones_like
    for seeds, (before, now) in enumerate(pairwise(nominal), start=first + 1):
        survival = _next(survival, seeds, before, nodes)
        left.append(_leaving(survival, seeds, before, now))
    return tuple(left)


def quantile(df: NDArray | float, nominal: NDArray | float) -> Array:
    """What t must reach, for degrees of freedom and two-sided p that broadcast."""
    return np.asarray(-special.stdtrit(df, np.asarray(nominal) / 2), dtype=float)


def table_text() -> str:
    """The table as JSON, one line for each first look, most seeds and level."""
    lines = [
        f'"{first} {most} {_key(level)}": {json.dumps([float(f"{p:.5g}") for p in computed(first, most, level)])}'
        for first in FIRST_LOOKS
        for most in range(first + 1, MOST_SEEDS + 1)
        for level in LEVELS
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


@lru_cache(maxsize=1)
def _table() -> dict[tuple[int, int, str], tuple[float, ...]]:
    text = resources.files(__package__).joinpath(TABLE).read_text(encoding="utf-8")
    rows = ((name.split(), values) for name, values in json.loads(text).items())
    return {(int(first), int(most), level): tuple(values) for (first, most, level), values in rows}


def _key(level: float) -> str:
    return f"{level:.6g}"


@lru_cache(maxsize=8)
def _gauss(points: int) -> tuple[Array, Array]:
    places, weights = special.roots_legendre(points)
    return places, weights


def _edge(seeds: int, p: float) -> float:
    """The V that belongs to a two-sided p of the t test over so many seeds."""
    t = float(quantile(seeds - 1, p))
    return float(np.sqrt(seeds) * t / np.hypot(np.sqrt(seeds - 1), t))


def _next(survival: Survival, seeds: int, before: float, nodes: int) -> Survival:
    """r of `seeds`, from that of one seed less and the p that its look needed."""
    edge, previous = _edge(seeds - 1, before), seeds - 1
    # No path inside ± edge can come further than this with one more seed.
    reach = np.sqrt(1 + edge * edge)
    # Nodes lie closer towards the end, where paths are about to leave.
    v = reach * np.sin(QUARTER * np.sin(np.linspace(0, QUARTER, nodes)))
    # The last seed's share of the sum is y = centre + radius sin(angle); |V| of the others is below the edge between:
    root = edge * np.sqrt(np.maximum(0, reach * reach - v * v))
    centre, radius = v / seeds, np.sqrt((1 - v * v / seeds) * previous / seeds)
    low, high = (
        np.arcsin(np.clip(((v + sign * root) / reach**2 - centre) / radius, -1, 1))[:, None] for sign in (-1, 1)
    )
    # Beyond eight standard deviations there is nothing, and with many seeds that leaves most of the range out.
    low, high = (np.clip(end, -8 / np.sqrt(previous), 8 / np.sqrt(previous)) for end in (low, high))
    places, weights = _gauss(INNER)
    angle = (low + high) / 2 + (high - low) / 2 * places
    # Of a uniform direction in `previous` dimensions, the density of one coordinate's angle is a power of its cosine.
    scale = np.exp(special.gammaln(previous / 2) - special.gammaln((previous - 1) / 2)) / np.sqrt(np.pi)
    share = (high - low) / 2 * weights * scale * np.cos(angle) ** (previous - 2)
    y = centre[:, None] + radius[:, None] * np.sin(angle)
    earlier = np.abs(v[:, None] - y) / np.sqrt(1 - y * y)
    r = interpolate.CubicSpline(v, (share * survival(np.minimum(earlier, edge))).sum(axis=1))

    def at(v: Array) -> Array:
        return np.where(v <= reach, r(np.minimum(v, reach)), 0.0)

    return at


def _leaving(survival: Survival, seeds: int, before: float, now: float) -> float:
    """Probability that the first look to leave is that of `seeds`."""
    edge = _edge(seeds - 1, before)
    low, high = (np.arcsin(min(1.0, v / np.sqrt(seeds))) for v in (_edge(seeds, now), np.sqrt(1 + edge * edge)))
    if low >= high:
        return 0.0
    places, weights = _gauss(OUTER)
    # r ends like a square root.
    ends = np.sin(QUARTER * (places + 1) / 2)
    angle = low + (high - low) * ends
    slope = (high - low) * QUARTER / 2 * np.cos(QUARTER * (places + 1) / 2)
    scale = np.exp(special.gammaln(seeds / 2) - special.gammaln((seeds - 1) / 2)) / np.sqrt(np.pi)
    density = scale * np.cos(angle) ** (seeds - 2)
    return float(2 * (weights * slope * density * survival(np.sqrt(seeds) * np.sin(angle))).sum())


if __name__ == "__main__":
    print(table_text(), end="")
