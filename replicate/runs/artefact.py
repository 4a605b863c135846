"""An artefact: a stage's finished folder, with a manifest by which every byte of it is known."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.files import describe_file, sync, to_json
from replicate.common.limits import MOST_JSON, parse_json, read_whole

FORMAT = 1
RESULT = "result.json"
MANIFEST = "manifest.json"


def canonical(value: Any) -> bytes:
    """JSON with one spelling, which digests are of; ValueError or TypeError where a value has none."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def key_of(identity: Mapping[str, Any]) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of `identity`'s canonical JSON.

    Raises:
        TypeError, ValueError: something in it is not JSON (a Path, a NaN), and so has no canonical form.
    """
    return hashlib.sha256(canonical(identity)).hexdigest()[:32]


@dataclass(frozen=True)
class Artefact:
    """A stage's finished result: its folder, its JSON summary, and the seconds that building it took."""

    path: Path
    summary: Mapping[str, Any]
    key: str
    seconds: float
    reused: bool


class Damaged(Exception):
    """A folder in the store is not what its manifest says."""


def read_artefact(path: Path, stage: str, key: str, checked: set[tuple[Path, str]]) -> Artefact:
    """The artefact in a folder, which is what its manifest says.

    Args:
        path: the folder.
        stage: the stage's name.
        key: the stage's key.
        checked: folders, with the digest of their manifest, whose files were read whole before; this one joins them.

    Raises:
        Damaged: it isn't, or belongs elsewhere.
    """
    with _damage():
        manifest = _manifest(path, stage, key)
        place = path, str(manifest["digest"])
        for name, expected in manifest["files"].items():
            size = _own(path, name)
            if size != expected["bytes"]:
                raise Damaged(f"{name} has the wrong size")
            if place not in checked and describe_file(path / name) != expected:
                raise Damaged(f"{name} doesn't match its digest")
        summary = parse_json(read_whole(path / RESULT, MOST_JSON))
        checked.add(place)
        return Artefact(path, summary, key, manifest["seconds"], reused=True)


def copy_artefact(path: Path, target: Path, stage: str, key: str) -> None:
    """Copies what the manifest of an artefact names, and nothing else that lies in its folder.

    Args:
        path: the folder.
        target: a folder that is there.
        stage: the stage's name.
        key: the stage's key.

    Raises:
        Damaged: a file is missing, or is no file of the folder's own; what was copied has still to be read.
        OSError: the target can't be written.
    """
    with _damage():
        names = (*_manifest(path, stage, key)["files"], MANIFEST)
        for name in names:
            _own(path, name)
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path / name, target / name, follow_symlinks=False)


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise Damaged(f"{Path(error.filename).name} is missing") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, UserError) as error:
        raise Damaged(f"{MANIFEST} can't be read: {error}") from error


def _manifest(path: Path, stage: str, key: str) -> dict[str, Any]:
    """The manifest of a folder, whole and of this stage."""
    _own(path, MANIFEST)
    manifest: dict[str, Any] = parse_json(read_whole(path / MANIFEST, MOST_JSON))
    digest = manifest.pop("digest")
    if digest != hashlib.sha256(canonical(manifest)).hexdigest():
        raise Damaged(f"{MANIFEST} doesn't match its own digest")
    if (manifest["format"], manifest["stage"], manifest["key"]) != (FORMAT, stage, key):
        raise Damaged(f"{MANIFEST} belongs elsewhere")
    return {**manifest, "digest": digest}


def _own(path: Path, name: str) -> int:
    """The size of a file that lies in the folder; a link, a pipe, or a way out of it: none of them did we write."""
    found = os.lstat(path / name)
    straight = not Path(name).is_absolute() and ".." not in Path(name).parts
    if not (straight and stat.S_ISREG(found.st_mode) and (path / name).resolve().is_relative_to(path.resolve())):
        raise Damaged(f"{name} is no file of its own")
    return found.st_size


def write_manifest(
    folder: Path, stage: str, key: str, identity: Mapping[str, Any], files: Mapping[str, Any], seconds: float
) -> None:
    """The manifest of a folder whose files are all there, written last and to stay."""
    manifest = {
        "format": FORMAT,
        "stage": stage,
        "key": key,
        "identity": identity,
        "files": files,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": seconds,
    }
    write_new(folder / MANIFEST, to_json({**manifest, "digest": hashlib.sha256(canonical(manifest)).hexdigest()}))
    sync(folder / MANIFEST)


def write_new(path: Path, text: str) -> None:
    """Writes a file that must not be there yet."""
    # Whatever was put there meanwhile is not followed.
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
