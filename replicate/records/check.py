"""What makes JSON a run record: its keys and types, and that all it tells of the predictions is one story."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.errors import UserError
from replicate.corpus.formats import MOST_LABELS
from replicate.records.migrations import SCHEMA
from replicate.scores.metrics import CELLS, POSITIVE, matrix_of
from replicate.scores.packing import LEVELS, unpack_bits, unpack_confidence, unpack_predictions, unpack_probabilities

COUNTS = frozenset({"examples", "confusion", "tp", "fp", "fn"})
_MOST_EXAMPLES = 2**31
STATUSES = ("ok", "diverged", "error")

_TYPES: dict[str, type | tuple[type, ...]] = {
    "schema": int,
    **dict.fromkeys(("table", "row", "profile", "status", "reason", "started", "finished", "commit"), str),
    **dict.fromkeys(("predictions", "correct", "confidence", "probabilities", "pretrained"), str),
    **dict.fromkeys(("seed", "parameters"), int),
    **dict.fromkeys(("versions", "device", "machine", "digests", "counts"), dict),
    **dict.fromkeys(("command", "stages", "labels"), list),
    "dirty": bool,
}
_STAGE_TYPES: dict[str, type | tuple[type, ...]] = {
    "stage": str,
    "key": str,
    "config": dict,
    "passed": dict,
    "inputs": dict,
    "seconds": (int, float),
    "summary": dict,
}


def check_record(value: Any, path: Path) -> None:
    """Refuses what isn't the JSON of a record in today's schema.

    Raises:
        UserError: names the file and the key.
    """

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
        for key in stage["passed"]:
            require(key in stage["config"], f"stages[{number}].passed.{key}", "not in config")
    if value["status"] == "ok" or value["counts"]:
        _check_counts(value, require)


def _check_counts(value: Mapping[str, Any], require: Callable[[bool, str, str], None]) -> None:
    """The confusion matrix, the predictions and the packed columns have to tell the same story."""
    classes, counts = len(value["labels"]), value["counts"]
    require(set(counts) == COUNTS, "counts", f"needs {', '.join(sorted(COUNTS))}")
    confusion = counts["confusion"]
    sound = _are_cells(confusion, classes) if isinstance(confusion, dict) else _is_whole(confusion, classes)
    require(sound, "counts.confusion", f"not {classes} by {classes} counts")
    matrix = matrix_of(confusion).reshape(classes, classes)
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
        confidence = unpack_confidence(value["confidence"])
        require(len(confidence) in (0, examples), key, f"not {examples} values")
        key = "probabilities"
        probability = unpack_probabilities(value["probabilities"], examples, classes)
        if len(probability):
            _check_probabilities(probability, predicted, confidence, tp + fp, require)
    except (ValueError, OverflowError) as error:
        require(False, key, str(error))


def _is_whole(confusion: Any, classes: int) -> bool:
    rows = confusion if isinstance(confusion, list) and len(confusion) == classes else [None]
    square = all(isinstance(row, list) and len(row) == classes for row in rows)
    return square and all(type(item) is int and 0 <= item < _MOST_EXAMPLES for row in rows for item in row)


def _are_cells(confusion: Mapping[str, Any], classes: int) -> bool:
    """As `metrics.kept_matrix` writes them; of more classes than data may have, no matrix would fit into memory."""
    if set(confusion) != {"classes", *CELLS} or classes > MOST_LABELS or type(confusion["classes"]) is not int:
        return False
    columns = [confusion[name] for name in CELLS]
    if confusion["classes"] != classes or not all(isinstance(one, list) for one in columns):
        return False
    within = all(
        type(item) is int and 0 <= item < most
        for one, most in zip(columns, (classes, classes, _MOST_EXAMPLES), strict=True)
        for item in one
    )
    true, predicted, counted = columns
    once = len(set(zip(true, predicted, strict=False))) == len(true) == len(predicted) == len(counted)
    return within and once


def _check_probabilities(
    probability: NDArray[np.float64],
    predicted: NDArray[np.int64],
    confidence: NDArray[np.float64],
    positive: int,
    require: Callable[[bool, str, str], None],
) -> None:
    """Rounding may make two classes equal but not change their order, and moves a value by half a level at most.

    Args:
        probability: of each class, shape (examples, classes), in whole levels.
        predicted: class indices, shape (examples,).
        confidence: of the predicted classes, shape (examples,), or empty.
        positive: number of examples whose probability of class 1 is above one half.
        require: refuses what doesn't hold.
    """
    key, half = "probabilities", 0.5 / LEVELS
    total = np.abs(probability.sum(axis=1) - 1)
    require(bool((total <= half * probability.shape[1] + 1e-5).all()), key, "don't sum to 1")
    of_predicted = probability[np.arange(len(predicted)), predicted]
    require(bool((of_predicted == probability.max(axis=1)).all()), key, "don't match the predictions")
    if probability.shape[1] > POSITIVE:
        one = probability[:, POSITIVE]
        most, least = int((one > 0.5).sum()), int((one > 0.5 + 1.5 * half).sum())
        require(least <= positive <= most, key, "don't match counts.tp and counts.fp")
    if len(confidence):
        near = np.abs(of_predicted - confidence) <= half + 1e-5
        require(bool(near.all()), key, "don't match the confidence")
