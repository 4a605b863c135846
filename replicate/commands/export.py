"""`replicate export`: a model folder as a graph for other runtimes."""

from __future__ import annotations

import argparse
from pathlib import Path

from replicate.common.errors import UserError
from replicate.corpus.formats import read_lines
from replicate.inference.export import KINDS, export
from replicate.runs.leases import leased


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `replicate export`."""
    parser.add_argument(
        "checkpoint", type=Path, metavar="CKPT", help="model folder that finetune, prune or distill wrote"
    )
    parser.add_argument("folder", type=Path, metavar="OUT", help="new or empty folder")
    parser.add_argument(
        "--format", dest="kind", choices=KINDS, default=KINDS[0], help="for Paddle Inference or ONNX Runtime"
    )
    parser.add_argument("--int8", action="store_true", help="matrix products in 8 bits")
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="texts, one a line: the labels of int8 are compared on them, and Paddle's int8 takes its ranges from them",
    )


def run(args: argparse.Namespace) -> int:
    """`replicate export`."""
    if args.calibration and not args.int8:
        raise UserError("--calibration is for --int8")
    if args.int8 and args.kind == "paddle" and not args.calibration:
        raise UserError("int8 for Paddle needs texts to take its ranges from", hint="name them with --calibration")
    texts = read_lines(args.calibration) if args.calibration else ()
    with leased(args.checkpoint):
        made = export(args.checkpoint, args.folder, args.kind, args.int8, texts)
    print(
        f"largest difference of a logit to the dynamic net: {made.max_difference:.1e}; "
        f"the same label on {made.agreement:.2%} of {made.probe} probe rows"
    )
    print(f"{made.kind}, {made.precision}, {made.bytes / 1e6:.1f} MB of weights in {args.folder}")
    return 0
