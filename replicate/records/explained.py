"""Records of explanations: how faithful each row's and seed's are, and whether a net looks where its parent looks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.files import read_json, to_json, write_text
from replicate.common.paths import MEASURED
from replicate.records.run import EXPLAINED

# Schema 1 had one commit, the record's.
SCHEMA = 2


@dataclass(frozen=True)
class Agreement:
    """Whether two nets look at the same pieces.

    Attributes:
        rank: rank correlation of the scores, a mean over the texts.
        top: share of the highest 20 % that both have.
        by_chance: that share for random orders.
        same_label: share of the texts to which both give one label.
    """

    rank: float
    top: float
    by_chance: float
    same_label: float


@dataclass(frozen=True)
class ExplainedRun:
    """One row with one seed.

    Attributes:
        comprehensiveness: what the label's probability loses without the highest pieces.
        sufficiency: what it loses when those are all there is.
        floor: the two for random orders on the same net.
        parent: beside the net that it was pruned or distilled from; None for others.
        peer: beside the same row with another seed; None where there is none.
        commit: of the code that measured it, and whether it had changes.
    """

    table: str
    row: str
    seed: int
    comprehensiveness: float
    sufficiency: float
    floor: tuple[float, float]
    parent: Agreement | None = None
    peer: Agreement | None = None
    commit: str = ""

    @property
    def place(self) -> tuple[str, str, int]:
        """Table, row and seed: no record has two runs of them."""
        return self.table, self.row, self.seed


@dataclass(frozen=True)
class ExplainedRecord:
    """What was measured of one profile's nets on one sample of dev texts.

    Attributes:
        name: of the file.
        profile: of the rows.
        dev: digest of the dev set.
        texts: of the sample, drawn with seed 0; those with two pieces or more count.
        method: how pieces are scored.
        runs: the rows and seeds.
    """

    name: str
    profile: str
    dev: str
    texts: int
    method: str
    runs: tuple[ExplainedRun, ...]

    def beside(self, before: ExplainedRecord) -> ExplainedRecord:
        """This record with the runs of an older one that it lacks.

        Raises:
            UserError: the older one is of other texts or of another method, so that the runs can't stand side by side.
        """
        same = ("name", "profile", "dev", "texts", "method")
        if differing := [one for one in same if getattr(self, one) != getattr(before, one)]:
            hint = f"measure with its own {differing[0]} ({getattr(before, differing[0])}), or delete it"
            raise UserError(f"the accepted record {before.name}.json has another {differing[0]}", hint=hint)
        own = {one.place for one in self.runs}
        runs = (*self.runs, *(one for one in before.runs if one.place not in own))
        return replace(self, runs=tuple(sorted(runs, key=lambda one: one.place)))


def write_explained(record: ExplainedRecord, folder: Path = MEASURED / EXPLAINED) -> Path:
    """Writes a record as `<name>.json`, in one step, and returns that path."""
    path = folder / f"{record.name}.json"
    write_text(path, to_json({"schema": SCHEMA, **asdict(record)}, sort_keys=False))
    return path


def load_explained(folder: Path = MEASURED / EXPLAINED) -> tuple[ExplainedRecord, ...]:
    """The records in a folder, by name; none where there is no such folder.

    Raises:
        UserError: one of them isn't valid.
    """
    return tuple(read_explained(path) for path in sorted(folder.glob("*.json")))


def read_explained(path: Path) -> ExplainedRecord:
    """The record in a file.

    Raises:
        UserError: it isn't one.
    """
    value = read_json(path)
    try:
        schema = value.pop("schema")
        if schema not in (1, SCHEMA) or value["name"] != path.stem:
            raise ValueError("another schema or another name")
        whole = {"commit": value.pop("commit")} if schema == 1 else {}
        runs = tuple(_run({**whole, **one}) for one in value.pop("runs"))
        if len({one.place for one in runs}) < len(runs):
            raise ValueError("a row has two runs of one seed")
        record = ExplainedRecord(**value, runs=runs)
        if type(record.texts) is not int or not all(
            isinstance(getattr(record, name), str) for name in ("profile", "dev", "method")
        ):
            raise ValueError("a field of another type")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"not a record of explanations ({error})", path=path) from error
    return record


def _run(value: Mapping[str, Any]) -> ExplainedRun:
    floor = tuple(map(_number, value["floor"]))
    if len(floor) != 2 or type(value["seed"]) is not int:
        raise ValueError("a floor of another length, or no seed")
    return ExplainedRun(
        table=str(value["table"]),
        row=str(value["row"]),
        seed=value["seed"],
        comprehensiveness=_number(value["comprehensiveness"]),
        sufficiency=_number(value["sufficiency"]),
        floor=(floor[0], floor[1]),
        parent=_agreement(value["parent"]),
        peer=_agreement(value["peer"]),
        commit=str(value["commit"]),
    )


def _agreement(value: Mapping[str, Any] | None) -> Agreement | None:
    if value is None:
        return None
    return Agreement(**{one.name: _number(value[one.name]) for one in fields(Agreement)})


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)
