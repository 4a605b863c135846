"""How long stages are expected to take: what records say of the same stages, or of those most like them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from replicate.common.errors import UserError
from replicate.common.files import read_json
from replicate.runs.plan import Stage
from replicate.runs.runner import Runner

# Of a stage that nothing is known of, when others are: the median of what is known would do no better.
UNKNOWN = 1.0


@dataclass(frozen=True)
class Timing:
    """What a record says of one stage.

    Attributes:
        name: of its kind.
        key: the store's.
        likeness: the name with the settings, less which of several pretrained nets it is.
        seconds: that it took.
        processor: of the machine that it ran on; empty where the record doesn't say.
    """

    name: str
    key: str
    likeness: str
    seconds: float
    processor: str


@dataclass(frozen=True)
class Costs:
    """What stages are expected to take.

    Attributes:
        seconds: of each, by key.
        unknown: keys of stages of whose kind no record has any.
        processors: of the machines that the seconds come from.
    """

    seconds: Mapping[str, float]
    unknown: frozenset[str]
    processors: tuple[str, ...]


def timings_of(runner: Runner) -> list[Timing]:
    """The stages of the records that a runner writes and, on the article's data, of those that were accepted."""
    folders = [runner.records, *([runner.measured] if runner.on_article else [])]
    return recorded(folder / runner.profile.id for folder in folders)


def recorded(folders: Iterable[Path]) -> list[Timing]:
    """The stages of every record below these folders; a file that is no record tells nothing."""
    found: list[Timing] = []
    for folder in folders:
        for path in sorted(folder.rglob("seed-*.json")):
            try:
                found += _timings(read_json(path))
            except (UserError, AttributeError, KeyError, TypeError, ValueError):
                continue
    return found


def _timings(record: Mapping[str, Any]) -> Iterator[Timing]:
    processor = str(dict(record.get("machine") or {}).get("cpu") or "")
    for one in record["stages"]:
        seconds = float(one["seconds"])
        if seconds >= 0 and one["key"]:
            name = str(one.get("stage"))
            yield Timing(name, str(one["key"]), _likeness(name, one.get("passed")), seconds, processor)


def expected(stages: Iterable[Stage], timings: Sequence[Timing]) -> Costs:
    """What each stage is expected to take.

    The stage itself where it was recorded, else the median of those with its settings, else of those of its name.

    Args:
        stages: each is counted once.
        timings: what records say; see `recorded`.
    """
    alike: dict[str, list[Timing]] = {}
    for one in {one.key: one for one in timings}.values():
        for likeness in {one.key, one.likeness, one.name}:
            alike.setdefault(likeness, []).append(one)
    seconds: dict[str, float] = {}
    processors: set[str] = set()
    unknown: set[str] = set()
    for stage in stages:
        names = (stage.key, _likeness(stage.name, stage.passed), stage.name)
        found = next((alike[name] for name in names if name in alike), [])
        seconds[stage.key] = median(one.seconds for one in found) if found else UNKNOWN
        processors |= {one.processor for one in found}
        if not found:
            unknown.add(stage.key)
    return Costs(seconds, frozenset(unknown), tuple(sorted(processors - {""})))


def _likeness(name: str, passed: Any) -> str:
    settings = {key: value for key, value in dict(passed or {}).items() if (name, key) != ("pretrain", "seed")}
    return f"{name} {json.dumps(settings, sort_keys=True, ensure_ascii=False)}"
