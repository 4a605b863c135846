"""The run store: each stage's result in a folder named after everything that determines it."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from replicate.common.errors import UserError
from replicate.common.files import CHECKPOINT, describe_file, keep_checkpoint, plain, sync, to_json
from replicate.training.checkpoint import seconds_spent

FORMAT = 1
RESULT = "result.json"
MANIFEST = "manifest.json"
_OURS = frozenset({"partial", "locks", "damaged"})
_STAGE = re.compile(r"[a-z][a-z0-9_-]*")
_KEY = re.compile(r"[0-9a-f]{32}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def _canonical(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def key_of(identity: Mapping[str, Any]) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of `identity`'s canonical JSON.

    Raises:
        TypeError, ValueError: something in it is not JSON (a Path, a NaN), and so has no canonical form.
    """
    return hashlib.sha256(_canonical(identity)).hexdigest()[:32]


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


class Store:
    """Artefacts under `root`, as `<stage>/<key>/` with the stage's files, `result.json` and `manifest.json`.

    The manifest is written last and the folder is renamed into place, so a folder that is there is complete.
    Each `Store` checks an artefact's digests when it first meets it, and its sizes every time.
    """

    def __init__(self, root: Path) -> None:
        """Names the folder; it is made when something is built."""
        self.root = Path(root)
        self._checked: set[tuple[Path, str]] = set()

    def find(self, stage: str, key: str) -> Artefact | None:
        """The intact artefact, or None; changes nothing on the disk and waits for nobody."""
        try:
            return self._load(stage, key)
        except Damaged:
            return None

    def make(self, stage: str, identity: Mapping[str, Any], build: Callable[[Path], Mapping[str, Any]]) -> Artefact:
        """The artefact of `identity`: found, or built by `build(folder) -> summary` while others wait.

        Raises:
            UserError: the store can't be written, or is full.
        """
        if not _STAGE.fullmatch(stage) or stage in _OURS:
            raise ValueError(f"not a stage name: {stage!r}")
        key = key_of(identity)
        # An artefact that is there needs no lock, so a read-only store can still be read.
        if found := self.find(stage, key):
            return found
        with self._locked(f"{stage}-{key}"):
            try:
                found = self._load(stage, key)
            except Damaged as error:
                found = None
                self._move_aside(stage, key, str(error))
            return found or self._build(stage, key, identity, build)

    def artefacts(self) -> Iterator[tuple[str, str]]:
        """Stage and key of every artefact folder, intact or not."""
        for path in sorted(self.root.glob("*/*")):
            stage, key = path.parent.name, path.name
            if _STAGE.fullmatch(stage) and stage not in _OURS and _KEY.fullmatch(key):
                yield stage, key

    def damage(self, stage: str, key: str) -> str:
        """What is wrong with an artefact that is there, every byte of it read; empty where nothing is."""
        try:
            Store(self.root)._load(stage, key)
        except Damaged as error:
            return str(error)
        return ""

    def leftovers(self) -> Iterator[tuple[str, Path]]:
        """What nobody is working on: `damaged` and `partial` folders, and `checkpoint` where training can go on."""
        for path in sorted((self.root / "damaged").glob("*")):
            yield "damaged", path
        for path in sorted((self.root / "partial").glob("*")):
            with self._free(path.name) as free:
                if free:
                    yield "checkpoint" if (path / CHECKPOINT).exists() else "partial", path

    def remove(self, path: Path) -> None:
        """Delete one of the store's folders, unless somebody has begun to make it.

        Raises:
            UserError: it can't be deleted.
        """
        name = path.name if path.parent.name == "partial" else f"{path.parent.name}-{path.name}"
        doomed = self.root / "damaged" / f"{name}-{os.getpid()}"
        with self._free(name) as free, self._disk():
            if not free or not path.exists():
                return
            # In one step, so that no part of it is ever taken for the whole.
            doomed.parent.mkdir(exist_ok=True)
            path.rename(doomed)
            shutil.rmtree(doomed)

    @contextmanager
    def _free(self, name: str) -> Iterator[bool]:
        """Whether nobody else builds this one; nobody begins to while the context lasts."""
        with self._disk():
            (self.root / "locks").mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / "locks" / name)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                yield False
                return
        try:
            yield True
        finally:
            lock.release()

    def _build(
        self, stage: str, key: str, identity: Mapping[str, Any], build: Callable[[Path], Mapping[str, Any]]
    ) -> Artefact:
        # The name is fixed and we hold its lock: what is there was left by a process that was stopped or killed, and
        # only its checkpoint is of use.
        partial = self.root / "partial" / f"{stage}-{key}"
        final = self.root / stage / key
        started = time.perf_counter()
        try:
            with self._disk():
                keep_checkpoint(partial)
                partial.mkdir(parents=True, exist_ok=True)
            before = seconds_spent(partial)
            try:
                summary = plain(build(partial))
            except Exception as error:
                if getattr(error, "errno", None) in _FULL or "No space left on device" in str(error):
                    raise self._unwritable(error) from error
                raise
            seconds = before + time.perf_counter() - started
            with self._disk():
                (partial / RESULT).write_text(to_json(summary), encoding="utf-8")
                files = {name: describe_file(partial / name, durable=True) for name in _files(partial)}
                manifest = {
                    "format": FORMAT,
                    "stage": stage,
                    "key": key,
                    "identity": plain(identity),
                    "files": files,
                    "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                    "seconds": seconds,
                }
                text = to_json({**manifest, "digest": hashlib.sha256(_canonical(manifest)).hexdigest()})
                (partial / MANIFEST).write_text(text, encoding="utf-8")
                sync(partial / MANIFEST)
                sync(partial)
                final.parent.mkdir(parents=True, exist_ok=True)
                (partial / CHECKPOINT).unlink(missing_ok=True)
                os.replace(partial, final)
                sync(final.parent)
        finally:
            with suppress(OSError):
                keep_checkpoint(partial)
        return Artefact(final, summary, key, seconds, reused=False)

    def _load(self, stage: str, key: str) -> Artefact | None:
        path = self.root / stage / key
        if not path.is_dir():
            return None
        try:
            manifest = json.loads((path / MANIFEST).read_bytes())
            digest = manifest.pop("digest")
            if digest != hashlib.sha256(_canonical(manifest)).hexdigest():
                raise Damaged(f"{MANIFEST} doesn't match its own digest")
            if (manifest["format"], manifest["stage"], manifest["key"]) != (FORMAT, stage, key):
                raise Damaged(f"{MANIFEST} belongs elsewhere")
            for name, expected in manifest["files"].items():
                if (path / name).stat().st_size != expected["bytes"]:
                    raise Damaged(f"{name} has the wrong size")
                if (path, digest) not in self._checked and describe_file(path / name) != expected:
                    raise Damaged(f"{name} doesn't match its digest")
            summary = json.loads((path / RESULT).read_bytes())
        except FileNotFoundError as error:
            raise Damaged(f"{Path(error.filename).name} is missing") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Damaged(f"{MANIFEST} can't be read: {error}") from error
        self._checked.add((path, digest))
        return Artefact(path, summary, key, manifest["seconds"], reused=True)

    def _move_aside(self, stage: str, key: str, reason: str) -> None:
        with self._disk():
            (self.root / "damaged").mkdir(exist_ok=True)
            names = (f"{stage}-{key}-{n}" for n in itertools.count(1))
            target = next(path for name in names if not (path := self.root / "damaged" / name).exists())
            os.replace(self.root / stage / key, target)
        print(f"warning: {stage}/{key}: {reason}; moved to {target}, doing it again", file=sys.stderr)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        # The kernel drops the lock with the process that holds it, however that ends.
        with self._disk():
            (self.root / "locks").mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / "locks" / name)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                print(f"waiting for another process to finish {name}", file=sys.stderr)
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: Exception) -> UserError:
        what = f"the run store can't be written: {getattr(error, 'strerror', None) or error}"
        return UserError(what, path=self.root, hint="make room, or name another folder in REPLICATE_STORE")


def _files(folder: Path) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name != CHECKPOINT)
