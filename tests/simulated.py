"""Records of the project's own tables, drawn at random: what the pages say in every state of the evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from replicate.common.paths import EXPECTED
from replicate.findings.evidence import Evidence, gather
from replicate.records.run import Record
from replicate.scores.metrics import count
from replicate.scores.packing import pack_bits, pack_predictions
from replicate.tables.file import load_tables
from replicate.tables.profile import Profile, load_profile
from replicate.tables.sequential import plan_of
from replicate.tables.table import ResultsTable
from tests.synthetic import record

EXAMPLES = 1955
GOLD = np.arange(EXAMPLES) % 3
MAIN, STUDY = "ernie3_kuake_qic", "compression"
# Mean differences of each row to `base`, or to the study's parent, as the measured ones are.
MEANS: Mapping[str, Mapping[str, float]] = {
    MAIN: {"base": 0.0, "augment": -0.001, "prune-1-2": 0.008, "prune-2-3": 0.011},
    STUDY: {"parent": 0.0, "native-1-2": 0.0, "native-2-3": 0.0, "cleared-1-2": 0.001, "cleared-2-3": 0.003},
}


def drawn(
    rng: np.random.Generator,
    table: str,
    row: str,
    accuracy: float,
    seeds: Sequence[int],
    profile: Profile,
    *,
    spread: float = 0.004,
) -> list[Record]:
    """A run a seed, on the profile's nets in turn, each with an evaluation before the last that is a little worse."""
    found = []
    for seed in seeds:
        right = rng.random(EXAMPLES) < accuracy + rng.normal(0, spread)
        predicted = np.where(right, GOLD, (GOLD + 1) % 3)
        one = record(row, 1, 0, profile=profile.id)
        counts = count(GOLD, predicted, 3)
        mean = float(right.mean())
        history = [
            {"step": 1, "epoch": 1.0, "accuracy": mean - 0.01, "f1": 0.7, "correct": pack_bits(right)},
            {"step": 2, "epoch": 2.0, "accuracy": mean, "f1": 0.8, "correct": pack_bits(right)},
        ]
        summary = {"history": history, "best_step": 2, "steps": 2}
        net = seed % profile.nets
        shared = {**one.stages[0], "stage": "pretrain", "key": f"net-{net}", "config": {"seed": net + 1}}
        origin = {"origin": {"commit": "a" * 40, "dirty": False}}
        stages = (
            {**shared, "summary": origin},
            {**one.stages[0], "key": f"{row}-{seed}", "summary": summary},
        )
        found.append(
            replace(
                one,
                table=table,
                seed=seed,
                stages=stages,
                counts=counts,
                predictions=pack_predictions(predicted),
                correct=pack_bits(right),
                pretrained=f"{net}a1b2c3d",
            )
        )
    return found


def small_records(
    rng: np.random.Generator,
    seeds: Sequence[int],
    means: Mapping[str, Mapping[str, float]] = MEANS,
    spread: float = 0.004,
) -> list[Record]:
    """The rows that the plans of `small` need, a run a seed."""
    profile = load_profile("small")
    return [
        one
        for table, rows in means.items()
        for row, mean in rows.items()
        for one in drawn(rng, table, row, 0.785 + mean, seeds, profile, spread=spread)
    ]


def evidence_of(
    records: Sequence[Record],
    profiles: Sequence[str] = ("paper", "small", "exploratory"),
    planned: bool = True,
    tables: Mapping[str, ResultsTable] | None = None,
) -> Evidence:
    """The project's tables and profiles with these records, and with plans that were kept before them, or without."""
    tables = tables or load_tables(EXPECTED)
    found = {name: load_profile(name) for name in profiles}
    plans = {
        (table.id, name): plan
        for table in tables.values()
        for name, profile in found.items()
        if name != "exploratory" and table.id in profile.tables and (plan := plan_of(table, profile))
    }
    return gather(tables, records, found, plans=plans if planned else {})
