"""Whether the main table holds, and what a reader has to know before anything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from replicate.findings.apart import Apart
from replicate.findings.compared import ClaimResult, Compared
from replicate.findings.nets import Course
from replicate.findings.published import Printed, Published
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable, Row

Holds = Literal["not-run", "no", "yes", "open"]


@dataclass(frozen=True)
class Choice:
    """Two rows of a claim that choose the step that is kept by different metrics, with their best accuracies.

    `bests` holds each row's mean over seeds of the best accuracy that any evaluation had, where records say.
    """

    table: str
    row: str
    against: str
    metrics: tuple[str, str]
    profile: str
    bests: tuple[float, float]


@dataclass(frozen=True)
class Answer:
    """The main table's answer.

    Attributes:
        published: the main table.
        holds: what the verdicts come to.
        claims: each claim in print, with its verdict under each profile on the same data that is comparable or has
            records of a claim's rows.
        columns: these profiles.
        compared: the main table's rows under each profile on its data.
        besides: the other profiles that have records, with their number.
        choices: rows that differ in how their step was chosen.
        shown: what the seeds support of smaller nets besides: it can change what is made of the rows.
    """

    published: Published
    holds: Holds
    claims: tuple[tuple[Printed, tuple[ClaimResult, ...]], ...]
    columns: tuple[Profile, ...]
    compared: tuple[tuple[Profile, Compared], ...]
    besides: tuple[tuple[Profile, int], ...]
    choices: tuple[Choice, ...]
    shown: tuple[ClaimResult, ...]

    @property
    def table(self) -> ResultsTable:
        """The main table."""
        return self.published.table


def answer_of(
    published: Published,
    columns: Sequence[tuple[Profile, Compared]],
    apart: Sequence[Apart],
    besides: Sequence[tuple[Profile, int]],
    shown: Sequence[ClaimResult],
) -> Answer:
    """The answer.

    Args:
        published: the main table.
        columns: its rows under each profile on its data.
        apart: the profiles that are compared with nothing published.
        besides: profiles that have records and are not comparable, with the number of these.
        shown: what the seeds support of smaller nets besides.
    """
    told = [one for one in columns if one[0] in published.comparable or one[1].has_claims]
    claims = tuple(
        (printed, tuple(compared.claims[at] for _, compared in told)) for at, printed in enumerate(published.claims)
    )
    return Answer(
        published=published,
        holds=_holds([verdict.status for *_, verdict in published.verdicts]),
        claims=claims,
        columns=tuple(profile for profile, _ in told),
        compared=tuple(columns),
        besides=tuple(besides),
        choices=tuple(_choices(published.table, apart)),
        shown=tuple(shown),
    )


def _holds(verdicts: Sequence[str]) -> Holds:
    run = [verdict for verdict in verdicts if verdict != "not-run"]
    if not run:
        return "not-run"
    if any(verdict in ("higher", "lower") for verdict in run):
        return "no"
    return "yes" if all(verdict == "replicated" for verdict in verdicts) else "open"


def _choices(table: ResultsTable, apart: Sequence[Apart]) -> list[Choice]:
    """Rows of a claim that are both fine-tuned and choose their step by another metric."""
    found = []
    for claim in table.claims:
        row, against = table.row(claim.row), table.row(claim.against)
        metrics = _chosen_by(row), _chosen_by(against)
        if not all(metrics) or metrics[0] == metrics[1]:
            continue
        for one in (one for one in apart if one.same_data):
            courses = {
                course.result.row.id: course
                for of_table in one.tables
                if of_table.compared.table.id == table.id
                for course in of_table.nets.courses
            }
            if row.id in courses and against.id in courses:
                bests = _best(courses[row.id]), _best(courses[against.id])
                found.append(Choice(table.id, row.id, against.id, metrics, one.profile.id, bests))
    return found


def _chosen_by(row: Row) -> str:
    """The metric by which the row's own last stage chooses, where that is fine-tuning; empty where it is not."""
    last = row.recipe[-1] if row.recipe else None
    return str(last.options.get("select", "")) if last and last.stage == "finetune" else ""


def _best(course: Course) -> float:
    return sum(course.tops.values()) / len(course.tops)
