"""How much the dev score gains from the dev set also choosing the best step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPLITS = 1000
SEED = 0


@dataclass(frozen=True)
class Optimism:
    """Accuracy on the half of the dev set that chose the step, and on the other half; means over splits and seeds.

    `drop` is their difference and `drops` that of each seed, `sd` its standard deviation over seeds (NaN for one seed),
    `evaluations` the mean number of steps to choose from.
    """

    chosen_on: float
    other_half: float
    drop: float
    drops: tuple[float, ...]
    sd: float
    seeds: int
    evaluations: float


@dataclass(frozen=True)
class Counted:
    """What the F1 of class 1 counts in a run's evaluations.

    `called`, of shape (evaluations, examples), says which examples were called class 1; `positives`, of shape
    (examples,), which are.
    """

    called: NDArray[np.bool_]
    positives: NDArray[np.bool_]


def optimism(
    runs: Sequence[NDArray[np.bool_]],
    counted: Sequence[Counted] | None = None,
    splits: int = SPLITS,
    seed: int = SEED,
) -> Optimism:
    """Split the dev set into random halves; choose the evaluation that is best on one, score it on the other.

    Args:
        runs: one array a seed of shape (evaluations, examples): which examples each dev evaluation got right.
        counted: of the same runs, where the best evaluation is that with the best F1; None where accuracy chooses.
        splits: random halvings of the examples, the same for every run.
        seed: of the halvings.

    Raises:
        ValueError: no run, or a run without evaluations.
    """
    if not runs or not all(run.ndim == 2 and run.size for run in runs):
        raise ValueError("optimism needs at least one run with evaluations")
    rng = np.random.default_rng(seed)
    examples = runs[0].shape[1]
    half = examples // 2
    first = np.zeros((splits, examples))
    for row in first:
        row[rng.permutation(examples)[:half]] = 1
    pairs = []
    for at, run in enumerate(runs):
        on = first @ run.T / half
        off = (1 - first) @ run.T / (examples - half)
        # argmax takes the earliest of equals, as training does.
        best = (_f1(first, counted[at]) if counted else on).argmax(axis=1)[:, None]
        pairs.append((np.take_along_axis(on, best, 1).mean(), np.take_along_axis(off, best, 1).mean()))
    chosen, other = np.asarray(pairs).T
    drops = chosen - other
    return Optimism(
        chosen_on=float(chosen.mean()),
        other_half=float(other.mean()),
        drop=float(drops.mean()),
        drops=tuple(drops.tolist()),
        sd=float(drops.std(ddof=1)) if len(drops) > 1 else float("nan"),
        seeds=len(runs),
        evaluations=float(np.mean([len(run) for run in runs])),
    )


def _f1(first: NDArray[np.float64], counted: Counted) -> NDArray[np.float64]:
    """F1 of class 1 on each half, of shape (splits, evaluations); 0 where nothing is of class 1 or called so."""
    hits = first @ (counted.called & counted.positives).T
    sums = first @ counted.called.T + (first @ counted.positives)[:, None]
    return np.divide(2 * hits, sums, out=np.zeros_like(hits), where=sums > 0)
