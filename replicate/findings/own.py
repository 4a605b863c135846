"""Findings on somebody's own data: all rows, nothing published to compare them with."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from replicate.corpus.checkup import Checkup, told
from replicate.corpus.formats import Dataset
from replicate.findings.advice import Advice, advise
from replicate.findings.apart import Apart
from replicate.findings.augmentation import AugmentationFinding, compute_augmentation
from replicate.findings.compared import AllCompared
from replicate.findings.compression import CompressionFinding, compute_compression
from replicate.findings.compute import compare_all, tables_apart
from replicate.findings.decided import Decided
from replicate.findings.evidence import Evidence
from replicate.findings.method import Method, compute_method
from replicate.findings.own_data import OwnAudit
from replicate.findings.standing import Standing, standing
from replicate.records.run import Record
from replicate.records.timing import TimingRecord
from replicate.runs.held_out import HeldOut
from replicate.tables.profile import Profile
from replicate.tables.table import DatasetFacts, ResultsTable, Setting, in_order
from replicate.verdicts.plan import Plan

REASON = "these data, of which nothing is published"


@dataclass(frozen=True)
class OwnAnswer:
    """What the rows come to on these data.

    Attributes:
        facts: of the data.
        records: their number.
        standings: where the nets stand under each profile.
        data: what the data look like, in lines.
        held_out: what the rows that dev has chosen score on the test set, for each profile that has such.
        decided: by profile, what the plans of the tables say of their claims.
    """

    facts: DatasetFacts
    records: int
    standings: tuple[Standing, ...]
    data: tuple[str, ...]
    held_out: tuple[HeldOut, ...] = ()
    decided: tuple[tuple[Profile, Decided], ...] = ()


@dataclass(frozen=True)
class OwnFindings:
    """What the records of somebody's own data say, and an audit of the data where there was one."""

    answer: OwnAnswer
    apart: tuple[Apart, ...]
    compression: CompressionFinding
    augmentation: AugmentationFinding
    advice: Advice
    method: Method
    audit: OwnAudit | None = None


def own_evidence(
    tables: Mapping[str, ResultsTable],
    records: Sequence[Record],
    profiles: Mapping[str, Profile],
    dataset: Dataset,
    plans: Mapping[tuple[str, str], Plan] | None = None,
    timings: Sequence[TimingRecord] = (),
) -> Evidence:
    """The records of exactly these data, and tables without published values.

    Args:
        tables: by id.
        records: of the data's folder; those of another version of the data are left out.
        profiles: by id.
        dataset: the data.
        plans: as they were before the first seed, by table and profile.
        timings: of nets that were trained on the data.
    """
    digests = dataset.digests
    own = [one for one in records if one.is_of(digests)]
    known = {(table.id, row.id) for table in tables.values() for row in table.rows}
    own = [record for record in own if (record.table, record.row) in known and record.profile in profiles]
    # The article's F1 is of its own class; of other data it would be that of whatever label is the second.
    facts = DatasetFacts(dataset.name, "dev", len(dataset.dev), None, None, None)
    planned = {table for table, _ in plans or {}}
    run: dict[str, set[str]] = {}
    for record in own:
        run.setdefault(record.table, set()).add(record.row)
    return Evidence(
        tuple(
            _unpublished(table if table.id in planned else _asked(table, run.get(table.id, set())), facts)
            for table in in_order(tables.values())
        ),
        tuple(sorted(own, key=lambda record: (record.profile, record.table, record.row, record.seed))),
        tuple(
            replace(profile, comparable=False, reason=REASON, dataset=dataset.name)
            for profile in sorted(profiles.values(), key=lambda profile: profile.id)
            if any(record.profile == profile.id for record in own)
        ),
        tuple(timings),
        plans=dict(plans or {}),
    )


def compute_own(
    evidence: Evidence, checkup: Checkup, held_out: Sequence[HeldOut] = (), audit: OwnAudit | None = None
) -> OwnFindings:
    """What evidence on own data says.

    Args:
        evidence: of `own_evidence`.
        checkup: of the same data.
        held_out: scores on the data's test set.
        audit: of the same data.
    """
    compared = compare_all(evidence)
    compression, augmentation = compute_compression(evidence, compared), compute_augmentation(evidence, compared)
    standings = tuple(standing(evidence, profile, checkup.commonest) for profile in evidence.profiles)
    # What a net gains says nothing where nobody would take the net.
    worth = [one.profile.id for one in standings if one.advises]
    advice = advise(worth, augmentation, compression, None, None)
    answer = OwnAnswer(
        facts=evidence.main.dataset,
        records=len(evidence.records),
        standings=standings,
        data=tuple(told(checkup)),
        held_out=tuple(held_out),
        decided=tuple(_decided(evidence, compared)),
    )
    return OwnFindings(
        answer=answer,
        apart=tuple(
            Apart(profile, True, tables_apart(evidence, compared, profile, evidence.tables))
            for profile in evidence.profiles
        ),
        compression=compression,
        augmentation=augmentation,
        advice=advice,
        method=compute_method(evidence),
        audit=audit,
    )


def _decided(evidence: Evidence, compared: AllCompared) -> Iterator[tuple[Profile, Decided]]:
    """Plans that somebody has followed, or whose first look there are seeds for."""
    for profile in evidence.profiles:
        for table in evidence.tables:
            found, kept = compared[table.id, profile.id].decided, (table.id, profile.id) in evidence.plans
            if found and (kept or any(one.look >= found.plan.first for one in found.verdicts.values())):
                yield profile, found


def _asked(table: ResultsTable, run: Collection[str]) -> ResultsTable:
    """The table with the rows that were asked about these data, those that were run; with all where none was.

    Its others are the project's: they would stand as not-run on every page, and each interval would be as wide as if
    they had been compared, too. Nor is a plan followed that nobody has kept: how many seeds there are was said before.
    """
    rule = table.sequential and replace(table.sequential, claims=(), added=())
    if not run:
        return replace(table, sequential=rule)
    needed = {row.id for name in run for row in table.lineage(name)}
    needed |= {other for name in run if (other := table.row(name).against)}
    return replace(
        table,
        rows=tuple(row for row in table.rows if row.id in needed),
        claims=tuple(one for one in table.claims if {one.row, one.against} <= needed),
        sequential=rule,
    )


def _unpublished(table: ResultsTable, facts: DatasetFacts) -> ResultsTable:
    """The table for other data than its own."""
    return replace(
        table,
        # What a published table is called would be wrong for other data.
        title=table.id,
        neighbours=(),
        conclusions=(),
        tolerances={metric: _scaled(one, table.dataset, facts) for metric, one in table.tolerances.items()},
        dataset=facts,
        rows=tuple(replace(row, published={}, counts=None, provenance=None) for row in table.rows),
    )


def _scaled(one: Setting, published: DatasetFacts, own: DatasetFacts) -> Setting:
    """A tolerance for a dev set of another size: chance differences shrink with the root of the number of examples."""
    value = (one.value * (Decimal(published.examples) / Decimal(own.examples)).sqrt()).quantize(Decimal("0.001"))
    return Setting(value, f"{one.value} on {published.examples} examples, brought to {own.examples}: {one.reason}")
