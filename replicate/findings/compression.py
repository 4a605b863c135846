"""What a smaller net costs and buys: the compressed rows of every profile, table by table, and what they come to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from replicate.findings.compared import AllCompared, ClaimResult, Compared
from replicate.findings.compressed import Compressed, compressed_rows, parameters
from replicate.findings.evidence import Evidence
from replicate.findings.pairs import KINDS
from replicate.findings.planes import Plane, planes_of
from replicate.findings.rows import RowResult
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable

Lead = Literal["not-run", "kept", "at a price", "open", "not smaller"]


@dataclass(frozen=True)
class CompressedTable:
    """The compressed rows of one table.

    Attributes:
        table: the table.
        rows: at least one.
        parents: the nets that they were made from, each once, with its parameters.
        claims: of the rows; none of a published table, whose claims stand beside its rows.
    """

    table: ResultsTable
    rows: tuple[Compressed, ...]
    parents: tuple[tuple[RowResult, int | None], ...]
    claims: tuple[ClaimResult, ...]

    @property
    def is_run(self) -> bool:
        """Whether one of the rows has a record."""
        return any(one.result.records for one in self.rows)


@dataclass(frozen=True)
class KindAnswer:
    """Whether nets made smaller in one way keep their parent's accuracy.

    Attributes:
        kind: `pruned` or `distilled`.
        rows: those of the kind, no controls among them; one recipe on two pretrained nets is two rows.
        lead: `kept` where one is shown to lose less than the margin, `at a price` where each is shown to lose some.
            `not smaller` where each has more parameters than its parent, which is no compression.
        told: the row that the answer is told of: the smallest that is kept, else the one that loses least; None where
            none was run.
        against_controls: the claims that such a row beats its controls.
    """

    kind: str
    rows: tuple[Compressed, ...]
    lead: Lead
    told: Compressed | None
    against_controls: tuple[ClaimResult, ...]


@dataclass(frozen=True)
class Compression:
    """The compressed rows under one profile.

    Attributes:
        profile: the profile.
        tables: those with such rows.
        smallest: of the rows that are kept and no controls, the one with the smallest share; None without one.
        fastest: of them the one that is the most times as fast as its parent; None where none was timed.
        kinds: an answer for each way of making nets smaller.
        planes: nets by latency where nets were timed together, and by size where some net was not timed.
    """

    profile: Profile
    tables: tuple[CompressedTable, ...]
    smallest: Compressed | None
    fastest: Compressed | None
    kinds: tuple[KindAnswer, ...]
    planes: tuple[Plane, ...]

    @property
    def rows(self) -> tuple[Compressed, ...]:
        """Those of all tables."""
        return tuple(one for table in self.tables for one in table.rows)


@dataclass(frozen=True)
class CompressionFinding:
    """What a smaller net costs and buys, under every profile that runs such rows."""

    profiles: tuple[Compression, ...]


def compute_compression(evidence: Evidence, compared: AllCompared) -> CompressionFinding:
    """What a smaller net costs and buys.

    Args:
        evidence: tables, profiles and records.
        compared: the rows of each table under each profile.
    """
    found = []
    for profile in evidence.profiles:
        tables = tuple(
            one
            for table in evidence.tables
            if table.id in profile.tables and evidence.same_data(table, profile)
            if (one := compressed_table(evidence, compared[table.id, profile.id], profile))
        )
        if tables:
            found.append(_compression(evidence, profile, tables))
    return CompressionFinding(tuple(found))


def compressed_table(evidence: Evidence, compared: Compared, profile: Profile) -> CompressedTable | None:
    """The rows of the table that the profile runs and that end in a smaller net; None where there are none."""
    rows = compressed_rows(evidence, compared, profile)
    if not rows:
        return None
    parents = {one.parent.row.id: one.parent for one in rows if one.parent}
    claims = () if compared.table.is_published else compared.claims
    return CompressedTable(compared.table, rows, tuple((one, parameters(one)) for one in parents.values()), claims)


def _compression(evidence: Evidence, profile: Profile, tables: tuple[CompressedTable, ...]) -> Compression:
    rows = [one for table in tables for one in table.rows]
    kept = [one for one in rows if one.is_kept and not one.is_control]
    sized = [(one, one.share) for one in kept if one.share]
    timed = [(one, one.latency) for one in kept if one.latency]
    return Compression(
        profile=profile,
        tables=tables,
        smallest=min(sized, key=lambda pair: pair[1])[0] if sized else None,
        fastest=max(timed, key=lambda pair: pair[1].ratio.median)[0] if timed else None,
        kinds=tuple(answer for kind in KINDS.values() if (answer := _kind_answer(kind, tables))),
        planes=planes_of(rows, float(evidence.main.statistics.alpha.value)),
    )


def _kind_answer(kind: str, tables: Sequence[CompressedTable]) -> KindAnswer | None:
    """What the rows of a kind come to; None where there are none."""
    rows = [one for table in tables for one in table.rows if one.kind == kind]
    if not rows:
        return None
    own = tuple(one for one in rows if not one.is_control)
    every = [(one, one.difference.found.difference) for one in own if one.difference]
    run = [(one, difference) for one, difference in every if one.share is None or one.share <= 1]
    kept = [one for one, _ in run if one.is_kept]
    lead: Lead = "not-run"
    told = None
    if kept:
        lead, told = "kept", min(kept, key=lambda one: one.share or math.inf)
    elif run:
        lead = "at a price" if all(one.judged.word == "below" for one, _ in run) else "open"
        told = max(run, key=lambda pair: pair[1])[0]
    elif every:
        lead, told = "not smaller", min(every, key=lambda pair: pair[0].share or math.inf)[0]
    controls = {(one.table.id, one.row.id) for one in rows if one.is_control}
    claims = [
        (result, (table.table.id, result.claim.against) in controls)
        for table in tables
        if any(one.table.id == table.table.id for one in rows)
        for result in table.claims
        if KINDS.get(table.table.chain(result.claim.row)[-1].stage) == kind
    ]
    return KindAnswer(
        kind=kind,
        rows=own,
        lead=lead,
        told=told,
        against_controls=tuple(result for result, control in claims if control),
    )
