"""Locks that the kernel drops with the process that holds them, in files that are ours.

A lock file is empty, or begins with `MARK` and says which unfinished folder its holder has made. It is never followed
through a link, emptied when it is opened, or written where somebody else's words stand.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from replicate.common.errors import UserError

MARK = "replicate lock\n"
_HELD = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES})
_MOST = 200
_GROUP = stat.S_ISGID | stat.S_IWGRP


@dataclass(frozen=True)
class Lock:
    """A lock file that this process holds."""

    path: Path
    file: int

    @property
    def note(self) -> str:
        """What the last holder wrote; empty where there is nothing."""
        return os.pread(self.file, _MOST, 0).decode("ascii", "replace").removeprefix(MARK)

    def write(self, note: str) -> None:
        """Leave a note for the next holder, or none."""
        os.ftruncate(self.file, 0)
        if note:
            os.pwrite(self.file, (MARK + note).encode("ascii"), 0)

    def remove(self) -> None:
        """Delete the file, while it is held."""
        with contextlib.suppress(OSError):
            self.path.unlink()


def take(file: int, path: Path, *, shared: bool = False, wait: bool = False) -> bool:
    """Lock an open file; False where another one has it and this one doesn't wait.

    Raises:
        UserError: the file system has no locks, or they fail.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in _HELD and not wait:
            return False
        what = f"can't be locked: {error.strerror}"
        raise UserError(
            what, path=path, hint="name a folder on a file system with locks, such as a local disk"
        ) from error
    return True


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[Lock]:
    """Holds the lock file at `path`, which is made if need be, and stays.

    Args:
        path: its folder must be there.
        waiting: called before it waits for another holder; without it nobody is waited for.

    Raises:
        BlockingIOError: another process has it.
        UserError: it is a link or somebody's file, or can't be locked.
        OSError: it can't be opened.
    """
    while True:
        file, made = _open(path)
        try:
            try:
                had = take(file, path)
            except UserError:
                if made:
                    path.unlink(missing_ok=True)
                raise
            if not had:
                if waiting is None:
                    raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK), str(path))
                waiting()
                take(file, path, wait=True)
            # Who had it may have removed it.
            if is_at(file, path):
                _check(file, path)
                yield Lock(path, file)
                return
        finally:
            os.close(file)


def _open(path: Path) -> tuple[int, bool]:
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(FileExistsError):
        file = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
        follow(path.parent, file, 0o060)
        return file, True
    try:
        return os.open(path, flags | os.O_CREAT, 0o666), False
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UserError("is a link, which is not followed", path=path, hint="look at it and delete it") from error
        raise


def _check(file: int, path: Path) -> None:
    found = os.fstat(file)
    ours = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    if not (ours and (found.st_size == 0 or os.pread(file, len(MARK), 0) == MARK.encode())):
        raise UserError("is not a lock of this program", path=path, hint="look at it and move it away")


def is_at(file: int, path: Path) -> bool:
    """Whether an open file is the one at `path`."""
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False


def follow(folder: Path, file: int | Path, more: int) -> None:
    """Give what was just made in a folder that a group shares (setgid, writable to it) `more` bits of its mode."""
    if os.stat(folder).st_mode & _GROUP == _GROUP:
        with contextlib.suppress(OSError):
            os.chmod(file, stat.S_IMODE(os.stat(file).st_mode) | more)


def own_folder(path: Path) -> None:
    """Make a folder, or see that the one that is there is none behind a link.

    Raises:
        UserError: it is a link.
        OSError: it can't be made.
    """
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        follow(path.parent, path, 0o2070)
    if path.is_symlink():
        raise UserError("is a link, which is not followed", path=path, hint="look at it and delete it")
