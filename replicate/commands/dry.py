"""What `replicate run --dry-run` prints: each row's plan, what the store has of it, and how long the rest takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tabulate import tabulate

from replicate.runs.costs import Costs, expected, timings_of
from replicate.runs.plan import Stage
from replicate.runs.runner import Runner
from replicate.runs.schedule import duration, span
from replicate.runs.tree import tree
from replicate.tables.table import ResultsTable

# A row's table, its id, and its last stage by seed.
Planned = tuple[ResultsTable, str, Mapping[int, Stage]]


def as_values(runner: Runner, plans: Sequence[Planned]) -> list[dict[str, Any]]:
    """The stages of each row and seed, whether the store has them, and the seconds that each is expected to take.

    A stage that the store has takes none; None where nobody knows.
    """
    kept, missing = _kept(runner, plans)
    costs = expected(missing, timings_of(runner))
    told = {key: None if key in costs.unknown else round(seconds, 1) for key, seconds in costs.seconds.items()}
    return [
        {
            "row": row,
            "seed": seed,
            "stage": stage.name,
            "key": stage.key[:12],
            "state": "kept" if kept[stage.key] else "would run",
            "seconds": 0.0 if kept[stage.key] else told[stage.key],
        }
        for _, row, lasts in plans
        for seed, last in lasts.items()
        for stage in last.chain()
    ]


def _kept(runner: Runner, plans: Sequence[Planned]) -> tuple[dict[str, bool], list[Stage]]:
    """By key, whether the store has a stage; and those that it lacks, parents first."""
    kept: dict[str, bool] = {}
    missing: list[Stage] = []
    for _, _, lasts in plans:
        for last in lasts.values():
            for stage in last.chain(kept):
                kept[stage.key] = runner.kept(stage)
                if not kept[stage.key]:
                    missing.append(stage)
    return kept, missing


def as_trees(runner: Runner, plans: Sequence[Planned], at_once: int) -> Iterator[str]:
    """Each row's plan as a tree, which is the same for every seed, with the seeds that each stage would run for.

    Args:
        runner: with the store.
        plans: the rows.
        at_once: how many stages would run at the same time.
    """
    kept, missing = _kept(runner, plans)
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
    yield f"{len(missing)} of {len(kept)} stages would run, {len(kept) - len(missing)} kept in {runner.store.root}"
    if missing:
        yield from _times(missing, expected(missing, timings_of(runner)), at_once)


def _times(missing: Sequence[Stage], costs: Costs, at_once: int) -> Iterator[str]:
    """How long stages take, by kind and in all."""
    of_kind: dict[str, list[Stage]] = {}
    for stage in missing:
        of_kind.setdefault(stage.name, []).append(stage)

    def told(stages: Sequence[Stage]) -> str:
        known = [costs.seconds[one.key] for one in stages if one.key not in costs.unknown]
        return span(sum(known)) if known else "no record says"

    rows = [{"stage": name, "would run": len(stages), "takes": told(stages)} for name, stages in of_kind.items()]
    yield from ("", tabulate(rows, headers="keys", disable_numparse=True), "")
    if len(costs.unknown) == len(missing):
        yield "no record says how long that takes"
        return
    whole = told(missing)
    if at_once > 1:
        whole = f"{span(duration(missing, costs.seconds, at_once))} with {at_once} stages at once, {whole} in all"
    source = f"records on {', '.join(costs.processors)}" if costs.processors else "the records that there are"
    beside = f"; of {len(costs.unknown)} of them no record says anything" if costs.unknown else ""
    yield f"expected time: {whole}, by {source}{beside}"
