"""`replicate report`: REPORT.md with its pages, one HTML file, or the report on somebody's own data."""

from __future__ import annotations

import argparse
from pathlib import Path

from replicate.commands.flags import PROFILE
from replicate.common.errors import UserError
from replicate.common.paths import REPORT, store_root


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate report`."""
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a page is stale")
    parser.add_argument(
        "--html",
        nargs="?",
        type=Path,
        const=REPORT.with_name("report.html"),
        metavar="FILE",
        help="one HTML file instead",
    )
    parser.add_argument("--dataset_dir", metavar="DIR", help="the report on your own data, which `run` has recorded")
    parser.add_argument("--texts", action="store_true", help="embed the dev texts of your own data in its HTML file")


def run(args: argparse.Namespace) -> int:
    """`replicate report`: with `--check`, 1 where a page is stale."""
    from replicate.report import build as report

    if args.texts and not args.dataset_dir:
        raise UserError("--texts is for your own data", hint="name it with --dataset_dir")
    if args.check and (args.html or args.dataset_dir):
        raise UserError("--check is about REPORT.md alone")
    if args.check:
        return report.check()
    if args.dataset_dir:
        from replicate.runs.runner import Runner
        from replicate.runs.store import Store
        from replicate.tables.profile import load_profile

        # The folder of the records hangs on the data alone, not on the profile.
        runner = Runner(load_profile(PROFILE).changed(dataset=args.dataset_dir), Store(store_root()))
        path = report.write_own(runner.records, runner.dataset, args.html, args.texts)
        print(f"report in {path} and {args.html or path.with_name('report.html')}")
    elif args.html:
        report.write_html(args.html)
        print(f"report in {args.html}")
    else:
        report.write()
        print(f"report in {REPORT}")
    return 0
