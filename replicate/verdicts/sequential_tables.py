"""The tables of sequential plans and of few seeds that `python -m replicate.verdicts.error_rates` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from replicate.verdicts import moderated, sequential_rates
from replicate.verdicts.plan import Claim, Plan
from replicate.verdicts.rates import Rate, table_of
from replicate.verdicts.sequential import WORDS, codes, outward
from replicate.verdicts.sequential_rates import (
    ARTICLE,
    DRAWS,
    MARGIN,
    PLAN,
    SMALL,
    STRUCTURES,
    Study,
    any_false,
    naive,
    run,
    scores,
)

Array = NDArray[np.float64]

EACH = tuple(range(3, PLAN.most + 1))
# Four claims on eight rows that share nothing.
APART = Plan(tuple(Claim(f"claim {k}", "raises", f"a{k}", f"b{k}") for k in range(4)), {"accuracy": MARGIN})
# Of a row, where two rows are simulated on their own.
SPREAD = 0.008
# Studies of few seeds: comparisons, pairs, spread that the examples make of a pair, and how much more there is.
COMPARISONS, PAIRS, FLOOR, RATIO = 8, 3, 0.0065, 1.2


def tables(trials: int, rng: np.random.Generator) -> list[str]:
    """Headings and tables in turn, each of `trials` trials a cell."""
    return [
        f"The article's four claims: looks after each seed from {PLAN.first} to {PLAN.most}, margin {MARGIN:.3f}, "
        f"power spending with rho {PLAN.rho:g}, each claim at {PLAN.level:g}; spreads and correlations of "
        f"`measured/exploratory` over six seeds; {trials:,} trials a cell (a fifth for few seeds).",
        "### Sequential plan: at least one false word among four claims",
        corner_table(trials, rng),
        "### Sequential plan: the same with other spreads and correlations, normal scores, no row differs",
        spread_table(trials, rng),
        "### Sequential plan: rules that are caught, at least one false word where no row differs",
        caught_table(trials, rng),
        "### Sequential plan: decided share / mean seeds of each claim",
        power_table(trials, rng),
        "### Two samples that share no seed: false words of one claim at 5 % where no row differs",
        separate_table(trials, rng),
        "### Two pretrained nets: false words of one claim at 5 % where the mean over both is 0",
        nets_table(trials, rng),
        f"### Few seeds: {COMPARISONS} comparisons of {PAIRS} seeds, at least one false word",
        study_table(trials // 5, rng),
        "### The plans of `small`, two nets and looks at 5 to 10 seeds on each: at least one false word in a family",
        small_corner_table(trials, rng),
        "### The plans of `small`: decided share / mean seeds in all of each claim",
        small_power_table(trials, rng),
    ]


def corner_table(trials: int, rng: np.random.Generator) -> str:
    """Any false word at every corner, for every shape of the scores."""
    rows = [
        (
            name,
            *(any_false(run(PLAN, scores(rng, means, trials, draw=draw)), PLAN, means) for draw in DRAWS),
        )
        for name, means in sequential_rates.corners().items()
    ]
    return _table(("true means", *DRAWS), rows)


def spread_table(trials: int, rng: np.random.Generator) -> str:
    """Any false word where no row differs, over spreads and correlations."""
    rows = [
        (
            f"{spread:g} times the measured spread",
            *(
                any_false(run(PLAN, scores(rng, {}, trials, spread=spread, structure=structure)), PLAN, {})
                for structure in STRUCTURES
            ),
        )
        for spread in (0.5, 1, 1.5, 2, 4)
    ]
    return _table(("spread", *STRUCTURES), rows)


def caught_table(trials: int, rng: np.random.Generator) -> str:
    """Ours beside rules that look as if each look, or each claim, were the only one."""
    article, apart = scores(rng, {}, trials), _apart(rng, trials)
    rules = {
        "ours": lambda plan, drawn: run(plan, drawn),
        "plain intervals (95 % over the claims) after each seed from 3": lambda plan, drawn: naive(plan, drawn, EACH),
        "plain intervals (95 % over the claims) at 3 seeds, then at 6": lambda plan, drawn: naive(plan, drawn, (3, 6)),
        "plain intervals (95 % each) at 3 seeds, then at 6": lambda plan, drawn: naive(_alone(plan), drawn, (3, 6)),
        "plain intervals (95 % each) after each seed from 3": lambda plan, drawn: naive(_alone(plan), drawn, EACH),
        "ours, but with Holm over decided claims": sequential_rates.holm,
    }
    rows = [
        (name, *(any_false(rule(plan, drawn), plan, {}) for plan, drawn in ((PLAN, article), (APART, apart))))
        for name, rule in rules.items()
    ]
    return _table(("rule", "the article's claims", "four claims that share no row"), rows)


def power_table(trials: int, rng: np.random.Generator) -> str:
    """How often, and after how many seeds, each of the article's claims is decided."""
    rows = []
    # The mean over two nets has less spread than a seed on one; so does a large net.
    for spread, label, margin in ((1.0, "1", MARGIN), (0.5**0.5, "1, two nets", MARGIN), (0.5, "0.5", 0.008)):
        plan = replace(PLAN, margins={"accuracy": margin})
        for name, means in sequential_rates.worlds().items():
            done = run(plan, scores(rng, means, trials, spread=spread))
            shares = np.mean(done.words != WORDS.index("undecided"), axis=0)
            cells = [f"{share:.0%} / {seeds:.1f}" for share, seeds in zip(shares, done.seeds.mean(axis=0), strict=True)]
            rows.append((name, label, f"{margin:.3f}", *cells, any_false(done, plan, means)))
    return _table(("true means", "spread", "margin", *(claim.name for claim in ARTICLE), "any false word"), rows)


def separate_table(trials: int, rng: np.random.Generator) -> str:
    """Differences by seed number and two separate samples, where rows share something and where they don't."""
    plan = _alone(PLAN, ARTICLE[:1])
    cases: dict[str, tuple[float, float]] = {
        "equal spreads, nothing shared": (1.0, 0.0),
        "spreads 1 to 3, nothing shared": (3.0, 0.0),
        "equal spreads, correlation −0.7": (1.0, -0.7),
        "equal spreads, correlation 0.7": (1.0, 0.7),
    }
    rows = []
    for name, (ratio, correlation) in cases.items():
        z = rng.standard_normal((2, trials, plan.most))
        other = correlation * z[0] + np.sqrt(1 - correlation**2) * z[1]
        drawn = {"augment": 0.78 + SPREAD / ratio * z[0], "base": 0.78 + SPREAD * other}
        outcomes = [run(plan, drawn), run(replace(plan, pairing="none"), drawn)]
        cells = [f"{any_false(done, plan, {})}, {done.seeds.mean():.1f} seeds" for done in outcomes]
        rows.append((name, *cells))
    return _table(("rows", "differences by seed number", "two samples (Welch)"), rows)


def nets_table(trials: int, rng: np.random.Generator) -> str:
    """Nets as strata, and their seeds strung together as if they were of one net."""
    plan = _alone(PLAN, ARTICLE[3:])
    rows = []
    for apart in (0.0, 0.008, 0.016):
        each = rng.normal(0, 0.012, (2, trials, plan.most)) + np.array([apart, -apart])[:, None, None] / 2
        strung = np.concatenate([each[0, :, : plan.most // 2], each[1, :, : plan.most // 2]], axis=1)
        cells = [
            any_false(run(plan, {"prune-2-3": x, "base": np.zeros_like(x)}), plan, {})
            for x in (each.mean(axis=0), strung)
        ]
        rows.append((f"{apart:.3f}", *cells))
    return _table(("the nets differ by", "ours: each seed on both nets", "one net's seeds after the other's"), rows)


def study_table(trials: int, rng: np.random.Generator) -> str:
    """The words of a study of few seeds, each interval with its share of 5 %, beside those of the plain t."""
    rows = []
    for difference in (0.0, 0.010, 0.015, 0.020):
        truth = np.where(np.arange(COMPARISONS) < COMPARISONS // 2, difference, 0.0)
        words: dict[str, list[NDArray[np.int_]]] = {"plain": [], "moderated": [], "two samples": []}
        for _ in range(trials):
            # Spreads of comparisons scatter about their mean as a scaled inverse chi-square of 8 degrees does.
            sd = FLOOR * np.sqrt(RATIO * 6 / rng.chisquare(8, (COMPARISONS, 1)))
            x = rng.normal(0, sd, (COMPARISONS, PAIRS)) + truth[:, None]
            a, b = (rng.normal(0, sd / np.sqrt(2), (2, COMPARISONS, PAIRS))) + np.stack([truth, 0 * truth])[..., None]
            floors = [FLOOR] * COMPARISONS
            apart = [
                moderated.Cells((1.0, -1.0), (p.tolist(), q.tolist()), FLOOR / np.sqrt(2))
                for p, q in zip(a, b, strict=True)
            ]
            share = 0.05 / COMPARISONS
            for name, found in (
                ("plain", moderated.moderate(x.tolist(), floors, share, prior_df=0.0)),
                ("moderated", moderated.moderate(x.tolist(), floors, share)),
                ("two samples", moderated.moderate_cells(apart, share)),
            ):
                ends = np.array([one.ci for one in found]).T
                words[name].append(codes(*outward(*ends), MARGIN))
        cells: list[object] = []
        for one in words.values():
            said = np.array(one)
            false = ((said == 0) & (truth <= 0)) | ((said == 1) & (truth >= 0)) | ((said == 2) & (truth >= MARGIN))
            above = (said[:, : COMPARISONS // 2] == 0).mean()
            cells += [Rate(int(false.any(axis=1).sum()), trials), f"{above:.0%}" if difference else "-"]
        rows.append((f"{difference:.3f}", *cells))
    rules = ("plain t, pairs", "moderated t, pairs", "moderated t, two samples")
    head = (
        "true difference of half of them",
        *(f"{rule}: {what}" for rule in rules for what in ("any false", "above")),
    )
    return _table(head, rows)


def small_corner_table(trials: int, rng: np.random.Generator) -> str:
    """Any false word of either family at every corner, for every shape of the scores."""
    rows = [
        (
            family,
            name,
            *(
                any_false(run(study.plan, study.draw(rng, means, trials, draw=draw)), study.plan, means)
                for draw in DRAWS
            ),
        )
        for family, study in SMALL.items()
        for name, means in sequential_rates.corners(rows=tuple(study.measured)).items()
    ]
    return _table(("family", "true means", *DRAWS), rows)


def _family(study: Study, drawn: Mapping[str, Array], means: Mapping[str, float]) -> Rate:
    return any_false(run(study.plan, drawn), study.plan, means)


def small_power_table(trials: int, rng: np.random.Generator) -> str:
    """How often, and after how many seeds on both nets together, each claim is decided."""
    rows = []
    for family, study in SMALL.items():
        worlds = {"as measured": (study.means, 1.0), "no row differs": ({}, 1.0), "half the spread": (study.means, 0.5)}
        cells: dict[str, list[str]] = {claim.name: [] for claim in study.plan.claims}
        for means, spread in worlds.values():
            done = run(study.plan, study.draw(rng, means, trials, spread=spread))
            shares = np.mean(done.words != WORDS.index("undecided"), axis=0)
            seeds = done.seeds.mean(axis=0) * len(study.plan.nets)
            for of_claim, share, mean in zip(cells.values(), shares, seeds, strict=True):
                of_claim.append(f"{share:.0%} / {mean:.1f}")
        rows += [(family, name, *of_claim) for name, of_claim in cells.items()]
    return _table(("family", "claim", *worlds), rows)


def _alone(plan: Plan, claims: Sequence[Claim] | None = None) -> Plan:
    """The plan with the whole of 5 % for each claim; with these claims, where they are given."""
    kept = plan.claims if claims is None else tuple(claims)
    return replace(plan, claims=kept, alpha=0.05 * len(kept))


def _apart(rng: np.random.Generator, trials: int) -> Mapping[str, Array]:
    drawn = {}
    for claim in APART.claims:
        # Just wide enough for "no difference" to be shown late, which is when a decision has spent most.
        drawn[claim.a] = rng.normal(0, 0.010, (trials, APART.most))
        drawn[claim.b] = np.zeros((trials, APART.most))
    return drawn


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return table_of(head, [[str(value) for value in row] for row in rows])
