"""The real service beside clients that are slow or never done: it answers others, says so, and gives memory back."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from replicate.corpus.formats import Dataset
from tests.load import Service, load, service
from tests.tiny import Made

# More than the service may open files, and than it has room for.
DESCRIPTORS, CLIENTS = 120, 300
MB = 1 << 20
HEAD = b"POST /predict HTTP/1.1\r\nHost: test\r\n"


@pytest.fixture(scope="module")
def served(finetuned: Made) -> Iterator[Service]:
    """The service with few file descriptors, as it is by default otherwise."""
    with service(finetuned.folder, descriptors=DESCRIPTORS, OMP_NUM_THREADS="1") as running:
        yield running


def connected(url: str, sent: bytes, stack: ExitStack) -> socket.socket:
    """A connection that has sent something, closed with the stack."""
    address = urlsplit(url)
    place = (str(address.hostname), int(address.port or 80))
    client = stack.enter_context(closing(socket.create_connection(place, timeout=5)))
    client.sendall(sent)
    return client


@pytest.mark.slow
def test_half_sent_heads_keep_nobody_out(served: Service, dataset: Dataset) -> None:
    """With more of them than there are descriptors others are answered, and all are closed after ten seconds."""
    with ExitStack() as stack:
        clients = [connected(served.url, HEAD, stack) for _ in range(CLIENTS)]
        for _ in range(3):
            assert httpx.get(f"{served.url}/health", timeout=5).status_code == 200
        done = load(served.url, dataset.dev.texts, clients=4, requests=40)
        assert (len(done.answers), done.lost, done.statuses, done.refused) == (40, [], [], 0)
        started = time.monotonic()
        for client in clients:
            client.settimeout(max(0.1, 15 - (time.monotonic() - started)))
            with suppress(ConnectionError):
                while client.recv(4096):
                    pass


@pytest.mark.slow
def test_held_bodies_cost_little_and_it_is_given_back(finetuned: Made) -> None:
    """Of 400 bodies of 0.9 MB that never end, only some are read, and what they took goes back to the system."""
    body = b'Content-Length: 950000\r\n\r\n{"text": "' + b" " * 900_000
    with service(finetuned.folder, OMP_NUM_THREADS="1") as running, ExitStack() as stack:
        httpx.post(f"{running.url}/predict", json={"text": "胃疼"})
        before = running.memory
        for _ in range(400):
            client = connected(running.url, HEAD, stack)
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.send(body)
        time.sleep(2)
        assert httpx.get(f"{running.url}/health", timeout=5).status_code == 200
        assert running.memory - before < 150 * MB
        stack.close()
        until = time.monotonic() + 20
        while running.memory - before > 40 * MB and time.monotonic() < until:
            time.sleep(0.5)
        assert running.memory - before < 40 * MB


@pytest.mark.slow
def test_a_large_request_beside_others(finetuned: Made) -> None:
    """250 texts of 4 kB in one request, and single ones meanwhile: none of them waits for the large one's end."""
    with service(finetuned.folder, "--max_batch", "4", OMP_NUM_THREADS="1") as running, ThreadPoolExecutor(1) as pool:

        def ask(body: dict[str, object]) -> float:
            began = time.monotonic()
            assert httpx.post(f"{running.url}/predict", json=body, timeout=60).status_code == 200
            return time.monotonic() - began

        large = pool.submit(ask, {"texts": [f"{number}" + "x" * 4000 for number in range(250)]})
        time.sleep(0.05)
        small = []
        while not large.done():
            small.append(ask({"text": "胃疼"}))
        # Where one had waited for the large one, there would be that one only.
        assert len(small) >= 5
        assert sorted(small)[len(small) // 2] < large.result() / 5


@pytest.mark.slow
def test_the_operator_is_told(served: Service) -> None:
    """Some lines, not one for each client, say what happened; then it stops as ever. This stops the shared one."""
    served.process.send_signal(signal.SIGTERM)
    output, told = served.process.communicate(timeout=20)
    assert (served.process.returncode, output) == (0, "")
    assert "`ulimit -n` allows no more" in told
    assert "too many connections" in told
    assert 2 <= told.count("\n") < 40
    assert all(line.startswith("replicate: ") for line in told.splitlines())


@pytest.mark.slow
def test_slow_clients_beside_others(finetuned: Made, dataset: Dataset) -> None:
    """Every kind of slow client at once: each request of the others is answered, and memory stays."""
    with service(finetuned.folder, OMP_NUM_THREADS="1") as running:
        load(running.url, dataset.dev.texts, clients=8, requests=80)
        before = running.memory
        command = [sys.executable, "-m", "tests.slow", running.url, "200", "16"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as slow:
            time.sleep(1)
            while slow.poll() is None:
                done = load(running.url, dataset.dev.texts, clients=8, requests=80)
                assert (len(done.answers), done.lost, done.statuses, done.refused) == (80, [], [], 0)
            counted = json.loads(slow.communicate()[0])
        # Of each kind some were closed after ten seconds.
        assert all(counted.get(f"{kind} closed", 0) > 0 for kind in ("silent", "head", "body", "deaf"))
        assert running.memory - before < 150 * MB
        code, told = running.stop()
        assert code == 0
        assert "Traceback" not in told
