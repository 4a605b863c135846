"""What `replicate run --dry-run` prints: each row's plan, with what the store has of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from replicate.runs.plan import Stage
from replicate.runs.runner import Runner
from replicate.runs.tree import tree
from replicate.tables.table import ResultsTable

# A row's table, its id, and its last stage by seed.
Planned = tuple[ResultsTable, str, Mapping[int, Stage]]


def as_values(runner: Runner, plans: Sequence[Planned]) -> list[dict[str, Any]]:
    """The stages of each row and seed, and whether the store has them."""
    kept = _kept(runner, plans)
    return [
        {
            "row": row,
            "seed": seed,
            "stage": stage.name,
            "key": stage.key[:12],
            "state": "kept" if kept[stage.key] else "would run",
        }
        for _, row, lasts in plans
        for seed, last in lasts.items()
        for stage in last.chain()
    ]


def _kept(runner: Runner, plans: Sequence[Planned]) -> dict[str, bool]:
    """By key, whether the store has a stage."""
    kept: dict[str, bool] = {}
    for _, _, lasts in plans:
        for last in lasts.values():
            for stage in last.chain(kept):
                kept[stage.key] = runner.kept(stage)
    return kept


def as_trees(runner: Runner, plans: Sequence[Planned]) -> Iterator[str]:
    """Each row's plan as a tree, which is the same for every seed, with the seeds that each stage would run for."""
    kept = _kept(runner, plans)
    for table, row, lasts in plans:
        if not lasts:
            yield f"{table.id}/{row}: these seeds make no ensemble of so many members"
            continue
        chains = [[*last.chain()] for last in lasts.values()]
        of_seeds = {chains[0][at].key: [chain[at] for chain in chains] for at in range(len(chains[0]))}

        def told(stage: Stage, of_seeds: dict[str, list[Stage]] = of_seeds, asked: Iterable[int] = tuple(lasts)) -> str:
            stages = dict(zip(asked, of_seeds[stage.key], strict=True))
            seeds = [str(seed) for seed, one in stages.items() if not kept[one.key]]
            if not seeds:
                return f"{stage.name}: kept"
            shared = stage.seed is None and len({one.key for one in stages.values()}) == 1
            return f"{stage.name}: would run" + (
                "" if shared else f" for seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}"
            )

        yield f"{table.id}/{row}"
        yield from (f"  {line}" for line in tree(chains[0][-1], told))
    missing = sum(not one for one in kept.values())
    yield f"{missing} of {len(kept)} stages would run, {len(kept) - missing} kept in {runner.store.root}"
