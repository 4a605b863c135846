"""Inference timed on this machine: pruned against whole nets in every runtime, and the goals beside what was reached.

`--timing quick` (the default: a minute, two layers) shows that it runs; `--timing full` is on the published shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter

from replicate.commands.session import accept_timing
from replicate.inference.runtime import OPENVINO
from replicate.nets import upstream
from replicate.records.facts import device_facts, now
from replicate.records.timing import Race, TimingRecord
from replicate.timing.contestants import PYTORCH
from replicate.timing.goals import GOALS, Goal, goals
from replicate.timing.grid import Field, Heat, compare, grid
from replicate.timing.race import Contestants, one_round, orders
from replicate.timing.session import field_for, keep_record, record_of
from replicate.timing.summary import goal_table, rows_of, shown

pytestmark = pytest.mark.speed


# pytest keeps its plugins, of which this is one, in a set.
@dataclass(eq=False)
class Timings:
    """What one session timed.

    Attributes:
        grid: `quick` or `full`.
        contestants: opens them.
        accept: write the record of a full grid into `measured/timing/`.
    """

    grid: str
    contestants: Field
    accept: bool
    started: str = field(default_factory=now)
    comparisons: list[Race] = field(default_factory=list)
    path: Path | None = None

    def record(self) -> TimingRecord:
        """The comparisons so far."""
        device, threads = self.contestants.device, self.contestants.threads
        name = f"{device}-{threads}" if self.grid == "full" else f"quick-{device}-{threads}"
        command = ("pytest", "-m", "speed", "bench/test_inference.py", "--timing", self.grid)
        return record_of(name, self.started, command, device, threads, self.comparisons)

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """The table, the goals, and where the record is; pytest calls this at the end."""
        if not self.comparisons:
            return
        from tabulate import tabulate

        record = self.record()
        terminalreporter.section(f"replicate: inference, {record.device['name']}, {record.threads} threads")
        rows = [{key: shown(one) for key, one in row.items()} for each in self.comparisons for row in rows_of(each)]
        terminalreporter.write_line(tabulate(rows, headers="keys", disable_numparse=True))
        for line in sorted({f"{label}: {why}" for one in self.comparisons for label, why in one.left_out.items()}):
            terminalreporter.write_line(f"left out: {line}")
        if self.grid == "full":
            terminalreporter.write_line(f"\n{goal_table(goals(record))}")
        terminalreporter.write_line(f"random weights: speed does not depend on the values; record in {self.path}")


@pytest.fixture(scope="module")
def timings(pytestconfig: pytest.Config) -> Iterator[Timings]:
    """The session's timings, summed up when pytest ends; nets are gone with the module's last test."""
    device = pytestconfig.getoption("--device") or "cpu"
    # As many as Paddle gets when it is imported.
    upstream.prepare()
    threads = int(device_facts("cpu")["threads"])
    with field_for(device, threads, quiet=True) as field:
        timings = Timings(pytestconfig.getoption("--timing"), field, pytestconfig.getoption("--accept"))
        pytestconfig.pluginmanager.register(timings, "replicate-timings")
        yield timings
    if timings.comparisons and timings.accept and timings.grid == "full":
        timings.path = accept_timing(timings.record())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One case a comparison of the grid, one a goal and length."""
    if "heat" in metafunc.fixturenames:
        device = metafunc.config.getoption("--device") or "cpu"
        heats = grid(metafunc.config.getoption("--timing"), device)
        metafunc.parametrize("heat", heats, ids=[heat.id for heat in heats])
    if "goal" in metafunc.fixturenames:
        # About the published shapes, which a quick grid does not hold.
        wanted = GOALS if metafunc.config.getoption("--timing") == "full" else ()
        cases = [(goal, length) for goal in wanted for length in goal.lengths]
        metafunc.parametrize(("goal", "length"), cases, ids=[f"{goal.id}-{length}" for goal, length in cases])


def driven_by(benchmark: Any) -> Callable[..., dict[str, tuple[float, ...]]]:
    """A `race` whose rounds pytest-benchmark calls; in each, every contestant runs once."""

    def race(
        contestants: Contestants, rounds: int, warmups: int, pause: float, tell: object
    ) -> dict[str, tuple[float, ...]]:
        order, found = orders(tuple(contestants)), []

        def once() -> None:
            found.append(one_round(contestants, next(order), pause))

        benchmark.pedantic(once, rounds=rounds, warmup_rounds=warmups, iterations=1)
        # With --benchmark-disable it calls once, whatever it is told.
        while len(found) < warmups + rounds:
            once()
        return {label: tuple(one[label] for one in found[-rounds:]) for label in contestants}

    return race


def test_heat(heat: Heat, timings: Timings, benchmark: Any) -> None:
    """Everyone gives their seconds; only PyTorch, OpenVINO and precisions that a runtime lacks, may be left out."""
    comparison = compare(heat, timings.contestants, driven_by(benchmark))
    timings.comparisons.append(comparison)
    # What is timed so far is not lost with what comes.
    timings.path = keep_record(timings.record())
    benchmark.extra_info["rows"] = rows_of(comparison)
    assert not [
        label for label in comparison.left_out if " fp32 " in label and not label.startswith((PYTORCH, OPENVINO))
    ]
    assert all(len(samples) == heat.rounds for samples in comparison.seconds.values())


def test_goal(goal: Goal, length: int, timings: Timings, pytestconfig: pytest.Config) -> None:
    """The goal is reached; what was not measured, or lies on both sides of it, is told."""
    result = next(one for one in goals(timings.record()) if (one.goal, one.length) == (goal, length))
    strict = pytestconfig.getoption("strict", False)
    if result.status == "not measured" or (result.status == "undecided" and not strict):
        pytest.skip(f"{result.status}: {result.words}")
    assert result.status == "reached", f"{result.words}: {result.found}"
