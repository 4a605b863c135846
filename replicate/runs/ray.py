"""Workers on a Ray cluster, or on a Ray of this machine's own: an actor a worker, and below it a process as anywhere.

Ray places them, carries messages and bytes, and tells which machine is gone. What trains is the same process as that of
`local`, so neither Ray's threads nor its signals meet a net. Imported only where somebody asks for it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from replicate.common.errors import UserError
from replicate.common.paths import store_root
from replicate.runs.artefact import Artefact
from replicate.runs.crew import Worker
from replicate.runs.local import Process
from replicate.runs.lock_test import held_lock
from replicate.runs.messages import Message
from replicate.runs.plan import Stage
from replicate.runs.shipment import Files, packed_artefact, unpack_artefact, unpack_data
from replicate.runs.store import Store

# Seconds that an actor listens before it says that there was nothing, between two looks at which machines there are,
# and that a file system may take to show what another machine has made.
_LISTENS = 20.0
_LOOKS = 2.0
PATIENCE = 90.0
# That a worker with nothing to lose has for its way out.
_GRACE = 10.0
# Bytes of a Ray of one's own: only what is shipped goes through it.
_OBJECTS = 256 << 20
_LOOPBACK = "127.0.0.1"


class Agent:
    """What Ray runs beside each worker: it starts the process, and passes on what both sides say."""

    def __init__(self, hired: Message, data: Files | None, variables: Mapping[str, str]) -> None:
        # With data, the machine has a store of its own.
        self._store = Store(store_root().resolve() if data is not None else Path(hired["store"]))
        own: dict[str, Any] = {}
        if data is not None:
            own = {"store": str(self._store.root), "data": str(unpack_data(self._store.root, data)), "lock": ""}
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        self._process = Process({**hired, **own}, seen if hired["gpu"] else None, variables)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.file, selectors.EVENT_READ)

    def hear(self, seconds: float) -> list[dict[str, Any]]:
        """What the process says within so many seconds."""
        return self._process.told() if self._selector.select(seconds) else []

    def send(self, message: Message) -> None:
        """Tells the process what to make."""
        self._process.send(message)

    def stop(self) -> None:
        """Asks the process to keep what it has and to go."""
        self._process.stop()

    def close(self) -> None:
        """Ends the process, which has nothing to lose."""
        self._process.stop()
        self._process.close()

    def lacks(self, wanted: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Those artefacts, each by stage and key, that this machine's store doesn't have."""
        return [one for one in wanted if self._store.find(*one) is None]

    def put(self, stage: str, key: str, files: Files) -> tuple[str, bool]:
        """Has the store take an artefact in; what is wrong, and whether that is the machine's own fault."""
        try:
            return unpack_artefact(self._store, stage, key, files), False
        except UserError as error:
            return str(error), True

    def get(self, stage: str, key: str) -> dict[str, bytes]:
        """The files of an artefact."""
        return packed_artefact(self._store, stage, key)

    def read(self, log: str) -> str:
        """A stage's log, by its path below the store's folder."""
        with contextlib.suppress(OSError):
            return (self._store.root / log).read_text(encoding="utf-8", errors="replace")
        return ""


class Remote:
    """A worker on a node.

    Args:
        actor: its agent.
        place: the node.
        gpu: whether it has one.
    """

    def __init__(self, actor: Any, place: str, gpu: bool) -> None:
        self.actor, self.place, self.gpu = actor, place, gpu

    def send(self, message: Message) -> None:
        """Tells it what to make."""
        self.actor.send.remote(dict(message))

    def stop(self) -> None:
        """Asks it to keep what it has and to go."""
        self.actor.stop.remote()

    def kill(self) -> None:
        """Ends it at once; its process sees that nobody is there any more."""
        ray.kill(self.actor)


class Cluster:
    """As many workers as the cluster has room for.

    Args:
        hired: gives what each is told first.
        store: the driver's.
        most: how many of either kind; None for one a core, or as many as share the GPUs.
        gpus_per_stage: share of a GPU that a stage has.
        data: gives what is sent to machines that have stores of their own; None where all see the driver's.
        variables: of the workers' environment.
        folder: of a Ray of one's own, which goes with it.
    """

    def __init__(
        self,
        hired: Callable[[], Message],
        store: Store,
        most: int | None,
        gpus_per_stage: float | None,
        data: Callable[[], Files] | None,
        variables: Mapping[str, str],
        folder: Path | None,
    ) -> None:
        self._folder = folder
        self._hired, self._store, self._most, self._data = hired, store, most, data
        self._gpus_per_stage, self._variables = gpus_per_stage, variables
        self._workers: list[Remote] = []
        self._listening: dict[Any, Remote] = {}
        self._out: set[str] = set()
        self._nodes: dict[str, dict[str, Any]] = {}
        self._looked = -_LOOKS
        self._sent: Any = None
        # Held for as long as there are workers: each looks whether it can see that.
        self._stack, self._lock = contextlib.ExitStack(), ""

    @property
    def places(self) -> frozenset[str]:
        """The nodes that are there, less those that are shut out."""
        if time.monotonic() - self._looked >= _LOOKS:
            self._looked = time.monotonic()
            self._nodes = {_name(one): one for one in ray.nodes() if one["Alive"]}
        return frozenset(self._nodes) - self._out

    @property
    def size(self) -> int:
        """How many stages run at once where the profile has them run."""
        room = sum(self._room(place, self._gpus_per_stage is not None) for place in self.places)
        return max(1, min(room, self._most or room))

    def _room(self, place: str, gpu: bool) -> int:
        resources = self._nodes[place]["Resources"]
        if gpu:
            return int(resources.get("GPU", 0) / (self._gpus_per_stage or 1) + 1e-6)
        return int(resources.get("CPU", 0))

    def hire(self, gpu: bool) -> Worker | None:
        """Another worker, on the node that has the most room left."""
        places = self.places
        alike = Counter(one.place for one in self._workers if one.gpu == gpu)
        free = {place: self._room(place, gpu) - alike[place] for place in places}
        place = max(sorted(free), key=lambda one: free[one], default="")
        # Beside GPUs, what wants none needs no more workers than they have.
        most = self._most or (None if gpu or self._gpus_per_stage is None else self.size)
        if not place or free[place] < 1 or (most and alike.total() >= most):
            return None
        if self._data is None and not self._lock:
            self._lock = self._stack.enter_context(held_lock(self._store.root))
        if self._data is not None and self._sent is None:
            self._sent = ray.put(dict(self._data()))
        wants: dict[str, Any] = {"num_gpus": self._gpus_per_stage, "num_cpus": 0} if gpu else {"num_cpus": 1}
        affinity = NodeAffinitySchedulingStrategy(self._nodes[place]["NodeID"], soft=False)
        # One thread listens while the others pass on.
        made = ray.remote(max_concurrency=4, max_restarts=0, scheduling_strategy=affinity, **wants)(Agent)
        hired = {**self._hired(), "gpu": gpu, "lock": self._lock, "patience": PATIENCE if self._data is None else 0}
        worker = Remote(made.remote(hired, self._sent, dict(self._variables)), place, gpu)
        self._workers.append(worker)
        self._listen(worker)
        return worker

    def hear(self, seconds: float) -> Iterator[tuple[Worker, Message]]:
        """What workers say within so many seconds; of a node that is gone, that its workers are."""
        if not self._listening:
            time.sleep(min(seconds, 0.1))
            return
        heard, _ = ray.wait([*self._listening], num_returns=len(self._listening), timeout=0)
        if not heard:
            heard, _ = ray.wait([*self._listening], num_returns=1, timeout=seconds)
        for one in heard:
            worker = self._listening.pop(one)
            try:
                messages: list[dict[str, Any]] = ray.get(one)
            except RayError as error:
                messages = [{"told": "gone", "reason": _reason(error)}]
            gone = any(message["told"] == "gone" for message in messages)
            if gone:
                self._workers.remove(worker)
                self._looked = -_LOOKS
                with contextlib.suppress(RayError):
                    ray.kill(worker.actor)
            else:
                self._listen(worker)
            for message in messages:
                yield worker, message

    def _listen(self, worker: Remote) -> None:
        self._listening[worker.actor.hear.remote(_LISTENS)] = worker

    def give(self, worker: Worker, stage: Stage) -> tuple[str, bool]:
        """Sends what the stage starts from where the node's own store lacks it."""
        assert isinstance(worker, Remote)
        if self._data is None:
            return "", False
        try:
            for name, key in ray.get(worker.actor.lacks.remote([(one.name, one.key) for one in stage.parents()])):
                files = ray.put(packed_artefact(self._store, name, key))
                fault, own = ray.get(worker.actor.put.remote(name, key, files))
                if fault:
                    return f"{worker.place}: {fault}", own
        except RayError as error:
            return _reason(error), False
        return "", False

    def take(self, worker: Worker, stage: Stage) -> Artefact | None:
        """What the worker has made: from the common store, which may take its time to show it, or sent by its node."""
        assert isinstance(worker, Remote)
        if self._data is None:
            until = time.monotonic() + PATIENCE
            while (found := self._store.find(stage.name, stage.key)) is None and time.monotonic() < until:
                time.sleep(1)
            return found
        try:
            files = ray.get(worker.actor.get.remote(stage.name, stage.key))
        except RayError:
            return None
        unpack_artefact(self._store, stage.name, stage.key, files)
        return self._store.find(stage.name, stage.key)

    def take_log(self, worker: Worker, log: str) -> None:
        """Copies a stage's log from a node that has a store of its own."""
        assert isinstance(worker, Remote)
        if self._data is None:
            return
        with contextlib.suppress(RayError, OSError):
            text = ray.get(worker.actor.read.remote(log))
            (self._store.root / log).parent.mkdir(parents=True, exist_ok=True)
            (self._store.root / log).write_text(text, encoding="utf-8")

    def shut_out(self, place: str) -> None:
        """Hires nobody there any more."""
        self._out.add(place)

    def close(self) -> None:
        """Ends the workers, and a Ray of one's own."""
        ending = [worker.actor.close.remote() for worker in self._workers]
        if ending:
            ray.wait(ending, num_returns=len(ending), timeout=_GRACE)
        for worker in self._workers:
            with contextlib.suppress(RayError):
                ray.kill(worker.actor)
        self._workers.clear()
        self._listening.clear()
        ray.shutdown()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._stack.close()
        self._lock = ""


def connect(address: str, processes: int | None, gpus: int) -> Path | None:
    """Joins the cluster at `address`, or starts a Ray that listens on this machine's loopback alone.

    Returns:
        The folder of a Ray of one's own, which may go with it.

    Raises:
        UserError: there is none, or it is of another version.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Else its workers give way to everything, at nice 15; and it would tell its makers of each start.
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    folder = ""
    try:
        if address:
            ray.init(address=address, **quiet)
            return None
        folder = tempfile.mkdtemp(prefix="replicate-ray-")
        own = {"include_dashboard": False, "_node_ip_address": _LOOPBACK, "object_store_memory": _OBJECTS}
        ray.init(num_cpus=processes, num_gpus=gpus or None, _temp_dir=folder, **own, **quiet)
        return Path(folder)
    except BaseException as error:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        if not isinstance(error, ConnectionError | RuntimeError | ValueError | OSError):
            raise
        first = (str(error).splitlines() or [type(error).__name__])[0]
        where = f"no Ray answers at {address}" if address else "Ray can't be started"
        raise UserError(f"{where}: {first}", hint="see docs/sweeps.md") from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _name(node: Mapping[str, Any]) -> str:
    """A machine may have several nodes."""
    return f"{node['NodeManagerHostname']}/{node['NodeID'][:8]}"


def _reason(error: RayError) -> str:
    if isinstance(error, RayActorError):
        return "its Ray worker or its node died"
    return (str(error).splitlines() or [type(error).__name__])[-1]
