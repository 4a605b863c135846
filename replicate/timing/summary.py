"""What a timing record says, as rows: milliseconds, speed-ups with their intervals, padding, services, goals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from statistics import median
from typing import Any

import numpy as np

from replicate.records.timing import BATCHINGS, Contestant, DatasetRace, Race, ServiceRace, StepRace
from replicate.scores.packing import unpack_predictions
from replicate.timing.goals import GoalResult
from replicate.timing.limit import share_of, shown_rate
from replicate.timing.race import speed_up, unstable
from replicate.verdicts.equivalence import RatioInterval
from replicate.verdicts.pairs import mcnemar

# What a race of trained nets over a data set says of their answers.
ANSWERS = ("accuracy", "equal labels", "p, McNemar")


def rows_of(race: Race) -> list[dict[str, Any]]:
    """One row a contestant: milliseconds, speed-up over its base and over the first, and what FLOPs promise a width.

    Where matrix products took turns with them, also the share of their rate.
    """
    rows = []
    first = race.contestants[0]
    for one in race.contestants:
        samples, base = race.seconds[one.label], race.base_of(one)
        row = {
            "shape": race.shape,
            "batch × length": f"{race.batch} × {race.length}",
            **_names(one),
            "ms": round(median(samples) * 1000, 2),
            "speed-up": _figures(speed_up(race.seconds, one.label, base.label) if base else None),
            "ideal": round(base.flops / one.flops, 2) if base and base.width != one.width else None,
            "over first": _figures(None if one is first else speed_up(race.seconds, one.label, first.label)),
            "stable": not unstable(samples),
        }
        if race.limits:
            share = share_of(race, one.label, one.operations, one.precision)
            row["of the limit"] = _figures(share.ratio) if share else None
        rows.append(row)
    return rows


def batch_told(batch: int, length: int) -> str:
    """Batch and length; a length of 0 is that of a data set's texts."""
    return f"{batch} × {length}" if length else f"{batch} texts"


def step_rows(race: StepRace) -> list[dict[str, Any]]:
    """One row a step: milliseconds, billions of useful operations, and the share of the limit."""
    rows = []
    for one in race.contestants:
        share = share_of(race, one.label, one.operations, "fp32")
        rows.append(
            {
                "shape": race.shape,
                "batch × length": batch_told(race.batch, race.length),
                "step": one.label,
                "ms": round(median(race.seconds[one.label]) * 1000, 2),
                "GFLOP": round(one.operations / 1e9, 2) if one.operations else None,
                "of the limit": _figures(share.ratio) if share else None,
                "limit": shown_rate(share.rate if share else None),
                "stable": not unstable(race.seconds[one.label]),
            }
        )
    return rows


def dataset_rows(race: DatasetRace) -> list[dict[str, Any]]:
    """One row a contestant: seconds of either batching, their ratio, the shares of padding, and how it answers.

    Its answers are compared with those of the model's first contestant: the share of equal labels, and the exact
    McNemar p of equal accuracy. With random weights answers say nothing, and are left out.
    """
    rows = []
    gold, found = unpack_predictions(race.gold), {}
    for one in race.contestants:
        found[one.label] = unpack_predictions(race.predictions[one.label])
        first = found[next(other.label for other in race.contestants if other.model == one.model)]
        mine, answers = found[one.label], {}
        if race.weights == "trained":
            tested = mcnemar(mine == gold, first == gold).p if mine is not first else None
            figures = (float((mine == gold).mean()), float((mine == first).mean()), tested)
            answers = dict(zip(ANSWERS, figures, strict=True))
        seconds, padded = race.seconds[one.label], race.padded[one.label]
        plain, sorted_ = BATCHINGS
        rows.append(
            {
                "dataset": race.dataset,
                "texts": race.texts,
                **_names(one),
                **{f"s, {how}": round(median(seconds[how]), 3) for how in BATCHINGS},
                "speed-up": _figures(speed_up(seconds, sorted_, plain)),
                **{f"padding, {how}": round(padded[how], 4) for how in BATCHINGS},
                **answers,
                "stable": not any(map(unstable, seconds.values())),
            }
        )
    return rows


def service_rows(race: ServiceRace) -> list[dict[str, Any]]:
    """One row a contestant: requests in a second, p50 and p99 of their latency, and the rate over the first's."""
    rows = []
    for one in race.contestants:
        seconds, latencies = race.seconds[one.label], race.latencies[one.label]
        first = race.contestants[0]
        ratio = None if one is first else speed_up(race.seconds, one.label, first.label)
        rows.append(
            {
                **_names(one),
                "requests/s": round(race.requests / median(seconds), 1),
                **{f"p{share} ms": round(1000 * float(np.percentile(latencies, share)), 1) for share in (50, 99)},
                "over first": _figures(ratio),
                "stable": not unstable(seconds),
            }
        )
    return rows


def _names(one: Contestant) -> dict[str, str]:
    return {"model": one.model, "width": one.width, "runtime": one.runtime, "precision": one.precision}


def _figures(ratio: RatioInterval | None) -> list[float] | None:
    """Median, both ends and coverage."""
    if ratio is None:
        return None
    return [round(one, 3) for one in (ratio.median, ratio.low, ratio.high, ratio.coverage)]


def shown(value: Any) -> str:
    """A value of a row as a cell: a ratio with its interval, a dash for none, a mark for what is not stable."""
    if value is None:
        return "-"
    if isinstance(value, list):
        middle, low, high, coverage = value
        return f"{middle:.2f} ({low:.2f} to {high:.2f}{'' if coverage >= 0.95 else f', {coverage:.0%}'})"
    return ("" if value else "unstable") if isinstance(value, bool) else str(value)


def shown_ratio(ratio: RatioInterval | None) -> str:
    """A ratio with its interval as a cell, a dash for none."""
    return shown(None if ratio is None else list(astuple(ratio)))


def goal_rows(results: Sequence[GoalResult]) -> list[list[str]]:
    """A line a goal: words, batch and length, what is wanted, what was reached, the verdict, of what, why missed."""
    return [
        [
            one.goal.words,
            batch_told(one.batch, one.length),
            f"≥ {one.goal.at_least:g}",
            shown_ratio(one.found),
            one.status,
            one.words,
            one.why,
        ]
        for one in results
    ]


def goal_table(results: Sequence[GoalResult]) -> str:
    """The goals beside what was reached."""
    from tabulate import tabulate

    headers = ("goal", "batch", "wanted", "reached", "", "of", "why it is missed")
    return str(tabulate(goal_rows(results), headers=headers, disable_numparse=True))
