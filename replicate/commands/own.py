"""What a run on somebody's own data begins with, an audit of them, and ends with: test set, speed, report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from replicate.commands.audit import one_line
from replicate.common.errors import UserError
from replicate.common.progress import warn
from replicate.findings.own_data import OwnAudit, own_audit
from replicate.records.run import read_records
from replicate.runs.runner import Runner

if TYPE_CHECKING:
    from replicate.commands.session import Session


def told_audit(runner: Runner) -> OwnAudit | None:
    """Tell somebody who is about to train on own data how clean they are.

    Returns:
        The audit, for the report; None for the project's data.
    """
    if runner.on_article:
        return None
    own = own_audit(runner.dataset, runner.profile)
    if not runner.quiet or any(own.found.warnings()):
        warn([one_line(own)])
    return own


@contextmanager
def kept_if_ended(runner: Runner, audit: OwnAudit | None) -> Iterator[None]:
    """Writes the report on somebody's own data where its runs end early: what has been run until then is not lost."""
    try:
        yield
    except UserError:
        if not runner.on_article and read_records(runner.records):
            from replicate.report import build as report

            report.write_own(runner.records, runner.dataset, audit=audit)
        raise


def end(session: Session, audit: OwnAudit | None) -> Path:
    """Time the nets, score on the test set what dev has chosen, and write the report.

    Returns:
        The path of its front page.
    """
    from replicate.commands.speed import time_nets
    from replicate.report import build as report
    from replicate.runs.held_out import score_held_out

    runner = session.runner
    scored = [one for one in session.results.values() if one.scores]
    nets = [one for one in scored if one.row.role is None]
    chosen = [one for one in scored if one.row.role == "baseline"]
    chosen += [max(nets, key=lambda one: one.summary("accuracy")[0])] if nets else []
    score_held_out(runner, [record for one in chosen for record in one.records])
    try:
        time_nets(runner)
    except UserError as error:
        # Hours of rows are not lost for want of their speed.
        warn([f"how fast the nets are was not measured: {error}"])
    return report.write_own(runner.records, runner.dataset, audit=audit)
