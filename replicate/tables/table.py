"""Published tables as data: rows, claims and published values."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from replicate.common.errors import UserError
from replicate.records.selection import plain_metric
from replicate.tables.elsewhere import Elsewhere, Flattened
from replicate.tables.printed import Counts, Published, RowProvenance, Size

LATENCY = "latency_ms"
# A control does without what is tested; a baseline is another, simpler method; a member is there for others to be made
# of, and has no records.
MEMBER = "member"
ROLES = ("control", "baseline", MEMBER)
# Where a measured row can lie beside the row that it is compared with.
EFFECTS = ("above", "below", "no difference", "not worse")


@dataclass(frozen=True)
class Setting:
    """A number that somebody chose, and why."""

    value: Decimal
    reason: str


@dataclass(frozen=True)
class Provenance:
    """Where a table comes from, and what its source tells and doesn't tell of how the figures were made.

    `protocol_*` is about the scores, `latency_*` about milliseconds.
    """

    source: str
    published: str
    language: str
    retrieved: str
    protocol_known: tuple[str, ...]
    protocol_unknown: tuple[str, ...]
    latency_known: tuple[str, ...] = ()
    latency_unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetFacts:
    """The examples that a table's scores count; `positive_*` is the class that its precision, recall and F1 are of."""

    name: str
    split: str
    examples: int
    positive_class: str | None
    positive_index: int | None
    positive_examples: int | None


@dataclass(frozen=True)
class Statistics:
    """Significance level of a table's verdicts, and the fewest seeds that may give one."""

    alpha: Setting
    minimum_seeds: Setting


@dataclass(frozen=True)
class Step:
    """One stage of a recipe with the options that the row sets.

    `members` is how many seeds of each parent it takes: one seed of the row then stands for so many of theirs.
    """

    stage: str
    options: Mapping[str, Any] = field(default_factory=dict)
    members: int = 1


@dataclass(frozen=True)
class Row:
    """One row of a table. `recipe` is what it adds to its parents; an empty one says in `not_run` why.

    With several parents, a stage that takes many gets the outcome of each. `profiles` are those that run the row, all
    of them where it is empty. `role` is one of `ROLES`, None where the row is itself what is asked about; `against` is
    the id of the row that it is compared with where that is not its parent. `model` is the named net that it starts
    from instead of its profile's; a row with parents has theirs.
    """

    table: str
    id: str
    title: str
    parents: tuple[str, ...]
    recipe: tuple[Step, ...]
    not_run: str
    published: Mapping[str, Published]
    counts: Counts | None
    provenance: RowProvenance | None
    profiles: tuple[str, ...] = ()
    role: str | None = None
    against: str | None = None
    size: Size | None = None
    model: str | None = None

    @property
    def parent(self) -> str | None:
        """The row that it descends from where that is exactly one."""
        return self.parents[0] if len(self.parents) == 1 else None

    @property
    def members(self) -> int:
        """How many seeds of each parent one seed of the row takes."""
        return self.recipe[0].members if self.recipe else 1

    def planned_under(self, profile: str) -> bool:
        """Whether the row has a plan under a profile."""
        return bool(self.recipe) and (not self.profiles or profile in self.profiles)

    def runs_under(self, profile: str) -> bool:
        """Whether a profile runs the row by itself, and keeps records of it."""
        return self.role != MEMBER and self.planned_under(profile)

    @property
    def full_id(self) -> str:
        """`table/row`, unique among all tables."""
        return f"{self.table}/{self.id}"


@dataclass(frozen=True)
class Claim:
    """What a source says of one row `against` another, in each of `metrics`.

    `against_in_log` is the accuracy of the other row by the source's own log, where that disagrees with its table.
    """

    id: str
    text: str
    kind: str
    row: str
    against: str
    metrics: tuple[str, ...]
    provenance: str
    against_in_log: Setting | None = None


@dataclass(frozen=True)
class Sequential:
    """How the claims of a table are decided: seed by seed, by a rule that stands before there is data.

    Attributes:
        first: seeds on each net at the first look.
        most: seeds in all, on however many nets.
        alpha: probability of any false word in the family.
        rho: the power of the spending.
        spending: its family.
        metric: what decides a claim of the table; its other metrics are shown beside and decide nothing.
        margins: by metric, the difference that counts as none, and why.
        pairing: `seed` or `none`.
        claims: ids of the table's claims that are in the family.
        added: claims that stand in the family alone, each about one metric, which may be one by a selection rule.
    """

    first: int
    most: int
    alpha: float
    rho: float
    spending: str
    metric: str
    margins: Mapping[str, Setting]
    pairing: str
    claims: tuple[str, ...]
    added: tuple[Claim, ...] = ()

    def margin(self, metric: str) -> float:
        """The margin of a metric; one whose step a rule chooses has that of its score."""
        return float(self.margins[plain_metric(metric)].value)


@dataclass(frozen=True)
class Conclusion:
    """A clause of a source's conclusion: it holds where each of `rows` shows what it `expects` `against` another."""

    text: str
    rows: tuple[str, ...]
    against: str
    expects: tuple[str, ...]


@dataclass(frozen=True)
class ResultsTable:
    """A published table, or a set of measured rows, with everything that a verdict on it needs.

    `neighbours` says what others published of like experiments, in words; `elsewhere` and `flattened` are such figures,
    the latter of yes/no decisions. `conclusions` says what a source concludes, by clauses.
    `main` is the table that reports are about. A study, of the table that `study_of` names, has that table's data set
    and statistics. `sequential` says how its claims are decided; None where they aren't, seed by seed.
    """

    id: str
    title: str
    provenance: Provenance
    dataset: DatasetFacts
    statistics: Statistics
    tolerances: Mapping[str, Setting]
    overrides: Mapping[tuple[str, str], Setting]
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...]
    neighbours: tuple[str, ...] = ()
    conclusions: tuple[Conclusion, ...] = ()
    main: bool = False
    study_of: str | None = None
    sequential: Sequential | None = None
    elsewhere: tuple[Elsewhere, ...] = ()
    flattened: tuple[Flattened, ...] = ()

    @property
    def has_positive(self) -> bool:
        """Whether one class stands out, whose F1 is told beside that of all."""
        return self.dataset.positive_index is not None

    @property
    def is_published(self) -> bool:
        """Whether the table states published values, and is not only a set of measured rows."""
        return any(row.published for row in self.rows)

    @property
    def mislabelled(self) -> bool:
        """Whether labels are made wrong on purpose."""
        return any(step.stage == "mislabel" for row in self.rows for step in row.recipe)

    @property
    def few_shot(self) -> bool:
        """Whether it asks how many labels are enough."""
        return any(step.stage == "shots" for row in self.rows for step in row.recipe)

    @property
    def handicapped(self) -> bool:
        """Whether labels are wrong on purpose, or few: no rows for a user's data."""
        return self.mislabelled or self.few_shot

    def is_witness(self, row: Row) -> bool:
        """Whether a row's nets can bear witness on labels: they had all of them, and repeat no other nets' words."""
        return not self.handicapped and row.recipe[-1].stage != "fuse"

    @cached_property
    def _by_id(self) -> Mapping[str, Row]:
        return {row.id: row for row in self.rows}

    def row(self, row_id: str) -> Row:
        """The row of that id.

        Raises:
            UserError: there is none.
        """
        if row_id in self._by_id:
            return self._by_id[row_id]
        raise UserError(f"no row {row_id!r} in table {self.id}", hint=f"rows: {', '.join(row.id for row in self.rows)}")

    def claims_under(self, profile: str) -> tuple[Claim, ...]:
        """The claims of which the profile runs both rows."""
        return tuple(
            claim
            for claim in self.claims
            if all(self.row(name).runs_under(profile) for name in (claim.row, claim.against))
        )

    def lineage(self, row_id: str, known: Container[str] = ()) -> tuple[Row, ...]:
        """The rows that a row descends from, each once and before its descendants, itself last.

        Args:
            row_id: the row.
            known: rows that are left out, with what they descend from.

        Raises:
            UserError: a row descends from itself, or from one that isn't there.
        """
        found: dict[str, Row] = {}
        # A stack in place of recursion: a table may hold a chain of thousands.
        waiting = [(self.row(row_id), False)]
        on_the_way: set[str] = set()
        while waiting:
            row, seen = waiting.pop()
            if seen:
                on_the_way.discard(row.id)
                found.setdefault(row.id, row)
                continue
            if row.id in found or row.id in known:
                continue
            if row.id in on_the_way:
                raise UserError(f"row {row.full_id} descends from itself")
            on_the_way.add(row.id)
            waiting.append((row, True))
            for parent in reversed(row.parents):
                if parent not in self._by_id:
                    raise UserError(f"row {row.full_id}: no row {parent!r} to descend from")
                waiting.append((self._by_id[parent], False))
        return tuple(found.values())

    def chain(self, row_id: str) -> tuple[Step, ...]:
        """Every step that leads to a row: those of the rows that it descends from, then its own recipe."""
        return tuple(step for row in self.lineage(row_id) for step in row.recipe)

    def model(self, row_id: str) -> str | None:
        """The named net that a row starts from, itself or the first row of its chain; None for its profile's."""
        return next((row.model for row in self.lineage(row_id) if row.model), None)

    def tolerance(self, row_id: str, metric: str) -> Setting:
        """How far from the published value counts as the same, for this row if it has an override.

        Raises:
            KeyError: the table states no tolerance for the metric.
        """
        return self.overrides.get((row_id, metric)) or self.tolerances[metric]


def in_order(tables: Iterable[ResultsTable]) -> tuple[ResultsTable, ...]:
    """The main table, then published ones, and of those the ones with claims first."""
    return tuple(sorted(tables, key=lambda table: (not table.main, not table.is_published, not table.claims, table.id)))
