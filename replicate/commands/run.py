"""`replicate run`: rows, seeds and what they give."""

from __future__ import annotations

import argparse
import json
from typing import Any

from tabulate import tabulate

from replicate.commands.flags import add_json, add_offline, add_profile, add_visualdl, seeds_of
from replicate.common.errors import UserError
from replicate.common.paths import MEASURED, REPORT, store_root
from replicate.common.progress import watch
from replicate.records.run import Record
from replicate.runs.runner import Runner, selected
from replicate.runs.store import Store
from replicate.scores.metrics import scores
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile
from replicate.tables.table import ResultsTable

HEAD = ("row", "seed", "status", "accuracy", "F1 (class 1)", "macro-F1", "seconds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate run`."""
    add = parser.add_argument
    add("rows", nargs="*", metavar="ROW", help="row ids (default: every row that the profile runs)")
    add_profile(parser, "paper, small or smoke")
    add("--seeds", type=seeds_of, metavar="1,2,3", help="instead of the profile's seeds")
    add("--device", metavar="DEVICE", help="cpu or gpu, instead of the profile's device")
    add("--dataset_dir", metavar="DIR", help="your own train.txt, dev.txt and label.txt, instead of the profile's data")
    add("--dry-run", action="store_true", help="list what would run and what is kept")
    add("--accept", action="store_true", help="keep the records in measured/ and rewrite REPORT.md")
    add_offline(parser)
    add("--quiet", action="store_true", help="show no progress")
    add_json(parser)
    add_visualdl(parser)


def run(args: argparse.Namespace) -> int:
    """`replicate run`: 0 where every run ended well."""
    if args.accept and args.dataset_dir:
        raise UserError("--accept is for the profile's own data", hint="records of other data stay in the store")
    profile = load_profile(args.profile).changed(seeds=args.seeds, device=args.device, dataset=args.dataset_dir)
    runner = Runner(profile, Store(store_root()), quiet=args.quiet, offline=args.offline)
    rows = list(selected(load_tables(), profile, tuple(args.rows)))
    if args.dry_run:
        _tell(_planned(runner, rows), args.json)
        return 0
    # Faults of the data and the settings are told before anything runs.
    for table, row in rows:
        runner.planned(table, row, profile.seeds[0])
    records = []
    for table, row in watch(rows, lambda one: one[1], args.quiet):
        for seed in watch(profile.seeds, f"{row} · seed {{}}".format, args.quiet, log=True):
            record = runner.run(table, row, seed)
            runner.keep(record, MEASURED if args.accept else None)
            records.append(record)
    _tell([_result(record) for record in records], args.json)
    where = _report(runner, args.accept, bool(args.dataset_dir))
    if not args.json:
        print(where)
    return int(any(record.status != "ok" for record in records))


def _planned(runner: Runner, rows: list[tuple[ResultsTable, str]]) -> list[dict[str, Any]]:
    """The stages of each row and seed, and whether the store has them."""
    return [
        {
            "row": row,
            "seed": seed,
            "stage": stage.name,
            "key": stage.key[:12],
            "state": "kept" if runner.kept(stage) else "would run",
        }
        for table, row in rows
        for seed in runner.profile.seeds
        for stage in runner.planned(table, row, seed)
    ]


def _result(record: Record) -> dict[str, Any]:
    """What is printed of a record."""
    found = scores(record.counts) if record.counts else {}
    figures = (f"{found[name]:.4f}" if found else "-" for name in ("accuracy", "f1", "macro_f1"))
    return dict(zip(HEAD, (record.row, record.seed, record.status, *figures, f"{record.seconds:.0f}"), strict=True))


def _tell(lines: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(lines, ensure_ascii=False, indent=1))
    else:
        print(tabulate(lines, headers="keys", disable_numparse=True))


def _report(runner: Runner, accepted: bool, own: bool) -> str:
    """Writes the report that the records belong in; says where everything is."""
    from replicate.report import build as report

    if own:
        path = report.write_own(runner.records, runner.dataset)
        return f"records in {runner.records}; report in {path} and {path.with_name('report.html')}"
    if accepted:
        report.write()
        return f"records in {MEASURED / runner.profile.id}; report in {REPORT}"
    return f"records in {runner.records}; `--accept` keeps them in measured/ and rewrites REPORT.md"
