"""Findings on somebody's own data: all rows, nothing published to compare them with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from replicate.corpus.formats import Dataset
from replicate.findings.advice import Advice, advise
from replicate.findings.apart import Apart
from replicate.findings.augmentation import AugmentationFinding, compute_augmentation
from replicate.findings.compared import ClaimResult
from replicate.findings.compression import CompressionFinding, compute_compression
from replicate.findings.compute import compare_all, tables_apart
from replicate.findings.evidence import Evidence
from replicate.findings.method import Method, compute_method
from replicate.findings.rows import RowResult
from replicate.records.run import Record
from replicate.scores.metrics import POSITIVE
from replicate.tables.profile import Profile
from replicate.tables.table import Claim, DatasetFacts, ResultsTable, in_order

REASON = "these data, of which nothing is published"


@dataclass(frozen=True)
class Best:
    """The row with the highest mean accuracy under a profile, and the linear baseline where that is another row."""

    profile: Profile
    row: RowResult | None
    baseline: RowResult | None


@dataclass(frozen=True)
class OwnAnswer:
    """What the rows come to on these data.

    Attributes:
        facts: of the data.
        records: their number.
        best: for each profile.
        claims: the main table's claims with their verdicts under each profile; none where no claim's rows were run.
        shown: what the seeds support of smaller nets besides.
    """

    facts: DatasetFacts
    records: int
    best: tuple[Best, ...]
    claims: tuple[tuple[Claim, tuple[ClaimResult, ...]], ...]
    shown: tuple[ClaimResult, ...]


@dataclass(frozen=True)
class OwnFindings:
    """What the records of somebody's own data say."""

    answer: OwnAnswer
    apart: tuple[Apart, ...]
    compression: CompressionFinding
    augmentation: AugmentationFinding
    advice: Advice
    method: Method


def own_evidence(
    tables: Mapping[str, ResultsTable], records: Sequence[Record], profiles: Mapping[str, Profile], dataset: Dataset
) -> Evidence:
    """The records of exactly these data, and tables without published values.

    Args:
        tables: by id.
        records: of the data's folder; those of another version of the data are left out.
        profiles: by id.
        dataset: the data.
    """
    digests = dataset.digests
    own = [one for one in records if all(one.digests.get(part) == digests[part] for part in ("train", "dev", "labels"))]
    known = {(table.id, row.id) for table in tables.values() for row in table.rows}
    own = [record for record in own if (record.table, record.row) in known and record.profile in profiles]
    positive = POSITIVE if len(dataset.labels) > POSITIVE else None
    facts = DatasetFacts(
        name=dataset.name,
        split="dev",
        examples=len(dataset.dev),
        positive_class=None if positive is None else dataset.labels[positive],
        positive_index=positive,
        positive_examples=None if positive is None else dataset.dev.labels.count(positive),
    )
    return Evidence(
        tuple(_unpublished(table, facts) for table in in_order(tables.values())),
        tuple(sorted(own, key=lambda record: (record.profile, record.table, record.row, record.seed))),
        tuple(
            replace(profile, comparable=False, reason=REASON, dataset=dataset.name)
            for profile in sorted(profiles.values(), key=lambda profile: profile.id)
            if any(record.profile == profile.id for record in own)
        ),
    )


def compute_own(evidence: Evidence) -> OwnFindings:
    """What evidence on own data says."""
    compared = compare_all(evidence)
    compression, augmentation = compute_compression(evidence, compared), compute_augmentation(evidence, compared)
    main = evidence.main
    of_main = [compared[main.id, profile.id] for profile in evidence.profiles]
    claims = [(claim, tuple(one.claims[at] for one in of_main)) for at, claim in enumerate(main.claims)]
    advice = advise([profile.id for profile in evidence.profiles], augmentation, compression, None)
    answer = OwnAnswer(
        facts=main.dataset,
        records=len(evidence.records),
        best=tuple(_best(evidence, profile) for profile in evidence.profiles),
        claims=tuple(claims) if any(one.has_claims for one in of_main) else (),
        shown=advice.shown,
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
    )


def _best(evidence: Evidence, profile: Profile) -> Best:
    results = [evidence.result(row, profile) for table in evidence.tables for row in table.rows]
    scored = sorted((one for one in results if one.scores), key=lambda one: one.summary("accuracy")[0])
    if not scored:
        return Best(profile, None, None)
    baseline = next((one for one in scored if one.row.role == "baseline"), None)
    return Best(profile, scored[-1], None if baseline is scored[-1] else baseline)


def _unpublished(table: ResultsTable, facts: DatasetFacts) -> ResultsTable:
    """The table for other data than its own."""
    return replace(
        table,
        # What a published table is called would be wrong for other data.
        title=table.id,
        neighbours=(),
        conclusions=(),
        tolerances={
            metric: replace(one, reason=f"Taken over from {table.dataset.name}: {one.reason}")
            for metric, one in table.tolerances.items()
        },
        dataset=facts,
        rows=tuple(replace(row, published={}, counts=None, provenance=None) for row in table.rows),
    )
