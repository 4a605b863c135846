"""The real service in a process of its own, and many clients at once that ask it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

START_SECONDS = 90.0
STOP_SECONDS = 20.0
REQUEST_SECONDS = 60.0


@dataclass
class Service:
    """A running `replicate serve`."""

    process: subprocess.Popen[str]
    url: str

    @property
    def memory(self) -> int:
        """Bytes that it holds."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; the exit code and what stood on stderr."""
        self.process.send_signal(number)
        _, told = self.process.communicate(timeout=STOP_SECONDS)
        return self.process.returncode, told


@contextmanager
def service(model: Path, *options: str, descriptors: int = 0, **environment: str) -> Iterator[Service]:
    """`replicate serve MODEL --port 0 …` on loopback; it is gone at the end whatever happened.

    With `descriptors` it may open only so many files and connections.
    """
    limited = ["prlimit", f"--nofile={descriptors}"] if descriptors else []
    command = [*limited, sys.executable, "-m", "replicate", "serve", str(model), "--port", "0", *options]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **environment})
    try:
        assert process.stdout
        assert process.stderr
        line = process.stdout.readline()
        if " on http://127.0.0.1:" not in line:
            raise RuntimeError(f"the service did not start: {line}{process.stderr.read()}")
        yield Service(process, line.split(" on ")[-1].strip())
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            process.kill()
        # Closes the pipes.
        process.communicate()


@dataclass
class Load:
    """What became of every request.

    Attributes:
        answers: text and answer of each that was answered with 200.
        statuses: of those with another status.
        refused: connections that were not taken.
        lost: what happened to those that were taken and not answered.
        latencies: seconds of each that was answered with 200.
        seconds: from the first request to the last answer.
    """

    answers: list[tuple[tuple[str, ...], list[dict[str, object]]]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    refused: int = 0
    lost: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def sent(self) -> int:
        """Requests whose connection was taken."""
        return len(self.answers) + len(self.statuses) + len(self.lost)


def load(
    url: str,
    texts: Sequence[str],
    clients: int,
    requests: int,
    together: int = 1,
    fresh: int = 0,
    seconds: float = float("inf"),
    on_answer: Callable[[int], object] = lambda answered: None,
) -> Load:
    """Ask as often as `requests`, from clients that each wait for their answer before they ask again.

    Args:
        url: the service's address.
        texts: taken in turn.
        clients: how many ask at once, each with a connection of its own.
        requests: how many there are in all.
        together: texts of a request.
        fresh: so many of the clients take a new connection for each request.
        seconds: after which nobody asks any more, whatever `requests` is.
        on_answer: told how many have been answered, after each.
    """
    result = Load()
    numbers = iter(range(requests))

    until = time.perf_counter() + seconds

    async def client(session: httpx.AsyncClient) -> None:
        for number in numbers:
            if time.perf_counter() > until:
                return
            asked = tuple(texts[(number * together + place) % len(texts)] for place in range(together))
            started = time.perf_counter()
            try:
                response = await session.post("/predict", json={"texts": asked})
            except httpx.ConnectError:
                # Nobody listens any more.
                result.refused += 1
                return
            except httpx.HTTPError as error:
                result.lost.append(repr(error))
                return
            if response.status_code == 200:
                result.latencies.append(time.perf_counter() - started)
                result.answers.append((asked, response.json()["predictions"]))
                on_answer(len(result.answers))
            else:
                result.statuses.append(response.status_code)

    async def run() -> None:
        async with AsyncExitStack() as stack:
            sessions = []
            for number in range(clients):
                limits = httpx.Limits(max_keepalive_connections=int(number >= fresh))
                # Reading the certificates, which nobody needs here, takes longer than many a request.
                made = httpx.AsyncClient(
                    base_url=url, timeout=REQUEST_SECONDS, limits=limits, trust_env=False, verify=False
                )
                sessions.append(await stack.enter_async_context(made))
            started = time.perf_counter()
            await asyncio.gather(*map(client, sessions))
            result.seconds = time.perf_counter() - started

    asyncio.run(run())
    return result
