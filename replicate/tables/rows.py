"""The rows of a table's TOML form: recipes, published values and the whole numbers behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter

from replicate.common.toml import TomlTable
from replicate.scores.metrics import METRICS
from replicate.stages.kind import fault_of
from replicate.stages.registry import KINDS
from replicate.tables.printed import Counts, Published, RowProvenance, Size
from replicate.tables.table import LATENCY, ROLES, DatasetFacts, Row, Step

# What a stage with several parents says of them; none of it is a setting of the stage.
_ABOUT_PARENTS = ("of", "members")
MOST_MEMBERS = 100
UNITS = {"fraction": Decimal(1), "percent": Decimal("0.01"), "milliseconds": Decimal(1)}
EXACT = Decimal("1e-12")


def read_row(section: TomlTable, table: str, dataset: DatasetFacts, units: Mapping[str, str]) -> Row:
    """One row of the table of that id, which counts these examples.

    Raises:
        UserError: naming the file and the key at fault.
    """
    keys = ("id", "title", "parent", "parents", "recipe", "not_run", "profiles", "role", "against", "model")
    section.only(*keys, "published", "counts", "provenance", "size")
    steps = section.sections("recipe")
    recipe = tuple(_step(step, first=step is steps[0]) for step in steps)
    if recipe and "not_run" in section.data:
        raise section.fault("not_run", "a row with a recipe runs")
    published = section.optional_section("published")
    published.only(*METRICS, LATENCY)
    counts = _counts(section.section("counts"), dataset) if "counts" in section.data else None
    row = Row(
        table=table,
        id=section.identifier("id"),
        title=section.text("title"),
        parents=_parents(section, steps),
        recipe=recipe,
        not_run="" if recipe else section.text("not_run"),
        published={metric: _published(published, metric, units.get(metric, "fraction")) for metric in published.data},
        counts=counts,
        provenance=_row_provenance(section.section("provenance")) if published.data else None,
        profiles=section.texts("profiles") if "profiles" in section.data else (),
        role=section.choice("role", ROLES) if "role" in section.data else None,
        against=section.optional_text("against"),
        model=section.optional_text("model"),
        size=_size(section.section("size")) if "size" in section.data else None,
    )
    if row.model and row.parents:
        raise section.fault("model", "a row with a parent starts from its parent's net")
    if counts:
        _check_counts(published, counts, row.published)
    return row


def _parents(section: TomlTable, steps: Sequence[TomlTable]) -> tuple[str, ...]:
    """The rows that it descends from; those that its first stage is `of` are such."""
    if steps and "of" in steps[0].data:
        for key in ("parent", "parents"):
            if key in section.data:
                raise section.fault(key, "name it in `of`")
        return _distinct(steps[0], "of")
    if "parents" not in section.data:
        return () if "parent" not in section.data else (section.text("parent"),)
    if "parent" in section.data:
        raise section.fault("parent", "name it among the `parents`")
    return _distinct(section, "parents")


def _distinct(section: TomlTable, key: str) -> tuple[str, ...]:
    names = section.texts(key)
    if len(set(names)) != len(names):
        raise section.fault(key, "a row twice")
    return names


def _step(section: TomlTable, first: bool) -> Step:
    kind = KINDS[section.choice("stage", tuple(KINDS))]
    options = {key: value for key, value in section.data.items() if key not in ("stage", *_ABOUT_PARENTS)}
    for key in _ABOUT_PARENTS:
        if key in section.data and not (first and any(port.many for port in kind.ports)):
            raise section.fault(key, "only the first stage of a recipe has it, and only one that takes several parents")
    if "members" in section.data and "of" not in section.data:
        raise section.fault("members", "say whose in `of`")
    members = section.whole("members") if "members" in section.data else 1
    if not 1 <= members <= MOST_MEMBERS:
        raise section.fault("members", f"not 1 to {MOST_MEMBERS}: {members}")
    for key, value in options.items():
        values = value.values() if isinstance(value, dict) else (value,)
        if not all(isinstance(one, str | int | float) for one in values):
            raise section.fault(key, f"not a text, number, boolean or table of such: {value!r}")
        if fault := fault_of(kind.options, key, value):
            raise section.fault(key, fault)
    return Step(kind.name, options, members)


def _published(section: TomlTable, metric: str, unit: str) -> Published:
    value = section.decimal(metric) * UNITS[unit]
    if metric != LATENCY and not 0 <= value <= 1:
        raise section.fault(metric, f"a score outside 0 to 1 as {unit}: {section.data[metric]}")
    return Published(section.text(metric), unit, value)


def _row_provenance(section: TomlTable) -> RowProvenance:
    section.only("section", "log", "note")
    return RowProvenance(section.text("section"), section.text("log"), section.text("note"))


def _size(section: TomlTable) -> Size:
    section.only(*Size.__dataclass_fields__)
    return Size(section.whole("parameters"), section.whole("probable"), section.text("reason"))


def _counts(section: TomlTable, dataset: DatasetFacts) -> Counts:
    section.only("examples", "correct", "tp", "fp", "fn")
    examples, correct = section.whole("examples"), section.whole("correct")
    if examples != dataset.examples:
        raise section.fault("examples", f"{examples}, but the data set has {dataset.examples}")
    if correct > examples:
        raise section.fault("correct", f"{correct} of {examples}")
    if not {"tp", "fp", "fn"} & set(section.data):
        return Counts(examples, correct)
    tp, fp, fn = section.whole("tp"), section.whole("fp"), section.whole("fn")
    if tp + fn != dataset.positive_examples:
        raise section.fault("fn", f"tp + fn is {tp + fn}, not the {dataset.positive_examples} of the positive class")
    return Counts(examples, correct, tp, fp, fn)


def _check_counts(section: TomlTable, counts: Counts, published: Mapping[str, Published]) -> None:
    """Refuses counts that don't give the printed figures to 1e-12, or to half their last digit where that is more."""
    scores = counts.scores()
    for metric, figure in published.items():
        if metric not in scores:
            continue
        last_digit = Decimal(1).scaleb(int(Decimal(figure.printed).as_tuple().exponent)) * UNITS[figure.unit]
        if abs(Decimal(scores[metric]) - figure.value) > max(EXACT, last_digit / 2):
            raise section.fault(metric, f"printed {figure.printed}, but the counts give {scores[metric]!r}")


def check_rows(top: TomlTable, rows: tuple[Row, ...]) -> None:
    """Refuse rows that name no other row of the table, or descend in a circle (UserError)."""
    by_id: dict[str, Row] = {}
    for row in rows:
        if row.id in by_id:
            raise top.fault(f"rows.{row.id}.id", "duplicate id")
        by_id[row.id] = row
    for row in rows:
        if row.against is not None:
            at_fault = f"rows.{row.id}.against"
            if row.against not in by_id:
                raise top.fault(at_fault, f"no row {row.against!r}")
            if row.against == row.id:
                raise top.fault(at_fault, "the same row")
            if row.against == row.parent:
                raise top.fault(at_fault, f"{row.parent!r} is its parent, with which it is compared without it")
        for parent in row.parents:
            if parent not in by_id:
                raise top.fault(f"rows.{row.id}.parent", f"no row {parent!r}")
            if row.recipe and not by_id[parent].recipe:
                raise top.fault(f"rows.{row.id}.recipe", f"descends from {parent!r}, which is not run")
    try:
        order = [*TopologicalSorter({row.id: row.parents for row in rows}).static_order()]
    except CycleError as error:
        raise top.fault(f"rows.{error.args[1][0]}.parent", "a cycle: the row descends from itself") from None
    # Of members of members nobody could say which seeds they are of.
    several: set[str] = set()
    for row in (by_id[one] for one in order):
        above = not several.isdisjoint(row.parents)
        if above and row.members > 1:
            raise top.fault(f"rows.{row.id}.recipe.1.members", "it descends from a row that has members already")
        if above or row.members > 1:
            several.add(row.id)
