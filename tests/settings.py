"""Whether a stage takes the settings that profiles and rows name."""

from __future__ import annotations

from typing import Any

from replicate.augment import STRATEGIES
from replicate.stages.registry import KINDS


def check_options(stage: str, options: dict[str, Any]) -> None:
    """Every setting exists in its stage, with a value that the stage takes; UserError otherwise."""
    needed = {"prune": {"width": "1/2"}, "distill": {"student": "cnn"}}
    settings = KINDS[stage].settings({**needed.get(stage, {}), **options})
    if stage == "augment":
        assert set(settings.mix) <= set(STRATEGIES)
