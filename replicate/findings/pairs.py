"""Which rows of a table are compared under a profile: known from the table alone, before there is a record."""

from __future__ import annotations

from replicate.findings.recipes import controls_of, training_of
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable, Row, Step

# What rows are compared in.
ACCURACY = "accuracy"
METRICS = (ACCURACY, "macro_f1", "f1")
# Stages that make a smaller net, with what their rows are called, and stages that only make its training set.
KINDS = {"prune": "pruned", "distill": "distilled"}
_SETS = ("sample", "duplicate", "augment")
# Row, the row that it is compared with, metric.
Pair = tuple[str, str, str]


def pairs_of(table: ResultsTable, profile: Profile) -> tuple[Pair, ...]:
    """Everything that is compared under the profile, each pair once."""
    rows = [*related_rows(table), *twins(table), *_parents(table), *_controls(table, profile)]
    of_claims = [(one.row, one.against, metric) for one in table.claims for metric in one.metrics]
    runs = {row.id for row in table.rows if row.runs_under(profile.id)}
    found = dict.fromkeys([*((*pair, metric) for pair in rows for metric in METRICS), *of_claims])
    return tuple(pair for pair in found if {pair[0], pair[1]} <= runs)


def related_rows(table: ResultsTable) -> list[tuple[str, str]]:
    """Every row with its parent, with the row that it says it is compared with, and the rows of each claim.

    A row that takes several seeds of its parent has other nets with each seed than the parent has.
    """
    of_rows = [(row.id, other) for row in table.rows for other in (compared_parent(row), row.against) if other]
    return list(dict.fromkeys([*of_rows, *((claim.row, claim.against) for claim in table.claims)]))


def compared_parent(row: Row) -> str | None:
    """The row's parent, where seed stands beside seed."""
    return row.parent if row.members == 1 else None


def share_a_chain(table: ResultsTable, a: str, b: str) -> bool:
    """Whether two rows share a stage that their seed decides: then runs with one seed belong together."""
    return table.chain(a)[:1] == table.chain(b)[:1]


def twins(table: ResultsTable) -> list[tuple[str, str]]:
    """Each row with the one whose recipe is its own but for `importance`."""
    return [(row.id, other.id) for row in table.rows if (other := _twin(table, row))]


def parent_of(table: ResultsTable, row: Row) -> Row | None:
    """The row whose net this one's last stage made smaller, found by its stages, or the row's parent in the table."""
    before: tuple[Step, ...] = table.chain(row.id)[:-1]
    while before:
        for one in table.rows:
            if one.recipe and table.chain(one.id) == before:
                return one
        # The student may have had another training set than its teacher.
        if before[-1].stage not in _SETS:
            break
        before = before[:-1]
    return table.row(row.parent) if row.parent else None


def _parents(table: ResultsTable) -> list[tuple[str, str]]:
    """Every row that ends in a smaller net with the row that it was made from."""
    rows = [row for row in table.rows if row.recipe and table.chain(row.id)[-1].stage in KINDS]
    return [(row.id, of.id) for row in rows if (of := parent_of(table, row))]


def _controls(table: ResultsTable, profile: Profile) -> list[tuple[str, str]]:
    """Every row of a study that differs from a control of its own in the training set, with that control."""
    if table.is_published or table.id not in profile.tables:
        return []
    sets = {
        row.id: training
        for row in table.rows
        if row.runs_under(profile.id) and (training := training_of(table, row, profile))
    }
    # Of rows with one training set, the first is the control.
    row_of = {training: row for row, training in reversed(sets.items())}
    return [
        (row, row_of[control])
        for row, training in sets.items()
        for control in controls_of(training)
        if control != training and control in row_of
    ]


def _twin(table: ResultsTable, row: Row) -> Row | None:
    last = row.recipe[-1] if row.recipe else None
    if last is None or "importance" not in last.options:
        return None
    same = {key: value for key, value in last.options.items() if key != "importance"}
    for other in table.rows:
        recipe = other.recipe
        if (
            other.parent == row.parent
            and recipe
            and recipe[-1].stage == last.stage
            and dict(recipe[-1].options) == same
        ):
            return other
    return None
