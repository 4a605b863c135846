"""Simulated error rates and power of the verdicts: `python -m replicate.verdicts.error_rates` prints them as Markdown.

Each trial draws normal scores, rounds them to whole numbers of 1,955 examples as a dev set does, and takes the very
functions that judge real records.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from replicate.verdicts import published, sequential_tables
from replicate.verdicts.rates import EXAMPLES as EXAMPLES
from replicate.verdicts.rates import Rate as Rate
from replicate.verdicts.rates import table_of

SEEDS = (3, 6, 10)
PUBLISHED = "0.8"
TOLERANCE = "0.018"
# Over seeds of one row: about that of a fine-tuned ERNIE, then twice and four times as much.
SPREADS = (0.004, 0.008, 0.016)

Rule = Callable[[Sequence[float]], str]


def published_rule(samples: Sequence[float]) -> str:
    """The project's verdict on a row."""
    return published.compare_to_published(samples, PUBLISHED, TOLERANCE).verdict


def band_rule(samples: Sequence[float]) -> str:
    """A bare band, for comparison: replicated where the mean is within the tolerance."""
    difference = float(np.mean(samples)) - float(PUBLISHED)
    return "replicated" if abs(difference) <= float(TOLERANCE) else "higher" if difference > 0 else "lower"


def insignificance_rule(samples: Sequence[float]) -> str:
    """For comparison: replicated where a t-test finds no significant difference."""
    found = published.compare_to_published(samples, PUBLISHED, 0)
    return "replicated" if found.verdict == "inconclusive" else found.verdict


def draw(rng: np.random.Generator, mean: float, sd: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Normal scores as whole numbers of correct examples."""
    scores: NDArray[np.float64] = np.round(rng.normal(mean, sd, shape) * EXAMPLES) / EXAMPLES
    return scores


def verdict_rates(
    rule: Rule, *, difference: float, sd: float, seeds: int, trials: int, rng: np.random.Generator
) -> dict[str, Rate]:
    """How often each verdict comes out where the true mean is `difference` from the published value."""
    samples = draw(rng, float(PUBLISHED) + difference, sd, (trials, seeds))
    counts = Counter(rule(row) for row in samples.tolist())
    counts["higher or lower"] = counts["higher"] + counts["lower"]
    names = ("replicated", "higher", "lower", "higher or lower", "inconclusive")
    return {name: Rate(counts[name], trials) for name in names}


def baseline_rates(
    *, difference: float, sd: float, seeds: int, baseline: int, trials: int, rng: np.random.Generator
) -> dict[str, Rate]:
    """As `verdict_rates`, for new seeds against a baseline of as many as `baseline`."""
    new = draw(rng, float(PUBLISHED) + difference, sd, (trials, seeds)).tolist()
    old = draw(rng, float(PUBLISHED), sd, (trials, baseline)).tolist()
    counts: Counter[str] = Counter(
        published.compare_to_baseline(n, b, TOLERANCE).verdict for n, b in zip(new, old, strict=True)
    )
    counts["higher or lower"] = counts["higher"] + counts["lower"]
    return {name: Rate(counts[name], trials) for name in ("replicated", "higher or lower", "inconclusive")}


def report(trials: int = 4000, seed: int = 20240101) -> str:
    """The tables of error rates and power, as Markdown."""
    rng = np.random.default_rng(seed)
    edge = float(TOLERANCE)
    parts = [
        f"Normal scores around a published {PUBLISHED}, tolerance {TOLERANCE}, alpha 0.05; {trials:,} trials a cell, "
        f"generator seed {seed}, 95 % binomial intervals.",
        "### Wrong verdicts with the true mean exactly one tolerance away",
        table_of(
            ("rule", "sd", "seeds", "`replicated`", "`higher` or `lower`"),
            [
                (name, sd, n, rates["replicated"], rates["higher or lower"])
                for name, rule in (
                    ("ours", published_rule),
                    ("bare band", band_rule),
                    ("not significantly different", insignificance_rule),
                )
                for sd in (SPREADS if rule is published_rule else SPREADS[1:2])
                for n in SEEDS
                for rates in [verdict_rates(rule, difference=edge, sd=sd, seeds=n, trials=trials, rng=rng)]
            ],
        ),
        "### Wrong verdicts of new seeds against a baseline, one tolerance apart (sd 0.008)",
        table_of(
            ("seeds", "baseline seeds", "`replicated`", "`higher` or `lower`"),
            [
                (n, m, rates["replicated"], rates["higher or lower"])
                for n, m in ((3, 3), (3, 6), (6, 6), (10, 10))
                for rates in [
                    baseline_rates(difference=edge, sd=SPREADS[1], seeds=n, baseline=m, trials=trials, rng=rng)
                ]
            ],
        ),
        "### Power: how often a row comes out `replicated` / `higher` or `lower`",
        table_of(
            ("true difference", "sd", *(f"{n} seeds" for n in SEEDS)),
            [
                (f"{share:g} tolerances", sd, *(_power(share * edge, sd, n, trials, rng) for n in SEEDS))
                for share in (0, 0.5, 1.5, 2)
                for sd in SPREADS
            ],
        ),
    ]
    parts += sequential_tables.tables(5 * trials // 2, rng)
    return "\n\n".join(parts) + "\n"


def _power(difference: float, sd: float, seeds: int, trials: int, rng: np.random.Generator) -> str:
    rates = verdict_rates(published_rule, difference=difference, sd=sd, seeds=seeds, trials=trials, rng=rng)
    return f"{rates['replicated'].value:.0%} / {rates['higher or lower'].value:.0%}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print the error rates and the power of the verdicts, as Markdown.")
    parser.add_argument("--trials", type=int, default=4000, help="simulated trials a cell (default %(default)s)")
    print(report(parser.parse_args().trials), end="")
