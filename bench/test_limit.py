"""How near training is to what matrix products alone reach here: steps of each stage, in turn with such products.

`--timing quick` (the default) shows that it runs, with two layers; `--timing full` is on the published Base and on the
net of the profile `small`, and with `--accept` keeps the record in `measured/timing/`. Where REPLICATE_TORCH_PYTHON
names a Python with torch and transformers, PyTorch's step of fine-tuning takes its turn too. The goals are those of
`replicate.timing.goals`: to miss one is an expected failure that tells what was reached, and with pytest's `--strict` a
failure; to miss it by four times always is. Inference has its shares in `test_inference.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

from bench.steps import LENGTH, STAGES, architecture, peers, ready
from replicate.commands.session import accept_timing
from replicate.nets import upstream
from replicate.records.facts import device_facts, now
from replicate.records.timing import StepRace, TimingRecord
from replicate.timing.goals import goals
from replicate.timing.grid import PAUSE
from replicate.timing.limit import share_of
from replicate.timing.operations import Encoder
from replicate.timing.products import probes
from replicate.timing.race import race
from replicate.timing.session import keep_record, record_of
from replicate.timing.subject import shape_name
from replicate.timing.summary import shown, shown_ratio, step_rows
from tests.goals import hold

pytestmark = pytest.mark.speed


@dataclass(frozen=True)
class Size:
    """One race: the net, texts a step, rounds that count and warm-ups."""

    net: str
    batch: int
    rounds: int
    warmups: int = 1


SIZES = {
    "quick": (Size("quick", 8, 3),),
    "full": (
        Size("base", 8, 9),
        Size("base", 32, 7),
        Size("small", 8, 15, 3),
        Size("small", 32, 15, 3),
    ),
}


@dataclass(eq=False)
class Limits:
    """The races of this session; told when pytest ends."""

    timing: str
    threads: int
    started: str = field(default_factory=now)
    races: list[StepRace] = field(default_factory=list)
    path: Path | None = None

    def record(self) -> TimingRecord:
        """The races so far."""
        name = f"{'' if self.timing == 'full' else 'quick-'}steps-cpu-{self.threads}"
        command = ("pytest", "-m", "speed", "bench/test_limit.py", "--timing", self.timing)
        return record_of(name, self.started, command, "cpu", self.threads, steps=self.races)

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Milliseconds and shares of every step, and where the record is."""
        from tabulate import tabulate

        terminalreporter.section(f"replicate: how near the limit, {self.threads} threads")
        rows = [{key: shown(one) for key, one in row.items()} for each in self.races for row in step_rows(each)]
        terminalreporter.write_line(tabulate(rows, headers="keys", disable_numparse=True))
        terminalreporter.write_line(f"random weights: speed does not depend on the values; record in {self.path}")


@pytest.fixture(scope="module")
def limits(pytestconfig: pytest.Config) -> Iterator[Limits]:
    """The session's races."""
    upstream.prepare()
    found = Limits(pytestconfig.getoption("--timing"), int(device_facts("cpu")["threads"]))
    pytestconfig.pluginmanager.register(found, "replicate-limits")
    yield found
    if found.races and pytestconfig.getoption("--accept") and found.timing == "full":
        found.path = accept_timing(found.record())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One case a race."""
    sizes = SIZES[metafunc.config.getoption("--timing")]
    metafunc.parametrize("size", sizes, ids=[f"{one.net}-{one.batch}x{LENGTH}" for one in sizes])


def raced(size: Size, threads: int) -> StepRace:
    """Seconds of every stage's step and of every library's products, in turn."""
    net = architecture(size.net)
    ours = [ready(stage, net, size.batch, LENGTH) for stage in STAGES]
    products = probes(Encoder.of(net).products(size.batch, LENGTH, backward=True), ("fp32",), threads)
    with peers(net, size.batch, LENGTH, threads) as theirs:
        made = [*ours, *theirs]
        calls = {one.step.label: one.call for one in made} | {one.limit.label: one.call for one in products}
        found = race(calls, size.rounds, size.warmups, pause=PAUSE)
    seconds = {label: tuple(round(one, 7) for one in samples) for label, samples in found.items()}
    return StepRace(
        shape=shape_name(net),
        batch=size.batch,
        length=LENGTH,
        rounds=size.rounds,
        warmups=size.warmups,
        pause=PAUSE,
        contestants=tuple(one.step for one in made),
        seconds={one.step.label: seconds[one.step.label] for one in made},
        limits=tuple(one.limit for one in products),
        limit_seconds={one.limit.label: seconds[one.limit.label] for one in products},
    )


def test_steps(size: Size, limits: Limits, request: pytest.FixtureRequest) -> None:
    """Every step has a share of the limit, and those that have a goal reach it."""
    found = raced(size, limits.threads)
    limits.races.append(found)
    # What is timed so far is not lost with what comes.
    limits.path = keep_record(limits.record())
    upstream.give_memory_back()
    assert all(share_of(found, one.label, one.operations, "fp32") for one in found.contestants)
    results = {one.goal: one.found for one in goals(replace(limits.record(), steps=(found,))) if one.found}
    told = [
        f"{goal.words}, {found.shape}, {found.batch} × {found.length}: {shown_ratio(ratio)}, goal {goal.at_least:g}"
        for goal, ratio in results.items()
    ]
    if results:
        hold("\n".join(told), min(ratio.median / goal.at_least for goal, ratio in results.items()), request)
