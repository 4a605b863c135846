"""`replicate vectors`: word vectors of somebody's own text."""

from __future__ import annotations

import argparse
from pathlib import Path

from replicate.augment.files import columns_of, read_table, sources
from replicate.augment.train_vectors import EPOCHS, MIN_COUNT, SIZE, train_vectors
from replicate.commands.augment import add_columns_and_seed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `replicate vectors`."""
    add = parser.add_argument
    add("input", type=Path, help="a file of TAB-separated columns, or a folder of .txt files")
    add("output", type=Path, help="a new file, word2vec text, for `replicate augment --vectors`")
    add_columns_and_seed(parser)
    add("--size", type=int, default=SIZE, metavar="N", help="numbers of a vector (default: %(default)s)")
    add("--min_count", type=int, default=MIN_COUNT, metavar="N", help="leave out rarer words (default: %(default)s)")
    add("--epochs", type=int, default=EPOCHS, metavar="N", help="how often the texts are read (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Train word vectors on the texts of `args.input` and write them to `args.output`; 0 where they are written."""
    columns = columns_of(args.column_number)
    texts = [row[column - 1] for path in sources(args.input) for row in read_table(path, columns) for column in columns]
    words = train_vectors(
        texts, args.output, seed=args.seed, size=args.size, min_count=args.min_count, epochs=args.epochs
    )
    print(f"{args.output}: {words} words x {args.size}, from {len(set(texts))} texts")
    return 0
