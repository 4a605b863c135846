"""Every reader of a file that the project has, and what none of them may do with any bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.files import CHECKPOINT, read_json
from replicate.corpus.formats import read_labels, read_lines, read_split
from replicate.inference.exported import read_exported
from replicate.nets.folder import read_header
from replicate.records.run import read_record
from replicate.records.timing_file import read_timing
from replicate.tables.file import load_table
from replicate.tables.profile import load_profile
from replicate.training.checkpoint import seconds_spent

LABELS = ("甲", "乙")
# Each reader with the name of the file that it reads and what such a file may begin with.
READERS: dict[str, tuple[str, bytes, Callable[[Path], Any]]] = {
    "labels": ("label.txt", "甲\n乙".encode(), read_labels),
    "examples": ("train.txt", "发热\t甲\n咳嗽\t乙".encode(), lambda path: read_split(path, LABELS)),
    "lines": ("data.txt", "发热\n".encode(), read_lines),
    "json": ("any.json", b'{"a": [1, 2.5e3, "x"]}', read_json),
    "record": ("seed-1.json", b'{"schema": 2, "table": "t", "counts": {}}', read_record),
    "record of schema 1": (
        "seed-1.json",
        b'{"schema": 1, "stages": [{"stage": "pretrain", "config": {}, "summary": {"weights": "a"}}]}',
        read_record,
    ),
    "timing": ("timing.json", b'{"schema": 1, "id": "x"}', read_timing),
    "profile": ("fuzz.toml", b'schema = 1\nid = "fuzz"\nseeds = [1]\n', lambda path: load_profile("fuzz", path.parent)),
    "table": ("table.toml", b'schema = 1\nid = "table"\n[[rows]]\nid = "a"\n', load_table),
    "safetensors header": ("model.safetensors", b'\x1f\0\0\0\0\0\0\0{"a": {"dtype": "F32"}}', read_header),
    "export's manifest": ("manifest.json", b'{"format": 1, "files": {}}', lambda path: read_exported(path.parent)),
    "checkpoint": (
        CHECKPOINT,
        b'\x1f\0\0\0\0\0\0\0{"__metadata__": {"held": "{}"}}',
        lambda p: seconds_spent(p.parent),
    ),
}


def refusal(read: Callable[[], Any]) -> str | None:
    """What a reader says that refuses, None where it reads; any other exception is a defect."""
    try:
        read()
    except UserError as error:
        return str(error)
    return None


def try_bytes(reader: str, folder: Path, data: bytes) -> None:
    """Let a reader have a file of these bytes, alone in its folder; AssertionError where it does what it must not."""
    name, _, read = READERS[reader]
    path = folder / name
    path.write_bytes(data)
    told = refusal(lambda: read(path))
    assert told is None or ("\n" not in told and str(folder) in told)
    assert [one.name for one in folder.iterdir()] == [name]
    assert path.read_bytes() == data
