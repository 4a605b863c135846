"""Pictures of a timing record: pruned over whole nets beside the ideal, and every runtime and precision."""

from __future__ import annotations

import math

from replicate.findings.inference import TimingFinding
from replicate.findings.raced import PrunedNets, TimedNet
from replicate.records.timing import TimingRecord
from replicate.report.pictures.axes import COLOURS, Estimate, Series
from replicate.report.pictures.bars import bars
from replicate.report.pictures.picture import Picture
from replicate.report.sections.timed import gain, title, where


def pictures(found: TimingFinding) -> list[Picture]:
    """Pruned over whole nets against the ideal in the fastest fp32 runtime; and everyone over the best whole net."""
    pruned = [one.pruned for one in found.races if one.pruned]
    if not pruned:
        return []
    groups = {title(one.race): one.named for one in pruned}
    common = [name for name in pruned[0].named if all(name in nets for nets in groups.values())]
    names = (common or list(dict.fromkeys(name for nets in groups.values() for name in nets)))[: len(COLOURS)]
    words = [
        f"{group}: " + ", ".join(f"{gain(nets[name])} with {name}" for name in names if name in nets)
        for group, nets in groups.items()
    ]
    record = found.record
    first = [
        bars(
            f"inference-pruned-{record.name}",
            "Pruned over whole nets, each in the runtime that is fastest in fp32",
            f"Speed-up of pruned nets beside the ideal, on {where(record)}. {'; '.join(words)}.",
            "times as fast as the whole net (median of paired ratios, interval)",
            list(groups),
            [Series(name, tuple(_estimate(nets.get(name)) for nets in groups.values())) for name in names],
        )
    ]
    return first + [_everyone(record, one) for one in found.largest[:1]]


def _everyone(record: TimingRecord, found: PrunedNets) -> Picture:
    """Every runtime and precision of a race's whole and pruned nets over its fastest whole net in fp32."""
    runtime = found.whole.runtime
    groups = list(dict.fromkeys(f"{one.contestant.runtime} {one.contestant.precision}" for one in found.everyone))
    # The narrowest first, so that a width has the same colour in both pictures.
    by_width = sorted(found.everyone, key=lambda one: one.contestant.flops)
    names = list(dict.fromkeys(one.net for one in by_width))[: len(COLOURS)]
    ratios = {(one.net, f"{one.contestant.runtime} {one.contestant.precision}"): one.ratio for one in found.everyone}
    series = [
        Series(
            name,
            tuple(
                Estimate(one.median, (one.low, one.high)) if (one := ratios.get((name, group))) else None
                for group in groups
            ),
        )
        for name in names
    ]
    words = [f"{group} {name} {one.median:.2f}" for (name, group), one in ratios.items()]
    return bars(
        f"inference-everyone-{record.name}",
        f"Every runtime and precision: {title(found.race)}",
        f"Times as fast as {runtime} with the whole net in fp32, on {where(record)}: {', '.join(words)}.",
        f"times as fast as {runtime} with the whole net in fp32 (interval)",
        groups,
        series,
    )


def _estimate(net: TimedNet | None) -> Estimate | None:
    """What a picture draws of a speed-up."""
    if net is None or net.speed_up is None:
        return None
    ideal = math.nan if net.ideal is None else net.ideal
    return Estimate(net.speed_up.median, (net.speed_up.low, net.speed_up.high), ideal=ideal)
