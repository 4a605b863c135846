"""Where the time of a training step goes, operator by operator, and how much of it is matrix products.

Usage: python -m bench.profile_step NET BATCH STAGE [STEPS]; texts have 32 tokens. With OMP_NUM_THREADS=1 nothing hides
behind another thread.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import Any

from bench.steps import LENGTH, NETS, STAGES, architecture, ready

PRODUCTS = ("matmul", "MatmulGradNode")
OPERATOR = "TracerEventType.Operator", "TracerEventType.OperatorInner"


def main() -> None:
    """Profile some steps after one that prepares, and print a line an operator, the dearest first."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile_step", description=__doc__)
    parser.add_argument("net", choices=NETS, help="Base, the one of the profile small, or one of two layers")
    parser.add_argument("batch", type=int, help="texts a step")
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("steps", type=int, nargs="?", default=3, help="that are profiled (default: %(default)s)")
    args = parser.parse_args()
    step = ready(args.stage, architecture(args.net), args.batch, LENGTH)
    step.call()
    from paddle import profiler
    from tabulate import tabulate

    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def collect(one: Any) -> None:
        statistics = one.profiler_result
        for events in statistics.get_data().values():
            _add(events, found)

    with profiler.Profiler(targets=[profiler.ProfilerTarget.CPU], on_trace_ready=collect):
        for _ in range(args.steps):
            step.call()
    whole = sum(seconds for seconds, _ in found.values())
    ordered = sorted(found.items(), key=lambda one: -one[1][0])
    rows = [
        (name, f"{calls / args.steps:.0f}", f"{1e3 * seconds / args.steps:.2f}", f"{seconds / whole:.1%}")
        for name, (seconds, calls) in ordered
        if seconds / whole >= 0.001
    ]
    print(tabulate(rows, headers=("operator", "calls a step", "ms a step", "share"), disable_numparse=True))
    products = sum(found[name][0] for name in found if name.split(" ")[0] in PRODUCTS)
    what = f"{args.stage}, {args.net}, {args.batch} × {LENGTH}"
    print(f"\n{what}: {1e3 * whole / args.steps:.1f} ms a step; products {products / whole:.0%}")


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
