"""`replicate finetune`: a classifier of one's own data, with the flags of the article's script."""

from __future__ import annotations

import argparse
from pathlib import Path

from replicate.commands.flags import Flag, Offer, Switch, add_options, add_start, add_training, options_in
from replicate.commands.stages import dataset_of, divergence, profile_options, tell, warn_of_cut
from replicate.common.files import resumable_folder
from replicate.common.progress import Progress
from replicate.nets.tokens import build_vocabulary
from replicate.runs.leases import leased
from replicate.stages.finetune import FinetuneOptions, finetune

_ASKED_FOR = "the article's script does it where it is asked to, and its command line asks"
OFFER = Offer(
    FinetuneOptions,
    flags={
        "warmup_proportion": Flag(switch=Switch("warmup", 0.0, "let the learning rate rise first", _ASKED_FOR)),
        "early_stop_nums": Flag(switch=Switch("early_stop", 0, "stop when the score no longer rises", _ASKED_FOR)),
    },
    withheld={"start": "--config gives a net with random weights, of any shape"},
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate finetune`."""
    add = parser.add_argument
    add("--save_dir", type=Path, default=Path("checkpoint"), metavar="DIR", help="where the best model is written")
    add_start(parser, "model folder, or an ERNIE's Hugging Face folder")
    what = "profile TOML: a random start with its architecture and a vocabulary of the training text"
    add("--config", metavar="FILE", help=what)
    add("--init_from_ckpt", metavar="DIR", help="model folder to start from")
    add_options(parser, OFFER)
    add_training(parser, "loss")


def run(args: argparse.Namespace) -> int:
    """`replicate finetune`."""
    from replicate.nets.classifier import classifier_from_config, load_classifier
    from replicate.nets.device import seed_everything, set_device

    settings = options_in(args, OFFER)
    dataset = dataset_of(args.dataset_dir)
    set_device(args.device)
    start = args.init_from_ckpt or args.model_name
    with leased(start), resumable_folder(args.save_dir) as folder, divergence():
        seed_everything(args.seed)
        if args.config:
            architecture = profile_options(args.config, "pretrain")["architecture"]
            classifier = classifier_from_config(
                architecture, build_vocabulary(dataset.train.texts), dataset.labels, folder
            )
        else:
            classifier = load_classifier(start, dataset.labels)
        progress = Progress("finetune", every=args.logging_steps)
        summary = finetune(classifier, dataset.train, dataset.dev, settings, args.seed, folder, progress)
    warn_of_cut(dataset, settings.max_seq_length)
    return tell(summary, args.save_dir)
