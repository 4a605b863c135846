"""Plans as they were before the first seed: `plan.json` beside a profile's records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.files import read_json, to_json, write_text
from replicate.records.run import PLAN
from replicate.verdicts.plan import Claim, Plan

SCHEMA = 1


@dataclass(frozen=True)
class Kept:
    """A table's plan, written down before there were seeds.

    Attributes:
        plan: the plan.
        written: when, as ISO 8601.
        commit: of the code that wrote it; `unknown` outside a repository.
        dirty: whether that code had changes that no commit holds.
    """

    plan: Plan
    written: str
    commit: str
    dirty: bool


def path_of(folder: Path, profile: str) -> Path:
    """Where the plans of a profile are, below a folder of records."""
    return folder / profile / PLAN


def read_plans(folder: Path, profile: str) -> dict[str, Kept]:
    """The kept plans of a profile by table; empty where nobody has written any.

    Raises:
        UserError: the file can't be read, isn't one of plans, or holds a plan that isn't the one of its digest.
    """
    path = path_of(folder, profile)
    if not path.is_file():
        return {}
    value = read_json(path)
    if not isinstance(value, dict) or value.get("schema") != SCHEMA or not isinstance(value.get("plans"), dict):
        raise UserError(f"not a file of plans of schema {SCHEMA}", path=path, hint="get it again (git checkout)")
    return {table: _read(entry, table, path) for table, entry in value["plans"].items()}


def write_plans(kept: Mapping[str, Kept], folder: Path, profile: str) -> Path:
    """Writes the plans of a profile by table, in one step.

    Raises:
        UserError: a table's plan was kept before and is another one; the first is never replaced.
    """
    path, before = path_of(folder, profile), read_plans(folder, profile)
    for table, one in before.items():
        if table in kept and kept[table].plan.digest != one.plan.digest:
            raise UserError(f"{table} has another plan there, which was kept first", path=path, hint="leave it there")
    value = {table: {**asdict(one), "digest": one.plan.digest} for table, one in sorted({**kept, **before}.items())}
    write_text(path, to_json({"schema": SCHEMA, "plans": value}, sort_keys=False))
    return path


def _read(entry: Any, table: str, path: Path) -> Kept:
    try:
        stated = dict(entry["plan"])
        if unknown := set(stated) - {one.name for one in fields(Plan)}:
            raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}")
        _check_kinds(stated)
        claims, nets = tuple(Claim(**claim) for claim in stated.pop("claims")), tuple(stated.pop("nets"))
        plan = Plan(claims=claims, nets=nets, **stated)
        kept = Kept(plan, str(entry["written"]), str(entry["commit"]), bool(entry["dirty"]))
        same = entry["digest"] == plan.digest
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{table}: not a plan ({error})", path=path, hint="get it again (git checkout)") from None
    if not same:
        raise UserError(f"{table}: not the plan that its digest is of", path=path, hint="get it again (git checkout)")
    return kept


def _check_kinds(stated: Mapping[str, Any]) -> None:
    """Refuse values that are no numbers, or no texts, where a plan has such (TypeError)."""
    names = [*stated["nets"], *(value for claim in stated["claims"] for value in claim.values())]
    counts = [stated[name] for name in ("first", "most") if name in stated]
    numbers = [*(stated[name] for name in ("alpha", "rho") if name in stated), *stated["margins"].values()]
    for values, kinds in ((names, (str,)), (counts, (int,)), (numbers, (int, float))):
        for value in values:
            if type(value) not in kinds:
                raise TypeError(f"{value!r} is of another type")
