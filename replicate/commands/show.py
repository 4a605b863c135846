"""`replicate show`: where a row is from, its stages, its figures."""

from __future__ import annotations

import argparse
import json

from tabulate import tabulate

from replicate.commands.flags import add_json
from replicate.common.errors import UserError
from replicate.common.paths import MEASURED
from replicate.records.run import load_records
from replicate.runs.plan import Sources, Stage, plan
from replicate.runs.tree import dot, settings_told, tree
from replicate.scores.metrics import scores
from replicate.tables.file import load_tables
from replicate.tables.profile import Profile, load_profile, profile_ids
from replicate.tables.table import MEMBER, ResultsTable, Row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate show`."""
    parser.add_argument("row", metavar="ROW", help="row id, or table/row")
    parser.add_argument("--profile", metavar="P", help="whose settings to show (default: the first that runs the row)")
    parser.add_argument("--dot", action="store_true", help="the plan alone, as Graphviz text")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """`replicate show`: one row, or those of several tables that have one name."""
    found = [(t, r) for t in load_tables().values() for r in t.rows if args.row in _names(r)]
    if not found:
        raise UserError(f"no row {args.row!r}", hint="`replicate list` names them")
    if args.dot:
        for table, row in found:
            print(dot(_plan(table, row, _profile(row, args.profile)), row.full_id), end="")
        return 0
    # A profile that isn't there is told before anything is printed.
    profiles = [_profile(row, args.profile) if row.recipe else None for _, row in found]
    for (table, row), profile in zip(found, profiles, strict=True):
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
        if profile:
            print(f"under {profile.id}:", *tree(_plan(table, row, profile), settings_told), sep="\n")
        else:
            print(f"not-run: {row.not_run}")
        if published:
            print(tabulate([published], headers="keys", disable_numparse=True))
        print(tabulate(measured, headers="keys", disable_numparse=True) if measured else "measured: not-run")
    return 0


def _names(row: Row) -> tuple[str, ...]:
    """What a row is called; a member, which is called as the row whose nets it has, by its table too."""
    return (row.full_id,) if row.role == MEMBER else (row.id, row.full_id)


def _profile(row: Row, name: str | None) -> Profile:
    """The profile of that name, or the first that runs the row, the article's own before the others."""
    profiles = [load_profile(one) for one in ([name] if name else profile_ids())]
    running = [one for one in profiles if name or (row.table in one.tables and row.planned_under(one.id))]
    if not row.recipe or not running:
        raise UserError(f"row {row.full_id} is not run", hint=row.not_run)
    return min(running, key=lambda one: not one.comparable)


def _plan(table: ResultsTable, row: Row, profile: Profile) -> Stage:
    """The row's plan, of data that nobody has read yet."""
    return plan(table, row.id, profile, 1, Sources({}, "", {}))
