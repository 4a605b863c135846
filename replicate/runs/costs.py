"""How long stages are expected to take: what records say of the same stages, or of those most like them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from replicate.common.errors import UserError
from replicate.common.files import read_json
from replicate.runs.executor import Job
from replicate.runs.plan import Stage

# Of a stage that nothing is known of, when others are: the median of what is known would do no better.
UNKNOWN = 1.0


def recorded(folders: Iterable[Path]) -> list[Mapping[str, Any]]:
    """The stages of every record below these folders; a file that is no record tells nothing."""
    found: list[Mapping[str, Any]] = []
    for folder in folders:
        for path in sorted(folder.rglob("seed-*.json")):
            try:
                found += [one for one in read_json(path)["stages"] if float(one["seconds"]) >= 0 and one["key"]]
            except (UserError, KeyError, TypeError, ValueError):
                continue
    return found


def expected(jobs: Sequence[Job], stages: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """By key, the seconds that each stage is expected to take.

    The stage itself where it was recorded, else the median of those with its settings, else of those of its name.

    Args:
        jobs: the stages.
        stages: what records say; see `recorded`.
    """
    of_key: dict[str, float] = {}
    alike: dict[str, list[float]] = {}
    for one in {str(one["key"]): one for one in stages}.values():
        name, seconds = str(one.get("stage")), float(one["seconds"])
        of_key[str(one["key"])] = seconds
        for likeness in (_likeness(name, one.get("passed")), name):
            alike.setdefault(likeness, []).append(seconds)

    def told(stage: Stage) -> float:
        if stage.key in of_key:
            return of_key[stage.key]
        names = (_likeness(stage.name, stage.passed), stage.name)
        return next((median(alike[name]) for name in names if name in alike), UNKNOWN)

    return {job.stage.key: told(job.stage) for job in jobs}


def _likeness(name: str, passed: Any) -> str:
    """A stage's name with its settings, less which of several pretrained nets it is."""
    settings = {key: value for key, value in dict(passed or {}).items() if (name, key) != ("pretrain", "seed")}
    return f"{name} {json.dumps(settings, sort_keys=True, ensure_ascii=False)}"
