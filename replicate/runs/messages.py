"""What a driver tells the processes that work for it, as JSON: a stage, and the profile that it is run under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

from replicate.runs.plan import Stage
from replicate.stages.registry import KINDS
from replicate.tables.profile import Profile

Message: TypeAlias = Mapping[str, Any]


def as_message(stage: Stage) -> dict[str, Any]:
    """A stage without what stands behind those that it starts from: they have been made."""
    sources = {
        port: [one if isinstance(one, str) else {"name": one.name, "identity": one.identity} for one in taken]
        for port, taken in stage.sources.items()
    }
    return {
        "name": stage.name,
        "passed": stage.passed,
        "seed": stage.seed,
        "sources": sources,
        "identity": stage.identity,
    }


def stage_from(message: Message) -> Stage:
    """The stage of a message, with the key that it had."""
    sources = {
        port: tuple(
            one if isinstance(one, str) else Stage(one["name"], {}, {}, None, {}, one["identity"]) for one in taken
        )
        for port, taken in message["sources"].items()
    }
    options = asdict(KINDS[message["name"]].settings(message["passed"]))
    return Stage(message["name"], options, message["passed"], message["seed"], sources, message["identity"])


def profile_from(message: Message) -> Profile:
    """The profile whose fields a message holds."""
    return Profile(**{**message, "seeds": tuple(message["seeds"]), "tables": tuple(message["tables"])})
