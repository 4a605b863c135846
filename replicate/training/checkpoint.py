"""Where a training loop stands, on the disk every few minutes: a loop that was killed goes on bit for bit.

A loop takes part with five lines (`finetune.py` is one):

    with Checkpoint(folder, identity, network, optimizer, rng) as checkpoint:
        state = checkpoint.load() or {"step": 0, "history": [], "best": {}}
        for epoch in range(checkpoint.epoch, epochs):
            for number, batch in checkpoint.batches(epoch, lambda: epoch_batches(lengths, size, how, rng)):
                ...  # one step; evaluate where one is due; change `state`
                checkpoint.after_step(lambda: state)

- Between `with` and `load` the process must stand where it stood the first time: same seed, same net, same draws.
- `identity` is JSON that names all the loop computes from (settings, seed, digests of weights and data). A checkpoint
  of anything else, of other code, another device or number of threads is not used.
- The network's weights, the optimizer with its schedule, the position in the data and the state of every random
  generator are kept here. `state` is the rest: nested dicts and lists of JSON values and NumPy arrays.
- Draws between two steps must come from `rng`, `random`, `numpy.random` or Paddle's dropout. Paddle can't write its
  generator down, so dropout is counted and drawn again; numbers that it would draw next are compared, and where they
  differ the checkpoint is not used.
- The first SIGINT or SIGTERM lets the step finish, saves and raises `Stopped`; a second one stops at once.
- The folder's owner (the store, `resumable_folder`) removes the file when the folder is complete.

`REPLICATE_CHECKPOINT` says how often: `5m` (the default), `30s`, `200` (steps), or `0`: only when stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, TypeVar

import numpy as np

from replicate.common.errors import Stopped, UserError
from replicate.common.files import sync
from replicate.common.work import CHECKPOINT
from replicate.nets.folder import digest_of, weights_of

PACKAGE = Path(__file__).parents[1]
# The rooms that a stage can import (a test compares): a change in any other leaves what a stage computes.
COMPUTES = ("audit", "augment", "common", "corpus", "inference", "nets", "scores", "stages", "training")
VARIABLE = "REPLICATE_CHECKPOINT"
DEFAULT = "5m"
FORMAT = 1
_ARRAY = "array of this checkpoint"
Batch = TypeVar("Batch")


def cadence(text: str) -> tuple[float, int]:
    """Seconds and steps between checkpoints, 0 for what does not count.

    Raises:
        UserError: not a number of minutes (`5m`), seconds (`30s`) or steps (`200`).
    """
    found = re.fullmatch(r"(\d{1,9})([ms]?)", text, re.ASCII)
    if not found:
        raise UserError(f"{VARIABLE} is {text!r}", hint="write minutes as 5m, seconds as 30s, steps as 200, or 0")
    number = int(found[1])
    return (0.0, number) if not found[2] else (number * (60.0 if found[2] == "m" else 1.0), 0)


def code_digest(package: Path = PACKAGE) -> str:
    """SHA-256 of the modules of `package` that can change what a stage computes: other code might go on differently."""
    digest = hashlib.sha256()
    for path in sorted(path for room in COMPUTES for path in (package / room).rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def rows_digest(rows: Sequence[np.ndarray]) -> str:
    """SHA-256 of token ids and labels, row by row: the data in an `identity`."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.dtype}{row.shape}".encode() + row.tobytes())
    return digest.hexdigest()


class Checkpoint:
    """The state of one training loop, in `folder`; a context manager around the loop.

    Args:
        folder: where the stage writes.
        identity: all that the loop computes from, as JSON.
        network: what is trained.
        optimizer: an `optimisation.Optimizer`.
        rng: the generator that the loop draws batches from.

    Attributes:
        epoch: the epoch to begin or go on with, from 0.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, Any], network: Any, optimizer: Any, rng: np.random.Generator
    ) -> None:
        self.path = folder / CHECKPOINT
        self.network, self.optimizer, self.rng = network, optimizer, rng
        self.epoch = self._number = self._steps = 0
        self._epoch_rng = rng.bit_generator.state
        self._resumed = False
        self._identity = {**identity, **_surroundings()}
        self._seconds, self._every = cadence(os.environ.get(VARIABLE, DEFAULT))
        self._started = self._saved = time.monotonic()
        self._spent = 0.0
        self._dropout = _DropoutCount()
        self._signal = 0
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Checkpoint:
        """Count dropout, and take the signals that ask to stop."""
        self._dropout.start()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # What is ignored (a shell's background job ignores SIGINT) stays ignored.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Everything as before; a signal that no step has seen is given on."""
        self._dropout.stop()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._signal and error is None:
            signal.raise_signal(self._signal)

    def load(self) -> dict[str, Any] | None:
        """Put everything back to where the checkpoint stood and give its `state`; None where there is none to use."""
        if not self.path.exists():
            return None
        try:
            held, arrays = _read(self.path)
            if held["identity"] != json.loads(json.dumps(self._identity)):
                raise ValueError("it is of another run or other code")
            state: dict[str, Any] = _join(held["state"], arrays)
            self._dropout.draw_again(held["dropout"], held["next_draws"])
        except (ValueError, KeyError, TypeError, OSError) as error:
            print(f"warning: {self.path} is not used ({error}); training begins anew", file=sys.stderr)
            self.path.unlink(missing_ok=True)
            return None
        self.network.set_state_dict(_join(held["network"], arrays))
        self.optimizer.load_state(_join(held["optimizer"], arrays))
        self.rng.bit_generator.state = held["rng"]
        random.setstate((held["python"][0], tuple(held["python"][1]), held["python"][2]))
        np.random.set_state(tuple(_join(held["numpy"], arrays)))
        self.epoch, self._number, self._epoch_rng = held["epoch"], held["number"], held["epoch_rng"]
        self._spent, self._resumed = held["seconds"], True
        print(f"going on from {self.path}", file=sys.stderr)
        return state

    def batches(self, epoch: int, make: Callable[[], Sequence[Batch]]) -> Iterator[tuple[int, Batch]]:
        """The epoch's batches with their numbers from 1, without those that are done; `make` draws them from `rng`."""
        if self._resumed and epoch == self.epoch:
            now = self.rng.bit_generator.state
            self.rng.bit_generator.state = self._epoch_rng
            found = make()
            self.rng.bit_generator.state = now
        else:
            self.epoch, self._number, self._epoch_rng = epoch, 0, self.rng.bit_generator.state
            found = make()
        self._resumed = False
        for number, batch in enumerate(found[self._number :], start=self._number + 1):
            self._number = number
            yield number, batch

    def after_step(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """A step is done: save where it is time to, or where a signal asks to stop.

        Raises:
            Stopped: a signal came during the step.
        """
        self._steps += 1
        stop = self._signal
        by_time = self._seconds and time.monotonic() - self._saved >= self._seconds
        if stop or by_time or (self._every and self._steps % self._every == 0):
            saved = self.save(state())
            if stop:
                raise Stopped(stop, saved)

    def save(self, state: Mapping[str, Any]) -> bool:
        """Replace the checkpoint in one step; False, and a line that says why, where the disk doesn't take it."""
        arrays: dict[str, np.ndarray] = {}
        held = {
            "identity": self._identity,
            "state": state,
            "network": weights_of(self.network),
            "optimizer": self.optimizer.state(),
            "rng": self.rng.bit_generator.state,
            "epoch_rng": self._epoch_rng,
            "epoch": self.epoch,
            "number": self._number,
            "python": random.getstate(),
            "numpy": np.random.get_state(legacy=True),
            "dropout": dict(self._dropout.counts),
            "next_draws": _next_draws(),
            "seconds": self._spent + time.monotonic() - self._started,
        }
        partial = self.path.with_name(f".{self.path.name}")
        try:
            _write(partial, _split(held, arrays, ""), arrays)
            os.replace(partial, self.path)
            sync(self.path.parent)
        # What safetensors meets on the disk is an error of its own kind.
        except Exception as error:
            print(f"warning: no checkpoint could be written ({error}); training goes on", file=sys.stderr)
            partial.unlink(missing_ok=True)
            return False
        self._saved = time.monotonic()
        return True

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal:
            raise Stopped(number, self.path.exists())
        self._signal = number


def seconds_spent(folder: Path) -> float:
    """Seconds of training that the folder's checkpoint stands for; 0.0 where there is none that can be read."""
    try:
        return float(_read(folder / CHECKPOINT)[0]["seconds"])
    except (ValueError, KeyError, TypeError, OSError):
        return 0.0


def _surroundings() -> dict[str, Any]:
    import paddle

    return {"code": code_digest(), "device": paddle.get_device(), "threads": os.environ.get("OMP_NUM_THREADS", "")}


def _split(value: Any, arrays: dict[str, np.ndarray], name: str) -> Any:
    """`value` as JSON, its arrays taken out into `arrays` under their paths."""
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {_ARRAY: name}
    if isinstance(value, Mapping):
        return {str(key): _split(item, arrays, f"{name}/{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_split(item, arrays, f"{name}/{index}") for index, item in enumerate(value)]
    return value.item() if isinstance(value, np.generic) else value


def _join(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The opposite of `_split`; tuples are lists by now."""
    if isinstance(value, dict):
        return arrays[value[_ARRAY]] if _ARRAY in value else {key: _join(item, arrays) for key, item in value.items()}
    return [_join(item, arrays) for item in value] if isinstance(value, list) else value


def _write(path: Path, held: Any, arrays: Mapping[str, np.ndarray]) -> None:
    from safetensors.numpy import save_file

    text = json.dumps({"format": FORMAT, "arrays": digest_of(arrays), **held}, ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    save_file(
        {name: np.asarray(one, order="C") for name, one in arrays.items()}, path, {"held": text, "sha256": digest}
    )
    sync(path)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a checkpoint holds; ValueError where a single bit of it is not as it was written."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            noted = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except SafetensorError as error:
        raise ValueError(f"not a safetensors file: {error}") from error
    text = noted.get("held", "")
    if hashlib.sha256(text.encode()).hexdigest() != noted.get("sha256"):
        raise ValueError("it doesn't match its digest")
    held: dict[str, Any] = json.loads(text)
    if held["format"] != FORMAT or digest_of(arrays) != held["arrays"]:
        raise ValueError("it doesn't match its digest")
    return held, arrays


def _next_draws() -> list[float]:
    """Numbers that Paddle's generator would draw next; it still will."""
    import paddle

    state = paddle.get_rng_state()
    drawn: list[float] = paddle.uniform([8]).numpy().tolist()
    paddle.set_rng_state(state)
    return drawn


class _DropoutCount:
    """Counts dropout by its number of elements: all that draws from Paddle's generator while a net is trained."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    def start(self) -> None:
        """Count from now on."""
        from paddle import _C_ops

        self._original = original = _C_ops.dropout

        def counted(x: Any, seed_tensor: Any, p: Any, is_test: bool, *rest: Any) -> Any:
            if not is_test:
                self.counts[int(x.size)] += 1
            return original(x, seed_tensor, p, is_test, *rest)

        _C_ops.dropout = counted

    def stop(self) -> None:
        """Count no more."""
        from paddle import _C_ops

        _C_ops.dropout = self._original

    def draw_again(self, counts: Mapping[str, int], then: Sequence[float]) -> None:
        """Draw as much as the counts say; ValueError, and the generator as it was, where other numbers come `then`."""
        import paddle

        before = paddle.get_rng_state()
        for size, times in counts.items():
            x = paddle.zeros([int(size)])
            for _ in range(times):
                self._original(x, None, 0.5, False, "upscale_in_train", 0, False)
        if _next_draws() != then:
            paddle.set_rng_state(before)
            raise ValueError("Paddle's random numbers can't be brought back")
        self.counts.update({int(size): times for size, times in counts.items()})
