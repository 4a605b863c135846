"""What the HTML page may show of single dev examples: every run's predictions, and what is known of the labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.corpus.formats import Dataset
from replicate.records.run import Record
from replicate.scores.metrics import matrix_of
from replicate.scores.packing import unpack_bits, unpack_predictions

UNKNOWN = -1


@dataclass(frozen=True)
class Shown:
    """A data set whose dev examples the page may name; `texts` says whether their texts are embedded too."""

    dataset: Dataset
    texts: bool


def page_data(records: Iterable[Record], shown: Iterable[Shown] = ()) -> dict[str, Any]:
    """What the page's script reads: every record's predictions, and what may be told of each dev set."""
    runs = [record for record in records if record.counts]
    sets = {one.dataset.digests["dev"]: one for one in shown}
    dev: dict[str, Any] = {}
    for digest in dict.fromkeys(record.digests.get("dev", "") for record in runs):
        own = [record for record in runs if record.digests.get("dev", "") == digest]
        if digest in sets:
            part = sets[digest].dataset.dev
            dev[digest] = {"gold": part.labels, "texts": part.texts if sets[digest].texts else None}
        else:
            dev[digest] = {"gold": known_labels(own).tolist(), "texts": None}
    return {
        "dev": dev,
        "records": [
            {
                "profile": record.profile,
                "row": f"{record.table}/{record.row}",
                "seed": record.seed,
                "labels": record.labels,
                "cells": cells_of(record),
                "predictions": record.predictions,
                "confidence": record.confidence,
                "dev": record.digests.get("dev", ""),
            }
            for record in runs
        ],
    }


def cells_of(record: Record) -> list[list[int]]:
    """True class, predicted class and count of each cell of the confusion matrix that has one: most have none."""
    matrix = matrix_of(record.counts["confusion"])
    return [[int(true), int(taken), int(matrix[true, taken])] for true, taken in np.argwhere(matrix)]


def known_labels(records: Sequence[Record]) -> NDArray[np.int64]:
    """The labels of one dev set [examples] that its records tell: where one is right; -1 where none is."""
    examples = max((record.counts["examples"] for record in records), default=0)
    labels = np.full(examples, UNKNOWN, dtype=np.int64)
    for record in records:
        right = np.flatnonzero(unpack_bits(record.correct, record.counts["examples"]))
        labels[right] = unpack_predictions(record.predictions)[right]
    return labels
