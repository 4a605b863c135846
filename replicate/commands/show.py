"""`replicate show`: where a row is from, its stages, its figures."""

from __future__ import annotations

import argparse
import json

from tabulate import tabulate

from replicate.commands.flags import add_json
from replicate.common.errors import UserError
from replicate.common.paths import MEASURED
from replicate.records.run import load_records
from replicate.scores.metrics import scores
from replicate.tables.file import load_tables


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate show`."""
    parser.add_argument("row", metavar="ROW", help="row id, or table/row")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """`replicate show`: one row, or those of several tables that have one name."""
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
