"""Timing records: raw seconds of contestants that took turns on one machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WEIGHTS = ("random", "trained")
# Texts in the order of their file, or sorted by length before they are cut into batches.
BATCHINGS = ("file order", "by length")


@dataclass(frozen=True)
class Contestant:
    """What ran.

    Attributes:
        label: what its seconds are filed under; unique in its race.
        model: a published shape (`ernie-3.0-base`) or the name of a model folder.
        runtime: one of `runtime.RUNTIMES`, `dygraph-default`, `dygraph-as-installed`, `pytorch` or
            `openvino`.
        precision: one of `runtime.PRECISIONS`.
        width: share of heads and hidden units that pruning left: `1`, `2/3`.
        parameters: number of scalars.
        bytes: size of the weights.
        flops: of the whole encoder's matrix products in one call; 0 where calls differ. Exported graphs leave out what
            the last layer computes for tokens but the first: 7 % of a Base, at any width.
        environment: what it ran in: `default flags`, `PyTorch 2.13.0 …`.
        operations: of one call, those that its answer can't do without: of the last layer what [CLS] takes. 0 where
            calls differ, and in records of schema 2.
    """

    label: str
    model: str
    runtime: str
    precision: str
    width: str
    parameters: int
    bytes: int
    flops: int
    environment: str
    operations: int = 0


@dataclass(frozen=True)
class Limit:
    """Matrix products alone, of the shapes of a net's linear maps, by one library.

    Attributes:
        label: what its seconds are filed under; unique in its race.
        library: `paddle`, `onnxruntime` or `onednn`.
        precision: one of `runtime.PRECISIONS`.
        operations: of one call.
    """

    label: str
    library: str
    precision: str
    operations: int


@dataclass(frozen=True)
class Race:
    """Contestants that took turns on the same token ids; the first is the base.

    Attributes:
        shape: published shape of the nets, or their layers and hidden size.
        weights: `random` (speed does not depend on the values) or `trained`.
        batch: texts a call.
        length: tokens of each, none of them padding.
        rounds: in each of which every contestant ran once.
        warmups: rounds before them that are not kept.
        pause: idle seconds before each call.
        contestants: in the order in which they were asked for.
        seconds: of each contestant, one a round.
        left_out: contestants that could not take part, with the reason.
        limits: matrix products that took turns with them; none in records of schema 2.
        limit_seconds: of each of these, one a round.
    """

    shape: str
    weights: str
    batch: int
    length: int
    rounds: int
    warmups: int
    pause: float
    contestants: tuple[Contestant, ...]
    seconds: Mapping[str, tuple[float, ...]]
    left_out: Mapping[str, str]
    limits: tuple[Limit, ...] = ()
    limit_seconds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def base_of(self, contestant: Contestant) -> Contestant | None:
        """The first contestant of the same runtime and precision: what a pruned one is read beside."""
        alike = (contestant.runtime, contestant.precision)
        found = next(one for one in self.contestants if (one.runtime, one.precision) == alike)
        return found if found != contestant else None


@dataclass(frozen=True)
class DatasetRace:
    """Contestants that took turns on a data set end to end: texts in, labels out, tokenisation included.

    Attributes:
        dataset: its name.
        digest: SHA-256 of its dev part.
        weights: of the nets, `random` or `trained`.
        texts: number of texts.
        batch: texts a batch.
        max_length: tokens after which a text is cut.
        rounds: in each of which every contestant ran once with either batching.
        warmups: rounds before them that are not kept.
        pause: idle seconds before each call.
        contestants: the first is the base.
        seconds: of each contestant and batching, one a round.
        padded: share of the computed tokens that are padding, of each contestant and batching.
        gold: label index of each text, as `record.pack_predictions` writes them.
        predictions: those of each contestant, in the same form; the index is that of the data set's labels.
    """

    dataset: str
    digest: str
    weights: str
    texts: int
    batch: int
    max_length: int
    rounds: int
    warmups: int
    pause: float
    contestants: tuple[Contestant, ...]
    seconds: Mapping[str, Mapping[str, tuple[float, ...]]]
    padded: Mapping[str, Mapping[str, float]]
    gold: str
    predictions: Mapping[str, str]


@dataclass(frozen=True)
class ServiceRace:
    """Services that took turns under the same load, each in a process of its own; the first is the base.

    Attributes:
        shape: published shape of the nets, or their layers and hidden size.
        weights: of the nets, `random` or `trained`.
        clients: how many ask at once, each with a connection of its own.
        requests: of a round, one text each.
        length: tokens of a text.
        max_batch: most texts that a service computes together.
        rounds: in each of which every service had the whole load once.
        warmups: rounds before them that are not kept.
        pause: idle seconds before each load.
        contestants: the first is the base.
        seconds: of each contestant, from the first request of a round to its last answer.
        latencies: seconds in which each answer came, of each contestant, all rounds together.
    """

    shape: str
    weights: str
    clients: int
    requests: int
    length: int
    max_batch: int
    rounds: int
    warmups: int
    pause: float
    contestants: tuple[Contestant, ...]
    seconds: Mapping[str, tuple[float, ...]]
    latencies: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Step:
    """A step of a stage that trains.

    Attributes:
        label: what its seconds are filed under; unique in its race.
        stage: `finetune`, `prune` or `pretrain`.
        model: a published shape (`ernie-3.0-base`), or layers and hidden size.
        width: of the net that is trained.
        operations: those that the step can't do without; 0 where nobody counted.
        environment: what it ran in.
    """

    label: str
    stage: str
    model: str
    width: str
    operations: int
    environment: str


@dataclass(frozen=True)
class StepRace:
    """Steps of training that took turns, in fp32: on token ids of one size, with matrix products alone, or on texts.

    Attributes:
        shape: published shape of the nets, or their layers and hidden size.
        batch: texts a step.
        length: tokens of each, none of them padding; 0 for texts of a data set, which are as long as they are.
        rounds: in each of which every step ran once, or so often as a data set's batches take.
        warmups: rounds before them that are not kept.
        pause: idle seconds before each call.
        contestants: the steps.
        seconds: of each of them, one a round.
        limits: the matrix products; none beside a data set's texts.
        limit_seconds: of each of these, one a round.
    """

    shape: str
    batch: int
    length: int
    rounds: int
    warmups: int
    pause: float
    contestants: tuple[Step, ...]
    seconds: Mapping[str, tuple[float, ...]]
    limits: tuple[Limit, ...]
    limit_seconds: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Curve:
    """What a command costs while one thing grows; each size runs in a process of its own.

    Attributes:
        command: what runs, in short: `audit`.
        grows: what the sizes count: `lines`.
        sizes: rising.
        seconds: of the processor, all threads together, for each size.
        megabytes: that the process held at most, for each size.
    """

    command: str
    grows: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    megabytes: tuple[float, ...]


@dataclass(frozen=True)
class TimingRecord:
    """Everything timed by one command on one machine; nothing in it is compared with another record."""

    name: str
    started: str
    finished: str
    commit: str
    dirty: bool
    command: tuple[str, ...]
    machine: Mapping[str, Any]
    device: Mapping[str, Any]
    threads: int
    versions: Mapping[str, str]
    comparisons: tuple[Race, ...]
    datasets: tuple[DatasetRace, ...]
    services: tuple[ServiceRace, ...] = ()
    steps: tuple[StepRace, ...] = ()
    curves: tuple[Curve, ...] = ()
