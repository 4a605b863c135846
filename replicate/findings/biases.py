"""Two biases of the published protocol, measured: the dev set chooses the step, and the heads that pruning keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replicate.findings.compared import Compared
from replicate.findings.pairs import METRICS, twins
from replicate.findings.rows import Difference, RowResult
from replicate.findings.selected import chosen_by
from replicate.records.run import Record
from replicate.scores.packing import unpack_bits
from replicate.verdicts.optimism import Counted, Optimism, optimism


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
        selections: of the rows with a training history that their rule can choose from on half of the examples.
        importance: rows that differ in nothing but the examples that importance is computed on, by metric.
        untold: rows that choose by F1, and whose records don't hold what it counts.
    """

    selections: tuple[Selection, ...]
    importance: tuple[Mapping[str, Difference], ...]
    untold: tuple[RowResult, ...] = ()


def biases_of(compared: Compared) -> Biases:
    """The biases, from rows that were compared with their twins too."""
    selections, untold = list[Selection](), list[RowResult]()
    for result in compared.results.values():
        runs = {record.seed: run for record in result.records if (run := evaluations(record)) is not None}
        by_f1 = chosen_by(compared.table, result.row) == "f1"
        counted = [found for record in result.records if record.seed in runs and (found := counted_by(record))]
        if runs and by_f1 and len(counted) < len(runs):
            untold.append(result)
        elif runs:
            gain = optimism(list(runs.values()), counted if by_f1 else None)
            selections.append(Selection(result, gain, dict(zip(runs, gain.drops, strict=True))))
    importance = []
    for a, b in twins(compared.table):
        both = {metric: one for metric in METRICS if (one := compared.difference(a, b, metric))}
        if both:
            importance.append(both)
    return Biases(tuple(selections), tuple(importance), tuple(untold))


def evaluations(record: Record) -> NDArray[np.bool_] | None:
    """Which dev examples each evaluation of the last stage got right, [evaluations, examples]; None without any."""
    history = record.stages[-1]["summary"].get("history", []) if record.stages and record.counts else []
    rows = [unpack_bits(entry["correct"], record.counts["examples"]) for entry in history if "correct" in entry]
    return np.stack(rows) if rows else None


def counted_by(record: Record) -> Counted | None:
    """What F1 counts in each evaluation of the last stage; None where the record doesn't hold it."""
    history = record.stages[-1]["summary"].get("history", []) if record.stages and record.counts else []
    marked = [entry for entry in history if "correct" in entry]
    if not marked or not all("called" in entry and "positives" in entry for entry in marked):
        return None
    examples = record.counts["examples"]
    called = np.stack([unpack_bits(entry["called"], examples) for entry in marked])
    return Counted(called, unpack_bits(marked[0]["positives"], examples))
