"""`replicate list`: the rows of every table."""

from __future__ import annotations

import argparse
import json

from tabulate import tabulate

from replicate.commands.flags import add_json
from replicate.common.paths import MEASURED
from replicate.records.run import load_records
from replicate.tables.file import load_tables
from replicate.tables.table import in_order


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate list`."""
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """`replicate list`: the rows of every table, those of the article first."""
    runs: dict[tuple[str, str], dict[str, int]] = {}
    for record in load_records(MEASURED):
        of = runs.setdefault((record.table, record.row), {})
        of[record.profile] = of.get(record.profile, 0) + 1
    rows = [
        {
            "row": row.full_id,
            "title": row.title,
            "published accuracy": row.published["accuracy"].printed if "accuracy" in row.published else "",
            "stages": " → ".join(step.stage for step in table.chain(row.id)) if row.recipe else "not-run",
            "records": ", ".join(f"{name} {count}" for name, count in sorted(runs.get((table.id, row.id), {}).items())),
        }
        for table in in_order(load_tables().values())
        for row in table.rows
    ]
    print(
        json.dumps(rows, ensure_ascii=False, indent=1)
        if args.json
        else tabulate(rows, headers="keys", disable_numparse=True)
    )
    return 0
