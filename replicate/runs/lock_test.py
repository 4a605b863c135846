"""Whether the locks of a store's file system keep two processes, or two nodes, apart."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from replicate.common.errors import UserError
from replicate.common.locks import locked, own_folder


@contextlib.contextmanager
def held_lock(root: Path) -> Iterator[str]:
    """The path of a lock below the store's folder that this process holds while the context lasts.

    Raises:
        UserError: the folder can't be written, or its file system has no locks.
    """
    path = root / "locks" / f"test-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        own_folder(root / "locks")
        _remove_old(root / "locks")
        with locked(path) as lock:
            try:
                yield str(path)
            finally:
                lock.remove()
    except OSError as error:
        raise UserError(f"the run store can't be written: {error.strerror}", path=root) from error


def _remove_old(folder: Path) -> None:
    """What killed drivers have left."""
    for path in folder.glob("test-*"):
        with contextlib.suppress(OSError, UserError), locked(path) as lock:
            lock.remove()


def lock_fault(path: str) -> str:
    """What is wrong with a file system's locks, where another process holds the one at `path`; empty where nothing.

    Without a path nobody holds one, since each node has a store of its own.
    """
    if not path:
        return ""
    file = Path(path)
    if not file.exists():
        return f"{file.parent.parent}: the store that others see isn't the one here; name one folder in REPLICATE_STORE"
    try:
        with locked(file):
            pass
    except BlockingIOError:
        return ""
    except (UserError, OSError) as error:
        return str(error)
    return f"{file.parent.parent}: locks have no effect on this file system; name a folder on another one"
