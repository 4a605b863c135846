"""The options of `replicate run` and `pytest bench` that say what runs stages side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from replicate.common.errors import UserError
from replicate.runs.engine import Engine
from replicate.runs.troubles import Limits

RETRIES = 3
# Each with what argparse and pytest are told of it.
OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "--processes",
        {
            "type": int,
            "metavar": "N",
            "help": "run so many stages at once, each in a process of one thread, or of one GPU",
        },
    ),
    (
        "--engine",
        {
            "choices": ("local", "ray"),
            "help": "run stages in processes of this machine or on a Ray cluster, by default one a core or GPU",
        },
    ),
    (
        "--retries",
        {
            "type": int,
            "metavar": "N",
            "help": f"try a stage so often again whose process was killed, from its checkpoint (default: {RETRIES})",
        },
    ),
    ("--address", {"metavar": "HOST:PORT", "help": "of a Ray cluster (default: a Ray of this machine's own)"}),
    (
        "--gpus-per-stage",
        {"type": float, "metavar": "X", "help": "share of a GPU that a stage has, such as 0.5 (default: 1)"},
    ),
    (
        "--artefacts",
        {
            "choices": ("shared", "ship"),
            "help": "with ray: the nodes have the store's folder in common (default), or are sent what they need",
        },
    ),
    ("--fail-fast", {"action": "store_true", "help": "end with the first stage that fails"}),
)
_SEVERAL = ("--retries", "--gpus-per-stage", *(_RAY := ("--address", "--artefacts")))


def engine_of(said: Callable[[str], Any], budget: float | None = None) -> Engine:
    """The engine that options name.

    Args:
        said: the value of an option, such as `--processes`.
        budget: seconds after which everything stops.

    Raises:
        UserError: a number that nothing can have, or an option of another engine.
    """
    retries = said("--retries")
    limits = Limits(RETRIES if retries is None else retries, budget, bool(said("--fail-fast")))
    engine = Engine(
        said("--engine") or "",
        said("--processes"),
        limits,
        said("--address") or "",
        1.0 if said("--gpus-per-stage") is None else said("--gpus-per-stage"),
        said("--artefacts") or "shared",
    )
    if not engine.several and (given := [option for option in _SEVERAL if said(option) is not None]):
        raise UserError(f"{given[0]} is for stages in processes of their own", hint="add -j N, or leave it out")
    if engine.name != "ray" and (given := [option for option in _RAY if said(option) is not None]):
        raise UserError(f"{given[0]} is for a cluster", hint="add --engine ray")
    return engine
