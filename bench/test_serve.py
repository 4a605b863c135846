"""The service under load on this machine: a pruned against a whole net, each in a process of its own, on loopback.

`--timing quick` (the default) shows that it runs, with two layers; `--timing full` is on the published Base, and with
`--accept` keeps the record in `measured/timing/`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from _pytest.terminal import TerminalReporter

from replicate.commands.session import accept_timing
from replicate.common.paths import ROOT
from replicate.nets import upstream
from replicate.records.facts import device_facts, now
from replicate.records.timing import Contestant, ServiceRace, TimingRecord
from replicate.timing.contestants import Entrant, Models, opened
from replicate.timing.race import race
from replicate.timing.random_net import SHAPES
from replicate.timing.session import keep_record, record_of
from replicate.timing.summary import service_rows, shown
from tests.load import Load, Service, load, service
from tests.slow import KINDS

pytestmark = pytest.mark.speed

WIDTHS = ("1", "2/3", "1/2")
# For Paddle Inference oneDNN would prepare the weights again whenever the size of the batch changes.
RUNTIME = "onnxruntime"
CLIENTS = 32
LENGTH = 32
PAUSE = 0.25
# Every character is a token; with [CLS] and [SEP] a text has 32 of them.
TEXTS = tuple(chr(0x4E00 + number) * (LENGTH - 2) for number in range(64))


@dataclass(frozen=True)
class Size:
    """How much is done: what differs from the published Base, requests of a round, rounds that count and warm-ups."""

    changes: dict[str, int]
    requests: int
    rounds: int
    warmups: int


@dataclass(frozen=True)
class Siege:
    """How many clients ask, how many others are slow, and for how many seconds."""

    clients: int
    slow: int
    seconds: float


SIZES = {
    "quick": Size({"num_hidden_layers": 2, "vocab_size": 1000}, 64, 3, 1),
    "full": Size({}, 256, 7, 1),
}
SIEGES = {"quick": Siege(16, 40, 6.0), "full": Siege(200, 400, 60.0)}
# Of the healthy clients, how many times as long the slowest of a hundred requests may take beside slow ones.
MOST_P99 = 2.0
# Bytes by which the service may grow meanwhile, and seconds in which it gives back what the slow ones took.
MOST_GROWTH, SETTLE = 64 << 20, 15.0


@dataclass(eq=False)
class Told:
    """The record of the load; told when pytest ends."""

    record: TimingRecord
    path: Path

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Requests in a second and latencies of each model, and how many times as fast the pruned ones are."""
        from tabulate import tabulate

        terminalreporter.section("replicate: the service under load")
        for one in self.record.services:
            rows = [{key: shown(value) for key, value in row.items()} for row in service_rows(one)]
            terminalreporter.write_line(tabulate(rows, headers="keys", disable_numparse=True))
            terminalreporter.write_line(
                f"{one.clients} clients, {one.requests} requests a round, {one.rounds} rounds in turn, texts of "
                f"{one.length} tokens, {one.shape}, random weights: speed does not depend on the values; record in "
                f"{self.path}"
            )


@dataclass(eq=False)
class Line:
    """One line that is told when pytest ends."""

    text: str

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """What came of the siege."""
        terminalreporter.section("replicate: the service beside slow clients")
        terminalreporter.write_line(self.text)


@dataclass(frozen=True)
class Running:
    """A service, and what it serves."""

    service: Service
    contestant: Contestant


@pytest.fixture(scope="module")
def timing(pytestconfig: pytest.Config) -> str:
    """`quick` or `full`."""
    return str(pytestconfig.getoption("--timing"))


@pytest.fixture(scope="module")
def running(timing: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    """A service of each width; one that is not asked costs nothing."""
    models, shape = Models(tmp_path_factory.mktemp("models")), {**SHAPES["base"], **SIZES[timing].changes}
    with ExitStack() as stack:
        found = {}
        for width in WIDTHS:
            subject, entrant = models.random(shape, width), Entrant(RUNTIME, "fp32", width)
            with opened(subject, entrant, models, "cpu", 1) as one:
                label = f"{RUNTIME} fp32 {width}"
                contestant = Contestant(
                    label, subject.name, RUNTIME, "fp32", width, one.parameters, one.bytes, 0, one.environment
                )
            folder = models.exported(subject, "onnx", False)
            started = stack.enter_context(service(folder, "--max_batch", str(CLIENTS)))
            found[label] = Running(started, contestant)
        yield found


def test_slow_clients(timing: str, running: dict[str, Running], pytestconfig: pytest.Config) -> None:
    """Beside slow clients every answer of the others comes, nearly as soon as without them, and memory stays flat."""
    siege, started = SIEGES[timing], running[f"{RUNTIME} fp32 1"].service

    def asked(seconds: float) -> Load:
        return load(started.url, TEXTS, siege.clients, 10**9, fresh=siege.clients // 8, seconds=seconds)

    asked(siege.seconds / 6)
    without, before = asked(siege.seconds), started.memory
    command = [sys.executable, "-m", "tests.slow", started.url, str(siege.slow), str(siege.seconds + 2)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as slow:
        time.sleep(1)
        beside, during = asked(siege.seconds), started.memory
        counted = json.loads(slow.communicate()[0])
    until = time.monotonic() + SETTLE
    while started.memory - before > MOST_GROWTH and time.monotonic() < until:
        time.sleep(0.5)
    p99 = [float(np.percentile(one.latencies, 99)) for one in (without, beside)]
    grown = [(memory - before) / 2**20 for memory in (during, started.memory)]
    told = (
        f"{siege.clients} clients for {siege.seconds:g} s: {len(without.answers)} answers, p99 {p99[0]:.3f} s; beside "
        f"{siege.slow} slow ones {len(beside.answers)}, p99 {p99[1]:.3f} s ({p99[1] / p99[0]:.2f} times); memory "
        f"{grown[0]:+.0f} MB at their end, {grown[1]:+.0f} MB after it; slow: {counted}"
    )
    pytestconfig.pluginmanager.register(Line(told), "replicate-siege")
    for one in (without, beside):
        assert (one.lost, one.statuses, one.refused) == ([], [], 0), told
    assert all(counted[f"{kind} opened"] >= siege.slow // 4 for kind in KINDS), told
    assert grown[1] < MOST_GROWTH / 2**20, told
    if timing == "full":
        assert p99[1] <= MOST_P99 * p99[0], told


def test_load(timing: str, running: dict[str, Running], pytestconfig: pytest.Config) -> None:
    """Every request of every client is answered, whichever model it asks."""
    size, started = SIZES[timing], now()
    loads: dict[str, list[Load]] = {label: [] for label in running}

    def once(label: str) -> float:
        loads[label].append(load(running[label].service.url, TEXTS, CLIENTS, size.requests))
        return loads[label][-1].seconds

    seconds = race({label: partial(once, label) for label in running}, size.rounds, size.warmups, pause=PAUSE)
    for each in loads.values():
        assert all((len(one.answers), one.lost, one.statuses) == (size.requests, [], []) for one in each)
    contestants = tuple(one.contestant for one in running.values())
    comparison = ServiceRace(
        shape=contestants[0].model,
        weights="random",
        clients=CLIENTS,
        requests=size.requests,
        length=LENGTH,
        max_batch=CLIENTS,
        rounds=size.rounds,
        warmups=size.warmups,
        pause=PAUSE,
        contestants=contestants,
        seconds=seconds,
        latencies={
            label: tuple(round(took, 5) for one in each[size.warmups :] for took in one.latencies)
            for label, each in loads.items()
        },
    )
    upstream.prepare()
    threads = int(device_facts("cpu")["threads"])
    name = f"{'' if timing == 'full' else 'quick-'}service-cpu-{threads}"
    command = ("pytest", "-m", "speed", "bench/test_serve.py", "--timing", timing)
    record = record_of(name, started, command, "cpu", threads, services=[comparison])
    accept = pytestconfig.getoption("--accept") and timing == "full"
    path = accept_timing(record) if accept else keep_record(record)
    pytestconfig.pluginmanager.register(Told(record, path), "replicate-loads")
