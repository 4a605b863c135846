"""Unfinished folders: whose they are is on record before anything in them is deleted.

A folder is ours where its lock's note names its inode and that inode's generation. What we did not make is left alone;
an empty folder, or one with nothing but a checkpoint, may be taken over, since nothing in it would be deleted.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from replicate.common.errors import UserError
from replicate.common.locks import Lock, follow

# Where a training loop stood, in the folder that it writes into; see checkpoint.py.
CHECKPOINT = "checkpoint.safetensors"
# linux/fs.h: FS_IOC_GETVERSION. An inode number is given again to the next folder, a generation is not.
_GENERATION = 0x80087601


@contextlib.contextmanager
def work_folder(path: Path, lock: Lock) -> Iterator[Path]:
    """The folder at `path`, new or with the checkpoint of one that was stopped, to be written into and renamed.

    Where it is still there afterwards, everything in it but the checkpoint goes, and without a checkpoint the folder.

    Args:
        path: in a folder that is there.
        lock: held for as long; its note says which folder is ours.

    Raises:
        UserError: there is a link, a file, or a folder with files that are not ours.
        OSError: it can't be made or emptied.
    """
    made = _make(path)
    with _opened(path) as folder:
        sign = _sign(folder)
        if not made and lock.note != sign and not _holds_nothing_more(folder):
            what = "holds files that no run of this program is known to have left"
            raise UserError(what, path=path, hint="move them away, or delete the folder")
        if lock.note != sign:
            lock.write(sign)
        _clear(folder)
    try:
        yield path
    finally:
        if drop(path, sign):
            with contextlib.suppress(OSError):
                lock.write("")


def finish(path: Path, lock: Lock, target: Path) -> None:
    """Rename a finished work folder, its checkpoint gone; UserError where another folder has taken its place."""
    if sign_of(path) != lock.note:
        raise UserError("another folder has been put in its place", path=path, hint="run it again")
    (path / CHECKPOINT).unlink(missing_ok=True)
    os.replace(path, target)


def is_ours(path: Path, note: str) -> bool:
    """Whether a real folder is the one that a lock's note names, or holds nothing that could be lost."""
    with contextlib.suppress(UserError, OSError), _opened(path) as folder:
        return _sign(folder) == note or _holds_nothing_more(folder)
    return False


def sign_of(path: Path) -> str:
    """What a lock's note says of a folder."""
    with _opened(path) as folder:
        return _sign(folder)


def drop(path: Path, sign: str) -> bool:
    """Delete everything in our folder but its checkpoint, and without one the folder; whether none of it is left.

    A checkpoint alone counts as nothing. Whatever else is at `path` by now stays.
    """
    try:
        with _opened(path) as folder:
            if _sign(folder) != sign:
                return True
            _clear(folder)
            left = os.listdir(folder)
    except (UserError, FileNotFoundError):
        return True
    except OSError:
        return False
    if not left:
        with contextlib.suppress(OSError):
            path.rmdir()
    return not {*left} - {CHECKPOINT}


def _make(path: Path) -> bool:
    try:
        path.mkdir()
    except FileExistsError:
        return False
    follow(path.parent, path, 0o2070)
    return True


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """The real folder at `path` as a descriptor, so that nobody can put another one in its place."""
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            what = "is a link, which is not followed" if path.is_symlink() else "is a file in a folder's place"
            raise UserError(what, path=path, hint="look at it and move it away") from error
        raise
    try:
        yield folder
    finally:
        os.close(folder)


def _sign(folder: int) -> str:
    generation = 0
    with contextlib.suppress(OSError):
        generation = struct.unpack("I", fcntl.ioctl(folder, _GENERATION, bytes(8))[:4])[0]
    return f"folder {os.fstat(folder).st_ino} {generation}"


def _holds_nothing_more(folder: int) -> bool:
    names = os.listdir(folder)
    if names == [CHECKPOINT]:
        return stat.S_ISREG(os.lstat(CHECKPOINT, dir_fd=folder).st_mode)
    return not names


def _clear(folder: int) -> None:
    """Delete everything but the checkpoint; a link goes, what it leads to stays."""
    for top, folders, files, at in os.fwalk(".", topdown=False, follow_symlinks=False, dir_fd=folder):
        for name in files:
            if (top, name) != (".", CHECKPOINT) or not stat.S_ISREG(os.lstat(name, dir_fd=at).st_mode):
                os.unlink(name, dir_fd=at)
        for name in folders:
            try:
                os.rmdir(name, dir_fd=at)
            except NotADirectoryError:
                os.unlink(name, dir_fd=at)
