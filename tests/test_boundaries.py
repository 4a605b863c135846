"""The boundaries of sequential plans, derived again: by the recursion, by SciPy's integration, and by simulation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import special, stats

from replicate.verdicts import boundaries
from replicate.verdicts.boundaries import FIRST_LOOKS, LEVELS, MOST_SEEDS, computed, crossing, nominal_levels, quantile
from replicate.verdicts.spending import spent as spent_up_to

# A sample of the table: every first look and level, most seeds from 4 to 30.
ENTRIES = [
    (first, most, LEVELS[(first + most) % len(LEVELS)]) for first in FIRST_LOOKS for most in range(first + 1, 31, 7)
]


def simulated(first: int, nominal: tuple[float, ...], trials: int) -> float:
    """Share of studies without any difference that leave, from their raw scores."""
    rng = np.random.default_rng(first + len(nominal))
    left, most = 0, first + len(nominal) - 1
    n = np.arange(1, most + 1)
    reach = stats.t.ppf(1 - np.array(nominal) / 2, n[first - 1 :] - 1)
    for _ in range(trials // 50_000):
        x = rng.standard_normal((50_000, most))
        mean = np.cumsum(x, axis=1) / n
        variance = ((np.cumsum(x * x, axis=1) - n * mean**2) / np.maximum(n - 1, 1))[:, first - 1 :]
        left += int((mean[:, first - 1 :] ** 2 * n[first - 1 :] >= reach**2 * variance).any(axis=1).sum())
    return left / trials


@pytest.mark.parametrize(("first", "most", "level"), ENTRIES)
def test_the_table_is_derived_again(first: int, most: int, level: float) -> None:
    """Entries of the table are what the recursion gives, and leave with the probability that is spent at each look."""
    listed = nominal_levels(first, most, level)
    assert listed == pytest.approx(computed(first, most, level), rel=1e-4)
    spent = [spent_up_to(level, look, most) for look in range(first, most + 1)]
    assert np.cumsum(crossing(first, listed)) == pytest.approx(spent, rel=2e-4)


def test_the_table_is_complete() -> None:
    """Each first look from 3 to 6, up to 30 seeds, for 5 % over up to ten claims."""
    table = boundaries._table()
    assert len(table) == len(LEVELS) * sum(MOST_SEEDS - first for first in FIRST_LOOKS)
    for (first, most, level), p in table.items():
        assert len(p) == most - first + 1
        assert 0 < min(p) <= max(p) < float(level)


@pytest.mark.parametrize("level", [0.05, 0.0125])
@pytest.mark.parametrize("first", [3, 5])
def test_two_looks_agree_with_the_textbook_integral(first: int, level: float) -> None:
    """Over mean and sum of squares at the first look (SciPy's densities), the next seed in closed form; variance 1."""
    nominal = computed(first, first + 1, level)
    c1, c2 = (float(quantile(seeds - 1, p)) for seeds, p in zip((first, first + 1), nominal, strict=True))
    places, weights = special.roots_legendre(400)
    mean, wide = (6 / np.sqrt(first) * part for part in (places, weights))
    # |t| is below c1 where the sum of squares is above a bound; v^2 is what it has beyond that.
    v = (places + 1) / 2 * 9
    squares = (first * (first - 1) * mean**2 / c1**2)[:, None] + v**2
    m, share = mean[:, None], first / (first + 1)
    # |t| is below c2 where share (n m + x)^2 < c2^2 (squares + share (x - m)^2): a quadratic in the next seed x.
    a, b = share * (1 - c2**2), 2 * m * share * (first + c2**2)
    c = share * m**2 * (first**2 - c2**2) - c2**2 * squares
    root = np.sqrt(np.maximum(b * b - 4 * a * c, 0))
    ends = [(-b + sign * root) / (2 * a) for sign in (-1, 1)]
    leaves = np.where(root > 0, np.abs(stats.norm.cdf(ends[1]) - stats.norm.cdf(ends[0])), 0)
    density = wide * stats.norm.pdf(mean, 0, first**-0.5)
    kept = density @ ((1 - leaves) * stats.chi2.pdf(squares, first - 1) * 2 * v) @ (weights / 2 * 9)
    assert 1 - kept == pytest.approx(level, abs=2e-5)


@pytest.mark.parametrize(("first", "most", "level"), [(3, 8, 0.05), (5, 12, 0.05), (4, 10, 0.0125)])
def test_the_boundaries_agree_with_simulation(first: int, most: int, level: float) -> None:
    """Of 400,000 studies of raw normal scores, as many leave as the level says, to 1e-3."""
    assert simulated(first, nominal_levels(first, most, level), 400_000) == pytest.approx(level, abs=1e-3)


def test_many_seeds_agree_with_the_multivariate_t_of_scipy() -> None:
    """With some hundred seeds the spread hardly changes from look to look: one multivariate t has all looks."""
    looks, p = (150, 200, 250, 300), (0.004, 0.01, 0.015, 0.025)
    nominal = [1e-13] * (looks[-1] - looks[0] + 1)
    for look, one in zip(looks, p, strict=True):
        nominal[look - looks[0]] = one
    n = np.array(looks, dtype=float)
    shape = np.sqrt(np.minimum.outer(n, n) / np.maximum.outer(n, n))
    # Degrees of freedom in the middle of the looks, each with the bound that its p has there.
    df = 225
    reach = stats.t.ppf(1 - np.array(p) / 2, df)
    kept = stats.multivariate_t(shape=shape, df=df, seed=0).cdf(reach, lower_limit=-reach)
    assert sum(crossing(looks[0], nominal)) == pytest.approx(1 - kept, abs=1e-3)


def test_a_normal_quantile_in_place_of_t_is_caught() -> None:
    """The subtle mistake: the same p at each look, but read from a normal distribution."""
    nominal = nominal_levels(5, 20, 0.05)
    normal = stats.norm.ppf(1 - np.array(nominal) / 2)
    as_t = tuple(float(2 * stats.t.sf(z, n - 1)) for n, z in enumerate(normal, start=5))
    assert sum(crossing(5, as_t)) > 0.08


def test_looking_as_if_each_look_were_the_only_one_is_caught() -> None:
    """A plain 5 % at each look from 3 to 20 is wrong in about a quarter of all studies; at 3 and then 6, in a tenth."""
    assert 0.2 < sum(crossing(3, (0.05,) * 18)) < 0.3
    assert 0.08 < sum(crossing(3, (0.05, 1e-13, 1e-13, 0.05))) < 0.11


@pytest.mark.parametrize(("first", "most"), [(3, 30), (5, 20), (6, 12)])
def test_a_smaller_level_needs_more_at_every_look(first: int, most: int) -> None:
    """So a sequential p exists: what is decided at a level is decided at every larger one."""
    levels = (0.0001, 0.005, 0.0125, 0.05, 0.2, 0.9)
    p = np.array([nominal_levels(first, most, level) for level in levels])
    assert (np.diff(p, axis=0) > 0).all()


def test_one_look_is_the_plain_t_test() -> None:
    """A plan with a single look spends all of its level there."""
    assert nominal_levels(6, 6, 0.05) == (0.05,)


@pytest.mark.parametrize(
    ("first", "most", "level", "rho"), [(1, 9, 0.05, 2), (9, 5, 0.05, 2), (5, 9, 0, 2), (5, 9, 1, 2), (5, 9, 0.05, 0)]
)
def test_impossible_boundaries_are_an_error(first: int, most: int, level: float, rho: float) -> None:
    """They come from a validated plan."""
    with pytest.raises(ValueError, match="no boundaries"):
        nominal_levels(first, most, level, rho)


@pytest.mark.slow
def test_the_whole_table_is_what_its_command_prints() -> None:
    """To the last digits that another processor may round otherwise."""
    again = json.loads(boundaries.table_text())
    listed = {f"{first} {most} {level}": p for (first, most, level), p in boundaries._table().items()}
    assert again.keys() == listed.keys()
    assert all(again[key] == pytest.approx(listed[key], rel=1e-4) for key in again)
