"""Races as they are planned and as they are run: who meets whom, on which batches, how often."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.inference.runtime import OPENVINO
from replicate.nets import upstream
from replicate.nets.device import set_device
from replicate.records.timing import Contestant, Race
from replicate.timing.contestants import (
    DEFAULT,
    INSTALLED,
    PYTORCH,
    Entrant,
    Models,
    Opened,
    make,
    opened,
)
from replicate.timing.operations import Encoder
from replicate.timing.products import Probe, probes
from replicate.timing.race import race
from replicate.timing.random_net import SHAPES
from replicate.timing.subject import Subject, shape_name

# Idle before each call: MKL's threads spin on for 0.2 s after they have finished, on the cores of the next contestant.
PAUSE = 0.25
# Large enough to run all kernels, small enough for a minute.
SMALL: Mapping[str, Any] = {
    **SHAPES["base"],
    "num_hidden_layers": 2,
    "vocab_size": 1000,
    "max_position_embeddings": 128,
}
# Of whole comparisons: a minute, and a quarter of an hour on two cores.
GRIDS = ("quick", "full")
Drive = Callable[..., dict[str, tuple[float, ...]]]


@dataclass(frozen=True)
class Heat:
    """One race as planned: nets of one shape on batches of one size.

    Attributes:
        architecture: the shape, as `shapes.SHAPES` has it.
        entrants: the first is the base.
    """

    architecture: Mapping[str, Any]
    batch: int
    length: int
    entrants: tuple[Entrant, ...]
    rounds: int
    warmups: int = 2

    @property
    def id(self) -> str:
        """Shape, batch and length, in a form that can be a test's id."""
        return f"{shape_name(self.architecture).replace(' ', '')}-{self.batch}x{self.length}"


def cross(runtimes: Sequence[str], precisions: Sequence[str], models: Sequence[str]) -> tuple[Entrant, ...]:
    """Every model in every runtime and precision; a runtime's models stand together."""
    return tuple(
        Entrant(runtime, precision, model) for runtime in runtimes for precision in precisions for model in models
    )


PRUNED = ("1", "2/3", "1/2")
TABLE = ("1", "3/4", "2/3", "1/2")
_OPENVINO = cross((OPENVINO,), ("fp32", "int8"), ("1", "1/2"))
_PEERS = (Entrant(DEFAULT), Entrant(INSTALLED), *cross((PYTORCH,), ("fp32",), PRUNED), *_OPENVINO)
_STATIC = cross(("paddle-inference", "onnxruntime"), ("fp32",), PRUNED)
_INT8 = cross(("onnxruntime",), ("int8",), PRUNED)
# Half precision on a CPU is for those that have instructions for it; elsewhere it is left out, with that reason.
_LOW = cross(("paddle-inference",), ("bf16", "int8"), PRUNED)
_EVERYONE = (*_STATIC, *cross(("dygraph",), ("fp32",), PRUNED), *_INT8, *_PEERS)
# At 32 × 128 a round of everyone takes more than a minute, so those that can't be the best are left at home.
_FASTEST = (*cross(("paddle-inference",), ("fp32",), PRUNED), *_INT8, Entrant(PYTORCH), *_OPENVINO)
_MEDIUM = (
    *cross(("paddle-inference",), ("fp32",), TABLE),
    *cross(("onnxruntime",), ("int8",), TABLE),
)
_HALF = cross(("paddle-inference", "onnxruntime", "dygraph", PYTORCH), ("fp32", "fp16"), PRUNED)


def grid(name: str, device: str) -> tuple[Heat, ...]:
    """The comparisons of a grid: `quick` (a minute) or `full` (a quarter of an hour on two cores)."""
    if name == "quick":
        entrants = cross(("paddle-inference", "onnxruntime", "dygraph"), ("fp32",), ("1", "1/2"))
        return tuple(Heat(SMALL, batch, 32, entrants, rounds=7) for batch in (1, 8))
    base, medium = SHAPES["base"], SHAPES["medium"]
    if device == "gpu":
        everyone = (*_HALF, Entrant(DEFAULT))
        table = cross(("paddle-inference", "onnxruntime"), ("fp32", "fp16"), TABLE)
        sizes = [(batch, length) for batch in (1, 32) for length in (32, 128)]
        return tuple(
            Heat(shape, *size, entrants, rounds=25, warmups=5)
            for shape, entrants in ((base, everyone), (medium, table))
            for size in sizes
        )
    return (
        Heat(base, 1, 32, _EVERYONE, rounds=12),
        Heat(base, 1, 128, _EVERYONE, rounds=7),
        Heat(base, 32, 32, (*_EVERYONE, *_LOW), rounds=9, warmups=1),
        Heat(base, 32, 128, _FASTEST, rounds=7, warmups=1),
        Heat(medium, 1, 32, _MEDIUM, rounds=12),
        Heat(medium, 32, 32, _MEDIUM, rounds=9, warmups=1),
        Heat(medium, 32, 128, _MEDIUM, rounds=7, warmups=1),
    )


@dataclass
class Field:
    """Contestants that are open; they stay so from one comparison to the next while it is about the same nets.

    Attributes:
        models: makes what is not there yet.
        subjects: the user's models by number; without them an entrant's model is a width.
        device: `cpu` or `gpu`.
        threads: of each contestant.
    """

    models: Models
    device: str
    threads: int
    subjects: Mapping[str, Subject] = field(default_factory=dict)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _open: dict[tuple[Path, Entrant], Opened] = field(default_factory=dict)
    _refused: dict[tuple[Path, Entrant], str] = field(default_factory=dict)

    def subject(self, architecture: Mapping[str, Any], model: str) -> Subject:
        """The model that an entrant names."""
        return self.subjects[model] if self.subjects else self.models.random(architecture, model)

    def weights(self, heat: Heat) -> str:
        """`random` where any net of the heat has random weights."""
        found = {self.subject(heat.architecture, entrant.model).weights for entrant in heat.entrants}
        return "random" if "random" in found else "trained"

    def ready(self, subject: Subject, entrant: Entrant) -> Opened:
        """The contestant, opened now unless it is open.

        Raises:
            UserError: it can't take part.
        """
        key = (subject.folder, entrant)
        if key in self._refused:
            raise UserError(self._refused[key])
        if key not in self._open:
            try:
                self._open[key] = self._stack.enter_context(
                    opened(subject, entrant, self.models, self.device, self.threads)
                )
            except UserError as error:
                self._refused[key] = str(error)
                raise
        return self._open[key]

    def close(self) -> None:
        """Closes every contestant."""
        self._open.clear()
        self._stack.close()
        upstream.give_memory_back()

    def enter(self, heat: Heat) -> tuple[dict[str, tuple[Contestant, Opened]], dict[str, str]]:
        """The heat's contestants by label, and those that can't take part with the reason.

        Raises:
            UserError: none can.
        """
        # Nets that stay at home cost gigabytes, and opening the others again only seconds.
        if set(self._open) - {(self.subject(heat.architecture, one.model).folder, one) for one in heat.entrants}:
            self.close()
        # All exports before the first net is opened: to make one takes several times the memory of running it.
        for entrant in heat.entrants:
            with contextlib.suppress(UserError):
                make(self.subject(heat.architecture, entrant.model), entrant, self.models)
        found, left_out, first = {}, {}, None
        for entrant in heat.entrants:
            subject = self.subject(heat.architecture, entrant.model)
            label = f"{entrant.runtime} {entrant.precision} {subject.name if self.subjects else subject.width}"
            try:
                ready = self.ready(subject, entrant)
            except UserError as error:
                first = first or error
                left_out[label] = str(error)
                continue
            contestant = Contestant(
                label=label,
                model=subject.name,
                runtime=entrant.runtime,
                precision=entrant.precision,
                width=subject.width,
                parameters=ready.parameters,
                bytes=ready.bytes,
                flops=subject.flops(heat.batch, heat.length),
                environment=ready.environment,
                operations=subject.operations(heat.batch, heat.length),
            )
            found[label] = (contestant, ready)
        if not found and first:
            raise first
        # An export leaves Paddle on the CPU.
        set_device(self.device)
        return found, left_out


@contextlib.contextmanager
def field_of(
    models: Models, device: str, threads: int, subjects: Mapping[str, Subject] | None = None
) -> Iterator[Field]:
    """A field whose contestants are closed at the end."""
    one = Field(models, device, threads, subjects or {})
    try:
        yield one
    finally:
        one.close()


def compare(heat: Heat, field: Field, race: Drive = race, tell: Callable[[int], None] = lambda _: None) -> Race:
    """Runs a heat.

    Args:
        heat: what is compared.
        field: opens the contestants.
        race: as `race.race`; the benchmark has its own, which pytest-benchmark drives.
        tell: told how many rounds are done.

    Raises:
        UserError: no contestant can take part.
    """
    entered, left_out = field.enter(heat)
    calls = {label: ready.call(heat.batch, heat.length) for label, (_, ready) in entered.items()}
    limits = _limits(heat, field, dict.fromkeys(contestant.precision for contestant, _ in entered.values()))
    calls.update({one.limit.label: one.call for one in limits})
    found = race(calls, heat.rounds, heat.warmups, pause=PAUSE, tell=tell)
    seconds = {label: tuple(round(one, 7) for one in samples) for label, samples in found.items()}
    shapes = dict.fromkeys(field.subject(heat.architecture, entrant.model).shape for entrant in heat.entrants)
    return Race(
        shape=" and ".join(shapes if len(shapes) < 3 else [next(iter(shapes)), f"{len(shapes) - 1} other shapes"]),
        weights=field.weights(heat),
        batch=heat.batch,
        length=heat.length,
        rounds=heat.rounds,
        warmups=heat.warmups,
        pause=PAUSE,
        contestants=tuple(contestant for contestant, _ in entered.values()),
        seconds={label: seconds[label] for label in entered},
        left_out=left_out,
        limits=tuple(one.limit for one in limits),
        limit_seconds={one.limit.label: seconds[one.limit.label] for one in limits},
    )


def _limits(heat: Heat, field: Field, precisions: Iterable[str]) -> list[Probe]:
    """Matrix products of the shapes of the heat's whole net, of an ensemble those of its first ERNIE.

    None on a GPU, and none where no net is an ERNIE.
    """
    singles = heat.architecture.get("members", [heat.architecture])
    ernie = next((one for one in singles if "student" not in one), None)
    if field.device != "cpu" or ernie is None:
        return []
    return probes(Encoder.of(ernie).products(heat.batch, heat.length), tuple(precisions), field.threads)
