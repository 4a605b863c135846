"""Made-up timing records, for tests of timing and of the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from replicate.records.timing import Contestant, DatasetRace, Race, ServiceRace, TimingRecord
from replicate.timing.goals import BATCH, SHAPE


def contestant(runtime: str, precision: str = "fp32", width: str = "1") -> Contestant:
    """A contestant of Base."""
    share = {"1": 1.0, "2/3": 2 / 3, "1/2": 0.5}[width]
    label = f"{runtime} {precision} {width}"
    return Contestant(label, SHAPE, runtime, precision, width, 10**8, 4 * 10**8, int(6e11 * share), "")


def race(length: int, medians: Mapping[str, float], left_out: Mapping[str, str] | None = None) -> Race:
    """A race at batch 32 of contestants called `runtime precision width`; rounds differ a little."""
    wander = (0.98, 0.99, 1.0, 1.0, 1.0, 1.01, 1.02)
    return Race(
        shape=SHAPE,
        weights="random",
        batch=BATCH,
        length=length,
        rounds=len(wander),
        warmups=2,
        pause=0.25,
        contestants=tuple(contestant(*label.split()) for label in medians),
        seconds={label: tuple(value * factor for factor in wander) for label, value in medians.items()},
        left_out=left_out or {},
    )


FULL = {
    "dygraph fp32 1": 2.0,
    "paddle-inference fp32 1": 0.8,
    "paddle-inference fp32 2/3": 0.55,
    "paddle-inference fp32 1/2": 0.4,
    "onnxruntime fp32 1": 1.4,
    "onnxruntime fp32 1/2": 0.1,
    "onnxruntime int8 1": 0.4,
    "onnxruntime int8 1/2": 0.3,
    "dygraph-as-installed fp32 1": 4.0,
    "pytorch fp32 1": 0.7,
}


def example(*comparisons: Race, **changes: Any) -> TimingRecord:
    """A record of two CPU threads, with one data set."""
    one = replace(contestant("paddle-inference"), flops=0)
    dataset = DatasetRace(
        "generated",
        "ab",
        "trained",
        70,
        32,
        128,
        2,
        1,
        0.25,
        (one,),
        {one.label: {"file order": (2.0, 2.2), "by length": (1.0, 1.1)}},
        {one.label: {"file order": 0.5, "by length": 0.125}},
        " ".join(["0", "1"] * 35),
        {one.label: " ".join(["0"] * 70)},
    )
    service = ServiceRace(
        shape="ernie-3.0-base",
        weights="random",
        clients=4,
        requests=4,
        length=32,
        max_batch=4,
        rounds=2,
        warmups=1,
        pause=0.25,
        contestants=(one, replace(one, label="half", width="1/2")),
        seconds={one.label: (0.4, 0.4), "half": (0.2, 0.2)},
        latencies={one.label: (0.1, 0.2, 0.3, 0.4) * 2, "half": (0.1,) * 7 + (1.0,)},
    )
    whole = TimingRecord(
        name="cpu-2",
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:15:00+00:00",
        commit="0" * 40,
        dirty=False,
        command=("replicate", "time", "--grid", "full"),
        machine={"cpu": "a processor", "cores": 2},
        device={"kind": "cpu", "name": "a processor", "threads": 2},
        threads=2,
        versions={"numpy": "1.26.4"},
        comparisons=comparisons,
        datasets=(dataset,),
        services=(service,),
    )
    return replace(whole, **changes)
