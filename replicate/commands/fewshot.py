"""`replicate fewshot`: a classifier from a few labelled lines of each class of one's own data."""

from __future__ import annotations

import argparse
from pathlib import Path

from replicate.commands.flags import Offer, add_options, add_start, add_training, options_in
from replicate.commands.stages import dataset_of, divergence, warn_of_cut
from replicate.common.files import finished_folder, resumable_folder, to_json
from replicate.common.progress import Progress
from replicate.corpus.formats import Dataset, Split, labelled_lines
from replicate.runs.leases import leased
from replicate.scores.metrics import scores
from replicate.stages.fewshot.linear import linear
from replicate.stages.fewshot.prompt import PromptOptions
from replicate.stages.fewshot.shots import ShotsOptions, draw

METHODS = ("prompt", "finetune", "linear")
OFFER = Offer(PromptOptions)
_SCORES = ("accuracy", "macro_f1")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate fewshot`."""
    add = parser.add_argument
    add("--per_class", type=int, required=True, metavar="N", help="labelled lines of each class, drawn by --seed")
    what = "fill in the label behind [MASK], fine-tune as usual, or a linear model, which is no net (default: prompt)"
    add("--method", choices=METHODS, default="prompt", help=what)
    what = "where the model is written; of a linear one its scores and the lines that it learnt from"
    add("--save_dir", type=Path, required=True, metavar="DIR", help=what)
    add_start(parser, "or a folder that pretrain or fewshot wrote")
    add_options(parser, OFFER)
    add_training(parser, "loss")


def run(args: argparse.Namespace) -> int:
    """`replicate fewshot`."""
    settings = options_in(args, OFFER)
    shots = ShotsOptions(args.per_class)
    dataset = dataset_of(args.dataset_dir)
    train = dataset.train.at(draw(dataset.train, dataset.labels, shots.per_class, args.seed))
    if args.method == "linear":
        return _linear(args, dataset, train)
    from replicate.nets.classifier import load_classifier
    from replicate.nets.device import seed_everything, set_device
    from replicate.stages.fewshot.prompt import start_of
    from replicate.stages.finetune import finetune

    set_device(args.device)
    with leased(args.model_name), resumable_folder(args.save_dir) as folder, divergence():
        seed_everything(args.seed)
        if args.method == "prompt":
            classifier, _ = start_of(args.model_name, dataset.labels)
        else:
            classifier = load_classifier(args.model_name, dataset.labels)
        progress = Progress("fewshot", every=args.logging_steps)
        summary = finetune(classifier, train, dataset.dev, settings.as_finetuning(), args.seed, folder, progress)
    warn_of_cut(dataset, settings.max_seq_length)
    print(f"{_told(args, train, scores(summary['evaluation']['counts']))} after {summary['steps']} steps")
    print(f"model in {args.save_dir}")
    return 0


def _linear(args: argparse.Namespace, dataset: Dataset, train: Split) -> int:
    """Train, score and write down the linear model's scores and lines."""
    found = scores(linear(train, dataset.dev, len(dataset.labels))["evaluation"]["counts"])
    lines = (f"{line}\n" for line in labelled_lines(train, dataset.labels))
    with finished_folder(args.save_dir) as folder:
        told = {"per_class": args.per_class, "seed": args.seed, **{name: found[name] for name in _SCORES}}
        (folder / "scores.json").write_text(to_json(told, sort_keys=False), encoding="utf-8")
        (folder / "train.txt").write_text("".join(lines), encoding="utf-8")
    print(_told(args, train, found))
    print(f"scores and lines in {args.save_dir}")
    return 0


def _told(args: argparse.Namespace, train: Split, found: dict[str, float]) -> str:
    figures = ", ".join(f"{name} {found[name]:.4f}" for name in _SCORES)
    return f"{args.method}, {args.per_class} lines of each class, {len(train)} in all: {figures} on dev"
