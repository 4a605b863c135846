"""Run records: what one row gave with one seed, as committed JSON from which every score can be derived."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.files import plain, read_json, to_json, write_text
from replicate.common.paths import MEASURED
from replicate.corpus.formats import DATA
from replicate.records.check import check_record
from replicate.records.migrations import SCHEMA, migrate

# Below the records' folder; `records/timing_file.py` reads them.
TIMING = "timing"
# Beside it: figures of explanations (`records/explained.py`), and of audits.
EXPLAINED = "explained"
AUDITED = "audited"
# Below a profile's folder of records: pretrained nets that are kept with them, and the plans that its seeds follow.
NETS = "nets"
PLAN = "plan.json"
CHOICE = "choice.json"
# Beside the records of somebody's own data; `runs/held_out.py` reads them.
HELD_OUT = "held-out"


@dataclass(frozen=True)
class Record:
    """One row of a table with one profile and one seed.

    Attributes:
        stages: each with `stage`, `key`, `config` (all its settings), `passed` (those that profile and row said),
            `inputs`, `seconds` and `summary`.
        counts: of the dev set; empty, as the four below, where a run gave no predictions. Scores are never stored.
        confidence: the probability of each predicted class; empty where the model gives none.
        probabilities: those of every class, more coarsely, so that only `predictions` says which was predicted; empty
            where the model gives none, or where the record is of schema 1.
        pretrained: digest of the pretrained net that the row descends from, a random start of its shape and vocabulary
            included; empty where there is none.
    """

    table: str
    row: str
    profile: str
    seed: int
    status: str
    reason: str
    command: tuple[str, ...]
    started: str
    finished: str
    commit: str
    dirty: bool
    versions: Mapping[str, str]
    device: Mapping[str, Any]
    machine: Mapping[str, Any]
    stages: tuple[Mapping[str, Any], ...]
    digests: Mapping[str, str]
    labels: tuple[str, ...]
    counts: Mapping[str, Any]
    predictions: str
    correct: str
    confidence: str
    probabilities: str
    pretrained: str
    parameters: int

    @property
    def place(self) -> str:
        """Where it belongs below `measured/`: `<profile>/<table>/<row>/seed-<n>.json`."""
        return place_of(self.profile, self.table, self.row, self.seed)

    def is_of(self, digests: Mapping[str, str]) -> bool:
        """Whether it is of exactly the data with these digests."""
        return all(self.digests.get(part) == digests[part] for part in DATA)

    @property
    def seconds(self) -> float:
        """Seconds that building the row's stages took; those that other rows share are counted in full."""
        return sum(float(stage["seconds"]) for stage in self.stages)


def write_record(record: Record, folder: Path = MEASURED) -> Path:
    """Writes `record` to its place below `folder`, in one step, and returns that path.

    Raises:
        UserError: it can't be written, or isn't a valid record.
    """
    path = folder / record.place
    value = {"schema": SCHEMA, **{field.name: plain(getattr(record, field.name)) for field in fields(Record)}}
    check_record(value, path)
    # The head stays in reading order; below it keys are sorted.
    ordered = {key: _sorted(item) for key, item in value.items()}
    write_text(path, to_json(ordered, sort_keys=False))
    return path


def read_record(path: Path) -> Record:
    """The record in `path`, of this schema or an older one.

    Raises:
        UserError: the file can't be read or isn't a valid record; names the key.
    """
    try:
        value = migrate(read_json(path))
    except ValueError as error:
        raise UserError(str(error), path=path) from error
    check_record(value, path)
    del value["schema"]
    for key in ("command", "stages", "labels"):
        value[key] = tuple(value[key])
    return Record(**value)


def place_of(profile: str, table: str, row: str, seed: int) -> str:
    """Where a record belongs below its folder."""
    return f"{profile}/{table}/{row}/seed-{seed}.json"


def read_records(folder: Path) -> list[Record]:
    """The records below `folder`, each for itself, by profile, table, row and seed; timings, nets and plans are others.

    Raises:
        UserError: one of them isn't valid or isn't in its place.
    """
    records = []
    for path in sorted(folder.rglob("*.json")):
        inner = path.relative_to(folder)
        parts = inner.parts
        # What editors and file managers leave is hidden, and no record.
        if parts[0] in (TIMING, HELD_OUT, EXPLAINED, AUDITED) or any(part.startswith(".") for part in parts):
            continue
        if parts[1:2] == (NETS,) or parts[1:] in ((PLAN,), (CHOICE,)):
            continue
        record = read_record(path)
        if path.relative_to(folder).as_posix() != record.place:
            raise UserError(f"belongs in {record.place}", path=path)
        records.append(record)
    return sorted(records, key=lambda record: (record.profile, record.table, record.row, record.seed))


def load_records(folder: Path = MEASURED) -> list[Record]:
    """As `read_records`, of records that may stand beside each other.

    Raises:
        UserError: one of them isn't valid, isn't in its place, or was made of something else than its fellows.
    """
    records = read_records(folder)
    check_fellows(records, folder)
    return records


def check_fellows(records: Iterable[Record], folder: Path | None = None, across: bool = False) -> None:
    """Refuses records that can't be compared: of a table and profile those of other dev examples or labels, of one
    seed's rows those of another pretrained net of the same name, and of a row's seeds on one net those of another. What
    a record doesn't say is not compared.

    Args:
        records: in any order.
        folder: where their places are, for the message.
        across: they are compared pair by pair, of whatever tables: of one dev set, and no more is asked.

    Raises:
        UserError: names the files of two that differ, and in what.
    """
    found: dict[tuple[str, ...], tuple[object, Record]] = {}
    for record in records:
        table = (record.profile, record.table)
        data = () if across else table
        net = "" if across else record.pretrained
        facts: tuple[tuple[str, object, tuple[str, ...]], ...] = (
            ("dev set", record.digests.get("dev"), data),
            ("label list", record.labels, data),
            ("pretrained net", net, (*table, "seed", str(record.seed), _name_of(record.stages))),
            ("pretrained net", net, (*table, "row", record.row, str(_start_of(record.stages)))),
        )
        for what, value, group in facts:
            other, first = found.setdefault((what, *group), (value, record)) if value else (value, record)
            if other != value:
                one, two = (item.place if folder is None else folder / item.place for item in (record, first))
                raise UserError(
                    f"made with another {what} than {two}", path=one, hint="remove one of them, or run it again"
                )


def pretrained_of(stages: Iterable[Mapping[str, Any]]) -> str:
    """Digest of the net that a record's stages start from: what pretraining made, or the net that a profile names."""
    for stage in stages:
        if found := stage["summary"].get("weights" if stage["stage"] == "pretrain" else "pretrained"):
            return str(found)
    return ""


def _name_of(stages: Iterable[Mapping[str, Any]]) -> str:
    """The name of the net that a record starts from, where it has one: a row may name another than its profile."""
    models = (str(stage["inputs"].get("model")) for stage in stages)
    return next((model.rpartition("@")[0] for model in models if "@" in model), "")


def _start_of(stages: Iterable[Mapping[str, Any]]) -> int:
    """Where the pretraining behind a record started: the nets of one profile differ in that seed alone."""
    return next((int(stage["config"].get("seed", 0)) for stage in stages if stage["stage"] == "pretrain"), 0)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
