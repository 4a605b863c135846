"""Which engine runs the stages, and with what: this process, processes of this machine, or a cluster's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from replicate.common.checks import kind_of_device
from replicate.common.cores import cores, stage_threads
from replicate.common.errors import UserError
from replicate.common.progress import Progress
from replicate.runs.executor import Executor
from replicate.runs.local import Processes
from replicate.runs.pool import Pool
from replicate.runs.runner import Runner
from replicate.runs.sameness import visible_gpus
from replicate.runs.sequential import Sequential
from replicate.runs.shipment import packed_data
from replicate.runs.troubles import Limits


@dataclass(frozen=True)
class Engine:
    """What runs stages.

    Attributes:
        name: `local` or `ray`; empty for one after another in this process, or `local` where `processes` are several.
        processes: how many stages run at once; None for one a core or one a GPU.
        limits: when to give up.
        address: of a Ray cluster; empty for a Ray of this machine's own.
        gpus_per_stage: share of a GPU that a stage has.
        artefacts: whether the machines of a cluster have the store's folder in common, or are sent what they need.
    """

    name: Literal["", "local", "ray"] = ""
    processes: int | None = None
    limits: Limits = field(default_factory=Limits)
    address: str = ""
    gpus_per_stage: float = 1.0
    artefacts: Literal["shared", "ship"] = "shared"

    def __post_init__(self) -> None:
        """Refuse a number that nothing can have (UserError)."""
        if self.processes is not None and self.processes < 1:
            raise UserError(f"--processes {self.processes}: there has to be one", hint="leave it out for one a core")
        if self.limits.retries < 0:
            raise UserError(f"--retries {self.limits.retries} is less than none", hint="give 0 or more")
        if not 0 < self.gpus_per_stage <= 1:
            raise UserError(f"--gpus-per-stage {self.gpus_per_stage}", hint="give 1, or a share such as 0.5")

    @property
    def several(self) -> bool:
        """Whether stages run in other processes than this, as they have to where somebody watches the clock."""
        return bool(self.name) or (self.processes or 1) > 1 or self.limits.budget is not None


def open_executor(engine: Engine, runner: Runner) -> Executor:
    """The engine for a runner's stages; whoever opens it closes it.

    Raises:
        UserError: there is no GPU for a profile that wants one, or no Ray.
    """
    if not engine.several:
        return Sequential(runner.make, runner.quiet, engine.limits.fail_fast)
    on_cpu = kind_of_device(runner.profile.device) == "cpu"
    # On a GPU the threads of a CPU decide nothing.
    variables = {"OMP_NUM_THREADS": str(stage_threads())} if on_cpu else {}
    if engine.name == "ray":
        return _on_ray(engine, runner, on_cpu, variables)
    gpus = [] if on_cpu else _gpus(runner.profile.device)
    crew = Processes(hired(runner), runner.store, _most(engine, len(gpus)), gpus, variables)
    return Pool(runner, crew, engine.limits)


def at_once(engine: Engine, device: str) -> int:
    """How many stages would run at the same time on this machine; nobody asks a cluster."""
    if not engine.several:
        return 1
    return _most(engine, 0 if kind_of_device(device) == "cpu" else len(visible_gpus()))


def _most(engine: Engine, gpus: int) -> int:
    if not engine.name:
        return engine.processes or 1
    return engine.processes or (int(gpus / engine.gpus_per_stage) if gpus else cores())


def _on_ray(engine: Engine, runner: Runner, on_cpu: bool, variables: Mapping[str, str]) -> Executor:
    try:
        from replicate.runs.ray import Cluster, connect
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise UserError("Ray isn't installed", hint="pip install '.[ray]', or take --engine local") from error
    gpus = [] if on_cpu or engine.address else _gpus(runner.profile.device)
    folder = connect(engine.address, engine.processes, len(gpus))

    def data() -> Mapping[str, bytes]:
        # Stages that come later may read the text, where nobody does yet.
        lines: tuple[str, ...] = ()
        with suppress(UserError):
            lines = runner.unlabelled
        return packed_data(runner.dataset, lines)

    share = None if on_cpu else engine.gpus_per_stage
    ships = data if engine.artefacts == "ship" else None
    crew = Cluster(hired(runner), runner.store, engine.processes, share, ships, variables, folder)
    return Pool(runner, crew, engine.limits)


def reads_text(runner: Runner) -> bool:
    """Whether a stage that was planned reads the profile's unlabelled text."""
    return "unlabelled_digest" in vars(runner)


def hired(runner: Runner) -> Callable[[], dict[str, Any]]:
    """What a worker is told first; what is its own is added by whoever hires it."""

    def message() -> dict[str, Any]:
        # Ray's processes begin in a folder of their own.
        dataset = runner.profile.dataset if runner.on_article else str(Path(runner.profile.dataset).resolve())
        profile = replace(runner.profile, device=kind_of_device(runner.profile.device), dataset=dataset)
        return {
            "profile": asdict(profile),
            "store": str(runner.store.root.resolve()),
            "measured": str(runner.measured.resolve()),
            "offline": runner.offline,
            "curves": str(Progress.curves.resolve()) if Progress.curves else "",
            "reads_text": reads_text(runner),
            "data": "",
            "patience": 0,
        }

    return message


def _gpus(device: str) -> list[str]:
    """The GPUs that a profile's device stands for: all that this process may use, or the one that is named."""
    if kind_of_device(device) == "cpu":
        return []
    found = visible_gpus()
    if not found:
        what = f"device {device!r}: no CUDA device is visible"
        raise UserError(what, hint="use --device cpu, or see `replicate doctor`")
    _, _, number = device.partition(":")
    if number and int(number) >= len(found):
        raise UserError(f"device {device!r}: this process may use {len(found)} GPUs", hint="see CUDA_VISIBLE_DEVICES")
    return [found[int(number)]] if number else found
