"""Files that are whole or absent, and JSON that reads back as it was written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.limits import MOST_JSON, parse_json, read_whole
from replicate.common.locks import follow, is_at, locked, take
from replicate.common.work import finish, work_folder

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
    """The JSON value in `path`, within the limits of `limits.parse_json`.

    Raises:
        UserError: the file is missing, unreadable, too large, not UTF-8 or not JSON.
    """
    try:
        return parse_json(read_whole(path, MOST_JSON))
    except json.JSONDecodeError as error:
        raise UserError(f"not JSON: {error.msg}", path=path, line=error.lineno) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"not JSON: {error}", path=path) from error


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
    try:
        with _parents(path):
            _sweep(path)
            file, partial = _new(path)
            try:
                with open(file, "wb") as written:
                    written.write(data)
                    written.flush()
                    os.fsync(file)
                    os.replace(partial, path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise UserError(f"can't be written: {error.strerror}", path=path) from error


def _new(path: Path) -> tuple[int, Path]:
    """A new file beside `path` under a name that nobody else has, open and locked."""
    while True:
        partial = path.parent / f".{path.name}.{secrets.token_hex(8)}.partial"
        file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        follow(path.parent, file, 0o060)
        try:
            # Another writer may have taken it for a dead one's before it was locked.
            if take(file, partial, wait=True) and is_at(file, partial):
                return file, partial
        except BaseException:
            partial.unlink(missing_ok=True)
            os.close(file)
            raise
        os.close(file)


def _sweep(path: Path) -> None:
    """Deletes what killed writers of `path` left: files under the names that `_new` gives, which nobody holds."""
    name = re.compile(re.escape(f".{path.name}.") + r"[0-9a-f]{16}\.partial")
    for left in [one for one in os.scandir(path.parent) if name.fullmatch(one.name)]:
        with contextlib.suppress(OSError, UserError):
            file = os.open(left.path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                regular = stat.S_ISREG(os.fstat(file).st_mode)
                if regular and take(file, Path(left.path)) and is_at(file, Path(left.path)):
                    os.unlink(left.path)
            finally:
                os.close(file)


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
        with _parents(whole), locked(lock) as held:
            try:
                with work_folder(partial, held) as folder:
                    yield folder
                    finish(folder, held, whole)
            finally:
                # With a note it is still needed: not everything could be deleted.
                if not held.note:
                    held.remove()
    except BlockingIOError as error:
        raise UserError("another process is writing it", path=target, hint="wait, or name another folder") from error
    except OSError as error:
        raise UserError(f"can't be written ({error.strerror or error})", path=target) from error
