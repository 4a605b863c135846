"""`replicate time`: who races, and what is printed."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from replicate.commands.flags import add_json
from replicate.common.cores import cores
from replicate.common.errors import UserError
from replicate.common.paths import REPORT
from replicate.common.progress import Progress
from replicate.corpus import load_dataset
from replicate.inference.runtime import DEVICES, OPENVINO, PRECISIONS, RUNTIMES
from replicate.nets.shape import kept_shape, parse_width
from replicate.records.facts import now
from replicate.records.timing import DatasetRace, Race, TimingRecord
from replicate.records.timing_file import check_name
from replicate.timing.contestants import DEFAULT, INSTALLED, PYTORCH
from replicate.timing.dataset import MAX_LENGTH, compare_dataset
from replicate.timing.grid import GRIDS, Heat, compare, cross, grid
from replicate.timing.random_net import SHAPES
from replicate.timing.session import field_for, keep_record, record_of
from replicate.timing.subject import Subject, describe

ALL_RUNTIMES = (*RUNTIMES, DEFAULT, INSTALLED, PYTORCH, OPENVINO)
DATASET_BATCH = 32
ROUNDS = 9
# Without models.
SHAPE = "base"
WIDTHS = "1,2/3,1/2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate time`."""
    add = parser.add_argument
    add("models", nargs="*", type=Path, metavar="MODEL", help="model folders, the first of which is the base")
    add("--grid", choices=GRIDS, help="the comparisons of bench/test_inference.py, and the goals")
    what = f"without MODEL: random weights of this published shape (default: {SHAPE})"
    add("--shape", choices=tuple(SHAPES), help=what)
    add("--widths", metavar=WIDTHS, help="without MODEL: its widths, the first of which is the base")
    add(
        "--runtimes",
        type=_choices(ALL_RUNTIMES),
        default="paddle-inference",
        metavar="R,…",
        help=f"of {', '.join(ALL_RUNTIMES)} (default: %(default)s)",
    )
    what = f"of {', '.join(PRECISIONS)} (default: %(default)s)"
    add("--precision", type=_choices(PRECISIONS), default=PRECISIONS[0], metavar="P,…", help=what)
    add("--batch", type=_numbers, default="1,32", metavar="N,…", help="texts a call (default: %(default)s)")
    add("--length", type=_numbers, default="32,128", metavar="N,…", help="tokens a text (default: %(default)s)")
    add("--rounds", type=_positive, metavar="N", help=f"in each of which everyone runs once (default: {ROUNDS})")
    what = "rounds before them that don't count (default: %(default)s)"
    add("--warmups", type=int, default=Heat.warmups, metavar="N", help=what)
    add("--threads", type=_positive, metavar="N", help="default: OMP_NUM_THREADS, or every core")
    add("--device", choices=DEVICES, default=DEVICES[0], help="cpu (default) or gpu")
    add(
        "--dataset",
        metavar="D",
        help="kuake-qic, generated or a folder: time its dev texts end to end instead, in file order and by length",
    )
    add("--limit", type=_positive, metavar="N", help="with --dataset: the first N texts only")
    add("--name", metavar="NAME", help="of the record (default: device and threads, such as cpu-2)")
    add("--accept", action="store_true", help="keep the record in measured/timing/ and rewrite REPORT.md")
    add_json(parser, "print the table as JSON")
    add("--quiet", action="store_true", help="show no progress")


def _numbers(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = (0,)
    if min(found) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of positive whole numbers such as 1,32")
    return found


def _choices(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        found = tuple(text.split(","))
        if unknown := [one for one in found if one not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return tuple(dict.fromkeys(found))

    return parse


def _positive(text: str) -> int:
    return _numbers(text)[0]


def run(args: argparse.Namespace) -> int:
    """`replicate time`: 0 where everything asked for was timed."""
    from replicate.commands.session import accept_timing
    from replicate.timing.summary import dataset_rows, rows_of

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
    comparisons: list[Race] = []
    datasets: list[DatasetRace] = []
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
    architecture = SHAPES[args.shape or SHAPE] if base is None else base.architecture
    models = tuple(subjects) or _widths(args.widths or WIDTHS, architecture)
    entrants = cross(args.runtimes, args.precision, models)
    rounds = args.rounds or ROUNDS
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

    from replicate.timing.goals import goals
    from replicate.timing.summary import goal_table, shown

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
