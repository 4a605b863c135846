"""Where the time of a training step goes, operator by operator, and how much of it is matrix products.

Usage: python -m bench.profile_step NET BATCH STAGE [STEPS], where NET is `base`, `small` or `quick` and STAGE
`finetune`, `prune` or `pretrain`; texts have 32 tokens. With OMP_NUM_THREADS=1 nothing hides behind another thread.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Any

from replicate.nets import upstream

PRODUCTS = ("matmul", "MatmulGradNode")
OPERATOR = "TracerEventType.Operator", "TracerEventType.OperatorInner"


def main() -> None:
    """Profile some steps after one that prepares, and print a line an operator, the dearest first."""
    net, batch, stage = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    steps = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    upstream.quiet()
    from paddle import profiler
    from tabulate import tabulate

    from bench.steps import LENGTH, architecture, ready

    step = ready(stage, architecture(net), batch, LENGTH)
    step.call()
    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def collect(one: Any) -> None:
        statistics = one.profiler_result
        for events in statistics.get_data().values():
            _add(events, found)

    with profiler.Profiler(targets=[profiler.ProfilerTarget.CPU], on_trace_ready=collect):
        for _ in range(steps):
            step.call()
    whole = sum(seconds for seconds, _ in found.values())
    ordered = sorted(found.items(), key=lambda one: -one[1][0])
    rows = [
        (name, f"{calls / steps:.0f}", f"{1e3 * seconds / steps:.2f}", f"{seconds / whole:.1%}")
        for name, (seconds, calls) in ordered
        if seconds / whole >= 0.001
    ]
    print(tabulate(rows, headers=("operator", "calls a step", "ms a step", "share"), disable_numparse=True))
    products = sum(found[name][0] for name in found if name.split(" ")[0] in PRODUCTS)
    print(f"\n{stage}, {net}, {batch} × {LENGTH}: {1e3 * whole / steps:.1f} ms a step; products {products / whole:.0%}")


def _add(node: Any, found: dict[str, list[float]]) -> None:
    """Add an event's time to its operator's; below an operator nothing is counted again."""
    if str(node.type) in OPERATOR:
        found[node.name][0] += (node.end_ns - node.start_ns) / 1e9
        found[node.name][1] += 1
        return
    for child in node.children_node:
        _add(child, found)


if __name__ == "__main__":
    main()
