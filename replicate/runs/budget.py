"""What of a run fits a time, by what records say of its stages: as many seeds of every row as fit, else rows of one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from replicate.runs.ask import asks_of
from replicate.runs.costs import expected, timings_of
from replicate.runs.plan import Stage
from replicate.runs.runner import Runner
from replicate.runs.schedule import duration, span
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable

Rows = Sequence[tuple[ResultsTable, str]]


@dataclass(frozen=True)
class Fit:
    """What fits.

    Attributes:
        rows: the rows, in the order in which they were given.
        runner: whose profile has the seeds.
        told: what fits and what everything would take, in one line.
    """

    rows: Rows
    runner: Runner
    told: str


def within(runner: Runner, rows: Rows, budget: float, workers: int) -> Fit:
    """The rows and seeds that fit a time; where not one row of the first seed does, the first row.

    Scores decide nothing here: neither which seeds fit nor which rows.

    Args:
        runner: with the profile and its store.
        rows: that were asked for; at least one.
        budget: seconds.
        workers: how many stages run at once.

    Raises:
        UserError: as `Runner.last`.
    """
    profile = runner.profile
    missing = {one.key: one for one in _stages(runner, rows, profile) if not runner.kept(one)}
    costs = expected(missing.values(), timings_of(runner))

    def seconds(some: Rows, seeds: Sequence[int]) -> float:
        stages = _stages(runner, some, replace(profile, seeds=tuple(seeds)))
        return duration((stage for stage in stages if stage.key in missing), costs.seconds, workers)

    if missing and len(costs.unknown) == len(missing):
        return Fit(rows, runner, f"{span(budget)}: no record says how long anything takes, so all rows run until then")
    counts = range(1, len(profile.seeds) + 1)
    # What more seeds take is more, but for a worker that another order leaves idle.
    count = bisect_right(counts, budget, key=lambda count: seconds(rows, profile.seeds[:count]))
    taken, seeds = [*rows], profile.seeds[: max(1, count)]
    if not count:
        taken = []
        for row in rows:
            if seconds([*taken, row], seeds) <= budget:
                taken.append(row)
        # Then it stops at a checkpoint, from which the same command goes on.
        taken = taken or [*rows[:1]]
    if count == len(profile.seeds):
        what = "everything fits"
    elif count:
        what = f"seed{'s' * (count > 1)} {', '.join(map(str, seeds))} of {len(profile.seeds)} fit{'s' * (count == 1)}"
    else:
        what = f"{len(taken)} of {len(rows)} rows fit with seed {seeds[0]}: {', '.join(row for _, row in taken)}"
    told = f"{span(budget)}: {what}, in some {span(seconds(taken, seeds))}"
    if count < len(profile.seeds):
        told += f"; everything would take {span(seconds(rows, profile.seeds))}"
    if costs.unknown:
        told += f"; of {len(costs.unknown)} of {len(missing)} stages no record says how long they take"
    return Fit(taken, runner.under(replace(profile, seeds=seeds)), told)


def _stages(runner: Runner, rows: Rows, profile: Profile) -> Iterator[Stage]:
    """Each once, parents first."""
    seen: set[str] = set()
    for ask in asks_of(rows, profile):
        for stage in runner.last(ask.table, ask.row, ask.seed).chain(seen):
            seen.add(stage.key)
            yield stage
