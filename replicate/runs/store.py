"""The run store: each stage's result in a folder named after everything that determines it."""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.files import describe_file, plain, sync, to_json
from replicate.common.limits import MOST_JSON, read_whole
from replicate.common.locks import Lock, locked, own_folder
from replicate.common.work import CHECKPOINT, finish, is_ours, work_folder
from replicate.runs.artefact import (
    MANIFEST,
    RESULT,
    Artefact,
    Damaged,
    copy_artefact,
    key_of,
    read_artefact,
    write_manifest,
    write_new,
)
from replicate.runs.leases import Leases, unleased
from replicate.training.checkpoint import seconds_spent

_OURS = frozenset({"partial", "locks", "damaged", "logs", "sweeps", "data"})
_STAGE = re.compile(r"[a-z][a-z0-9_-]*")
_KEY = re.compile(r"[0-9a-f]{32}")
# `damaged/` holds folders under these names only; `remove` and `_move_aside` give them.
_DAMAGED = re.compile(r"[a-z][a-z0-9_-]*-[0-9]+")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Store:
    """Artefacts under `root`, as `<stage>/<key>/` with the stage's files, `result.json` and `manifest.json`.

    The manifest is written last and the folder is renamed into place, so a folder that is there is complete.
    Each `Store` checks an artefact's digests when it first meets it, and its sizes every time. What it gave last,
    `remove` leaves alone for as long as there is the `Store`; the kernel ends that with the process.
    """

    def __init__(self, root: Path) -> None:
        """Names the folder; it is made when something is built."""
        self.root = Path(root)
        self._checked: set[tuple[Path, str]] = set()
        self._leases = Leases()

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
        with self._locked(f"{stage}-{key}") as lock:
            return self._whole(stage, key) or self._build(stage, key, identity, build, lock)

    def adopt(self, stage: str, key: str, folder: Path) -> None:
        """Takes an artefact's finished folder in from elsewhere, whole or not at all, unless there is one.

        Raises:
            Damaged: it isn't what its manifest says, or has none.
            UserError: the store can't be written, or is full.
        """
        final = self.root / stage / key
        with self._locked(f"{stage}-{key}") as lock, ExitStack() as stack, self._disk():
            if self._whole(stage, key):
                return
            partial = self._unfinished(stack, final, lock)
            copy_artefact(folder, partial, stage, key)
            self._read(partial, stage, key)
            for name in _files(partial):
                sync(partial / name)
            _put(partial, lock, final)

    def artefacts(self) -> Iterator[tuple[str, str]]:
        """Stage and key of every artefact folder, intact or not; what is a link is none."""
        for path in sorted(self.root.glob("*/*")):
            stage, key = path.parent.name, path.name
            named = _STAGE.fullmatch(stage) and stage not in _OURS and _KEY.fullmatch(key)
            if named and _is_folder(path.parent) and _is_folder(path):
                yield stage, key

    def damage(self, stage: str, key: str) -> str:
        """What is wrong with an artefact that is there, every byte of it read; empty where nothing is."""
        try:
            Store(self.root)._load(stage, key)
        except Damaged as error:
            return str(error)
        return ""

    def leftovers(self) -> Iterator[tuple[str, Path]]:
        """What nobody is working on: `damaged` and `partial` folders, and `checkpoint` where training can go on.

        A link, and a folder that no run is known to have left, is none.
        """
        for path in sorted((self.root / "damaged").glob("*")):
            if self._may_go(path, ""):
                yield "damaged", path
        for path in sorted((self.root / "partial").glob("*")):
            with self._free(path.name) as lock:
                if lock and self._may_go(path, lock.note):
                    yield "checkpoint" if (path / CHECKPOINT).exists() else "partial", path

    def remove(self, path: Path) -> str:
        """Delete one of the store's folders; why it was kept, in words, and nothing where it is gone.

        Raises:
            UserError: it can't be deleted.
        """
        name = path.name if path.parent.name == "partial" else f"{path.parent.name}-{path.name}"
        doomed = self.root / "damaged" / f"{name}-{os.getpid()}"
        with self._free(name) as lock, self._disk():
            if not path.exists():
                return ""
            if not lock:
                return "another process makes it"
            if not self._may_go(path, lock.note):
                return "it is not known to be the store's"
            self._leases.drop(path / MANIFEST)
            with unleased(path / MANIFEST) as free:
                if not free:
                    return "another process uses it"
                # In one step, so that no part of it is ever taken for the whole.
                own_folder(doomed.parent)
                path.rename(doomed)
            shutil.rmtree(doomed)
            return ""

    def _may_go(self, path: Path, note: str) -> bool:
        """Whether a folder is the store's: by its lock's note, the name that it was moved aside under, its manifest."""
        if not (_is_folder(path) and _is_folder(path.parent)):
            return False
        if path.parent.name == "partial":
            return is_ours(path, note)
        if path.parent.name == "damaged":
            return bool(_DAMAGED.fullmatch(path.name))
        with suppress(UserError):
            return path.name.encode() in read_whole(path / MANIFEST, MOST_JSON)
        return False

    @contextmanager
    def _free(self, name: str) -> Iterator[Lock | None]:
        """The lock of what nobody else builds, and nobody begins to while the context lasts; else None."""
        with ExitStack() as stack:
            try:
                with self._disk():
                    lock = stack.enter_context(locked(self._locks() / name))
            except BlockingIOError:
                yield None
                return
            yield lock

    def _whole(self, stage: str, key: str) -> Artefact | None:
        """The intact artefact; one that isn't is moved aside."""
        try:
            return self._load(stage, key)
        except Damaged as error:
            self._move_aside(stage, key, str(error))
            return None

    def _unfinished(self, stack: ExitStack, final: Path, lock: Lock) -> Path:
        """A folder to write into, in which only a checkpoint may lie: its name is fixed and we hold its lock, so what
        else is there was left by a process that was stopped or killed."""
        for folder in (self.root / "partial", final.parent):
            own_folder(folder)
        return stack.enter_context(work_folder(self.root / "partial" / f"{final.parent.name}-{final.name}", lock))

    def _build(
        self,
        stage: str,
        key: str,
        identity: Mapping[str, Any],
        build: Callable[[Path], Mapping[str, Any]],
        lock: Lock,
    ) -> Artefact:
        final = self.root / stage / key
        started = time.perf_counter()
        with ExitStack() as stack:
            with self._disk():
                partial = self._unfinished(stack, final, lock)
            before = seconds_spent(partial)
            try:
                summary = plain(build(partial))
            except Exception as error:
                # What safetensors and Paddle meet on the disk is an error of their own kind.
                if getattr(error, "errno", None) in _FULL or any(os.strerror(one) in str(error) for one in _FULL):
                    raise self._unwritable(error) from error
                raise
            seconds = before + time.perf_counter() - started
            with self._disk():
                write_new(partial / RESULT, to_json(summary))
                files = {name: describe_file(partial / name, durable=True) for name in _files(partial)}
                write_manifest(partial, stage, key, plain(identity), files, seconds)
                _put(partial, lock, final)
            self._leases.take(final / MANIFEST)
        return Artefact(final, summary, key, seconds, reused=False)

    def _load(self, stage: str, key: str) -> Artefact | None:
        path = self.root / stage / key
        if not (os.path.lexists(path) and _is_folder(path.parent)):
            return None
        if not _is_folder(path):
            raise Damaged("it is no folder")
        try:
            # Whoever deletes it has it alone, and it is as good as gone.
            return self._read(path, stage, key) if self._leases.take(path / MANIFEST) else None
        except FileNotFoundError as error:
            self._leases.drop(path / MANIFEST)
            raise Damaged(f"{MANIFEST} is missing") from error
        except (Damaged, OSError) as error:
            self._leases.drop(path / MANIFEST)
            raise error if isinstance(error, Damaged) else Damaged(f"{MANIFEST} can't be read: {error}") from error

    def _read(self, path: Path, stage: str, key: str) -> Artefact:
        return read_artefact(path, stage, key, self._checked)

    def _move_aside(self, stage: str, key: str, reason: str) -> None:
        with self._disk():
            own_folder(self.root / "damaged")
            names = (f"{stage}-{key}-{n}" for n in itertools.count(1))
            target = next(path for name in names if not os.path.lexists(path := self.root / "damaged" / name))
            os.replace(self.root / stage / key, target)
        print(f"warning: {stage}/{key}: {reason}; moved to {target}, doing it again", file=sys.stderr)

    @contextmanager
    def _locked(self, name: str) -> Iterator[Lock]:
        def waiting() -> None:
            print(f"waiting for another process to finish {name}", file=sys.stderr)

        # The kernel drops the lock with the process that holds it, however that ends.
        with ExitStack() as stack:
            with self._disk():
                lock = stack.enter_context(locked(self._locks() / name, waiting))
            yield lock

    def _locks(self) -> Path:
        own_folder(self.root / "locks")
        return self.root / "locks"

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except BlockingIOError:
            raise
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: Exception) -> UserError:
        what = f"the run store can't be written: {getattr(error, 'strerror', None) or error}"
        denied = getattr(error, "errno", None) in (errno.EACCES, errno.EPERM)
        hint = "let its group write (chmod -R g+w, umask 002)" if denied else "make room"
        return UserError(what, path=self.root, hint=f"{hint}, or name another folder in REPLICATE_STORE")


def _files(folder: Path) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name != CHECKPOINT)


def _put(partial: Path, lock: Lock, final: Path) -> None:
    sync(partial)
    finish(partial, lock, final)
    sync(final.parent)


def _is_folder(path: Path) -> bool:
    """Whether there is a real folder, not a link to one."""
    return path.is_dir() and not path.is_symlink()
