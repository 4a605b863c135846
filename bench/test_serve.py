"""The service under load on this machine: a pruned against a whole net, each in a process of its own, on loopback.

`--timing quick` (the default) shows that it runs, with two layers; `--timing full` is on the published Base.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from _pytest.terminal import TerminalReporter

from replicate.export import export
from replicate.shapes import SHAPES, random_model
from replicate.timing.race import race, speed_up
from tests.load import Load, Service, load, service

LABELS = ("one", "two")
WIDTHS = {"base": None, "1/2": Fraction(1, 2)}
CLIENTS = 32
# Every character is a token; with [CLS] and [SEP] a text has 32 of them.
TEXTS = tuple(chr(0x4E00 + number) * 30 for number in range(64))


@dataclass(frozen=True)
class Size:
    """How much is done: the net's layers and vocabulary, requests of a round, rounds that count and warm-ups."""

    layers: int
    vocabulary: int
    requests: int
    rounds: int
    warmups: int


SIZES = {"quick": Size(2, 1000, 64, 3, 1), "full": Size(12, 40000, 256, 7, 1)}


@dataclass(eq=False)
class Loads:
    """What every round of every model came to; told when pytest ends."""

    size: Size
    seconds: dict[str, tuple[float, ...]] = field(default_factory=dict)
    loads: dict[str, list[Load]] = field(default_factory=lambda: {name: [] for name in WIDTHS})

    def latency(self, name: str, share: float) -> float:
        """Milliseconds in which that share of a model's answers came."""
        return 1000 * float(np.quantile([one for each in self.loads[name] for one in each.latencies], share))

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Requests in a second and latencies of each model, and how many times as fast the pruned one is."""
        if not self.seconds:
            return
        from tabulate import tabulate

        rows: list[dict[str, Any]] = [
            {
                "model": name,
                "requests/s": f"{self.size.requests / np.median(seconds):.1f}",
                "p50 ms": f"{self.latency(name, 0.5):.0f}",
                "p99 ms": f"{self.latency(name, 0.99):.0f}",
            }
            for name, seconds in self.seconds.items()
        ]
        terminalreporter.section("replicate: the service under load")
        terminalreporter.write_line(tabulate(rows, headers="keys", disable_numparse=True))
        for name in list(WIDTHS)[1:]:
            ratio = speed_up(self.seconds, name, "base")
            interval = f"{ratio.low:.2f} to {ratio.high:.2f}"
            terminalreporter.write_line(
                f"{name} answers {ratio.median:.2f} times as many requests as base ({interval})"
            )
        size = self.size
        terminalreporter.write_line(
            f"{CLIENTS} clients, {size.requests} requests a round, {size.rounds} rounds in turn, texts of 32 tokens, "
            f"{size.layers} layers, random weights: speed does not depend on the values"
        )


@pytest.fixture(scope="module")
def size(pytestconfig: pytest.Config) -> Size:
    """As `--timing` asks."""
    return SIZES[pytestconfig.getoption("--timing", "quick")]


@pytest.fixture(scope="module")
def services(size: Size, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Service]]:
    """A service of each width; the one that is not asked costs nothing."""
    shape = {**SHAPES["base"], "num_hidden_layers": size.layers, "vocab_size": size.vocabulary}
    with ExitStack() as stack:
        running = {}
        for name, width in WIDTHS.items():
            folder = tmp_path_factory.mktemp("model")
            random_model(shape, width, LABELS, folder / "model")
            # For Paddle Inference oneDNN would prepare the weights again whenever the size of the batch changes.
            export(folder / "model", folder / "exported", "onnx")
            running[name] = stack.enter_context(service(folder / "exported", "--max_batch", str(CLIENTS)))
        yield running


def test_load(size: Size, services: dict[str, Service], pytestconfig: pytest.Config) -> None:
    """Every request of every client is answered, whichever model it asks."""
    loads = Loads(size)

    def once(name: str) -> float:
        loads.loads[name].append(load(services[name].url, TEXTS, CLIENTS, size.requests))
        return loads.loads[name][-1].seconds

    contestants = {name: partial(once, name) for name in WIDTHS}
    found = race(contestants, size.rounds, size.warmups)
    for each in loads.loads.values():
        assert all((len(one.answers), one.lost, one.statuses) == (size.requests, [], []) for one in each)
        del each[: size.warmups]
    loads.seconds = found
    pytestconfig.pluginmanager.register(loads, "replicate-loads")
