"""`replicate data`: a data set in the local format."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from replicate.commands.flags import add_json, add_offline
from replicate.corpus import generated, kuake, load_dataset
from replicate.corpus.formats import write_dataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate data`."""
    parser.add_argument("name", choices=(kuake.NAME, generated.NAME), help="which data")
    parser.add_argument("folder", type=Path, help="new folder for train.txt, dev.txt, label.txt and data.txt")
    add_offline(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """`replicate data`."""
    dataset = load_dataset(args.name, args.offline)
    write_dataset(dataset, args.folder)
    parts = {name: len(getattr(dataset, name)) for name in ("train", "dev", "unlabelled", "labels")}
    if args.json:
        print(json.dumps({"folder": str(args.folder), **parts}, ensure_ascii=False, indent=1))
    else:
        print(f"{args.folder}: " + ", ".join(f"{count} {name}" for name, count in parts.items()))
    return 0
