"""`[sequential]` of a table: how its claims are decided, as a plan that is written down before there is data."""

from __future__ import annotations

from typing import cast, get_args

from replicate.common.toml import TomlTable
from replicate.records.selection import SCORES, plain_metric
from replicate.records.strata import net_names
from replicate.tables.profile import Profile
from replicate.tables.table import Claim, ResultsTable, Row, Sequential, Setting
from replicate.verdicts.plan import DIGITS, MOST_SEEDS, Kind, Pairing, Plan
from replicate.verdicts.plan import Claim as PlannedClaim

KEYS = ("first", "most", "alpha", "rho", "spending", "metric", "margins", "pairing", "claims", "added")
CLAIM_KEYS = ("id", "text", "kind", "row", "against", "metric", "provenance")
# The first look needs a spread, as `Plan` has it.
FEWEST = 3


def read_sequential(section: TomlTable, rows: tuple[Row, ...], claims: tuple[Claim, ...]) -> Sequential:
    """The section, held against the rows and claims of its table.

    Raises:
        UserError: naming the file and the key.
    """
    section.only(*KEYS)
    margins = _margins(section)
    metric = section.text("metric")
    if metric not in margins:
        raise section.fault("metric", f"`margins` states none for {metric!r}")
    family = _family(section, claims, metric)
    added = _added(section, rows, margins)
    if not family and not added:
        raise section.fault("claims", "name a claim of this table, or give [[sequential.added]]")
    names = [*family, *(claim.id for claim in claims), *(claim.id for claim in added)]
    for place, claim in enumerate(added, start=1):
        if names.count(claim.id) > 1:
            raise section.fault(f"added.{claim.id}.id", f"another claim has it (entry {place})")
    first, most = section.whole("first"), section.whole("most")
    if not FEWEST <= first <= most:
        raise section.fault("first", f"looks from {first} to {most} seeds: the first takes at least {FEWEST}")
    if most > MOST_SEEDS:
        raise section.fault("most", f"{most} seeds; at most {MOST_SEEDS} can be planned")
    return Sequential(
        first=first,
        most=most,
        alpha=_share(section, "alpha"),
        rho=_number(section, "rho"),
        spending=section.choice("spending", ("power",)),
        metric=metric,
        margins=margins,
        pairing=section.choice("pairing", get_args(Pairing)),
        claims=family,
        added=added,
    )


def plan_of(table: ResultsTable, profile: Profile) -> Plan | None:
    """The plan of a table under a profile: its claims of which the profile runs both rows, on the profile's nets.

    None where the table has none. `most` counts seeds in all, so with N nets there are `most // N` looks at most.
    """
    rule = table.sequential
    if rule is None:
        return None
    nets = net_names(profile.nets)
    most = rule.most // len(nets)
    claims = tuple(
        PlannedClaim(claim.id, cast(Kind, claim.kind), claim.row, claim.against, metric)
        for claim, metric in planned_claims(table)
        if all(table.row(row).runs_under(profile.id) for row in (claim.row, claim.against))
    )
    # Fewer seeds than a spread needs decide nothing.
    if not claims or most < FEWEST:
        return None
    metrics = (*rule.margins, *(claim.metric for claim in claims))
    return Plan(
        claims=claims,
        margins={metric: rule.margin(metric) for metric in metrics},
        first=min(rule.first, most),
        most=most,
        alpha=rule.alpha,
        rho=rule.rho,
        nets=nets,
        pairing=cast(Pairing, rule.pairing),
    )


def planned_claims(table: ResultsTable) -> tuple[tuple[Claim, str], ...]:
    """The claims in a table's plan, each with the metric that decides it."""
    rule = table.sequential
    if rule is None:
        return ()
    own = tuple((claim, rule.metric) for claim in table.claims if claim.id in rule.claims)
    return own + tuple((claim, claim.metrics[0]) for claim in rule.added)


def _margins(section: TomlTable) -> dict[str, Setting]:
    stated = section.section("margins")
    found = {}
    for metric in stated.data:
        if metric not in SCORES or plain_metric(metric) != metric:
            raise stated.fault(metric, "not a score that records hold")
        one = stated.section(metric)
        one.only("value", "reason")
        value = one.decimal("value")
        if not 0 < value < 1 or round(value, DIGITS) != value:
            raise one.fault("value", f"not above 0 and below 1 with at most {DIGITS} digits: {value}")
        found[metric] = Setting(value, one.text("reason"))
    return found


def _family(section: TomlTable, claims: tuple[Claim, ...], metric: str) -> tuple[str, ...]:
    if "claims" not in section.data:
        return ()
    known = {claim.id: claim for claim in claims}
    named = section.texts("claims")
    for name in named:
        if name not in known:
            raise section.fault("claims", f"no claim {name!r}; claims: {', '.join(known) or 'none'}")
        if metric not in known[name].metrics:
            raise section.fault("claims", f"{name!r} isn't about {metric}")
    if len(set(named)) != len(named):
        raise section.fault("claims", "a claim twice")
    return named


def _added(section: TomlTable, rows: tuple[Row, ...], margins: dict[str, Setting]) -> tuple[Claim, ...]:
    ids = tuple(row.id for row in rows)
    found = []
    for one in section.sections("added"):
        one.only(*CLAIM_KEYS)
        metric = one.choice("metric", SCORES)
        if plain_metric(metric) not in margins:
            raise one.fault("metric", f"`margins` states none for {plain_metric(metric)!r}")
        claim = Claim(
            id=one.identifier("id"),
            text=one.text("text"),
            kind=one.choice("kind", get_args(Kind)),
            row=one.choice("row", ids),
            against=one.choice("against", ids),
            metrics=(metric,),
            provenance=one.text("provenance"),
        )
        if claim.row == claim.against:
            raise one.fault("against", "the same row")
        found.append(claim)
    return tuple(found)


def _number(section: TomlTable, key: str) -> float:
    value = section.decimal(key)
    if value <= 0:
        raise section.fault(key, f"not above 0: {value}")
    return float(value)


def _share(section: TomlTable, key: str) -> float:
    value = _number(section, key)
    if value >= 1:
        raise section.fault(key, f"not below 1: {value}")
    return value
