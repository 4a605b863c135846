"""Two biases of the published protocol, measured: the dev set chooses the step, and the heads that pruning keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replicate.findings.compared import METRICS, Compared, Pair
from replicate.findings.rows import Difference, RowResult
from replicate.records.run import Record
from replicate.scores.packing import unpack_bits
from replicate.tables.table import ResultsTable, Row
from replicate.verdicts.optimism import Optimism, optimism


@dataclass(frozen=True)
class Selection:
    """How much of a row's accuracy comes from choosing the step on the examples that are scored.

    `by_seed` has the gain of each seed.
    """

    result: RowResult
    found: Optimism
    by_seed: Mapping[int, float]


@dataclass(frozen=True)
class Biases:
    """Both biases of a table's rows under a profile; each is empty where no record tells of it.

    Attributes:
        selections: of the rows with a training history.
        importance: rows that differ in nothing but the examples that importance is computed on, by metric.
    """

    selections: tuple[Selection, ...]
    importance: tuple[Mapping[str, Difference], ...]


def biases_of(compared: Compared) -> Biases:
    """The biases, from rows that were compared with their twins too."""
    selections = []
    for result in compared.results.values():
        runs = {record.seed: run for record in result.records if (run := evaluations(record)) is not None}
        if runs:
            found = optimism(list(runs.values()))
            selections.append(Selection(result, found, dict(zip(runs, found.drops, strict=True))))
    importance = []
    for a, b in twins(compared.table):
        both = {metric: one for metric in METRICS if (one := compared.difference(a, b, metric))}
        if both:
            importance.append(both)
    return Biases(tuple(selections), tuple(importance))


def evaluations(record: Record) -> NDArray[np.bool_] | None:
    """Which dev examples each evaluation of the last stage got right, [evaluations, examples]; None without any."""
    history = record.stages[-1]["summary"].get("history", []) if record.stages and record.counts else []
    rows = [unpack_bits(entry["correct"], record.counts["examples"]) for entry in history if "correct" in entry]
    return np.stack(rows) if rows else None


def twins(table: ResultsTable) -> list[tuple[str, str]]:
    """Each row with the one whose recipe is its own but for `importance`."""
    return [(row.id, other.id) for row in table.rows if (other := _twin(table, row))]


def twin_pairs(table: ResultsTable) -> list[Pair]:
    """What has to be compared for that."""
    return [(*pair, metric) for pair in twins(table) for metric in METRICS]


def _twin(table: ResultsTable, row: Row) -> Row | None:
    last = row.recipe[-1] if row.recipe else None
    if last is None or "importance" not in last.options:
        return None
    same = {key: value for key, value in last.options.items() if key != "importance"}
    for other in table.rows:
        recipe = other.recipe
        if (
            other.parent == row.parent
            and recipe
            and recipe[-1].stage == last.stage
            and dict(recipe[-1].options) == same
        ):
            return other
    return None
