"""Files that are whole or absent, and JSON that reads back as it was written."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from replicate.common.errors import UserError

# Where a training loop stood, in the folder that it writes into; see checkpoint.py.
CHECKPOINT = "checkpoint.safetensors"
_NUMBER_LIST = re.compile(r"\[\n\s*(-?\d[-\d.e+]*(?:,\n\s*-?\d[-\d.e+]*)*)\n\s*\]")


def plain(value: Any) -> Any:
    """`value` as JSON would give it back: lists, string keys, Python numbers; NaN and infinities become None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def to_json(value: Any, *, sort_keys: bool = True) -> str:
    """`value` as indented UTF-8 JSON with a last newline; a list of numbers stays on one line."""
    text = json.dumps(plain(value), ensure_ascii=False, indent=1, sort_keys=sort_keys, allow_nan=False)
    # JSON escapes newlines inside strings, so this can only meet lists.
    return _NUMBER_LIST.sub(lambda match: "[" + re.sub(r",\n\s*", ", ", match[1]) + "]", text) + "\n"


def read_json(path: Path) -> Any:
    """The JSON value in `path`.

    Raises:
        UserError: the file is missing, unreadable, not UTF-8 or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise UserError(f"not JSON: {error.msg}", path=path, line=error.lineno) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"not JSON: {error}", path=path) from error
    except OSError as error:
        raise UserError(f"can't be read: {error.strerror}", path=path) from error


def describe_file(path: Path, *, durable: bool = False) -> dict[str, Any]:
    """SHA-256 and size in bytes of a file; with `durable` its contents are on the disk when this returns."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
        if durable:
            os.fsync(file.fileno())
    return {"sha256": digest.hexdigest(), "bytes": size}


def sync(path: Path) -> None:
    """Waits until the file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Replaces `path` by `text` (UTF-8) in one step, creating its folder.

    Raises:
        UserError: it can't be written; the old file, if any, is still there, and no new folder.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Replaces `path` by `data` in one step, creating its folder.

    Raises:
        UserError: it can't be written; the old file, if any, is still there, and no new folder.
    """
    partial = path.parent / f".{path.name}.partial"
    try:
        # What a killed writer left is written over, so it does not stay.
        with _parents(path), _locked(partial, wait=True) as file:
            try:
                file.truncate()
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                # Whatever the umask: these are meant to be read and committed.
                os.chmod(partial, 0o644)
                os.replace(partial, path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise UserError(f"can't be written: {error.strerror}", path=path) from error


@contextlib.contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[BinaryIO]:
    """The file at `path`, made if need be, open to be written and locked against everybody who opens it so.

    Who has it may rename or remove it; who waited for it then takes the one that is there.

    Raises:
        BlockingIOError: somebody has it, and `wait` is false.
    """
    while True:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644), "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if _is_at(file, path):
                yield file
                return


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether an open file is the one at `path`."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.lstat(path))
    except FileNotFoundError:
        return False


def _require_free(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError("already exists", path=target, hint="name a folder that is new or empty")


@contextlib.contextmanager
def _parents(target: Path) -> Iterator[None]:
    """Makes the folders that the target lies in; those that it made go again where the target doesn't come."""
    made = [path for path in target.parents if not path.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for path in made:
                path.rmdir()
        raise


@contextlib.contextmanager
def finished_folder(target: Path) -> Iterator[Path]:
    """A folder to write into that becomes `target` only when everything in it is written.

    Raises:
        UserError: the target holds something already, or can't be made.
    """
    _require_free(target)
    try:
        with _parents(target), tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
            # One level down, since mkdtemp's own folder is readable by its owner only.
            complete = Path(scratch, "complete")
            complete.mkdir()
            yield complete
            complete.replace(target)
    except OSError as error:
        raise UserError(f"can't be written ({error.strerror or error})", path=target) from error


def keep_checkpoint(folder: Path) -> None:
    """Removes everything in a folder that was not finished but its checkpoint; without one the folder too."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != CHECKPOINT:
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


@contextlib.contextmanager
def resumable_folder(target: Path) -> Iterator[Path]:
    """As `finished_folder`, for training: what was stopped leaves its checkpoint, with which the next call begins.

    Until then everything is in `.<name>.partial` beside the target.

    Raises:
        UserError: the target holds something already or can't be made, or another process is making it.
    """
    _require_free(target)
    # Resolved, since `.` has no name.
    whole = target.resolve()
    partial = whole.with_name(f".{whole.name}.partial")
    lock = whole.with_name(f".{whole.name}.lock")
    try:
        with _parents(whole), _alone(lock):
            try:
                keep_checkpoint(partial)
                partial.mkdir(exist_ok=True)
                yield partial
                (partial / CHECKPOINT).unlink(missing_ok=True)
                partial.replace(whole)
            finally:
                keep_checkpoint(partial)
    except BlockingIOError as error:
        raise UserError("another process is writing it", path=target, hint="wait, or name another folder") from error
    except OSError as error:
        raise UserError(f"can't be written ({error.strerror or error})", path=target) from error


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Holds a lock file, which goes with it; BlockingIOError where another process has it."""
    with _locked(lock, wait=False):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                lock.unlink()
