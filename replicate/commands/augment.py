"""The `replicate augment` command, with the flags of ERNIE's `data_aug.py`.

As there, a strategy that isn't named keeps its default when others are: 0 switches one off, and of all only the
proportions count.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from replicate.augment.files import TEXT_COLUMNS, augment_path, columns_of
from replicate.augment.nlpcda import NLPCDA
from replicate.augment.registry import STRATEGIES
from replicate.augment.vectors import load_vectors
from replicate.commands.flags import Flag, Offer, add_json, add_options, settings_in
from replicate.common.errors import UserError
from replicate.stages.augment import AugmentOptions

OFFER = Offer(
    AugmentOptions,
    flags={"copies": Flag("aug_times", "-n", "N"), "unk_token": Flag(metavar="T")},
    withheld={"mix": "each strategy has a flag of its own, or is named with --nlpcda"},
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments; a strategy's probability is None where the user gives none."""
    add = parser.add_argument
    add("input", type=Path, help="a file of TAB-separated columns, or a folder of .txt files")
    add("output", type=Path, help="the folder for NAME_aug.txt, made if need be")
    add_options(parser, OFFER)
    add_columns_and_seed(parser)
    for name, kind in STRATEGIES.items():
        if name not in NLPCDA:
            default = f"{kind.weight}, or 0 without --{kind.needs}" if kind.needs else kind.weight
            names = [f"--{name}"] if kind.flag is None else [kind.flag, f"--{name}"]
            add(*names, type=float, metavar="P", help=f"probability: {kind.help} (default: {default})")
    known = "; ".join(f"{name}: {kind.help}" for name, kind in NLPCDA.items())
    add(
        "--nlpcda",
        action="append",
        default=[],
        metavar="NAME=P",
        help=f"probability of one of nlpcda's, again for each. {known}",
    )
    add("--vectors", type=Path, metavar="FILE", help="word vectors for w2v_replace, word2vec text or binary")
    add(
        "--model",
        metavar="M",
        help="masked language model for ernie_replace: a folder of pretrain's or a PaddleNLP name",
    )
    add_json(parser, "print the counts as JSON")


def add_columns_and_seed(parser: argparse.ArgumentParser) -> None:
    """What `augment` and `vectors` both ask about a file of TAB-separated columns and their draws."""
    default = ",".join(map(str, TEXT_COLUMNS))
    what = "text columns, such as 1 or 1,2 (default: %(default)s)"
    parser.add_argument("-c", "--column_number", default=default, metavar="C", help=what)
    what = "the same seed gives the same bytes (default: %(default)s)"
    parser.add_argument("--seed", type=int, default=0, metavar="S", help=what)


def run(args: argparse.Namespace) -> int:
    """Write the augmented files and print a table of counts; 0 where all is written."""
    from tabulate import tabulate  # type: ignore[import-untyped]

    mix = {name: _weight(args, name) for name in STRATEGIES if name not in NLPCDA} | _nlpcda(args.nlpcda)
    summaries = augment_path(
        args.input,
        args.output,
        columns=columns_of(args.column_number),
        seed=args.seed,
        vectors=load_vectors(args.vectors) if args.vectors and mix["w2v_replace"] > 0 else None,
        model=args.model,
        **vars(AugmentOptions(mix, **settings_in(args, OFFER))),
    )
    rows = [
        {"file": path, "lines": counts.lines, "copies": counts.copies}
        | dict(counts.strategies)
        | {"redrawn": counts.redrawn, "unchanged": counts.unchanged, "dropped": counts.dropped}
        for path, counts in summaries.items()
    ]
    print(json.dumps(rows, ensure_ascii=False, indent=1, default=str) if args.json else tabulate(rows, headers="keys"))
    return 0


def _weight(args: argparse.Namespace, name: str) -> float:
    given: float | None = getattr(args, name)
    if given is not None:
        return given
    kind = STRATEGIES[name]
    return 0.0 if kind.needs and getattr(args, kind.needs) is None else kind.weight


def _nlpcda(choices: Sequence[str]) -> dict[str, float]:
    mix = {}
    for choice in choices:
        name, _, weight = choice.partition("=")
        if name not in NLPCDA:
            raise UserError(f"--nlpcda has no strategy {name!r}", hint=f"known are {', '.join(NLPCDA)}")
        try:
            mix[name] = float(weight)
        except ValueError:
            raise UserError(f"not a probability for {name}: {weight!r}", hint=f"write --nlpcda {name}=0.5") from None
    return mix
