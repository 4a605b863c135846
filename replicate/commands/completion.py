"""`replicate completion`: the shell's own script for these commands."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate completion`."""
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="which shell")


def run(args: argparse.Namespace) -> int:
    """`replicate completion`."""
    import shtab

    # It is asked for every command's flags, which only completion wants all of.
    from replicate.commands.main import build_parser

    print(shtab.complete(build_parser(), args.shell))
    return 0
