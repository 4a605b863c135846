"""How fast nets are that were trained on somebody's own data: each size once, on texts of usual length."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

from replicate.common.cores import threads
from replicate.common.progress import Progress
from replicate.findings.own_data import limit_of
from replicate.findings.standing import MACHINERY
from replicate.records.facts import now
from replicate.records.run import TIMING, read_records
from replicate.records.timing_file import read_timing, write_timing
from replicate.runs.runner import Runner
from replicate.stages.registry import KINDS
from replicate.timing.grid import Heat, compare, cross
from replicate.timing.session import field_for, record_of
from replicate.timing.subject import Subject, describe

# Both are faster than the dynamic net, which one depends on the net.
RUNTIMES = ("paddle-inference", "onnxruntime")
BATCH, ROUNDS = 32, 7


def time_nets(runner: Runner) -> Path | None:
    """Time the runner's nets on its data, unless nets of these sizes were, and keep the record beside theirs.

    Speed does not depend on the values of weights, so of nets with as many parameters one takes part.

    Returns:
        The path of the record; None where there is no net, or none that is worth it.

    Raises:
        UserError: no net can be timed here, or the record can't be written.
    """
    profile = runner.profile
    if profile.id in MACHINERY:
        return None
    subjects = dict(_nets(runner))
    path = runner.records / TIMING / f"{profile.id}.json"
    known = (
        {one.parameters for race in read_timing(path).comparisons for one in race.contestants} if path.exists() else ()
    )
    if not {*subjects} - {*known}:
        return path if subjects else None
    length = _usual_length(runner)
    by_number = {str(number): one for number, one in enumerate(subjects.values(), start=1)}
    first = next(iter(subjects.values()))
    heat = Heat(first.architecture, BATCH, length, cross(RUNTIMES, ("fp32",), tuple(by_number)), ROUNDS)
    progress, started = Progress(f"speed of {len(subjects)} sizes", runner.quiet), now()
    with field_for(profile.device, threads(), True, by_number) as field:
        progress.start(heat.rounds + heat.warmups)
        try:
            race = compare(heat, field, tell=progress.step)
        finally:
            progress.close()
    command = ("replicate", "run", "--profile", profile.id)
    record = record_of(profile.id, started, command, profile.device, threads(), [race])
    return write_timing(record, path.parent)


def _nets(runner: Runner) -> Iterator[tuple[int, Subject]]:
    """A net of each number of parameters that is in the store, those of fine-tuning first."""
    digests = runner.dataset.digests
    of_data = [
        one
        for one in read_records(runner.records)
        if one.status == "ok" and one.profile == runner.profile.id and one.is_of(digests)
    ]
    seen: set[int] = set()
    for one in sorted(of_data, key=lambda one: one.stages[-1]["stage"] != "finetune"):
        last = one.stages[-1]
        kind = KINDS.get(str(last["stage"]))
        if kind is None or kind.gives != "net" or not one.parameters or one.parameters in seen:
            continue
        net = runner.store.find(str(last["stage"]), str(last["key"]))
        if net is not None:
            seen.add(one.parameters)
            yield one.parameters, describe(net.path, one.row)


def _usual_length(runner: Runner) -> int:
    """Tokens of a text in the middle of dev, a character counted as one."""
    lengths = [2 + sum(not sign.isspace() for sign in text) for text in runner.dataset.dev.texts]
    return min(limit_of(runner.profile), int(statistics.median(lengths)))
