"""Timing records as committed JSON: written, read, and refused where a file was damaged."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.files import plain, read_json, to_json, write_text
from replicate.common.paths import MEASURED
from replicate.records.run import TIMING
from replicate.records.timing import (
    BATCHINGS,
    WEIGHTS,
    Contestant,
    Curve,
    DatasetRace,
    Limit,
    Race,
    ServiceRace,
    Step,
    StepRace,
    TimingRecord,
)

SCHEMA = 3
# What schema 2 did not hold, by where it stands now.
_SINCE_2: Mapping[str, Mapping[str, Any]] = {
    "": {"steps": [], "curves": []},
    "comparisons": {"limits": [], "limit_seconds": {}},
    "contestants": {"operations": 0},
}
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def check_name(name: str) -> None:
    """UserError unless `name` can be a file name."""
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a record", hint="use a-z, 0-9, -, _ and .")


def write_timing(record: TimingRecord, folder: Path = MEASURED / TIMING) -> Path:
    """Writes `record` as `<name>.json` into `folder`, in one step, and returns that path.

    Raises:
        UserError: it can't be written, or isn't a valid record.
    """
    check_name(record.name)
    path = folder / f"{record.name}.json"
    value = {"schema": SCHEMA, **_value_of(record)}
    _record(value, path)
    write_text(path, to_json(value, sort_keys=False))
    return path


def read_timing(path: Path) -> TimingRecord:
    """The record in `path`.

    Raises:
        UserError: the file can't be read or isn't a valid record; names the key.
    """
    return _record(read_json(path), path)


def load_timings(folder: Path = MEASURED / TIMING) -> list[TimingRecord]:
    """The records of a folder by name; none where there is no folder.

    Raises:
        UserError: one of them isn't valid or has another name than its file.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        record = read_timing(path)
        if path.stem != record.name:
            raise UserError(f"belongs in {record.name}.json", path=path)
        found.append(record)
    return found


def _value_of(item: Any) -> Any:
    if hasattr(item, "__dataclass_fields__"):
        return {field.name: _value_of(getattr(item, field.name)) for field in fields(item)}
    if isinstance(item, tuple):
        return [_value_of(one) for one in item]
    return {key: _value_of(one) for key, one in item.items()} if isinstance(item, Mapping) else plain(item)


_WORDS: dict[type | tuple[type, ...], str] = {
    str: "a text",
    int: "a whole number",
    (int, float): "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}
_COMMON = {"rounds": int, "warmups": int, "pause": (int, float), "contestants": list, "seconds": dict}
_LIMITS = {"limits": list, "limit_seconds": dict}
_TYPES: dict[type, dict[str, Any]] = {
    Contestant: {
        **dict.fromkeys(("label", "model", "runtime", "precision", "width", "environment"), str),
        **dict.fromkeys(("parameters", "bytes", "flops", "operations"), int),
    },
    Limit: {**dict.fromkeys(("label", "library", "precision"), str), "operations": int},
    Step: {**dict.fromkeys(("label", "stage", "model", "width", "environment"), str), "operations": int},
    Race: {"shape": str, "weights": str, "batch": int, "length": int, **_COMMON, "left_out": dict, **_LIMITS},
    StepRace: {"shape": str, "batch": int, "length": int, **_COMMON, **_LIMITS},
    DatasetRace: {
        **{"dataset": str, "digest": str, "weights": str, "texts": int, "batch": int, "max_length": int},
        **_COMMON,
        "padded": dict,
        "gold": str,
        "predictions": dict,
    },
    Curve: {"command": str, "grows": str, **dict.fromkeys(("sizes", "seconds", "megabytes"), list)},
    ServiceRace: {
        **{"shape": str, "weights": str},
        **dict.fromkeys(("clients", "requests", "length", "max_batch"), int),
        **_COMMON,
        "latencies": dict,
    },
    TimingRecord: {
        **dict.fromkeys(("name", "started", "finished", "commit"), str),
        "schema": int,
        "dirty": bool,
        "threads": int,
        **dict.fromkeys(("machine", "device", "versions"), dict),
        **dict.fromkeys(("command", "comparisons", "datasets", "services", "steps", "curves"), list),
    },
}


@dataclass(frozen=True)
class _Place:
    """An object of the file, which knows what to call itself in a complaint."""

    path: Path
    place: str
    value: Any

    def require(self, holds: bool, key: str, what: str) -> None:
        if not holds:
            name = ".".join(part for part in (self.place, key) if part) or "record"
            raise UserError(f"{name}: {what}", path=self.path)

    def checked(self, kind: type) -> dict[str, Any]:
        types = _TYPES[kind]
        self.require(isinstance(self.value, dict), "", "not an object")
        for key in (*types, *self.value):
            self.require(key in self.value, key, "missing")
            self.require(key in types, key, "unknown key")
            self.typed(key, self.value[key], types[key])
        return dict(self.value)

    def typed(self, key: str, item: Any, wanted: Any) -> None:
        # bool is an int in Python, but no number here.
        right = isinstance(item, wanted) and (wanted is bool or not isinstance(item, bool))
        self.require(right, key, f"not {_WORDS[wanted]}")
        if wanted in (int, (int, float)):
            self.require(math.isfinite(item) and item >= 0, key, "negative or not finite")

    def texts(self, key: str, items: Any) -> None:
        self.require(all(isinstance(item, str) for item in items), key, "not made of texts")

    def each(self, key: str, build: Callable[[_Place], Any]) -> tuple[Any, ...]:
        prefix = f"{self.place}.{key}" if self.place else key
        return tuple(
            build(_Place(self.path, f"{prefix}[{number}]", item)) for number, item in enumerate(self.value[key])
        )

    def labelled(self, key: str, items: Sequence[Any], seconds: Mapping[str, Any], samples: str = "seconds") -> None:
        labels = [one.label for one in items]
        self.require(len(set(labels)) == len(labels), key, "a label stands twice")
        self.require(set(labels) == set(seconds), samples, f"not those of the {key}")

    def samples(self, key: str, item: Any, rounds: int) -> tuple[float, ...]:
        whole = isinstance(item, list) and len(item) == rounds
        positive = whole and all(type(one) in (int, float) and math.isfinite(one) and one > 0 for one in item)
        self.require(positive, key, f"not {rounds} positive numbers")
        return tuple(float(one) for one in item)


def _record(value: Any, path: Path) -> TimingRecord:
    place = _Place(path, "", _with_what_came(value))
    found = place.checked(TimingRecord)
    place.require(found["schema"] == SCHEMA, "schema", f"is {found['schema']}, this version reads {SCHEMA}")
    place.require(_NAME.fullmatch(found["name"]) is not None, "name", "not an identifier")
    place.require(found["threads"] > 0, "threads", "none")
    place.texts("command", found["command"])
    place.texts("versions", found["versions"].values())
    del found["schema"]
    kinds = {"comparisons": _comparison, "datasets": _dataset, "services": _service, "steps": _steps, "curves": _curve}
    parts = {key: place.each(key, build) for key, build in kinds.items()}
    return TimingRecord(**{**found, **parts, "command": tuple(found["command"])})


def _with_what_came(value: Any) -> Any:
    """A record of schema 2, or of schema 3 before it had curves, as one of today; anything else as it is."""
    if not isinstance(value, dict) or value.get("schema") not in (2, SCHEMA):
        return value
    if value["schema"] == SCHEMA:
        return {"curves": [], **value}
    since = {**_SINCE_2[""], **value, "schema": SCHEMA}
    for key in ("comparisons", "datasets", "services"):
        races = since.get(key)
        since[key] = [_race_with(key, race) for race in races] if isinstance(races, list) else races
    return since


def _race_with(key: str, race: Any) -> Any:
    if not isinstance(race, dict):
        return race
    found = {**race, **_SINCE_2.get(key, {})}
    if isinstance(contestants := race.get("contestants"), list):
        new = _SINCE_2["contestants"]
        found["contestants"] = [{**one, **new} if isinstance(one, dict) else one for one in contestants]
    return found


def _contestants(place: _Place, found: Mapping[str, Any]) -> tuple[Contestant, ...]:
    place.require(found["rounds"] > 0, "rounds", "none")
    place.require(bool(found["contestants"]), "contestants", "none")
    place.require(found["weights"] in WEIGHTS, "weights", f"none of {', '.join(WEIGHTS)}")
    contestants = place.each("contestants", lambda one: Contestant(**one.checked(Contestant)))
    place.labelled("contestants", contestants, found["seconds"])
    return contestants


def _comparison(place: _Place) -> Race:
    found = place.checked(Race)
    contestants = _contestants(place, found)
    place.require(min(found["batch"], found["length"]) > 0, "batch, length", "not positive")
    place.texts("left_out", found["left_out"].values())
    limits = _limits(place, found)
    return Race(**{**found, **limits, "contestants": contestants, "seconds": _seconds(place, found, contestants)})


def _limits(place: _Place, found: Mapping[str, Any]) -> dict[str, Any]:
    limits = place.each("limits", lambda one: Limit(**one.checked(Limit)))
    place.require(all(one.operations for one in limits), "limits", "one has no operations")
    place.labelled("limits", limits, found["limit_seconds"], "limit_seconds")
    return {"limits": limits, "limit_seconds": _seconds(place, found, limits, "limit_seconds")}


def _seconds(
    place: _Place, found: Mapping[str, Any], contestants: Sequence[Contestant | Limit | Step], key: str = "seconds"
) -> dict[str, tuple[float, ...]]:
    """One number a round of each contestant, in their order, whatever the file's."""
    return {
        one.label: place.samples(f"{key}.{one.label}", found[key][one.label], found["rounds"]) for one in contestants
    }


def _steps(place: _Place) -> StepRace:
    found = place.checked(StepRace)
    place.require(min(found["batch"], found["rounds"]) > 0, "batch, rounds", "not positive")
    place.require(found["length"] >= 0, "length", "negative")
    steps = place.each("contestants", lambda one: Step(**one.checked(Step)))
    place.require(bool(steps), "contestants", "none")
    place.require(bool(found["limits"]) == bool(found["length"]), "limits", "are for texts of one length")
    place.labelled("contestants", steps, found["seconds"])
    seconds = _seconds(place, found, steps)
    return StepRace(**{**found, **_limits(place, found), "contestants": steps, "seconds": seconds})


def _curve(place: _Place) -> Curve:
    found = place.checked(Curve)
    sizes = found["sizes"]
    whole = all(type(one) is int and one > 0 for one in sizes) and sizes == sorted(set(sizes))
    place.require(len(sizes) > 1 and whole, "sizes", "not two whole numbers or more that rise")
    samples = {key: place.samples(key, found[key], len(sizes)) for key in ("seconds", "megabytes")}
    return Curve(**{**found, **samples, "sizes": tuple(sizes)})


def _service(place: _Place) -> ServiceRace:
    found = place.checked(ServiceRace)
    contestants = _contestants(place, found)
    for key in ("clients", "requests", "length", "max_batch"):
        place.require(found[key] > 0, key, "not positive")
    place.require(set(found["latencies"]) == set(found["seconds"]), "latencies", "not those of the contestants")
    answers = found["rounds"] * found["requests"]
    latencies = {
        one.label: place.samples(f"latencies.{one.label}", found["latencies"][one.label], answers)
        for one in contestants
    }
    seconds = _seconds(place, found, contestants)
    return ServiceRace(**{**found, "contestants": contestants, "seconds": seconds, "latencies": latencies})


def _dataset(place: _Place) -> DatasetRace:
    found = place.checked(DatasetRace)
    contestants = _contestants(place, found)
    seconds, padded = {}, {}
    for label in (one.label for one in contestants):
        samples, shares = found["seconds"][label], found["padded"].get(label)
        for key, item in (("seconds", samples), ("padded", shares)):
            whole = isinstance(item, dict) and set(item) == set(BATCHINGS)
            place.require(whole, f"{key}.{label}", f"not of {' and '.join(BATCHINGS)}")
        seconds[label] = {
            name: place.samples(f"seconds.{label}.{name}", samples[name], found["rounds"]) for name in BATCHINGS
        }
        for name in BATCHINGS:
            place.typed(f"padded.{label}.{name}", shares[name], (int, float))
            place.require(shares[name] < 1, f"padded.{label}.{name}", "not below 1")
        padded[label] = {name: float(shares[name]) for name in BATCHINGS}
    place.require(set(padded) == set(found["padded"]), "padded", "not those of the contestants")
    place.require(set(padded) == set(found["predictions"]), "predictions", "not those of the contestants")
    for key, item in (("gold", found["gold"]), *found["predictions"].items()):
        indices = isinstance(item, str) and all(word.isdecimal() for word in item.split())
        place.require(indices and len(item.split()) == found["texts"], key, f"not {found['texts']} label indices")
    return DatasetRace(**{**found, "contestants": contestants, "seconds": seconds, "padded": padded})
