"""Rounds of seeds until every claim of a plan is decided, as `replicate run` and `pytest bench` have them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replicate.commands.session import Session, kept_plans
from replicate.common.errors import UserError
from replicate.common.progress import warn
from replicate.findings.decided import Decided, decided, post_hoc_of
from replicate.findings.rounds import Study, next_asks, open_claims
from replicate.records.facts import commit, now
from replicate.records.plans import Kept, path_of, write_plans
from replicate.records.run import Record, check_fellows, read_records
from replicate.records.strata import of_plan
from replicate.report.words import interval, number, on_nets
from replicate.runs.ask import Ask
from replicate.runs.runner import Runner
from replicate.verdicts.plan import Claim

# What has to be as it was when a plan was kept, beside the margins of its metrics.
RULE = ("first", "most", "alpha", "spending", "rho", "nets", "pairing")
VERBS = {"lowers": "is below", "keeps": "is no worse than", "raises": "is above"}


@dataclass(frozen=True)
class Ended:
    """What the rounds of a study have come to.

    Attributes:
        study: the study.
        found: its verdicts.
        kept: the plan that was there before the first seed; None where there were seeds first.
        seeds: in all, at which the user has stopped; None where nobody has.
        failed: records of its rows that gave no score.
    """

    study: Study
    found: Decided
    kept: Kept | None
    seeds: int | None
    failed: tuple[Record, ...]


def check_seeds(studies: Sequence[Study], seeds: int | None) -> None:
    """Refuse a stop before any claim could be decided.

    Raises:
        UserError: says how many seeds the first look takes.
    """
    for study in studies:
        if seeds is not None and seeds < study.least:
            nets = on_nets(len(study.plan.nets))
            raise UserError(
                f"--max-seeds {seeds}: the first look of {study.table.id} takes {study.plan.first}{nets}",
                hint=f"give {study.least} or more; {study.plan.most * len(study.plan.nets)} is the plan's last look",
            )


def until_decided(session: Session, studies: Sequence[Study], seeds: int | None = None) -> tuple[Ended, ...]:
    """Run the studies' rows, round after round of seeds, until their claims are decided; the session has the rows.

    Each plan is kept before its first seed runs, and what runs next follows from the records that there are: after a
    stop or a kill the same call goes on to the same decisions.

    Args:
        session: runs the rows, and has the accepted records.
        studies: what is asked.
        seeds: in all, at which every row stops.

    Raises:
        UserError: records that can't stand beside each other, or something that no run would survive.
        Stopped: the user wants no more.
    """
    runner = session.runner
    fresh, accepted = read_records(runner.records), session.baseline if runner.on_article else ()
    seen = [*fresh, *accepted]
    session.plans = keep_plans(studies, runner, session.measured, seen)
    records: dict[str, Record] = {}
    for study in studies:
        current = _current(study, runner, _of(study, runner, fresh))
        # The accepted ones last: they are what the report is about.
        records |= {one.place: one for one in [*current, *_of(study, runner, accepted)]}
    first = True
    while True:
        check_fellows(records.values())
        found = {study.table.id: _decided(study, runner, records.values(), session.plans) for study in studies}
        if first:
            for study in studies:
                kept = session.plans.get(study.table.id)
                warn(about_plan(study, kept, _of(study, runner, seen)))
        asks = next_asks(studies, found, seeds)
        if not asks:
            break
        if not runner.quiet:
            warn([_round(asks, sum(len(open_claims(study, found[study.table.id])) for study in studies))])
        for record in runner.drive(asks, session.executor):
            records[record.place] = record
        first = False
    session.take([study.table.row(row) for study in studies for row in study.rows], records.values())
    return tuple(
        Ended(
            study,
            found[study.table.id],
            session.plans.get(study.table.id),
            seeds,
            tuple(one for one in _of(study, runner, records.values()) if one.status != "ok"),
        )
        for study in studies
    )


def keep_plans(studies: Iterable[Study], runner: Runner, measured: Path, records: Sequence[Record]) -> dict[str, Kept]:
    """Keeps the plans that nobody has kept yet beside the runner's records, where there is no record of their rows.

    Args:
        studies: the studies.
        runner: runs their rows.
        measured: the folder of accepted records.
        records: those that there are.

    Returns:
        Every kept plan of the profile, by table.

    Raises:
        UserError: a file of plans is damaged, or can't be written.
    """
    kept = kept_plans(runner, measured)
    head, dirty = commit()
    new = {
        study.table.id: Kept(study.plan, now(), head, dirty)
        for study in studies
        if study.table.id not in kept and not _of(study, runner, records)
    }
    if new:
        write_plans(new, runner.records, runner.profile.id)
    return kept | new


def about_plan(study: Study, kept: Kept | None, seen: Sequence[Record]) -> list[str]:
    """What is post hoc, and why, in lines; none where the plan is the one that was kept.

    Args:
        study: the study.
        kept: its plan before the first seed.
        seen: records of its rows.
    """
    name = study.table.id
    if kept is None:
        if not seen:
            return []
        many = "a record was" if len(seen) == 1 else f"{len(seen)} records were"
        return [f"{name}: all its claims are post hoc, since {many} there before a plan was kept, as {seen[0].place}"]
    when, plan, before = f"the plan of {kept.written[:10]}", study.plan, kept.plan
    changed = [part for part in RULE if getattr(plan, part) != getattr(before, part)]
    if any(plan.margins.get(metric) != margin for metric, margin in before.margins.items()):
        changed.append("margins")
    if changed:
        return [f"{name}: all its claims are post hoc, since {when} has another rule ({', '.join(changed)})"]
    lines = []
    if later := [claim for claim in plan.claims if claim.name in post_hoc_of(plan, before)]:
        lines.append(f"{name}: post hoc, since {when} doesn't have them as they are: {_named(later)}")
    names = {claim.name for claim in plan.claims}
    if gone := [claim for claim in before.claims if claim.name not in names]:
        lines.append(f"{name}: {when} also has claims that the table has no more: {_named(gone)}")
    return lines


def told(ended: Iterable[Ended]) -> list[dict[str, str]]:
    """A line for each claim, as a terminal shows it."""
    lines = []
    for one in ended:
        for name in one.study.names:
            verdict = one.found.verdicts[name]
            lines.append(
                {
                    "claim": name,
                    "asks": asks_in_words(verdict.claim),
                    "answer": verdict.answer,
                    "word": verdict.word,
                    "difference": number(verdict.difference, "+.4f"),
                    "interval": interval(verdict.interval),
                    "seeds": f"{verdict.look}{on_nets(len(one.found.plan.nets))}",
                    "": "; ".join(
                        filter(None, ("post hoc" if name in one.found.post_hoc else "", why_open(one, name)))
                    ),
                }
            )
    return lines


def told_as_json(ended: Iterable[Ended]) -> list[dict[str, Any]]:
    """A value for each claim, for programs."""
    found = []
    for one in ended:
        for name in one.study.names:
            verdict = one.found.verdicts[name]
            claim = verdict.claim
            found.append(
                {
                    "table": one.study.table.id,
                    "claim": name,
                    "text": one.found.claims[name].text,
                    "kind": claim.kind,
                    "row": claim.a,
                    "against": claim.b,
                    "metric": claim.metric,
                    "answer": verdict.answer,
                    "word": verdict.word,
                    "decided": verdict.decided,
                    "difference": verdict.difference if math.isfinite(verdict.difference) else None,
                    "interval": list(verdict.interval) if all(map(math.isfinite, verdict.interval)) else None,
                    "p": verdict.p,
                    "level": one.found.plan.level,
                    "seeds_a_net": verdict.look,
                    "nets": len(one.found.plan.nets),
                    "post_hoc": name in one.found.post_hoc,
                    "open": why_open(one, name),
                }
            )
    return found


def told_failures(ended: Iterable[Ended]) -> list[str]:
    """The records that gave no score, a line for each."""
    return [
        f"{record.place}: {record.status}, {record.reason}; delete the record to try that seed again"
        for one in ended
        for record in one.failed
    ]


def why_open(one: Ended, name: str) -> str:
    """Why a claim is undecided, in words; empty where it is decided."""
    verdict = one.found.verdicts[name]
    if verdict.decided or verdict.stuck:
        return verdict.stuck
    return f"stopped by --max-seeds {one.seeds}; more seeds may decide it"


def asks_in_words(claim: Claim) -> str:
    """What a claim says, such as `prune-1-2 is no worse than augment (accuracy)`."""
    return f"{claim.a} {VERBS[claim.kind]} {claim.b} ({claim.metric})"


def plan_path(runner: Runner, measured: Path) -> Path:
    """Where the plans are: accepted, or beside the runner's records."""
    accepted = path_of(measured, runner.profile.id)
    return accepted if runner.on_article and accepted.is_file() else path_of(runner.records, runner.profile.id)


def _of(study: Study, runner: Runner, records: Iterable[Record]) -> list[Record]:
    return of_plan(study.plan, study.table.id, runner.profile.id, records)


def _current(study: Study, runner: Runner, records: Iterable[Record]) -> list[Record]:
    """Of the store's records those that a run would give today; others are of other settings, data or versions."""
    found = []
    for record in records:
        made = {str(stage["key"]) for stage in record.stages}
        planned = {stage.key for stage in runner.planned(study.table, record.row, record.seed)}
        # One that failed has the stages before that.
        if made == planned or (record.status != "ok" and made < planned):
            found.append(record)
    return found


def _decided(study: Study, runner: Runner, records: Iterable[Record], kept: Mapping[str, Kept]) -> Decided:
    before = kept[study.table.id].plan if study.table.id in kept else None
    found = decided(study.table, runner.profile, records, before)
    assert found is not None, "a study has a plan"
    return found


def _round(asks: Sequence[Ask], claims: int) -> str:
    seeds = sorted({ask.seed for ask in asks})
    rows = ", ".join(dict.fromkeys(ask.row for ask in asks))
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"
    return f"{which} of {rows}: {claims} claim{'' if claims == 1 else 's'} open"


def _named(claims: Iterable[Claim]) -> str:
    return ", ".join(claim.name for claim in claims)
