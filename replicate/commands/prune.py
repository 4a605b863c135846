"""`replicate prune`: a fine-tuned classifier made smaller, with the flags of the article's script."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from replicate.commands.flags import Flag, Offer, add_options, add_training, options_in
from replicate.commands.stages import dataset_of, divergence, tell, warn_of_cut
from replicate.common.errors import UserError
from replicate.common.files import resumable_folder
from replicate.common.progress import Progress
from replicate.corpus import kuake
from replicate.nets.logits import BATCH
from replicate.runs.leases import leased
from replicate.stages.prune.options import PruneOptions, folder_of
from replicate.stages.prune.prune import prune

_CONTROL = "a control of the study of compression, whose rows ask for it; nobody would want its net"
_ARTICLE = "the article's script has no such flag; rows and profiles can set it"
OFFER = Offer(
    PruneOptions,
    flags={
        "width": Flag("width_mult", metavar="W"),
        "batch_size": Flag("per_device_train_batch_size"),
        "epochs": Flag("num_train_epochs"),
        "depth": Flag("depth_mult", metavar="D"),
        "select": Flag(unset="f1 for KUAKE-QIC's labels, else macro_f1"),
    },
    withheld={
        "warmup_proportion": _ARTICLE,
        "weight_decay": _ARTICLE,
        "start": _CONTROL,
        "targets": _CONTROL,
    },
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate prune`."""
    add = parser.add_argument
    add("--params_dir", required=True, metavar="DIR", help="model folder of the fine-tuned parent")
    where = "the model is written into DIR/<width>, e.g. DIR/0.67"
    add("--output_dir", type=Path, default=Path("prune"), metavar="DIR", help=where)
    add_options(parser, OFFER)
    unused = f"taken for the article's command line; evaluation batches are of {BATCH}"
    add("--per_device_eval_batch_size", type=int, metavar="N", help=unused)
    add_training(parser, "accuracy")


def run(args: argparse.Namespace) -> int:
    """`replicate prune`."""
    from replicate.nets.classifier import load_classifier
    from replicate.nets.device import seed_everything, set_device

    settings = options_in(args, OFFER)
    dataset = dataset_of(args.dataset_dir)
    if args.select is None and dataset.labels != kuake.LABELS:
        # Class 1 is the article's; of other data it is whatever label happens to be the second.
        settings = replace(settings, select="macro_f1")
    target = args.output_dir / folder_of(settings)
    set_device(args.device)
    with leased(args.params_dir), resumable_folder(target) as folder, divergence():
        seed_everything(args.seed)
        classifier = load_classifier(args.params_dir)
        if classifier.labels != dataset.labels:
            raise UserError("the model has other labels than the data", path=args.params_dir)
        progress = Progress("prune", every=args.logging_steps)
        summary = prune(classifier, dataset.train, dataset.dev, settings, args.seed, folder, progress)
    warn_of_cut(dataset, settings.max_seq_length)
    return tell(summary, target)
