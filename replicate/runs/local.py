"""Workers as processes of this machine: one a core, or one a GPU."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import replicate
from replicate.runs.artefact import Artefact
from replicate.runs.crew import Worker
from replicate.runs.lock_test import held_lock
from replicate.runs.messages import Message
from replicate.runs.plan import Stage
from replicate.runs.store import Store

_READ = 1 << 16
# Seconds that a worker with nothing to lose has for its way out.
_GRACE = 5.0


class Process:
    """A worker in a process of its own.

    Args:
        hired: what it is told first.
        gpu: the GPU that it has, as CUDA_VISIBLE_DEVICES names it; None for none.
        variables: of its environment, beside this process's own.
    """

    def __init__(self, hired: Message, gpu: str | None, variables: Mapping[str, str]) -> None:
        self.place = platform.node()
        self.gpu = gpu is not None
        self.device = gpu
        root = str(Path(replicate.__file__).parents[1])
        paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        # What it prints before its first stage; nobody sees the file, and it goes with the process.
        self._printed = tempfile.TemporaryFile()
        # A session of its own: what a terminal sends to all of its processes is the driver's to pass on.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "replicate.runs.worker"],
            env={**os.environ, **variables, "PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,
            start_new_session=True,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._rest = b""
        self.file = self._process.stdout
        self.send(hired)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def send(self, message: Message) -> None:
        """Tells it what to make."""
        assert self._process.stdin
        # That it is gone is seen where it is listened to.
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")
            self._process.stdin.flush()

    def told(self) -> list[dict[str, Any]]:
        """What it has said, at least a part of a line; at its end, that it is gone."""
        data = os.read(self.file.fileno(), _READ)
        if not data:
            return [{"told": "gone", "reason": self._end()}]
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def stop(self) -> None:
        """Asks it to keep what it has and to go."""
        self._process.terminate()

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()

    def close(self) -> None:
        """Ends it; it has nothing to lose."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        self.kill()
        self._process.wait()
        self.file.close()
        self._printed.close()

    def _end(self) -> str:
        code = self._process.wait()
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        self._printed.seek(0)
        lines = self._printed.read().decode("utf-8", "replace").strip().splitlines()
        return f"exit code {code}" + (f": {lines[-1]}" if lines else "")


class Processes:
    """As many workers as the machine has room for.

    Args:
        hired: gives what each is told first; what is its own is added.
        store: the driver's, which all share.
        most: how many of either kind.
        gpus: those that there are to use; several workers share one where there are fewer than `most`.
        variables: of their environment.
    """

    def __init__(
        self,
        hired: Callable[[], Message],
        store: Store,
        most: int,
        gpus: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.size = most
        self.places = frozenset({platform.node()})
        self._hired, self._store, self._gpus = hired, store, gpus
        self._variables = variables or {}
        self._workers: list[Process] = []
        self._selector = selectors.DefaultSelector()
        # Held for as long as there are workers: each looks whether it can see that.
        self._stack, self._lock = contextlib.ExitStack(), ""

    def hire(self, gpu: bool) -> Worker | None:
        """Another process, on the GPU that the fewest have."""
        alike = [one for one in self._workers if one.gpu == gpu]
        if len(alike) >= self.size or (gpu and not self._gpus):
            return None
        taken = [one.device for one in alike]
        device = min(self._gpus, key=taken.count) if gpu else None
        # Beside a GPU, what wants none sees none.
        seen = {"CUDA_VISIBLE_DEVICES": device or ""} if self._gpus else {}
        if not self._lock:
            self._lock = self._stack.enter_context(held_lock(self._store.root))
        hired = {**self._hired(), "gpu": gpu, "lock": self._lock}
        worker = Process(hired, device, {**self._variables, **seen})
        self._workers.append(worker)
        self._selector.register(worker.file, selectors.EVENT_READ, worker)
        return worker

    def hear(self, seconds: float) -> Iterator[tuple[Worker, Message]]:
        """What they say within so many seconds."""
        for key, _ in self._selector.select(seconds):
            worker: Process = key.data
            for message in worker.told():
                if message["told"] == "gone":
                    self._forget(worker)
                yield worker, message

    def give(self, worker: Worker, stage: Stage) -> tuple[str, bool]:
        """They have the same store."""
        return "", False

    def take_log(self, worker: Worker, log: str) -> None:
        """It is there."""

    def take(self, worker: Worker, stage: Stage) -> Artefact | None:
        """What the store has."""
        return self._store.find(stage.name, stage.key)

    def shut_out(self, place: str) -> None:
        """There is no other place."""

    def close(self) -> None:
        """Ends them, all at once."""
        for worker in self._workers:
            worker.stop()
        for worker in [*self._workers]:
            self._forget(worker)
        self._stack.close()
        self._lock = ""

    def _forget(self, worker: Process) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
            self._selector.unregister(worker.file)
            worker.close()
