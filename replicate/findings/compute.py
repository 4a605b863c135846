"""All findings, computed once from the evidence: what the pages of a report are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from replicate.findings.advice import Advice, advise
from replicate.findings.answer import Answer, answer_of, families_of
from replicate.findings.apart import Apart, TableApart, table_apart
from replicate.findings.augmentation import AugmentationFinding, compute_augmentation
from replicate.findings.best import Best, best_of
from replicate.findings.compared import AllCompared, Compared, compare_table
from replicate.findings.compression import CompressionFinding, compute_compression
from replicate.findings.decided import decided
from replicate.findings.evidence import Evidence
from replicate.findings.fewshot import FewShot, compute_fewshot
from replicate.findings.fusion import FusionFinding, compute_fusion
from replicate.findings.inference import InferenceFinding, compute_inference
from replicate.findings.leak import Pruned, pruned_rows
from replicate.findings.method import Method, compute_method
from replicate.findings.origins import origins_of
from replicate.findings.published import Published, published_of
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
        fusion: what ensembles buy.
        inference: what pruning buys at inference.
        augmentation: whether augmentation helps.
        fewshot: how many labels are enough.
        advice: what that says to do.
        method: how everything was measured.
    """

    answer: Answer
    published: tuple[Published, ...]
    apart: tuple[Apart, ...]
    compression: CompressionFinding
    fusion: FusionFinding
    inference: InferenceFinding
    augmentation: AugmentationFinding
    fewshot: tuple[FewShot, ...]
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
    main = evidence.main
    best = {table.id: best_of(evidence, table, compared) for table in evidence.tables}
    published = tuple(
        published_of(
            evidence, table, [compared[table.id, one.id] for one in evidence.comparable(table)], best[table.id]
        )
        for table in evidence.tables
        if table.is_published or table.main
    )
    profiles = sorted(evidence.profiles, key=lambda profile: not evidence.same_data(main, profile))
    apart = tuple(
        one for profile in profiles if not profile.comparable if (one := _apart(evidence, compared, profile, studies))
    )
    columns = [
        (profile, compared[main.id, profile.id]) for profile in evidence.profiles if evidence.same_data(main, profile)
    ]
    compression, inference = compute_compression(evidence, compared), compute_inference(evidence)
    augmentation, fusion = compute_augmentation(evidence, compared), compute_fusion(evidence, compared)
    advice = advise([profile.id for profile, _ in columns], augmentation, compression, fusion, inference)
    on_data = [one for (_, profile), one in compared.items() if profile in {column.id for column, _ in columns}]
    tested = best[main.id].profile
    answer = answer_of(
        published[0],
        best[main.id],
        columns,
        _pruning(evidence, best, compression),
        families_of(on_data, float(main.statistics.alpha.value)),
        origins_of(one for one in evidence.records if tested and one.profile == tested.id),
    )
    return Findings(
        answer=answer,
        published=published,
        apart=apart,
        compression=compression,
        fusion=fusion,
        inference=inference,
        augmentation=augmentation,
        fewshot=compute_fewshot(evidence, compared),
        advice=advice,
        method=compute_method(evidence),
    )


def compare_all(evidence: Evidence) -> AllCompared:
    """The rows of each table under each profile, each pair compared once."""
    return {
        (table.id, profile.id): compare_one(evidence, table, profile)
        for table in evidence.tables
        for profile in evidence.profiles
    }


def compare_one(evidence: Evidence, table: ResultsTable, profile: Profile) -> Compared:
    """The rows of a table under a profile, each pair compared once."""
    return compare_table(
        table,
        {row.id: evidence.result(row, profile) for row in table.rows},
        profile,
        decided(table, profile, evidence.records, evidence.plans.get((table.id, profile.id))),
        evidence.main.tolerances,
    )


def _pruning(
    evidence: Evidence, best: Mapping[str, Best], compression: CompressionFinding
) -> tuple[Profile, bool, tuple[Pruned, ...]] | None:
    """The first profile under which a leak-free engine pruned, those that test before others; with its pruned rows."""
    tests = {one.profile.id for one in best.values() if one.profile and one.tests}
    found = [
        (one.profile, one.profile.id in tests, rows)
        for one in compression.profiles
        if (rows := tuple(row for row in pruned_rows(one.rows) if row.row.difference))
        and any(not row.leaks for row in rows)
    ]
    return min(found, key=lambda one: not one[1]) if found else None


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
