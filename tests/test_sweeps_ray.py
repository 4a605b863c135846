"""Stages on Ray: only where somebody asks for it, the same records, and nodes, workers and drivers that are killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from replicate.common.paths import ROOT
from tests.killable import without_timings
from tests.planned import Checkout, records

RAY = find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not RAY, reason="Ray isn't installed: pip install '.[ray]', or tox -e sweeps")
KILLS = 20


def test_ray_is_never_imported_without_the_flag(tmp_path: Path) -> None:
    """Nor does anything need it: here a module of that name ends whatever imports it."""
    (tmp_path / "ray.py").write_text('raise SystemExit("imported")', encoding="utf-8")
    code = "import sys; from replicate.commands.main import main; sys.exit(main(sys.argv[1:]))"
    paths = os.pathsep.join((str(tmp_path), str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": paths, "REPLICATE_STORE": str(tmp_path / "store")}
    words = ["run", "svm", "--profile", "smoke", "--seeds", "1,2", "--quiet", "--offline", "-j", "2"]
    done = subprocess.run([sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(RAY, reason="Ray is installed")
def test_without_ray_it_says_how_to_get_it(tmp_path: Path) -> None:
    """One line, and nothing is written."""
    words = [sys.executable, "-m", "replicate", "run", "svm", "--profile", "smoke", "--engine", "ray"]
    environment = {**os.environ, "REPLICATE_STORE": str(tmp_path / "store")}
    done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Ray isn't installed; pip install '.[ray]'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "store").exists()


def judged(store: Path, *words: str) -> tuple[list[str], list[Any]]:
    """What `pytest bench` says of the cases of two rows, and their records."""
    rows = "ernie3_kuake_qic/svm or ernie3_kuake_qic/base"
    command = [sys.executable, "-m", "pytest", "bench/test_rows.py", "--profile", "smoke", "--seeds", "1,2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "REPLICATE_STORE": str(store), "REPLICATE_QUIET": "1"}
    command += ["-v", "-k", rows, "-p", "no:cacheprovider", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    cases = [line.partition(" [")[0] for line in done.stdout.splitlines() if "::" in line and line.endswith("%]")]
    paths = sorted((store / "records").rglob("seed-*.json"))
    return cases, [without_timings(json.loads(path.read_bytes())) for path in paths]


@pytest.fixture(scope="module")
def judged_alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[Any]]:
    """One stage after another."""
    return judged(tmp_path_factory.mktemp("alone") / "store")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("--processes", "2"), id="local"),
        pytest.param(("--engine", "ray", "--processes", "2"), id="ray", marks=[needs_ray, pytest.mark.sweeps]),
    ],
)
def test_the_benchmark_judges_the_same(
    words: tuple[str, ...], judged_alone: tuple[list[str], list[Any]], tmp_path: Path
) -> None:
    """Case by case, and record by record."""
    cases, found = judged_alone
    assert len(cases) == 4
    assert len(found) == 4
    assert judged(tmp_path / "store", *words) == (cases, found)


class Network:
    """Hosts on one machine: each a network namespace at a bridge, where this user may make them, else none at all."""

    def __init__(self, *names: str) -> None:
        number = random.SystemRandom().randrange(256 * 256)
        self.bridge = f"rb{number}"
        net = f"10.{number // 256}.{number % 256}"
        self.addresses = {name: f"{net}.{at}" for at, name in enumerate(("head", *names), 1)}
        self.made = shutil.which("ip") is not None and self._ip(f"link add {self.bridge} type bridge")
        if not self.made:
            return
        assert self._ip(f"addr add {self.addresses['head']}/24 dev {self.bridge}")
        assert self._ip(f"link set {self.bridge} up")
        for at, name in enumerate(names):
            space = self._space(name)
            assert self._ip(f"netns add {space}")
            assert self._ip(f"link add {self.bridge}v{at} type veth peer name eth0 netns {space}")
            assert self._ip(f"link set {self.bridge}v{at} master {self.bridge} up")
            assert self._ip(f"-n {space} addr add {self.addresses[name]}/24 dev eth0")
            assert self._ip(f"-n {space} link set eth0 up")
            assert self._ip(f"-n {space} link set lo up")

    def _space(self, name: str) -> str:
        return f"{self.bridge}-{name}"

    def _ip(self, words: str) -> bool:
        return subprocess.run(["ip", *words.split()], capture_output=True).returncode == 0

    def address(self, name: str) -> str:
        """Of a host."""
        return self.addresses[name] if self.made else "127.0.0.1"

    def within(self, name: str, folder: str) -> list[str]:
        """What comes before a command that runs on a host, with a folder of its own in place of a common one."""
        own = ["sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"', folder]
        return ["ip", "netns", "exec", self._space(name), *own] if self.made and name != "head" else []

    def close(self) -> None:
        """They are gone."""
        if self.made:
            for name in self.addresses:
                self._ip(f"netns del {self._space(name)}")
            self._ip(f"link del {self.bridge}")


class Nodes:
    """A Ray cluster on this machine, whose nodes have stores of their own.

    Args:
        work: where the stores are.
        names: of the nodes that work; the head does not.
    """

    def __init__(self, work: Path, *names: str) -> None:
        self.work = work
        # A socket's path may have 107 characters.
        self.folder = tempfile.mkdtemp(prefix="ray-")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.network = Network(*names)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        head = ["--head", f"--port={self.port}", f"--temp-dir={self.folder}", "--include-dashboard=false"]
        self._start("head", "--num-cpus=0", *head)
        for name in names:
            self.start(name)

    @property
    def address(self) -> str:
        """Of the head."""
        return f"{self.network.address('head')}:{self.port}"

    def store(self, name: str) -> Path:
        """Of a node."""
        return self.work / name

    def start(self, name: str, **variables: str) -> None:
        """A node that works, with variables of its environment."""
        self._start(name, "--num-cpus=1", f"--address={self.address}", **variables)

    def _start(self, name: str, *words: str, **variables: str) -> None:
        common = [f"--node-ip-address={self.network.address(name)}", "--disable-usage-stats"]
        common.append(f"--object-store-memory={100 << 20}")
        environment = {
            **os.environ,
            "REPLICATE_STORE": str(self.store(name)),
            "REPLICATE_CHECKPOINT": "4",
            "RAY_worker_niceness": "0",
            "RAY_health_check_period_ms": "500",
            "RAY_health_check_failure_threshold": "4",
            # The number that a stage has is the driver's, whatever a machine's own environment says.
            "OMP_NUM_THREADS": "3",
            **variables,
        }
        ray = [sys.executable, "-c", "import sys; from ray.scripts.scripts import main; sys.exit(main())", "start"]
        self.running[name] = subprocess.Popen(
            [*self.network.within(name, self.folder), *ray, *words, *common, "--block"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.wait(len(self.running))

    def wait(self, count: int) -> None:
        """Until so many nodes are there, the head among them."""
        code = (
            "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR'); "
            "print(sum(one['Alive'] for one in ray.nodes()))"
        )
        end = time.monotonic() + 120
        while time.monotonic() < end:
            done = subprocess.run([sys.executable, "-c", code, self.address], capture_output=True, text=True)
            # More of them while one that was killed isn't missed yet.
            if done.stdout.strip().isdigit() and int(done.stdout) == count:
                return
        raise AssertionError(f"Ray did not start: {done.stderr}")

    def pids(self, name: str) -> list[int]:
        """All processes of a node."""
        return pids_of(self.store(name))

    def workers(self, name: str) -> list[int]:
        """Those of them that train."""
        found = []
        for pid in self.pids(name):
            with contextlib.suppress(OSError):
                if b"replicate.runs.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return found

    def kill(self, name: str) -> None:
        """A host that is gone: every process of it at once."""
        for pid in self.pids(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.running.pop(name).wait()

    def stop(self) -> None:
        """All of them."""
        for name in [*self.running]:
            self.kill(name)
        self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def sequential(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The rows of the tiny table, one after another."""
    work = tmp_path_factory.mktemp("sequential")
    checkout = Checkout(work / "checkout", work / "store")
    checkout.run()
    return checkout


@pytest.fixture
def nodes(sequential: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    """Two of them, with the checkout's code."""
    monkeypatch.setenv("PYTHONPATH", str(sequential.root))
    found = Nodes(tmp_path, "one", "two")
    yield found
    found.stop()


@pytest.fixture
def other(sequential: Checkout, tmp_path: Path) -> Checkout:
    """The same checkout with a store of its own."""
    return Checkout(sequential.root, tmp_path / "store")


def pids_of(store: Path) -> list[int]:
    """The processes of a store, known by their environment."""
    mark, found = f"REPLICATE_STORE={store}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def listening(pids: list[int]) -> set[str]:
    """Addresses other than the loopback that these processes listen on."""
    sockets = set()
    for pid in pids:
        for path in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                sockets.add(os.readlink(path))
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            here = local.partition(":")[0] in ("0100007F", "0000000000000000FFFF00000100007F", f"{'0' * 24}01000000")
            if state == "0A" and not here and f"socket:[{rest[5]}]" in sockets:
                found.add(local)
    return found


@needs_ray
@pytest.mark.sweeps
def test_a_ray_of_its_own(sequential: Checkout, other: Checkout) -> None:
    """The same records; it listens on the loopback alone, and is gone afterwards."""
    there = {*Path(tempfile.gettempdir()).glob("replicate-ray-*")}
    process = other.start("--engine", "ray", "-j", "2")
    seen, most = set[str](), 0
    while process.poll() is None:
        pids = pids_of(other.store)
        seen, most = seen | listening(pids), max(most, len(pids))
        time.sleep(0.2)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert most > 4
    assert seen == set()
    assert "Traceback" not in err
    assert records(other) == records(sequential)
    assert other.left == []
    assert {*Path(tempfile.gettempdir()).glob("replicate-ray-*")} == there


@needs_ray
@pytest.mark.sweeps
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_driver(number: int, code: int, sequential: Checkout, other: Checkout) -> None:
    """It ends in seconds in one line, with checkpoints, and goes on."""
    process = other.start("--engine", "ray", "-j", "2")
    while not [*other.store.glob("partial/finetune-*/checkpoint.safetensors")]:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert f"stopped by {signal.Signals(number).name}; the same command " in err.splitlines()[-1]
    assert "Traceback" not in err
    other.run("--engine", "ray", "-j", "2")
    assert records(other) == records(sequential)
    assert other.left == []


@needs_ray
@pytest.mark.sweeps
def test_two_nodes_with_stores_of_their_own(sequential: Checkout, other: Checkout, nodes: Nodes) -> None:
    """What a node lacks is sent to it, data too; both of them work."""
    other.run("--engine", "ray", "--address", nodes.address, "--artefacts", "ship")
    assert records(other) == records(sequential)
    assert other.left == []
    for name in ("one", "two"):
        assert [*nodes.store(name).glob("finetune/*/manifest.json")]
        assert nodes.workers(name) == []


# What a node's Python does before anything else.
NO_LOCKS = """
import fcntl
fcntl.flock = lambda *_: None
"""
OTHER_VERSION = """
from importlib import metadata
real = metadata.version
metadata.version = lambda name: "9.9" if name == "numpy" else real(name)
"""
OTHER_PROCESSOR = """
from replicate.records import facts
real = facts.machine
facts.machine = lambda: {**real(), "cpu": "Another"}
"""
# Of the worker alone: whatever is larger is as a full disk.
FULL = """
import resource
from pathlib import Path
if b"replicate.runs.worker" in Path("/proc/self/cmdline").read_bytes():
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
"""
DAMAGED = """
from pathlib import Path
from replicate.runs import shipment
real = shipment.packed_artefact
def packed_artefact(store, stage, key):
    files, done = real(store, stage, key), store.root / "damaged-one"
    if files and stage == "finetune" and not done.exists():
        done.touch()
        name = "model.safetensors"
        files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])
    return files
shipment.packed_artefact = packed_artefact
"""


def restart(nodes: Nodes, name: str, program: str) -> None:
    """A node again, whose Python runs a program before anything else."""
    nodes.kill(name)
    # As long as nobody has missed it, it counts as one that is there.
    nodes.wait(len(nodes.running))
    folder = nodes.work / f"first-{name}"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(program, encoding="utf-8")
    nodes.start(name, PYTHONPATH=os.pathsep.join((str(folder), os.environ["PYTHONPATH"])))


@needs_ray
@pytest.mark.sweeps
def test_locks_that_do_nothing(other: Checkout, nodes: Nodes) -> None:
    """A common store on such a file system is refused in one line, before anything runs."""
    for name in ("one", "two"):
        restart(nodes, name, NO_LOCKS)
    _, err = other.run("svm", "--engine", "ray", "--address", nodes.address, code=2)
    assert "locks have no effect on this file system" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not [*other.store.glob("svm/*")]


@needs_ray
@pytest.mark.sweeps
@pytest.mark.parametrize(
    ("program", "told"),
    [
        (OTHER_PROCESSOR, "is left out: it would train other nets, with processor Another, not "),
        (OTHER_VERSION, "is left out: it would train other nets, with numpy 9.9, not 1.26"),
        (FULL, "is left out: "),
        (DAMAGED, "what it made has not arrived"),
    ],
    ids=["processor", "version", "full", "damaged"],
)
def test_a_bad_node(program: str, told: str, sequential: Checkout, other: Checkout, nodes: Nodes) -> None:
    """One line tells of it, and nothing is lost."""
    restart(nodes, "two", program)
    _, err = other.run("--engine", "ray", "--address", nodes.address, "--artefacts", "ship")
    assert told in err
    assert err.count("\n") == 1
    assert records(other) == records(sequential)
    assert other.left == []


@needs_ray
@pytest.mark.sweeps
def test_twenty_kills(sequential: Checkout, tmp_path: Path, nodes: Nodes) -> None:
    """Workers, nodes and the driver, at random moments: the same records, and nothing finished is done again."""
    rng, deaths, round_ = random.Random(19), Counter[str](), 0
    # More than the profile's, so that there is something to be killed for a minute.
    seeds = ("--seeds", "1,2,3,4,5,6")
    whole = Checkout(sequential.root, tmp_path / "whole")
    whole.run(*seeds)
    words = (*seeds, "--engine", "ray", "--address", nodes.address, "--artefacts", "ship", "--retries", str(KILLS))
    while deaths.total() < KILLS:
        round_ += 1
        for name in ("one", "two"):
            # What a round has made there would be there for the next.
            shutil.rmtree(nodes.store(name), ignore_errors=True)
        checkout, made = Checkout(sequential.root, tmp_path / f"store-{round_}"), dict[Path, int]()
        process = checkout.start(*words)
        while process.poll() is None and deaths.total() < KILLS:
            time.sleep(rng.uniform(1, 8))
            for path in checkout.store.glob("*/*/manifest.json"):
                assert made.setdefault(path, path.stat().st_mtime_ns) == path.stat().st_mtime_ns
            whom = rng.choice(("worker", "worker", "node", "driver"))
            name = rng.choice(("one", "two"))
            if whom == "worker" and (there := nodes.workers(name)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(there), signal.SIGKILL)
                    deaths["worker"] += 1
            elif whom == "node":
                nodes.kill(name)
                deaths["node"] += 1
                nodes.start(name)
            elif whom == "driver" and process.poll() is None:
                process.kill()
                process.communicate()
                deaths["driver"] += 1
                process = checkout.start(*words)
        _, err = process.communicate(timeout=900)
        assert process.returncode == 0, err
        assert "Traceback" not in err
        assert records(checkout) == records(whole)
        assert all(path.stat().st_mtime_ns == at for path, at in made.items())
        assert checkout.left == []
    print(f"killed: {dict(deaths)}, in {round_} rounds")
    end = time.monotonic() + 60
    while any(nodes.workers(name) for name in ("one", "two")) and time.monotonic() < end:
        time.sleep(0.5)
    assert not any(nodes.workers(name) for name in ("one", "two"))
