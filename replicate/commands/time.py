"""The `replicate time` command: who races, and what is printed."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from replicate.commands.session import accept_timing
from replicate.common.cores import cores
from replicate.common.errors import UserError
from replicate.common.paths import REPORT
from replicate.common.progress import Progress
from replicate.corpus import load_dataset
from replicate.nets.shape import kept_shape, parse_width
from replicate.records.facts import now
from replicate.records.timing import Comparison, DatasetComparison, TimingRecord, check_name
from replicate.timing.contestants import Subject, describe
from replicate.timing.dataset import MAX_LENGTH, compare_dataset
from replicate.timing.goals import goals
from replicate.timing.grid import Heat, compare, cross, grid
from replicate.timing.random_net import SHAPES
from replicate.timing.session import field_for, keep_record, record_of
from replicate.timing.summary import dataset_rows, goal_table, rows_of, shown

DATASET_BATCH = 32


def time_command(args: argparse.Namespace) -> int:
    """`replicate time`: 0 where everything asked for was timed."""
    if args.models and (args.shape or args.widths or args.grid):
        raise UserError("--shape, --widths and --grid are for random weights", hint="leave them out, or the models")
    if args.grid and args.dataset:
        raise UserError("a grid has no data set", hint="time it with --dataset alone")
    if args.warmups < 0:
        raise UserError(f"--warmups {args.warmups} is negative")
    if args.threads:
        # Read once, while Paddle is imported; contestants are told besides.
        os.environ["OMP_NUM_THREADS"] = str(args.threads)
    threads = int(args.threads or os.environ.get("OMP_NUM_THREADS", cores()))
    name = args.name or f"{args.device}-{threads}"
    check_name(name)
    subjects = _subjects(args.models)
    heats = _heats(args, subjects)
    comparisons: list[Comparison] = []
    datasets: list[DatasetComparison] = []
    data = load_dataset(args.dataset) if args.dataset else None
    started = now()
    with field_for(args.device, threads, args.quiet, subjects) as field:
        for heat in heats:
            progress = Progress(f"time · {heat.id}", args.quiet)
            progress.start(heat.rounds + heat.warmups)
            try:
                if data:
                    datasets.append(compare_dataset(data, heat, field, args.limit, progress.step))
                else:
                    comparisons.append(compare(heat, field, tell=progress.step))
            finally:
                progress.close()
            # What is timed so far is not lost with what comes.
            record = record_of(name, started, _command(args, subjects), args.device, threads, comparisons, datasets)
            path = keep_record(record)
    if args.accept:
        path = accept_timing(record)
    rows = [row for one in comparisons for row in rows_of(one)] + [row for one in datasets for row in dataset_rows(one)]
    if args.json:
        print(json.dumps(rows, ensure_ascii=False, indent=1))
        return 0
    _print(record, rows)
    print(f"record in {path}; " + (f"report in {REPORT}" if args.accept else "`--accept` keeps it in measured/timing/"))
    return 0


def _command(args: argparse.Namespace, subjects: Mapping[str, Subject]) -> tuple[str, ...]:
    """The command as it is recorded: models by name, since where they are is nobody's business."""
    words = ["replicate", "time", *(subject.name for subject in subjects.values())]
    for option in ("grid", "shape", "widths", "runtimes", "precision", "batch", "length", "rounds", "warmups", "limit"):
        value = getattr(args, option)
        if value is not None and not (args.grid and option != "grid"):
            words += [f"--{option}", ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    if args.dataset:
        words += ["--dataset", Path(args.dataset).name]
    return (*words, "--device", args.device)


def _subjects(folders: Sequence[Path]) -> dict[str, Subject]:
    """The user's models by number; where two folders have one name, the number is part of it."""
    names = [Path(os.path.abspath(folder)).name for folder in folders]
    return {
        str(number): describe(folder, name if names.count(name) == 1 else f"{number}: {name}")
        for number, (folder, name) in enumerate(zip(folders, names, strict=True), start=1)
    }


def _heats(args: argparse.Namespace, subjects: Mapping[str, Subject]) -> tuple[Heat, ...]:
    if args.grid:
        return grid(args.grid, args.device)
    base = next(iter(subjects.values()), None)
    architecture = SHAPES[args.shape or "base"] if base is None else base.architecture
    models = tuple(subjects) or _widths(args.widths or "1,2/3,1/2", architecture)
    entrants = cross(args.runtimes, args.precision, models)
    rounds = args.rounds or 9
    if args.dataset:
        return (Heat(architecture, DATASET_BATCH, MAX_LENGTH, entrants, rounds, args.warmups),)
    positions = min([int(one.architecture["max_position_embeddings"]) for one in subjects.values()] or [10**9])
    if max(args.length) > min(positions, int(architecture["max_position_embeddings"])):
        raise UserError(f"--length {max(args.length)} is more than the net can read")
    sizes = [(batch, length) for batch in args.batch for length in args.length]
    return tuple(Heat(architecture, *size, entrants, rounds, args.warmups) for size in sizes)


def _widths(text: str, architecture: Any) -> tuple[str, ...]:
    widths = tuple(dict.fromkeys(part if part == "1" else str(parse_width(part)) for part in text.split(",")))
    for width in widths:
        kept_shape(Fraction(width), architecture["num_attention_heads"], architecture["intermediate_size"])
    return widths


def _print(record: TimingRecord, rows: Sequence[dict[str, Any]]) -> None:
    from tabulate import tabulate

    print(f"{record.device['name']}, {record.threads} threads; intervals of 95 % unless they say less")
    print(
        tabulate([{key: shown(one) for key, one in row.items()} for row in rows], headers="keys", disable_numparse=True)
    )
    weights = {one.weights for one in record.comparisons} | {one.weights for one in record.datasets}
    if "random" in weights:
        print("random weights: speed does not depend on the values")
    left_out = {f"{label}: {why}" for one in record.comparisons for label, why in one.left_out.items()}
    for line in sorted(left_out):
        print(f"left out: {line}")
    results = goals(record)
    if any(one.status != "not measured" for one in results):
        print(goal_table(results))
