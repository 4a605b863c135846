"""`replicate distill`: a small student of a fine-tuned classifier."""

from __future__ import annotations

import argparse
from pathlib import Path

from replicate.commands.flags import Flag, Offer, add_options, add_training, options_in
from replicate.commands.stages import dataset_of, divergence, warn_of_cut
from replicate.common.errors import UserError
from replicate.common.files import resumable_folder
from replicate.common.progress import Progress
from replicate.corpus.formats import read_lines
from replicate.runs.leases import leased
from replicate.scores.metrics import scores
from replicate.stages.distill.distill import distill
from replicate.stages.distill.options import DistillOptions
from replicate.stages.distill.transfer_set import check_enough, spare_texts

OFFER = Offer(
    DistillOptions,
    flags={
        "shape": Flag(metavar="KEY=N,…"),
        # `--unlabelled` names a file.
        "unlabelled": Flag("unlabelled_per_text", metavar="N"),
        "copies": Flag(metavar="N"),
        "mix": Flag(metavar="S=W,…"),
    },
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate distill`."""
    add = parser.add_argument
    what = "model folder of a fine-tuned classifier; of several the mean of their probabilities teaches"
    add("--teacher", required=True, nargs="+", metavar="DIR", help=what)
    add("--output_dir", type=Path, required=True, metavar="DIR", help="where the student is written")
    add("--unlabelled", type=Path, metavar="FILE", help="more unlabelled texts, one a line, beside data.txt")
    add_options(parser, OFFER)
    add_training(parser, "loss", ", data.txt")


def run(args: argparse.Namespace) -> int:
    """`replicate distill`."""
    from replicate.nets.classifier import load_classifier
    from replicate.nets.device import set_device
    from replicate.nets.ensembles import build_ensemble

    settings = options_in(args, OFFER)
    dataset = dataset_of(args.dataset_dir)
    unlabelled = (*dataset.unlabelled, *(read_lines(args.unlabelled) if args.unlabelled else ()))
    if settings.unlabelled:
        there = spare_texts(unlabelled, dataset.train, dataset.dev.texts)
        check_enough(round(settings.unlabelled * len(dataset.train)), len(there))
    set_device(args.device)
    if len({Path(path).resolve() for path in args.teacher}) < len(args.teacher):
        raise UserError("a teacher is named twice", hint="name each once")
    with leased(*args.teacher), resumable_folder(args.output_dir) as folder, divergence():
        teachers = {path: load_classifier(path) for path in args.teacher}
        for path, one in teachers.items():
            if one.labels != dataset.labels:
                raise UserError("the teacher has other labels than the data", path=path)
        teacher = build_ensemble(teachers, "mean") if len(teachers) > 1 else teachers[args.teacher[0]]
        progress = Progress("distill", every=args.logging_steps)
        summary = distill(
            teacher, dataset.train, dataset.dev, lambda: unlabelled, settings, args.seed, folder, progress
        )
    warn_of_cut(dataset, settings.max_seq_length)
    found, taught = scores(summary["evaluation"]["counts"]), summary["teacher"]
    print(
        f"{args.student} of {summary['parameters']:,} parameters from {summary['examples']:,} texts "
        f"({summary['augmented']:,} augmented, {summary['unlabelled']:,} unlabelled): "
        f"accuracy {found['accuracy']:.4f} at step {summary['best_step']} of {summary['steps']}, "
        f"macro_f1 {found['macro_f1']:.4f}, teacher {taught['accuracy']:.4f}; model in {args.output_dir}"
    )
    return 0
