"""Nets by what they cost and what they score, and the front of those that no other beats."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from replicate.findings.compressed import Compressed, Latency, parameters
from replicate.findings.pairs import ACCURACY
from replicate.verdicts.equivalence import Interval, t_interval

BYTES = 4


@dataclass(frozen=True)
class Place:
    """A net by what it costs and what it scores.

    Attributes:
        row: id of its row.
        cost: milliseconds, or megabytes of fp32 weights.
        accuracy: mean over its seeds.
        interval: of that mean.
    """

    row: str
    cost: float
    accuracy: float
    interval: Interval


@dataclass(frozen=True)
class Plane:
    """Nets by cost and accuracy.

    Attributes:
        by: what the cost is.
        latency: where the nets were timed; None for sizes.
        level: of the intervals.
        kinds: the nets by what they are: `whole`, `pruned`, `distilled`.
        front: those that no other beats in one without being worse in the other, the cheapest first.
    """

    by: Literal["latency", "size"]
    latency: Latency | None
    level: float
    kinds: Mapping[str, tuple[Place, ...]]
    front: tuple[Place, ...]


def pareto(points: Iterable[tuple[float, float]]) -> set[tuple[float, float]]:
    """Of (cost, score) those that no other beats in one without being worse in the other."""
    front: set[tuple[float, float]] = set()
    best = -math.inf
    for cost, score in sorted(points, key=lambda point: (point[0], -point[1])):
        if score > best:
            front.add((cost, score))
            best = score
    return front


def planes_of(rows: Sequence[Compressed], alpha: float) -> tuple[Plane, ...]:
    """Nets by latency, of those that took turns where most of them did, and by size if some net is not among them."""
    of_race: dict[tuple[str, int, int], tuple[Latency, dict[str, float]]] = {}
    for one in rows:
        if one.latency and one.parent:
            key = (one.latency.record, one.latency.batch, one.latency.length)
            _, costs = of_race.setdefault(key, (one.latency, {}))
            costs[one.row.full_id] = 1000 * one.latency.seconds
            costs[one.parent.row.full_id] = 1000 * one.latency.whole_seconds
    latency, timed = max(of_race.values(), key=lambda found: len(found[1]), default=(None, {}))
    nets = [result for one in rows for result in (one.result, one.parent) if result and result.scores]
    sizes = {net.row.full_id: BYTES * count / 1e6 for net in nets if (count := parameters(net))}
    found = [_plane("latency", latency, timed, rows, alpha)] if latency else []
    if not set(sizes) <= set(timed):
        found.append(_plane("size", None, sizes, rows, alpha))
    return tuple(one for one in found if one)


def _plane(
    by: Literal["latency", "size"],
    latency: Latency | None,
    costs: Mapping[str, float],
    rows: Sequence[Compressed],
    alpha: float,
) -> Plane | None:
    """The nets whose cost is known; None where there are fewer than two."""
    kinds: dict[str, dict[str, Place]] = {}
    for one in rows:
        for kind, result in (("whole", one.parent), (one.kind, one.result)):
            if result is None or result.row.full_id not in costs or not result.scores:
                continue
            cost, values = costs[result.row.full_id], tuple(score[ACCURACY] for score in result.scores.values())
            place = Place(result.row.id, cost, result.summary(ACCURACY)[0], t_interval(values, alpha))
            # The same stages in two tables are one net, whose seeds have the same scores.
            kinds.setdefault(kind, {}).setdefault(f"{cost} {values}", place)
    places = [place for of_kind in kinds.values() for place in of_kind.values()]
    if len(places) < 2:
        return None
    chosen = pareto((place.cost, place.accuracy) for place in places)
    front = [place for place in places if (place.cost, place.accuracy) in chosen]
    return Plane(
        by=by,
        latency=latency,
        level=1 - alpha,
        kinds={kind: tuple(of_kind.values()) for kind, of_kind in kinds.items()},
        front=tuple(sorted(front, key=lambda place: place.cost)),
    )
