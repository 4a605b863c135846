"""`replicate evaluate`: how right a model is on a file of labelled texts, which chose nothing of it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from replicate.commands.flags import add_device, add_json
from replicate.common.errors import UserError, shown
from replicate.common.progress import warn
from replicate.corpus.raw import Reading, read_raw
from replicate.inference.predict import BATCH, MAX_LENGTH, Labeller
from replicate.inference.runtime import OFFERED, open_runtime
from replicate.runs.leases import leased
from replicate.scores.metrics import ClassScores, count, matrix_of, per_class, scores

if TYPE_CHECKING:
    from collections.abc import Sequence


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate evaluate`."""
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="folder that finetune, prune, distill or export wrote")
    add("file", type=Path, metavar="FILE", help="texts with labels: TSV, CSV, JSON, JSON Lines or Parquet")
    add("--positive", metavar="LABEL", help="also precision, recall and F1 of this label")
    add("--encoding", metavar="NAME", help="of the file, such as gb18030 (default: UTF-8)")
    add("--runtime", choices=OFFERED, help="default: the one that the folder is made for")
    add_device(parser)
    add("--max_seq_length", type=int, default=MAX_LENGTH, help="tokens; longer texts are cut")
    add("--batch_size", type=int, default=BATCH, help="texts that are computed at once")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """`replicate evaluate`."""
    with leased(args.model):
        runtime = open_runtime(args.model, args.runtime, device=args.device)
    labels = runtime.labels
    if args.positive is not None and args.positive not in labels:
        raise UserError(f"positive is {args.positive!r}", hint=f"the model's labels: {', '.join(labels)}")
    labeller = Labeller(runtime, args.max_seq_length, args.batch_size)
    texts, gold, notes = _labelled(args.file, labels, args.encoding)
    found = labeller.label(texts)
    index = {label: at for at, label in enumerate(labels)}
    # A text without anything to read has no label, which is as wrong as another one.
    empty = sum(one.label is None for one in found)
    if empty:
        raise UserError(f"{empty} texts have nothing in them that the model can read", path=args.file)
    counts = count(gold, [index[str(one.label)] for one in found], len(labels))
    cut = sum(one.truncated for one in found)
    warn([*notes, *([f"of {len(texts)} texts {cut} cut to {args.max_seq_length} tokens"] if cut else [])])
    _tell(args, labels, counts)
    return 0


def _labelled(path: Path, labels: Sequence[str], encoding: str | None) -> tuple[list[str], list[int], list[str]]:
    """Texts and classes of a file, with notes; numbers stand for the model's labels where none of them is a number."""
    found, notes = read_raw(path, Reading(encoding=encoding), labels)
    index = {label: at for at, label in enumerate(labels)}
    numbers = (
        {} if any(label in index for label in {one.label for one in found}) else {str(v): v for v in index.values()}
    )
    gold = []
    for one in found:
        if one.label is None:
            raise UserError("a text without a label", path=one.path, line=one.line)
        if one.label not in index and one.label not in numbers:
            hint = f"the model has {', '.join(labels[:5])}{' …' * (len(labels) > 5)}"
            raise UserError(f"unknown label {one.label!r}", path=one.path, line=one.line, hint=hint)
        gold.append(index[one.label] if one.label in index else numbers[one.label])
    return [one.text for one in found], gold, notes


def _tell(args: argparse.Namespace, labels: Sequence[str], counts: dict[str, Any]) -> None:
    whole, classes = scores(counts), per_class(matrix_of(counts["confusion"]))
    figures = {"examples": counts["examples"], "accuracy": whole["accuracy"], "macro_f1": whole["macro_f1"]}
    if args.positive is not None:
        one = classes[labels.index(args.positive)]
        figures |= {"positive": args.positive, "precision": one.precision, "recall": one.recall, "f1": one.f1}
    if args.json:
        of_class = [{"label": label, **vars(one)} for label, one in zip(labels, classes, strict=True)]
        print(json.dumps({**figures, "classes": of_class}, ensure_ascii=False, indent=1))
        return
    rows = [_row(label, one) for label, one in zip(labels, classes, strict=True)]
    print(tabulate(rows, headers=("label", "texts", "precision", "recall", "F1"), disable_numparse=True))
    print(
        ", ".join(
            f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {shown(str(value))}"
            for name, value in figures.items()
        )
    )


def _row(label: str, one: ClassScores) -> tuple[str, str, str, str, str]:
    return shown(label), str(one.support), f"{one.precision:.4f}", f"{one.recall:.4f}", f"{one.f1:.4f}"
