"""Two biases of the published protocol, measured: the dev set chooses the step, and the heads that pruning keeps."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from replicate.common.markdown import interval, number, plural, table_of
from replicate.findings.evidence import Material
from replicate.findings.rows import compare
from replicate.records.run import Record
from replicate.scores.packing import unpack_bits
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable, Row
from replicate.verdicts.optimism import SEED, SPLITS, optimism


def biases(material: Material, table: ResultsTable, profile: Profile) -> list[str]:
    """Blocks of Markdown; none where no record has a training history."""
    blocks = [*_selection(material, table, profile), *_importance(material, table, profile)]
    return ["### Two biases of the protocol", *blocks] if blocks else []


def _selection(material: Material, table: ResultsTable, profile: Profile) -> list[str]:
    lines = []
    for row in table.rows:
        result = material.result(row, profile)
        runs = [run for record in result.records if (run := evaluations(record)) is not None]
        if runs:
            found = optimism(runs)
            drop = number(found.drop, "+.4f") + (f" ± {found.sd:.4f}" if math.isfinite(found.sd) else "")
            cells = [f"{found.evaluations:.1f}", number(found.chosen_on), number(found.other_half)]
            lines.append([material.named(result), *cells, f"{drop} ({found.seeds})"])
    if not lines:
        return []
    head = ["row", "evaluations", "half that chose", "other half", "gain from choosing (seeds)"]
    return [
        "The dev set that a score is of has also chosen the step that is scored. Here the dev set is split into two "
        f"random halves {SPLITS:,} times (generator seed {SEED}); the evaluation that is best on one half, by "
        "accuracy, is scored on the other. The gain is how much of the accuracy comes from choosing on the examples "
        "that are scored; the other half has no part in it.",
        table_of(head, lines),
    ]


def evaluations(record: Record) -> NDArray[np.bool_] | None:
    """Which dev examples each evaluation of the last stage got right, [evaluations, examples]; None without any."""
    history = record.stages[-1]["summary"].get("history", []) if record.stages and record.counts else []
    rows = [unpack_bits(entry["correct"], record.counts["examples"]) for entry in history if "correct" in entry]
    return np.stack(rows) if rows else None


def _importance(material: Material, table: ResultsTable, profile: Profile) -> list[str]:
    """Rows that differ in nothing but the examples that importance is computed on."""
    lines = []
    for row in table.rows:
        twin = _twin(table, row)
        if twin is None:
            continue
        a, b = material.result(row, profile), material.result(twin, profile)
        for metric, name in (("accuracy", "accuracy"), ("macro_f1", "macro-F1"), ("f1", "F1 of class 1")):
            found = compare(a, b, metric, alpha=float(table.statistics.alpha.value))
            if found is not None:
                mean = f"{found.difference:+.4f} ({found.n})"
                pair = material.minus(a, b) if metric == "accuracy" else ""
                lines.append([pair, name, mean, interval(found.ci), number(found.p)])
    if not lines:
        return []
    pairs = plural(sum(bool(line[0]) for line in lines), "row")
    return [
        "DynaBERT keeps the heads and units that matter most for the loss on the dev set, which is also the score. "
        f"With their importance computed on as many training examples instead ({pairs}, paired by seed):",
        table_of(["difference", "metric", "mean (pairs)", "interval", "p (paired t)"], lines),
    ]


def _twin(table: ResultsTable, row: Row) -> Row | None:
    """The row whose recipe is this one's but for `importance`."""
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
