"""The TOML form of a table: `expected/*.toml`, loaded and validated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from replicate.common.paths import EXPECTED
from replicate.common.toml import TomlTable, read_toml
from replicate.records.run import NETS
from replicate.scores.metrics import METRICS
from replicate.tables.elsewhere import read_elsewhere, read_flattened
from replicate.tables.rows import UNITS, check_rows, read_row
from replicate.tables.sequential import read_sequential
from replicate.tables.table import (
    EFFECTS,
    LATENCY,
    Claim,
    Conclusion,
    DatasetFacts,
    Provenance,
    ResultsTable,
    Row,
    Setting,
    Statistics,
)

SCHEMA = 1
CLAIM_KINDS = ("lowers", "keeps", "raises")


def load_tables(folder: Path = EXPECTED) -> dict[str, ResultsTable]:
    """Every table of a folder by its id, in the order of the ids.

    Raises:
        UserError: a table is not valid, or two have one id.
    """
    tops = [read_toml(path) for path in sorted(folder.glob("*.toml"))]
    tables: dict[str, ResultsTable] = {}
    for top in sorted(tops, key=lambda top: "study_of" in top.data):
        table = _table(top, tables)
        if table.id in tables:
            raise top.fault("id", f"another table of this folder is called {table.id!r}")
        if table.main and any(other.main for other in tables.values()):
            raise top.fault("main", "another table of this folder is the main one")
        tables[table.id] = table
    return dict(sorted(tables.items()))


def load_table(path: Path) -> ResultsTable:
    """Loads and validates one table that is no study of another.

    Raises:
        UserError: naming the file and the key at fault.
    """
    return _table(read_toml(path), {})


def _table(top: TomlTable, others: Mapping[str, ResultsTable]) -> ResultsTable:
    """A table; a study finds its own among the others."""
    keys = ("schema", "id", "title", "provenance", "dataset", "statistics")
    optional = ("main", "study_of", "neighbours", "units", "overrides", "rows", "claims", "conclusions", "sequential")
    top.only(*keys, *optional, "tolerances", "elsewhere", "flattened")
    if top.whole("schema") != SCHEMA:
        raise top.fault("schema", f"this version reads {SCHEMA}")
    of = _studied(top, others)
    dataset = of.dataset if of else _dataset(top.section("dataset"))
    units = top.optional_section("units")
    units.only(*METRICS, LATENCY)
    unit_of = {metric: units.choice(metric, tuple(UNITS)) for metric in units.data}
    tolerances = top.section("tolerances")
    tolerances.only(*METRICS, LATENCY)
    settings = {metric: _only_setting(tolerances, metric) for metric in tolerances.data}
    table_id = top.identifier("id")
    if table_id == NETS:
        raise top.fault("id", f"{NETS!r} is where pretrained nets lie beside records")
    rows = tuple(read_row(section, table_id, dataset, unit_of) for section in top.sections("rows"))
    if not rows:
        raise top.fault("rows", "missing")
    check_rows(top, rows)
    claims = _claims(top, rows, settings)
    table = ResultsTable(
        id=table_id,
        title=top.text("title"),
        provenance=_provenance(top.section("provenance")),
        dataset=dataset,
        statistics=of.statistics if of else _statistics(top.section("statistics")),
        tolerances=settings,
        overrides=_overrides(top, rows, settings),
        rows=rows,
        claims=claims,
        neighbours=top.texts("neighbours") if "neighbours" in top.data else (),
        conclusions=tuple(
            _conclusion(section, tuple(row.id for row in rows)) for section in top.sections("conclusions")
        ),
        main=top.flag("main"),
        study_of=of.id if of else None,
        sequential=read_sequential(top.section("sequential"), rows, claims) if "sequential" in top.data else None,
        elsewhere=tuple(map(read_elsewhere, top.sections("elsewhere"))),
        flattened=tuple(map(read_flattened, top.sections("flattened"))),
    )
    if of and (table.main or table.is_published):
        raise top.fault("study_of", "a study is not the main table, and nobody published its rows")
    return table


def _studied(top: TomlTable, others: Mapping[str, ResultsTable]) -> ResultsTable | None:
    """The table that a study is of, with whose data set and statistics it does; None for a table by itself."""
    if "study_of" not in top.data:
        return None
    for key in ("dataset", "statistics"):
        if key in top.data:
            raise top.fault(key, "a study has that of the table that it is of")
    name = top.text("study_of")
    if name not in others or others[name].study_of:
        known = ", ".join(other.id for other in others.values() if not other.study_of)
        raise top.fault("study_of", f"no such table beside this one: {name!r}; there are: {known or 'none'}")
    return others[name]


def _provenance(section: TomlTable) -> Provenance:
    section.only(*Provenance.__dataclass_fields__)
    return Provenance(
        source=section.text("source"),
        published=section.text("published"),
        language=section.text("language"),
        retrieved=section.text("retrieved"),
        protocol_known=section.texts("protocol_known"),
        protocol_unknown=section.texts("protocol_unknown"),
        **{key: section.texts(key) for key in ("latency_known", "latency_unknown") if key in section.data},
    )


def _dataset(section: TomlTable) -> DatasetFacts:
    section.only(*DatasetFacts.__dataclass_fields__)
    positive = any(key.startswith("positive_") for key in section.data)
    return DatasetFacts(
        name=section.text("name"),
        split=section.text("split"),
        examples=section.whole("examples"),
        positive_class=section.text("positive_class") if positive else None,
        positive_index=section.whole("positive_index") if positive else None,
        positive_examples=section.whole("positive_examples") if positive else None,
    )


def _setting(section: TomlTable) -> Setting:
    value = section.decimal("value")
    if value <= 0:
        raise section.fault("value", f"not above 0: {value}")
    return Setting(value, section.text("reason"))


def _only_setting(parent: TomlTable, key: str) -> Setting:
    section = parent.section(key)
    section.only("value", "reason")
    return _setting(section)


def _statistics(section: TomlTable) -> Statistics:
    section.only("alpha", "minimum_seeds")
    alpha, seeds = _only_setting(section, "alpha"), _only_setting(section, "minimum_seeds")
    if alpha.value >= 1:
        raise section.fault("alpha.value", f"not below 1: {alpha.value}")
    if seeds.value != int(seeds.value) or seeds.value < 2:
        raise section.fault("minimum_seeds.value", f"not a whole number of at least 2: {seeds.value}")
    return Statistics(alpha, seeds)


def _overrides(
    top: TomlTable, rows: tuple[Row, ...], settings: Mapping[str, Setting]
) -> dict[tuple[str, str], Setting]:
    overrides: dict[tuple[str, str], Setting] = {}
    ids = {row.id for row in rows}
    for section in top.sections("overrides"):
        section.only("row", "metric", "value", "reason")
        row, metric = section.text("row"), section.text("metric")
        if row not in ids:
            raise section.fault("row", f"no row {row!r}")
        if metric not in settings:
            raise section.fault("metric", f"the table states no tolerance for {metric!r}")
        if (row, metric) in overrides:
            raise section.fault("metric", f"a second override of {metric!r} for row {row!r}")
        overrides[row, metric] = _setting(section)
    return overrides


def _conclusion(section: TomlTable, rows: tuple[str, ...]) -> Conclusion:
    section.only(*Conclusion.__dataclass_fields__)
    for key, known in (("rows", rows), ("expects", EFFECTS)):
        for value in section.texts(key):
            if value not in known:
                raise section.fault(key, f"{value!r} is none of {', '.join(known)}")
    against = section.choice("against", rows)
    return Conclusion(section.text("text"), section.texts("rows"), against, section.texts("expects"))


def _claims(top: TomlTable, rows: tuple[Row, ...], settings: Mapping[str, Setting]) -> tuple[Claim, ...]:
    ids = tuple(row.id for row in rows)
    claims: dict[str, Claim] = {}
    for section in top.sections("claims"):
        section.only(*Claim.__dataclass_fields__)
        claim = Claim(
            id=section.identifier("id"),
            text=section.text("text"),
            kind=section.choice("kind", CLAIM_KINDS),
            row=section.choice("row", ids),
            against=section.choice("against", ids),
            metrics=section.texts("metrics"),
            provenance=section.text("provenance"),
            against_in_log=_only_setting(section, "against_in_log") if "against_in_log" in section.data else None,
        )
        if claim.id in claims:
            raise section.fault("id", "duplicate id")
        if claim.row == claim.against:
            raise section.fault("against", "the same row")
        for metric in claim.metrics:
            if metric not in settings:
                raise section.fault("metrics", f"the table states no tolerance for {metric!r}")
        claims[claim.id] = claim
    return tuple(claims.values())
