"""Artefacts and data as bytes, for machines that see no common folder: checked by content where they arrive."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

from replicate.common.errors import UserError
from replicate.common.files import write_bytes
from replicate.corpus.formats import Dataset, write_dataset
from replicate.runs.artefact import MANIFEST, Damaged
from replicate.runs.store import Store

Files = Mapping[str, bytes]
LINES = "lines.txt"


def packed(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its path in it."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def packed_artefact(store: Store, stage: str, key: str) -> dict[str, bytes]:
    """The files of an artefact; none where the store doesn't have it."""
    found = store.find(stage, key)
    return packed(found.path) if found else {}


def unpack_artefact(store: Store, stage: str, key: str, files: Files) -> str:
    """Has the store take in what has arrived, whole or not at all; what is wrong with it, and empty where nothing is.

    Raises:
        UserError: the store can't be written, or is full.
    """
    if MANIFEST not in files:
        return f"{stage}/{key} has not arrived"
    try:
        with tempfile.TemporaryDirectory() as work:
            _write(files, Path(work))
            store.adopt(stage, key, Path(work))
    except Damaged as error:
        return f"{stage}/{key} arrived damaged: {error}"
    except OSError as error:
        what = f"what has arrived can't be written: {error.strerror}"
        raise UserError(what, path=tempfile.gettempdir(), hint="make room") from error
    return ""


def packed_data(dataset: Dataset, lines: tuple[str, ...]) -> dict[str, bytes]:
    """A data set in the local format, and the lines to pretrain on."""
    with tempfile.TemporaryDirectory() as work:
        write_dataset(dataset, Path(work) / "data")
        return {**packed(Path(work) / "data"), LINES: "\n".join(lines).encode()}


def unpack_data(root: Path, files: Files) -> Path:
    """The folder, below a store's, that holds what has arrived, under a name made of its content.

    Raises:
        UserError: it can't be written.
    """
    digest = hashlib.sha256(repr([(name, hashlib.sha256(files[name]).hexdigest()) for name in sorted(files)]).encode())
    folder = root / "data" / digest.hexdigest()[:16]
    for name, data in files.items():
        path = folder / name
        # Another worker of this machine may be reading it.
        if not (path.is_file() and path.read_bytes() == data):
            write_bytes(path, data)
    return folder


def _write(files: Files, folder: Path) -> None:
    for name, data in files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise Damaged(f"{name!r} is no file of its own")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
