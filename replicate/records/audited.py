"""Audits as numbers alone: what was found of a data set, without a text of it and without a line number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from replicate.common.errors import UserError
from replicate.common.files import read_json, to_json, write_text
from replicate.common.paths import MEASURED
from replicate.records.run import AUDITED

SCHEMA = 1


@dataclass(frozen=True)
class AuditRecord:
    """What was found of one data set.

    Attributes:
        name: of the data set, and of the file.
        command: that made it.
        dev: digest of the dev set.
        parts: texts of each part.
        counts: of each kind of finding, the lines of each part.
        shift: half the sum of the differences of the classes' shares in train and dev.
        shifted: names of the classes whose share shifts by more than chance.
        thin: names of the classes with few texts.
        records: how many run records contested dev lines; 0 where none were asked.
    """

    name: str
    command: tuple[str, ...]
    dev: str
    parts: Mapping[str, int]
    counts: Mapping[str, Mapping[str, int]]
    shift: float
    shifted: tuple[str, ...]
    thin: tuple[str, ...]
    records: int


def write_audited(record: AuditRecord, folder: Path = MEASURED / AUDITED) -> Path:
    """Writes a record as `<name>.json`, in one step, and returns that path."""
    path = folder / f"{record.name}.json"
    write_text(path, to_json({"schema": SCHEMA, **asdict(record)}, sort_keys=False))
    return path


def load_audited(folder: Path = MEASURED / AUDITED) -> tuple[AuditRecord, ...]:
    """The records in a folder, by name; none where there is no such folder.

    Raises:
        UserError: one of them isn't valid.
    """
    return tuple(read_audited(path) for path in sorted(folder.glob("*.json")))


def read_audited(path: Path) -> AuditRecord:
    """The record in a file.

    Raises:
        UserError: it isn't one.
    """
    value = read_json(path)
    try:
        if value.pop("schema") != SCHEMA or value["name"] != path.stem:
            raise ValueError("another schema or another name")
        command, shifted, thin = (tuple(map(str, value.pop(name))) for name in ("command", "shifted", "thin"))
        counts = [*value["parts"].values(), *(n for of in value["counts"].values() for n in of.values())]
        if not all(type(n) is int and n >= 0 for n in (*counts, value["records"])):
            raise ValueError("a count that is none")
        if type(value["shift"]) not in (int, float) or not isinstance(value["dev"], str):
            raise ValueError("a field of another type")
        return AuditRecord(**value, command=command, shifted=shifted, thin=thin)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"not a record of an audit ({error})", path=path) from error
