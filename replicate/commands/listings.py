"""`replicate list` and `replicate show`: what the tables and the accepted records hold."""

from __future__ import annotations

import argparse
import json

from tabulate import tabulate

from replicate.common.errors import UserError
from replicate.common.paths import MEASURED
from replicate.records.run import load_records
from replicate.scores.metrics import scores
from replicate.tables.file import load_tables


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `replicate list`."""
    parser.add_argument("--json", action="store_true", help="as JSON")


def list_command(args: argparse.Namespace) -> int:
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
        for table in sorted(
            load_tables().values(), key=lambda table: (not table.main, not table.is_published, not table.claims)
        )
        for row in table.rows
    ]
    print(
        json.dumps(rows, ensure_ascii=False, indent=1)
        if args.json
        else tabulate(rows, headers="keys", disable_numparse=True)
    )
    return 0


def add_show_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `replicate show`."""
    parser.add_argument("row", metavar="ROW", help="row id, or table/row")
    parser.add_argument("--json", action="store_true", help="as JSON")


def show_command(args: argparse.Namespace) -> int:
    """`replicate show`: one row."""

    found = [(t, r) for t in load_tables().values() for r in t.rows if args.row in (r.id, r.full_id)]
    if not found:
        raise UserError(f"no row {args.row!r}", hint="`replicate list` names them")
    for table, row in found:
        records = [record for record in load_records(MEASURED) if (record.table, record.row) == (table.id, row.id)]
        measured = [
            {"profile": record.profile, "seed": record.seed, "status": record.status}
            | ({name: round(value, 4) for name, value in scores(record.counts).items()} if record.counts else {})
            for record in records
        ]
        published = {name: figure.printed for name, figure in row.published.items()}
        recipe = [{"stage": step.stage, **step.options} for step in table.chain(row.id)] if row.recipe else []
        if args.json:
            facts = {
                "row": row.full_id,
                "title": row.title,
                "published": published,
                "recipe": recipe,
                "measured": measured,
            }
            print(json.dumps(facts, ensure_ascii=False, indent=1))
            continue
        print(f"{row.full_id}: {row.title}")
        if row.provenance:
            print(f"from: {row.provenance.section}; {row.provenance.log}. {row.provenance.note}")
        print(
            "stages: "
            + (" → ".join(json.dumps(step, ensure_ascii=False) for step in recipe) or f"not-run: {row.not_run}")
        )
        if published:
            print(tabulate([published], headers="keys", disable_numparse=True))
        print(tabulate(measured, headers="keys", disable_numparse=True) if measured else "measured: not-run")
    return 0
