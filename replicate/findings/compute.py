"""All findings, computed once from the evidence: what the pages of a report are made of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from replicate.findings.advice import Advice, advise
from replicate.findings.answer import Answer, answer_of
from replicate.findings.apart import Apart, TableApart, table_apart
from replicate.findings.augmentation import AugmentationFinding, compute_augmentation
from replicate.findings.biases import twin_pairs
from replicate.findings.compared import AllCompared, Pair, compare_table
from replicate.findings.compressed import parent_pairs
from replicate.findings.compression import CompressionFinding, compute_compression
from replicate.findings.evidence import Evidence
from replicate.findings.inference import InferenceFinding, compute_inference
from replicate.findings.method import Method, compute_method
from replicate.findings.published import Published, published_of
from replicate.findings.training_sets import control_pairs
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable


@dataclass(frozen=True)
class Findings:
    """What the records say.

    Attributes:
        answer: whether the main table holds.
        published: the published tables, the main one first.
        apart: profiles whose figures are compared with nothing published, those on the main table's data first.
        compression: what smaller nets cost and buy.
        inference: what pruning buys at inference.
        augmentation: whether augmentation helps.
        advice: what that says to do.
        method: how everything was measured.
    """

    answer: Answer
    published: tuple[Published, ...]
    apart: tuple[Apart, ...]
    compression: CompressionFinding
    inference: InferenceFinding
    augmentation: AugmentationFinding
    advice: Advice
    method: Method


def compute(evidence: Evidence, studies: bool = False) -> Findings:
    """What the evidence says.

    Args:
        evidence: tables, profiles and records.
        studies: show every row that was run, those of studies too, among the rows of its profile.

    Raises:
        UserError: no table is the main one, or several are.
    """
    compared = compare_all(evidence)
    published = tuple(
        published_of(evidence, table, [compared[table.id, one.id] for one in evidence.comparable(table)])
        for table in evidence.tables
        if table.is_published or table.main
    )
    counted = Counter(record.profile for record in evidence.records)
    besides = tuple((one, counted[one.id]) for one in evidence.profiles if counted[one.id] and not one.comparable)
    main = evidence.main
    profiles = sorted(evidence.profiles, key=lambda profile: not evidence.same_data(main, profile))
    apart = tuple(
        one for profile in profiles if not profile.comparable if (one := _apart(evidence, compared, profile, studies))
    )
    columns = [
        (profile, compared[main.id, profile.id]) for profile in evidence.profiles if evidence.same_data(main, profile)
    ]
    compression, inference = compute_compression(evidence, compared), compute_inference(evidence)
    augmentation = compute_augmentation(evidence, compared)
    advice = advise([profile.id for profile, _ in columns], augmentation, compression, inference)
    return Findings(
        answer=answer_of(published[0], columns, apart, besides, advice.shown),
        published=published,
        apart=apart,
        compression=compression,
        inference=inference,
        augmentation=augmentation,
        advice=advice,
        method=compute_method(evidence),
    )


def compare_all(evidence: Evidence) -> AllCompared:
    """The rows of each table under each profile, each pair compared once."""
    return {
        (table.id, profile.id): compare_table(
            table,
            {row.id: evidence.result(row, profile) for row in table.rows},
            profile.id,
            evidence.main.tolerances,
            _besides(evidence, table, profile),
        )
        for table in evidence.tables
        for profile in evidence.profiles
    }


def _besides(evidence: Evidence, table: ResultsTable, profile: Profile) -> list[Pair]:
    """The pairs that findings ask for, but those that the table names itself."""
    pairs = [*twin_pairs(table), *parent_pairs(table)]
    if not table.is_published and table.id in profile.tables and evidence.same_data(table, profile):
        pairs += control_pairs(table, profile)
    return pairs


def tables_apart(
    evidence: Evidence, compared: AllCompared, profile: Profile, tables: tuple[ResultsTable, ...]
) -> tuple[TableApart, ...]:
    """Those of the tables that have records under the profile."""
    return tuple(
        table_apart(profile, compared[table.id, profile.id], evidence.same_data(table, profile))
        for table in tables
        if compared[table.id, profile.id].is_run
    )


def _apart(evidence: Evidence, compared: AllCompared, profile: Profile, studies: bool) -> Apart | None:
    shown = tuple(table for table in evidence.tables if table.is_published or studies)
    tables = tables_apart(evidence, compared, profile, shown)
    return Apart(profile, evidence.same_data(evidence.main, profile), tables) if tables else None
