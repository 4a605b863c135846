"""`replicate fuse`: several models of one's own as one model folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from replicate.commands.flags import Offer, add_device, add_options, options_in
from replicate.common.errors import UserError
from replicate.common.files import finished_folder
from replicate.corpus.formats import read_split
from replicate.runs.leases import leased
from replicate.stages.fuse.options import WEIGHED, FuseOptions

OFFER = Offer(FuseOptions)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate fuse`."""
    add = parser.add_argument
    what = "model folders of one label.txt and one vocab.txt: what finetune, prune or distill wrote"
    add("models", nargs="+", type=Path, metavar="MODEL", help=what)
    add("--save_dir", type=Path, required=True, metavar="OUT", help="new or empty folder for the result")
    what = f"labelled lines, text<TAB>label, that no member was trained on; {' and '.join(WEIGHED)} need them"
    add("--held", type=Path, metavar="FILE", help=what)
    add_options(parser, OFFER)
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """`replicate fuse`."""
    settings = options_in(args, OFFER)
    if args.held and settings.how not in WEIGHED:
        raise UserError(f"--held is for {' and '.join(WEIGHED)}", hint="leave it out, or name one of them with --how")
    if len({path.resolve() for path in args.models}) < len(args.models):
        raise UserError("a model is named twice", hint="name each member once")
    from replicate.nets.classifier import load_classifier
    from replicate.nets.device import set_device
    from replicate.nets.folder import save_model
    from replicate.stages.fuse.fuse import fuse

    set_device(args.device)
    with leased(*args.models), finished_folder(args.save_dir) as folder:
        members = {str(path): load_classifier(path) for path in args.models}
        labels = next(iter(members.values())).labels
        fused = fuse(members, settings, read_split(args.held, labels) if args.held else None)
        save_model(fused.classifier.network, fused.classifier.tokenizer, folder, labels)
    for path, share in zip(args.models, fused.shares, strict=True):
        print(f"{share:.4f}  {path}")
    print(f"{settings.how} of {len(members)}, {fused.classifier.parameters:,} parameters; model in {args.save_dir}")
    return 0
