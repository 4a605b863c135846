"""`replicate pretrain`: masked language modelling of a net of one's own."""

from __future__ import annotations

import argparse
from pathlib import Path

from replicate.commands.flags import Flag, Offer, add_device, add_options, add_visualdl, settings_in
from replicate.commands.stages import divergence, profile_options
from replicate.common.files import resumable_folder
from replicate.common.progress import Progress
from replicate.corpus.formats import read_lines
from replicate.stages.kind import options_of
from replicate.stages.pretrain import PretrainOptions, pretrain

# The profile whose net is made where no other is named.
CONFIG = "small"
_OF_PROFILE = "--config names a profile whose [pretrain] says it"
OFFER = Offer(
    PretrainOptions,
    flags={"passes": Flag(unset="the profile's")},
    withheld=dict.fromkeys(
        (
            "architecture",
            "dropout",
            "batch_size",
            "learning_rate",
            "warmup_proportion",
            "weight_decay",
            "mask_probability",
            "heldout",
            "max_seq_length",
            "minimum_count",
        ),
        _OF_PROFILE,
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate pretrain`."""
    add = parser.add_argument
    add("--corpus", type=Path, required=True, metavar="FILE", help="unlabelled texts, one a line")
    add("--save_dir", type=Path, required=True, metavar="DIR", help="where the model is written")
    what = f"profile TOML whose [pretrain] is used (default: profiles/{CONFIG}.toml)"
    add("--config", metavar="FILE", help=what)
    add("--model_name", metavar="NAME", help="continue from a PaddleNLP name or model folder instead")
    add_options(parser, OFFER)
    add_device(parser)
    add_visualdl(parser)


def run(args: argparse.Namespace) -> int:
    """`replicate pretrain`."""
    from replicate.nets.device import set_device

    named = {**profile_options(args.config or CONFIG, "pretrain"), **settings_in(args, OFFER)}
    settings = options_of(PretrainOptions, named)
    lines = read_lines(args.corpus)
    set_device(args.device)
    with resumable_folder(args.save_dir) as folder, divergence():
        summary = pretrain(lines, settings, folder, Progress("pretrain"), args.model_name)
    loss, accuracy = summary["heldout_loss"], summary["heldout_accuracy"]
    print(f"{summary['steps']} steps; held-out loss {loss:.4f}, accuracy {accuracy:.4f}")
    print(f"model in {args.save_dir}")
    return 0
