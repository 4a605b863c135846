"""Run records: what one row gave with one seed, as committed JSON from which every score can be derived."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from replicate.common.errors import UserError
from replicate.common.files import plain, read_json, to_json, write_text
from replicate.common.paths import MEASURED
from replicate.scores.metrics import POSITIVE
from replicate.scores.packing import unpack_bits, unpack_confidence, unpack_predictions

SCHEMA = 1
COUNTS = frozenset({"examples", "confusion", "tp", "fp", "fn"})
STATUSES = ("ok", "diverged", "error")
# Below the records' folder; `records/timing_file.py` reads them.
TIMING = "timing"


@dataclass(frozen=True)
class Record:
    """One row of a table with one profile and one seed.

    `counts`, `predictions`, `correct` and `confidence` are about the dev set and empty where a run gave no predictions;
    scores are never stored. Each of `stages` has `stage`, `key`, `config`, `inputs`, `seconds` and `summary`.
    """

    table: str
    row: str
    profile: str
    seed: int
    status: str
    reason: str
    command: tuple[str, ...]
    started: str
    finished: str
    commit: str
    dirty: bool
    versions: Mapping[str, str]
    device: Mapping[str, Any]
    machine: Mapping[str, Any]
    stages: tuple[Mapping[str, Any], ...]
    digests: Mapping[str, str]
    labels: tuple[str, ...]
    counts: Mapping[str, Any]
    predictions: str
    correct: str
    confidence: str
    parameters: int

    @property
    def place(self) -> str:
        """Where it belongs below `measured/`: `<profile>/<table>/<row>/seed-<n>.json`."""
        return f"{self.profile}/{self.table}/{self.row}/seed-{self.seed}.json"

    @property
    def seconds(self) -> float:
        """Seconds that building the row's stages took; those that other rows share are counted in full."""
        return sum(float(stage["seconds"]) for stage in self.stages)


def write_record(record: Record, folder: Path = MEASURED) -> Path:
    """Writes `record` to its place below `folder`, in one step, and returns that path.

    Raises:
        UserError: it can't be written, or isn't a valid record.
    """
    path = folder / record.place
    value = {"schema": SCHEMA, **{field.name: plain(getattr(record, field.name)) for field in fields(Record)}}
    _check(value, path)
    # The head stays in reading order; below it keys are sorted.
    ordered = {key: _sorted(item) for key, item in value.items()}
    write_text(path, to_json(ordered, sort_keys=False))
    return path


def read_record(path: Path) -> Record:
    """The record in `path`.

    Raises:
        UserError: the file can't be read or isn't a valid record; names the key.
    """
    value = read_json(path)
    _check(value, path)
    del value["schema"]
    for key in ("command", "stages", "labels"):
        value[key] = tuple(value[key])
    return Record(**value)


def load_records(folder: Path = MEASURED) -> list[Record]:
    """The records below `folder`, by profile, table, row and seed; those of timings are others.

    Raises:
        UserError: one of them isn't valid or isn't in its place.
    """
    records = []
    for path in sorted(folder.rglob("*.json")):
        if path.is_relative_to(folder / TIMING):
            continue
        record = read_record(path)
        if path.relative_to(folder).as_posix() != record.place:
            raise UserError(f"belongs in {record.place}", path=path)
        records.append(record)
    return sorted(records, key=lambda record: (record.profile, record.table, record.row, record.seed))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


_TYPES: dict[str, type | tuple[type, ...]] = {
    "schema": int,
    **dict.fromkeys(("table", "row", "profile", "status", "reason", "started", "finished", "commit"), str),
    **dict.fromkeys(("predictions", "correct", "confidence"), str),
    **dict.fromkeys(("seed", "parameters"), int),
    **dict.fromkeys(("versions", "device", "machine", "digests", "counts"), dict),
    **dict.fromkeys(("command", "stages", "labels"), list),
    "dirty": bool,
}
_STAGE_TYPES: dict[str, type | tuple[type, ...]] = {
    "stage": str,
    "key": str,
    "config": dict,
    "inputs": dict,
    "seconds": (int, float),
    "summary": dict,
}


def _check(value: Any, path: Path) -> None:
    def require(holds: bool, key: str, what: str) -> None:
        if not holds:
            raise UserError(f"{key}: {what}", path=path)

    def check_types(item: Any, types: Mapping[str, type | tuple[type, ...]], prefix: str) -> None:
        require(isinstance(item, dict), prefix or "record", "not an object")
        for key in (*types, *item):
            require(key in item, prefix + key, "missing")
            require(key in types, prefix + key, "unknown key")
            # bool is an int in Python, but no number here.
            right = isinstance(item[key], types[key]) and (types[key] is bool or not isinstance(item[key], bool))
            require(right, prefix + key, f"wrong type, {type(item[key]).__name__}")

    check_types(value, _TYPES, "")
    require(value["schema"] == SCHEMA, "schema", f"is {value['schema']}, this version reads {SCHEMA}")
    require(value["status"] in STATUSES, "status", f"not one of {', '.join(STATUSES)}")
    for key in ("table", "row", "profile"):
        require(value[key].strip(".") != "" and not set(value[key]) & set("/\\\0"), key, "not an id")
    for key in ("labels", "command"):
        require(all(isinstance(item, str) for item in value[key]), key, "not a list of strings")
    for number, stage in enumerate(value["stages"]):
        check_types(stage, _STAGE_TYPES, f"stages[{number}].")
    if value["status"] == "ok" or value["counts"]:
        _check_counts(value, require)


def _check_counts(value: Mapping[str, Any], require: Callable[[bool, str, str], None]) -> None:
    """The confusion matrix, the predictions and the packed columns have to tell the same story."""
    classes, counts = len(value["labels"]), value["counts"]
    require(set(counts) == COUNTS, "counts", f"needs {', '.join(sorted(COUNTS))}")
    confusion = counts["confusion"]
    rows = confusion if isinstance(confusion, list) and len(confusion) == classes else [None]
    square = all(isinstance(row, list) and len(row) == classes for row in rows)
    whole = square and all(type(item) is int and 0 <= item < 2**31 for row in confusion for item in row)
    require(whole, "counts.confusion", f"not {classes} by {classes} counts")
    matrix = np.array(confusion, dtype=np.int64).reshape(classes, classes)
    examples = int(matrix.sum())
    require(counts["examples"] == examples, "counts.examples", f"is {counts['examples']}, the confusion has {examples}")
    # Class 1 counts where its probability is above one half, so fewer may be positive than the confusion says.
    one = slice(POSITIVE, POSITIVE + 1)
    hit, seen, support = (int(part.sum()) for part in (matrix[one, one], matrix[:, one], matrix[one]))
    tp, fp, fn = (counts[name] if type(counts[name]) is int else -1 for name in ("tp", "fp", "fn"))
    fits = 0 <= tp <= hit and 0 <= fp <= seen - hit and tp + fn == support
    require(fits, "counts.tp, fp, fn", "don't match the confusion")
    key = "predictions"
    try:
        predicted = unpack_predictions(value["predictions"])
        in_range = len(predicted) == examples and bool(((predicted >= 0) & (predicted < classes)).all())
        require(in_range, key, f"not {examples} indices of {classes} labels")
        same = (np.bincount(predicted, minlength=classes) == matrix.sum(axis=0)).all()
        require(bool(same), key, "don't match the confusion")
        key = "correct"
        correct = unpack_bits(value["correct"], examples)
        hits = np.bincount(predicted[correct], minlength=classes)
        require(bool((hits == matrix.diagonal()).all()), key, "doesn't match the confusion")
        key = "confidence"
        require(len(unpack_confidence(value["confidence"])) in (0, examples), key, f"not {examples} values")
    except (ValueError, OverflowError) as error:
        require(False, key, str(error))
