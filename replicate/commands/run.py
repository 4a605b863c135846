"""`replicate run`: rows, seeds and what they give."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from replicate.commands.auto import about_nets, budget_of, seeds_at_once, with_choice
from replicate.commands.dry import as_trees, as_values
from replicate.commands.engine import OPTIONS, engine_of
from replicate.commands.flags import PROFILE, add_json, add_offline, add_visualdl, seeds_of
from replicate.commands.own import end, kept_if_ended, told_audit
from replicate.common.cores import cores
from replicate.common.errors import UserError, shown
from replicate.common.paths import REPORT, store_root
from replicate.common.progress import warn
from replicate.corpus.checkup import told
from replicate.findings.own_data import OwnAudit, own_checkup
from replicate.records.run import Record
from replicate.runs.ask import seeds_of as seeds_asked
from replicate.runs.ask import selected
from replicate.runs.budget import within
from replicate.runs.engine import Engine, at_once
from replicate.runs.plan import Stage
from replicate.runs.runner import Runner
from replicate.runs.status import status_of
from replicate.runs.status import told as told_status
from replicate.runs.store import Store
from replicate.scores.metrics import matrix_of, per_class, scores
from replicate.tables.auto import AUTO, BUDGET, minutes
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile
from replicate.tables.table import ResultsTable

if TYPE_CHECKING:
    from replicate.commands.session import Session

CLASS_1 = "F1 (class 1)"
HEAD = ("row", "seed", "status", "accuracy", CLASS_1, "macro-F1", "seconds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replicate run`."""
    add = parser.add_argument
    add(
        "rows",
        nargs="*",
        metavar="ROW",
        help="ids of rows, or of tables for all of theirs (default: every row that the profile runs)",
    )
    add(
        "--profile",
        metavar="P",
        help=f"paper, small, exploratory, smoke or auto (default: {PROFILE}, with --dataset_dir {AUTO})",
    )
    add(
        "--budget",
        type=budget_of,
        metavar="30m",
        help=f"with {AUTO}: the time that what it chooses should take (default: {minutes(BUDGET)}); elsewhere: run the "
        "seeds, or rows of one seed, that fit by the records' times, and stop after it, with checkpoints",
    )
    add("--seeds", type=seeds_of, metavar="1,2,3", help="instead of the profile's seeds")
    add(
        "--until-decided",
        action="store_true",
        help="run the rows of the tables' plans, seeds from 1 on, until every claim of a plan is decided",
    )
    add("--max-seeds", type=int, metavar="N", help="with --until-decided: stop at so many seeds in all")
    add("--plan", action="store_true", help="with --until-decided: say what to expect of it, and run nothing")
    add("--device", metavar="DEVICE", help="cpu or gpu, instead of the profile's device")
    add("--dataset_dir", metavar="DIR", help="your own train.txt, dev.txt and label.txt, instead of the profile's data")
    add("--positive", metavar="LABEL", help="print precision, recall and F1 of this label too")
    add("--dry-run", action="store_true", help="print the plan of each row as a tree: what would run and what is kept")
    add(
        "--accept",
        action="store_true",
        help="also keep the records in measured/, as the baseline of later runs, and rewrite REPORT.md; a row that "
        "differs from its own baseline, or failed, is refused by name",
    )
    add("--accept-changed", action="store_true", help="as --accept, rows that differ or failed included")
    for name, told_of in OPTIONS:
        add(*(["-j"] if name == "--processes" else []), name, **told_of)
    add(
        "--status",
        action="store_true",
        help="say how far the runs on the store are that others have begun, and run nothing",
    )
    add_offline(parser)
    add("--quiet", action="store_true", help="show no progress")
    add_json(parser)
    add_visualdl(parser)


def run(args: argparse.Namespace) -> int:
    """`replicate run`: 0 where every run ended well, and every row was accepted that should have been."""
    if args.status:
        return _tell_status(args.json)
    _check_flags(args)
    accepting = args.accept or args.accept_changed
    if accepting and args.dataset_dir:
        raise UserError("--accept is for the profile's own data", hint="records of other data stay in the store")
    name = args.profile or (AUTO if args.dataset_dir else PROFILE)
    profile = load_profile(name).changed(seeds=args.seeds, device=args.device, dataset=args.dataset_dir)
    runner = Runner(profile, Store(store_root()), quiet=args.quiet, offline=args.offline)
    tables, names = load_tables(), tuple(args.rows)
    if name == AUTO and about_nets(tables, names):
        if not args.engine:
            args.processes = args.processes or seeds_at_once(profile.device)
        keep, whole = not (args.dry_run or args.plan), not (names or args.seeds or args.until_decided)
        runner, chosen = with_choice(runner, args.budget, args.seeds, args.processes or cores(), keep, whole)
        profile, names = runner.profile, names or chosen
    engine = engine_of(partial(_said, args), None if name == AUTO else args.budget)
    if args.until_decided:
        return _run_until(args, runner, tables, engine)
    rows = [*selected(tables, profile, names)]
    if args.dataset_dir:
        rows = _that_fit(runner, rows, bool(args.rows))
    if args.positive is not None and args.positive not in (labels := runner.dataset.labels):
        raise UserError(f"positive is {args.positive!r}", hint=f"the labels: {', '.join(labels)}")
    if engine.limits.budget is not None and rows:
        fit = within(runner, rows, engine.limits.budget, at_once(engine, profile.device))
        warn([fit.told])
        rows, runner = [*fit.rows], fit.runner
        profile = runner.profile
    if args.dry_run:
        plans = [
            (table, row, {seed: runner.last(table, row, seed) for seed in seeds_asked(table, row, profile)})
            for table, row in rows
        ]
        if args.json:
            _tell(as_values(runner, plans), True)
        else:
            print(*as_trees(runner, plans, at_once(engine, profile.device)), sep="\n")
        return 0
    # The report's imports are many, and --help and --dry-run need none of them.
    from replicate.commands.session import Session

    audit = told_audit(runner)
    session = Session(runner, tables, engine=engine)
    with closing(session), kept_if_ended(runner, audit):
        session.run(table.row(row) for table, row in rows)
    _tell([_result(record, not args.dataset_dir, args.positive) for record in session.records], args.json)
    return _finish(args, session, audit)


def _check_flags(args: argparse.Namespace) -> None:
    """Refuse options that don't go together."""
    if not args.until_decided:
        for name, given in (("--max-seeds", args.max_seeds is not None), ("--plan", args.plan)):
            if given:
                raise UserError(f"{name} is about a plan's seeds", hint="add --until-decided")
        return
    if args.seeds:
        raise UserError("--until-decided takes seeds from 1 on", hint="leave out --seeds; --max-seeds N stops before")
    if args.positive is not None:
        raise UserError("--positive is for rows", hint="--until-decided decides claims; leave one of them out")
    if args.dry_run:
        raise UserError("--dry-run is for seeds that are known", hint="--until-decided --plan says what to expect")
    if args.plan and (args.accept or args.accept_changed):
        raise UserError("--plan runs nothing that could be accepted", hint="leave out --plan or --accept")


def _run_until(args: argparse.Namespace, runner: Runner, tables: Mapping[str, ResultsTable], engine: Engine) -> int:
    """Seeds until the claims of the plans are decided, or what to expect of that."""
    # They need SciPy, and what is only printed doesn't.
    from replicate.commands import until
    from replicate.findings.rounds import fitting, studies_of

    studies = studies_of(tables, runner.profile, tuple(args.rows))
    until.check_seeds(studies, args.max_seeds)
    if args.plan:
        from replicate.commands.forecast import tell_forecasts

        tell_forecasts(runner, studies, args.json)
        return 0
    if args.dataset_dir:
        rows = [(study.table, row) for study in studies for row in study.rows]
        studies = fitting(studies, [(table.id, row) for table, row in _that_fit(runner, rows, bool(args.rows))])
        if not studies:
            raise UserError("these data are not enough for any claim", hint="plain `replicate run` takes single rows")
    from replicate.commands.session import Session

    audit = told_audit(runner)
    session = Session(runner, tables, engine=engine)
    with closing(session), kept_if_ended(runner, audit):
        ended = until.until_decided(session, studies, args.max_seeds)
    if args.json:
        _tell(until.told_as_json(ended), True)
    else:
        _tell(until.told(ended), False)
        print(f"plan in {until.plan_path(runner, session.measured)}" if session.plans else "no plan was kept")
    warn(until.told_failures(ended))
    return _finish(args, session, audit)


def _finish(args: argparse.Namespace, session: Session, audit: OwnAudit | None) -> int:
    """The report on own data, what is accepted, where everything is, and the exit code."""
    from replicate.commands.session import refusal

    accepting = args.accept or args.accept_changed
    own = end(session, audit) if args.dataset_dir else None
    decision = session.accept(args.accept_changed) if accepting else None
    if not args.json:
        print(_where(session, own, accepting))
    if decision and decision.refused:
        print(refusal(decision), file=sys.stderr)
        return 1
    return int(any(record.status != "ok" for record in session.records))


def _that_fit(runner: Runner, rows: list[tuple[ResultsTable, str]], named: bool) -> list[tuple[ResultsTable, str]]:
    """The rows that the user's data are enough for; the others are told. One that was named is refused instead."""
    warn(runner.dataset.notes)
    fitting: list[tuple[ResultsTable, str]] = []
    stages: dict[str, Stage] = {}
    for table, row in rows:
        if table.handicapped:
            if named:
                raise UserError(f"row {row} is about the profile's own data", hint="leave out --dataset_dir")
            continue
        last = runner.last(table, row, runner.profile.seeds[0])
        lack = runner.lacks(last)
        if lack and named:
            raise UserError(f"row {row} needs {lack}", hint="name other rows, or more data")
        if lack:
            warn([f"{row}: not run, since it needs {lack}"])
        else:
            fitting.append((table, row))
            stages |= {stage.key: stage for stage in last.chain(stages)}
    if any(stage.name == "finetune" for stage in stages.values()):
        found = told(own_checkup(runner.dataset, runner.profile, runner.unlabelled))
        warn(line for line in found if not runner.quiet or line.startswith("warning"))
    return fitting


def _said(args: argparse.Namespace, option: str) -> Any:
    return getattr(args, option.removeprefix("--").replace("-", "_"))


def _tell_status(as_json: bool) -> int:
    """How far the runs are that others have begun on this store."""
    runs = status_of(store_root())
    if as_json:
        print(json.dumps(runs, ensure_ascii=False, indent=1))
    else:
        print(*(told_status(runs) if runs else [f"nothing runs with --engine or -j on {store_root()}"]), sep="\n")
    return 0


def _result(record: Record, article: bool, positive: str | None) -> dict[str, Any]:
    """What is printed of a record; the F1 of class 1 only where that is the article's, and figures of a named label."""
    found = scores(record.counts) if record.counts else {}
    figures = (f"{found[name]:.4f}" if found else "-" for name in ("accuracy", "f1", "macro_f1"))
    told = zip(HEAD, (record.row, record.seed, record.status, *figures, f"{record.seconds:.0f}"), strict=True)
    line = {name: value for name, value in told if article or name != CLASS_1}
    if positive is not None:
        one = per_class(matrix_of(record.counts["confusion"]))[record.labels.index(positive)] if record.counts else None
        for name in ("precision", "recall", "f1"):
            line[f"{name.replace('f', 'F')} ({shown(positive)})"] = f"{getattr(one, name):.4f}" if one else "-"
    return line


def _tell(lines: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(lines, ensure_ascii=False, indent=1))
    else:
        print(tabulate(lines, headers="keys", disable_numparse=True))


def _where(session: Session, own: Path | None, accepting: bool) -> str:
    """Where everything is: records, the report on own data, what was accepted."""
    records = f"records in {session.runner.records}"
    if own:
        return f"{records}; report in {own} and {own.with_name('report.html')}"
    if accepting:
        return f"{records}; accepted into {session.measured / session.profile.id}; report in {REPORT}"
    return f"{records}; `--accept` keeps them in measured/ and rewrites REPORT.md"
