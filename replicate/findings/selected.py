"""Each row's score with its step chosen by accuracy, by the F1 of class 1, and at the last step."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from replicate.findings.compared import Compared
from replicate.findings.rows import RowResult
from replicate.records.selection import HELD, RULES
from replicate.tables.table import ResultsTable, Row


@dataclass(frozen=True)
class Ruled:
    """A row under every rule.

    Attributes:
        result: its seeds.
        own: the metric by which its recipe chooses; empty where its last stage chooses by none.
        scores: by rule, the score of each seed that has one.
    """

    result: RowResult
    own: str
    scores: Mapping[str, Mapping[int, float]]

    def mean(self, rule: str) -> float:
        """Over the seeds; NaN without any."""
        found = self.scores[rule].values()
        return statistics.fmean(found) if found else math.nan


def ruled_rows(compared: Compared) -> tuple[Ruled, ...]:
    """Every row whose records hold a history to choose from."""
    found = []
    for result in compared.results.values():
        scores = {
            rule: {one.seed: value for one in result.records if math.isfinite(value := result.score(one.seed, rule))}
            for rule in RULES
        }
        if any(scores.values()):
            found.append(Ruled(result, chosen_by(compared.table, result.row), scores))
    return tuple(found)


def chosen_by(table: ResultsTable, row: Row) -> str:
    """The metric by which a row's last stage chooses its step, where a rule here is the same; else empty."""
    chain = table.chain(row.id)
    select = str(chain[-1].options.get("select", "")) if chain else ""
    return select if select in HELD else ""
