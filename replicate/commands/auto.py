"""The profile `auto`: what is run on somebody's own data, chosen before it starts, said and kept."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence

from replicate.common.cores import cores
from replicate.common.progress import warn
from replicate.runs.chosen import keep_choice, read_choice
from replicate.runs.runner import Runner
from replicate.stages.distill.transfer_set import spare_texts
from replicate.tables.auto import (
    BUDGET,
    LENGTHS,
    SIZES,
    STUDENT,
    Facts,
    Speed,
    choose,
    facts_of,
    minutes,
    profile_of,
    told,
    words,
)
from replicate.tables.table import ResultsTable
from replicate.timing.step import pace_of, pace_of_student

_UNITS = {"h": 3600, "m": 60, "s": 1}
# Stages of a row that is about a net.
_NETS = ("finetune", "distill", "prune")
_LONGEST = 30 * 24 * 3600
# Each holds Paddle and a net: more than these would want memory that a small machine lacks.
_MOST_PROCESSES = 4


def seeds_at_once(device: str) -> int:
    """How many seeds run at once where nobody says: so small a net leaves a second core idle, and a GPU has one."""
    return min(_MOST_PROCESSES, cores()) if device == "cpu" else 1


def budget_of(text: str) -> float:
    """`90s`, `30m`, `2h` or `1h30m` as seconds."""
    parts = re.fullmatch(r"(?:([0-9]{1,4})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,7})s)?", text)
    seconds = (
        sum(int(one or 0) * unit for one, unit in zip(parts.groups(), _UNITS.values(), strict=True)) if parts else 0
    )
    if not 0 < seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time up to 30 days such as 30m, 2h or 1h30m")
    return float(seconds)


def about_nets(tables: Mapping[str, ResultsTable], names: Sequence[str]) -> bool:
    """Whether any of the rows (all of them without a name) trains a net: else there is nothing to choose."""
    rows = [row for table in tables.values() for row in table.rows if {row.id, row.full_id} & {*names}]
    return not names or any(step.stage in _NETS for row in rows for step in tables[row.table].chain(row.id))


def with_choice(
    runner: Runner, budget: float | None, seeds: tuple[int, ...] | None, processes: int, keep: bool, whole: bool
) -> tuple[Runner, tuple[str, ...]]:
    """A runner with what is chosen for its data, and the rows; what was chosen is told, with how long it takes.

    What was chosen for these data before stays, so that a run that was stopped goes on; another budget chooses anew.

    Args:
        runner: under the profile `auto`, which has planned nothing.
        budget: seconds; None for the one before, or `BUDGET`.
        seeds: in place of those that are chosen.
        processes: that run seeds beside each other.
        keep: keep the choice beside the records.
        whole: what is chosen is what runs, so that its time can be told.

    Raises:
        UserError: the data are at fault, or the file of an earlier choice is.
    """
    choice = read_choice(runner.records)
    if choice and budget in (None, choice.budget):
        warn([f"auto: as chosen before for {minutes(choice.budget)}: {words(choice)}; --budget chooses anew"])
    else:
        dataset, lines = runner.dataset, runner.unlabelled
        spare = len(spare_texts((*dataset.unlabelled, *lines), dataset.train, dataset.dev.texts))
        facts = facts_of(dataset, lines, spare)
        speed = measured(facts, runner.profile.device, processes)
        choice = choose(facts, budget or BUDGET, speed)
        warn(told(choice, facts, speed, whole))
        if keep:
            keep_choice(choice, runner.records)
    return runner.under(profile_of(runner.profile, choice).changed(seeds=seeds)), choice.rows


def measured(facts: Facts, device: str, processes: int) -> Speed:
    """The pace of every size on this machine, in some seconds, with the threads that each process has."""
    from replicate.nets.device import stage_on

    vocabulary, length = facts.vocabulary + 5, max(4, round(facts.tokens))
    with stage_on(device, trains=True):
        return Speed(
            tuple(pace_of(one.architecture, vocabulary, facts.labels, length) for one in SIZES),
            pace_of_student(STUDENT, vocabulary, facts.labels, length, LENGTHS[-1]),
            processes,
        )
