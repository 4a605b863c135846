"""What to expect of plans before they are run, as `replicate run --until-decided --plan` prints it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from replicate.commands.session import kept_plans
from replicate.commands.until import about_plan, asks_in_words
from replicate.common.paths import MEASURED
from replicate.findings.forecast import WORLDS, Chance, ClaimForecast, Forecast, Hours, Spread, forecast
from replicate.findings.rounds import Study
from replicate.records.plans import Kept
from replicate.records.run import Record, load_records, read_records
from replicate.records.strata import of_plan
from replicate.report.words import listed, on_nets
from replicate.runs.runner import Runner


def tell_forecasts(runner: Runner, studies: Sequence[Study], as_json: bool) -> None:
    """Print what to expect of each study, from the records that there are."""
    fresh, accepted = read_records(runner.records), load_records(MEASURED)
    own = list({one.place: one for one in [*fresh, *(accepted if runner.on_article else [])]}.values())
    found = [forecast(study, runner.profile, own, accepted, runner.on_article) for study in studies]
    if as_json:
        print(json.dumps([_as_json(one) for one in found], ensure_ascii=False, indent=1))
        return
    kept = kept_plans(runner, MEASURED)
    for one in found:
        seen = of_plan(one.study.plan, one.study.table.id, runner.profile.id, own)
        print(*_lines(one, _standing(one.study, kept.get(one.study.table.id), seen)), "", sep="\n")
    print(
        "Under each true difference: how often the plan decides the claim, and after how many seeds in all on average "
        "(4,000 simulated studies, by the functions that decide)."
    )


def _standing(study: Study, kept: Kept | None, seen: Sequence[Record]) -> list[str]:
    """Whether the plan is kept, and what is post hoc."""
    if kept is None and not seen:
        return ["no seed of it has been run: the plan is kept before the first one"]
    told = about_plan(study, kept, seen)
    return told if kept is None else [f"plan of {kept.written}, commit {kept.commit[:12]}", *told]


def _lines(one: Forecast, about: Sequence[str]) -> list[str]:
    plan = one.study.plan
    family = f"{len(plan.claims)} claim{'s' * (len(plan.claims) > 1)}"
    each = f"each with a false word in {100 * plan.level:.3g} % of studies at most"
    looks = f"looks after {plan.first} to {plan.most} seeds{on_nets(len(plan.nets))}"
    head = f"{one.study.table.id}: {family}, {each}; {looks}"
    worlds = [world for world in WORLDS if any(world in claim.chances for claim in one.claims)]
    sources = sorted({claim.spread.profile for claim in one.claims} - {""})
    table = [_row(claim, one.study, worlds, len(sources) > 1) for claim in one.claims]
    return [
        head,
        *(f"  {line}" for line in about),
        "",
        tabulate(table, headers="keys", disable_numparse=True),
        "",
        f"sd of one seed's difference{f': from {listed(sources)}' if sources else ' is not known from any record'}",
        _hours(one.hours),
    ]


def _row(one: ClaimForecast, study: Study, worlds: Sequence[str], named: bool) -> dict[str, str]:
    told = {
        "claim": one.claim.name,
        "asks": asks_in_words(one.claim),
        "margin": f"{study.plan.margins[one.claim.metric]:.3f}",
        "sd (seeds)": _spread(one.spread, named),
    }
    return told | {world: _chance(one.chances.get(world), world) for world in worlds}


def _spread(spread: Spread, named: bool) -> str:
    if not spread.seeds:
        return f"{spread.sd} assumed"
    return f"{spread.sd:.4f} ({spread.seeds}{f', {spread.profile}' if named else ''})"


def _chance(chance: Chance | None, world: str) -> str:
    if chance is None:
        return "-"
    value = "" if world == WORLDS[0] else f"{chance.difference:+.4f}: "
    return f"{value}{100 * chance.decided:.0f} %, {chance.seeds:.0f} seeds"


def _hours(hours: Hours | None) -> str:
    if hours is None:
        return "hours: not known, as no record is of every row on such a device"
    told = [f"{value:.2g} {'with ' * (world == WORLDS[0])}{world}" for world, value in hours.by_world.items()]
    net = f"; besides, {hours.net:.2g} for each pretrained net that isn't there yet" if hours.net else ""
    return f"hours, one process: {', '.join(told)}, {hours.most:.2g} up to the last look{net} (from {hours.profile})"


def _as_json(one: Forecast) -> dict[str, Any]:
    plan = one.study.plan
    return {
        "table": one.study.table.id,
        "level": plan.level,
        "first": plan.first,
        "most": plan.most,
        "nets": len(plan.nets),
        "claims": [
            {
                "claim": claim.claim.name,
                "kind": claim.claim.kind,
                "row": claim.claim.a,
                "against": claim.claim.b,
                "metric": claim.claim.metric,
                "margin": plan.margins[claim.claim.metric],
                "sd": claim.spread.sd,
                "sd_from": claim.spread.profile or None,
                "sd_seeds": claim.spread.seeds,
                "measured": claim.spread.mean if math.isfinite(claim.spread.mean) else None,
                "worlds": {world: vars(chance) for world, chance in claim.chances.items()},
            }
            for claim in one.claims
        ],
        "hours": None if one.hours is None else vars(one.hours),
    }
