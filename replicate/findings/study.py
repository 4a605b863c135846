"""Comparisons that nobody planned: judged together, table by table, so that all their words are right at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from replicate.findings.judged import Judged
from replicate.findings.pairs import ACCURACY, Pair, share_a_chain
from replicate.findings.rows import Difference, RowResult, paired_seeds
from replicate.tables.table import ResultsTable
from replicate.verdicts import sequential
from replicate.verdicts.equivalence import NO_INTERVAL
from replicate.verdicts.moderated import Cells, Moderated, floor_within, moderate_cells

Array = NDArray[np.float64]


def judge_study(
    table: ResultsTable, family: Sequence[Pair], differences: Mapping[Pair, Difference], margins: Mapping[str, float]
) -> Mapping[Pair, Judged]:
    """A word for every comparison of a study.

    Each has an interval of level 1 - alpha / m, for m deciding comparisons (run or not): all intervals hold at once in
    1 - alpha of studies or more, so any false word is as rare. Accuracies have the moderated t, other metrics that of
    their own spread. A pair has its word in accuracy, or in the first metric of its claim; the others stand beside it.

    Args:
        table: of the rows.
        family: every comparison of the study, run or not.
        differences: those that were run.
        margins: by metric, the difference that counts as none; 0 where none is stated.
    """
    chief = {(one.row, one.against): one.metrics[0] for one in table.claims}
    deciding = [pair for pair in family if pair[2] == chief.get(pair[:2], ACCURACY)]
    level = float(table.statistics.alpha.value) / max(1, len(deciding))
    fewest = int(table.statistics.minimum_seeds.value)
    groups = (
        {pair: one for pair, one in differences.items() if pair in family and (pair[2] == ACCURACY) == accuracies}
        for accuracies in (True, False)
    )
    found: dict[Pair, Judged] = {}
    for group in groups:
        paired = {pair: share_a_chain(table, *pair[:2]) for pair in group}
        cells = {pair: cells_of(one, paired[pair]) for pair, one in group.items()}
        results = moderate_cells(list(cells.values()), level) if group else ()
        for (pair, one), result in zip(group.items(), results, strict=True):
            word = pair in deciding
            found[pair] = _judged(one, result, margins.get(pair[2], 0.0), fewest, word, separate=not paired[pair])
    return found


def cells_of(one: Difference, paired: bool) -> Cells:
    """A comparison over the seeds that both rows have, with each pretrained net as a stratum.

    Args:
        one: the comparison.
        paired: whether runs with one seed belong together; else the rows are two samples.
    """
    of_net: dict[str, list[int]] = {}
    a_nets, b_nets = ({record.seed: record.pretrained for record in row.records} for row in (one.a, one.b))
    for seed in paired_seeds(one.a, one.b):
        of_net.setdefault(a_nets[seed] or b_nets[seed], []).append(seed)
    share = 1 / max(1, len(of_net))

    def each(of: Callable[[RowResult, list[int]], Array]) -> list[Array]:
        if paired:
            return [of(one.a, seeds) - of(one.b, seeds) for seeds in of_net.values()]
        return [of(row, seeds) for row in (one.a, one.b) for seeds in of_net.values()]

    values = each(lambda row, seeds: np.array([row.score(seed, one.metric) for seed in seeds]))
    weights = [share] * len(of_net) + ([] if paired else [-share] * len(of_net))
    known = one.metric == ACCURACY and all(seed in row.scores for row in (one.a, one.b) for seed in one.seeds)
    floor = 0.0
    if known and sum(len(cell) - 1 for cell in values) > 0:
        floor = floor_within(each(lambda row, seeds: row.correctness(seeds).numerator.astype(float)))
    return Cells(tuple(weights), tuple(cell.tolist() for cell in values), floor)


def _judged(one: Difference, result: Moderated, margin: float, fewest: int, deciding: bool, separate: bool) -> Judged:
    pairs, mean, reason = len(one.seeds), one.found.difference, ""
    ends = NO_INTERVAL
    if pairs < fewest:
        reason = f"{pairs} of the {fewest} seeds that a word takes"
    elif not math.isfinite(mean):
        reason = "a seed gave no number, and leaving it out would choose among the seeds"
    elif one.a.is_deterministic and one.b.is_deterministic:
        ends = (mean, mean)
    else:
        mean, ends = result.difference, result.ci
    if all(map(math.isfinite, ends)):
        low, high = sequential.outward(np.asarray(ends[0]), np.asarray(ends[1]))
        ends = (float(low), float(high))
    elif not reason:
        ends, reason = NO_INTERVAL, "too few seeds for an interval"
    word = sequential.word(*ends, margin) if deciding else ""
    return Judged(word, ends, mean, pairs, margin, "study", separate=separate, reason=reason)
