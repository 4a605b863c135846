"""`replicate data`: a data set in the local format, made, imported or looked at."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from replicate.commands.flags import add_json, add_offline
from replicate.common.checks import check_seed
from replicate.common.errors import UserError, shown
from replicate.common.progress import warn
from replicate.corpus import generated, kuake, load_dataset, own_folder
from replicate.corpus.cells import DELIMITERS
from replicate.corpus.checkup import check_up, told
from replicate.corpus.formats import Dataset, write_dataset
from replicate.corpus.raw import Reading
from replicate.corpus.usual import read_usual

# Tokens that a text may have, in most profiles and in PaddleNLP's nets.
LIMIT = 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`kuake-qic`, `generated`, `import` and `check` with their arguments."""
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION", dest="name")
    for name, what in ((kuake.NAME, "the article's data"), (generated.NAME, "generated medical queries")):
        made = actions.add_parser(name, help=f"write {what}")
        made.add_argument("folder", type=Path, help="new folder for train.txt, dev.txt, label.txt and data.txt")
        add_offline(made)
        add_json(made)
    imported = actions.add_parser("import", help="write a folder of files or folders in any usual format")
    add = imported.add_argument
    add("sources", nargs="+", type=Path, metavar="SOURCE", help="TSV, CSV, JSON, JSON Lines, Parquet, also .gz")
    add("folder", type=Path, metavar="OUT", help="new folder for train.txt, dev.txt, label.txt and what else there is")
    add("--columns", metavar="TEXT,LABEL", help="which columns they are, by name or number (default: found out)")
    add("--label-first", action="store_true", default=None, help="of two columns, the first is the label")
    header = imported.add_mutually_exclusive_group()
    header.add_argument("--header", action="store_true", default=None, help="the first row holds names")
    header.add_argument("--no-header", dest="header", action="store_false", help="the first row is an example")
    add("--delimiter", choices=tuple(DELIMITERS), help="what parts cells")
    add("--encoding", metavar="NAME", help="such as gb18030 or utf-16 (default: UTF-8)")
    add("--dev", type=float, default=Reading.dev, metavar="SHARE", help="of the texts, where there is no dev set")
    add("--seed", type=int, default=Reading.seed, metavar="N", help="of that draw")
    add_json(imported)
    check = actions.add_parser("check", help="say what a data set looks like, and what threatens its results")
    check.add_argument("folder", metavar="DIR", help="a folder in the local format, or any usual file or folder")
    check.add_argument("--max_seq_length", type=int, default=LIMIT, metavar="N", help="tokens that a net reads")
    add_json(check)


def run(args: argparse.Namespace) -> int:
    """`replicate data`."""
    if args.name == "check":
        return _check(args)
    if args.name == "import":
        dataset = read_usual(args.sources, _reading(args))
    else:
        dataset = load_dataset(args.name, args.offline)
    write_dataset(dataset, args.folder)
    warn(dataset.notes)
    parts = {name: len(getattr(dataset, name)) for name in ("train", "dev", "unlabelled", "labels")}
    if dataset.test is not None:
        parts["test"] = len(dataset.test)
    if args.json:
        print(json.dumps({"folder": str(args.folder), **parts}, ensure_ascii=False, indent=1))
    else:
        print(f"{args.folder}: " + ", ".join(f"{count} {name}" for name, count in parts.items()))
    return 0


def _reading(args: argparse.Namespace) -> Reading:
    check_seed(args.seed)
    columns = tuple(args.columns.split(",")) if args.columns else None
    if columns is not None and len(columns) != 2:
        raise UserError(f"columns is {args.columns!r}", hint="give two, TEXT,LABEL, such as review,label or 2,1")
    return Reading(
        encoding=args.encoding,
        delimiter=args.delimiter,
        columns=None if columns is None else (columns[0], columns[1]),
        label_first=args.label_first,
        header=args.header,
        dev=args.dev,
        seed=args.seed,
    )


def _check(args: argparse.Namespace) -> int:
    if args.max_seq_length < 3:
        raise UserError(f"max_seq_length is {args.max_seq_length}", hint="[CLS] and [SEP] take two tokens")
    dataset: Dataset = load_dataset(own_folder(args.folder))
    warn(dataset.notes)
    found = check_up(dataset, args.max_seq_length)
    if args.json:
        print(json.dumps(asdict(found), ensure_ascii=False, indent=1))
    else:
        print(*map(shown, told(found)), sep="\n")
    return 0
