"""Who can be timed: models in the runtimes of this package, PaddleNLP's dynamic graph by default, PyTorch, OpenVINO."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.errors import UserError
from replicate.common.paths import ROOT
from replicate.inference.export import export
from replicate.inference.exported import GRAPHS
from replicate.inference.runtime import OPENVINO, RUNTIMES, Runtime, open_runtime
from replicate.timing.random_net import random_model
from replicate.timing.subject import LABELS, Subject, shape_name

# PaddleNLP without a flag set, freed memory handed back: with as many threads as the others have, and as installed,
# where nobody has set OMP_NUM_THREADS and Paddle takes one thread.
DEFAULT, INSTALLED, PYTORCH = "dygraph-default", "dygraph-as-installed", "pytorch"
TORCH_PYTHON, OPENVINO_PYTHON = "REPLICATE_TORCH_PYTHON", "REPLICATE_OPENVINO_PYTHON"
PEER, OPENVINO_PEER = ROOT / "bench" / "peer_torch.py", ROOT / "bench" / "peer_openvino.py"
# What upstream.prepare() sets beside the number of threads.
_SETTINGS = ("FLAGS_use_stride_kernel", "MKL_DEBUG_CPU_TYPE")
_KINDS = {"paddle-inference": "paddle", "onnxruntime": "onnx", OPENVINO: "onnx"}
_ENVIRONMENTS = {"dygraph": "this package's flags", "paddle-inference": "static graph", "onnxruntime": "ONNX graph"}
_DESCRIPTION: Mapping[str, Callable[[Any], Any]] = {"parameters": int, "bytes": int, "environment": str}


@dataclass(frozen=True)
class Entrant:
    """Who should take part: a runtime of the package or one of those above, its precision and a model.

    `model` is a width (`1`, `2/3`) of the comparison's shape, or the number of one of the user's models.
    """

    runtime: str
    precision: str = "fp32"
    model: str = "1"


@dataclass(frozen=True)
class Opened:
    """A contestant that is ready: what it is made of, and calls on token ids of one size.

    `runtime` is None where it runs in a process of its own; `call` gives a function for `race.race`.
    """

    parameters: int
    bytes: int
    environment: str
    call: Callable[[int, int], Callable[[], float | None]]
    runtime: Runtime | None = None


@dataclass
class Models:
    """Nets with random weights and exported folders, made when they are first asked for, and kept until the end.

    Attributes:
        scratch: an empty folder for them; a Base and its exports take about 2 GB.
        tell: told what is being made.
    """

    scratch: Path
    tell: Callable[[str], None] = lambda _: None
    _subjects: dict[tuple[str, str], Subject] = field(default_factory=dict)
    _exports: dict[tuple[Path, str, bool], Path] = field(default_factory=dict)

    def random(self, architecture: Mapping[str, Any], width: str) -> Subject:
        """A net of that shape and width with random weights."""
        shape = shape_name(architecture)
        if (shape, width) not in self._subjects:
            self.tell(f"{shape}, width {width}: random weights")
            folder = self.scratch / f"{shape}-{width.replace('/', '-')}".replace(" ", "")
            share = Fraction(width)
            random_model(architecture, share if share != 1 else None, LABELS, folder)
            self._subjects[shape, width] = Subject(shape, folder, shape, width, "random", dict(architecture))
        return self._subjects[shape, width]

    def exported(self, subject: Subject, kind: str, int8: bool) -> Path:
        """The subject's exported folder of that kind."""
        key = (subject.folder, kind, int8)
        if key not in self._exports:
            self.tell(f"{subject.name}, width {subject.width}: {kind}{' int8' if int8 else ''}")
            folder = self.scratch / f"export-{len(self._exports)}"
            export(subject.folder, folder, kind, int8=int8)
            self._exports[key] = folder
        return self._exports[key]


def make(subject: Subject, entrant: Entrant, models: Models) -> Path:
    """The folder that the entrant reads, made now unless it is there.

    Raises:
        UserError: there is no such export.
    """
    # OpenVINO makes its own int8 of the graph in fp32.
    kind, int8 = _KINDS.get(entrant.runtime), entrant.precision == "int8" and entrant.runtime != OPENVINO
    if kind is None and int8:
        raise UserError(f"{entrant.runtime} has no int8")
    return models.exported(subject, kind, int8) if kind else subject.folder


@contextlib.contextmanager
def opened(subject: Subject, entrant: Entrant, models: Models, device: str, threads: int) -> Iterator[Opened]:
    """The contestant, ready to run; it is gone from memory afterwards.

    Raises:
        UserError: it can't run here, or not so.
    """
    if entrant.runtime in RUNTIMES:
        yield _local(subject, entrant, models, device, threads)
        # Nets hold cycles, and the next ones need the room.
        gc.collect()
    else:
        with _child(subject, entrant, models, device, threads) as child:
            yield child


def _local(subject: Subject, entrant: Entrant, models: Models, device: str, threads: int) -> Opened:
    folder = make(subject, entrant, models)
    runtime = open_runtime(folder, entrant.runtime, device=device, precision=entrant.precision, threads=threads)

    def call(batch: int, length: int) -> Callable[[], None]:
        ids = token_ids(int(subject.architecture["vocab_size"]), batch, length)

        def once() -> None:
            runtime.logits(ids)

        return once

    return Opened(runtime.parameters, runtime.bytes, _ENVIRONMENTS[entrant.runtime], call, runtime)


def token_ids(vocabulary: int, batch: int, length: int) -> NDArray[np.int64]:
    """Token ids [batch, length], none of them padding."""
    return np.random.default_rng(0).integers(1, vocabulary, size=(batch, length), dtype=np.int64)


def peer_environment(threads: int) -> dict[str, str]:
    """This process's variables for a program with so many threads, without those that are for Paddle here."""
    environment = {name: value for name, value in os.environ.items() if name not in (*_SETTINGS, "PYTHONPATH")}
    return {**environment, "OMP_NUM_THREADS": str(threads)}


@contextlib.contextmanager
def _child(subject: Subject, entrant: Entrant, models: Models, device: str, threads: int) -> Iterator[Opened]:
    environment = peer_environment(threads)
    if entrant.runtime == INSTALLED:
        del environment["OMP_NUM_THREADS"]
    if entrant.runtime in (DEFAULT, INSTALLED):
        command = [sys.executable, "-m", "replicate.timing.child", str(subject.folder)]
        # The child has to find this package wherever it was found here.
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        environment["GLOG_minloglevel"] = "2"
    else:
        command = [*_peer(subject, entrant, models), str(threads)]
    command += [device, entrant.precision]
    with Child.start(command, environment) as child:
        yield Opened(
            child.description["parameters"],
            child.description["bytes"],
            child.description["environment"],
            lambda batch, length: lambda: child.seconds(batch, length),
        )


def _peer(subject: Subject, entrant: Entrant, models: Models) -> list[str]:
    """The program of another package, in its own environment, and what it reads."""
    openvino = entrant.runtime == OPENVINO
    variable, program = (OPENVINO_PYTHON, OPENVINO_PEER) if openvino else (TORCH_PYTHON, PEER)
    python = os.environ.get(variable, "")
    if not python:
        package = "OpenVINO" if openvino else "PyTorch"
        raise UserError(f"{variable} is not set", hint=f"name the Python of an environment with {package}")
    if not program.is_file():
        raise UserError("is part of a checkout only", path=program)
    folder = make(subject, entrant, models)
    return [python, str(program), str(folder / (GRAPHS["onnx"][0] if openvino else "config.json"))]


@dataclass
class Child:
    """A contestant in a process of its own, which answers each `batch length` with the seconds that it took.

    Attributes:
        process: the program, which described itself in its first line.
        errors: what it says on stderr.
        description: `parameters`, `bytes` and `environment`.
    """

    process: subprocess.Popen[str]
    errors: Any
    description: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    @contextlib.contextmanager
    def start(cls, command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Child]:
        """Starts the program, and ends it afterwards.

        Raises:
            UserError: it can't be started, or says nothing that describes it.
        """
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
            try:
                process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
                )
            except OSError as error:
                raise UserError(f"can't be started: {error.strerror}", path=command[0]) from error
            with process:
                child = cls(process, errors)
                try:
                    child.description = child._described()
                    yield child
                finally:
                    # It holds nothing that a kill could spoil, and a forward may take half a minute.
                    process.kill()

    def seconds(self, batch: int, length: int) -> float:
        """Has it run once.

        Raises:
            UserError: it ended instead.
        """
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            print(batch, length, file=self.process.stdin, flush=True)
        return float(self._line())

    def _described(self) -> dict[str, Any]:
        line = self._line()
        try:
            found = json.loads(line)
            return {name: kind(found[name]) for name, kind in _DESCRIPTION.items()}
        except (ValueError, TypeError, KeyError):
            raise UserError(f"the process {self._name} does not describe itself: {line.strip()!r}") from None

    @property
    def _name(self) -> str:
        return Path(self.process.args[0]).name  # type: ignore[index, arg-type]

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.endswith("\n"):
            self.errors.seek(0)
            said = [text.strip() for text in self.errors if text.strip()] or ["without a word"]
            raise UserError(f"the process {self._name} ended: {said[-1]}")
        return line
