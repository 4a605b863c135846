"""The arguments of `replicate time`, apart from the command so that `--help` waits for nothing."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from replicate.inference.runtime import DEVICES, PRECISIONS, RUNTIMES
from replicate.timing.contestants import DEFAULT, INSTALLED, PYTORCH
from replicate.timing.random_net import SHAPES

GRIDS = ("quick", "full")
ALL_RUNTIMES = (*RUNTIMES, DEFAULT, INSTALLED, PYTORCH)


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


def add_time_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("models", nargs="*", type=Path, metavar="MODEL", help="model folders, the first of which is the base")
    add("--grid", choices=GRIDS, help="the comparisons of bench/test_inference.py, and the goals")
    add("--shape", choices=tuple(SHAPES), help="without MODEL: random weights of this published shape (default: base)")
    add("--widths", metavar="1,2/3,1/2", help="without MODEL: its widths, the first of which is the base")
    add(
        "--runtimes",
        type=_choices(ALL_RUNTIMES),
        default=("paddle-inference",),
        metavar="R,…",
        help=f"of {', '.join(ALL_RUNTIMES)} (default: paddle-inference)",
    )
    add("--precision", type=_choices(PRECISIONS), default=("fp32",), metavar="P,…", help=f"of {', '.join(PRECISIONS)}")
    add("--batch", type=_numbers, default=(1, 32), metavar="1,32", help="texts a call")
    add("--length", type=_numbers, default=(32, 128), metavar="32,128", help="tokens a text")
    add("--rounds", type=_positive, metavar="N", help="in each of which everyone runs once (default: 9)")
    add("--warmups", type=int, default=2, metavar="N", help="rounds before them that don't count (default: 2)")
    add("--threads", type=_positive, metavar="N", help="default: OMP_NUM_THREADS, or every core")
    add("--device", choices=DEVICES, default="cpu", help="cpu (default) or gpu")
    add(
        "--dataset",
        metavar="D",
        help="kuake-qic, generated or a folder: time its dev texts end to end instead, in file order and by length",
    )
    add("--limit", type=_positive, metavar="N", help="with --dataset: the first N texts only")
    add("--name", metavar="NAME", help="of the record (default: device and threads, such as cpu-2)")
    add("--accept", action="store_true", help="keep the record in measured/timing/ and rewrite REPORT.md")
    add("--json", action="store_true", help="print the table as JSON")
    add("--quiet", action="store_true", help="show no progress")
