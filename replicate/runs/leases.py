"""Leases on artefacts: what a run may still read is not deleted under it.

A lease is a shared lock on the artefact's manifest, which the kernel drops with the process. Reading it takes no right
to write; where a file system has no locks there are no leases, and nothing is deleted either.
"""

from __future__ import annotations

import os
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from replicate.common.errors import UserError
from replicate.common.locks import is_at, take
from replicate.runs.artefact import MANIFEST

# Each is an open file: more than any stage reads, fewer than a process may have.
MOST = 256
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Leases:
    """The manifests that were asked for last, kept for as long as this object is there."""

    def __init__(self) -> None:
        self._files: OrderedDict[Path, int] = OrderedDict()
        weakref.finalize(self, _close, self._files)

    def take(self, manifest: Path) -> bool:
        """Keep an artefact from deletion; False where it is being deleted.

        Raises:
            OSError: it has no manifest.
        """
        if manifest in self._files and is_at(self._files[manifest], manifest):
            self._files.move_to_end(manifest)
            return True
        self.drop(manifest)
        file = os.open(manifest, os.O_RDONLY | _FLAGS)
        try:
            kept = take(file, manifest, shared=True) and is_at(file, manifest)
        except UserError:
            os.close(file)
            return True
        if not kept:
            os.close(file)
            return False
        self._files[manifest] = file
        if len(self._files) > MOST:
            os.close(self._files.popitem(last=False)[1])
        return True

    def drop(self, manifest: Path) -> None:
        """Let it go, if it is held."""
        if manifest in self._files:
            os.close(self._files.pop(manifest))


@contextmanager
def leased(*folders: str | Path) -> Iterator[None]:
    """Keeps what may be artefacts, named by their folders, from deletion while the context lasts.

    Any other folder is left as it is; one that is being deleted is refused by whoever reads it.
    """
    leases, manifests = Leases(), [Path(folder) / MANIFEST for folder in folders]
    for manifest in manifests:
        with suppress(OSError):
            leases.take(manifest)
    try:
        yield
    finally:
        for manifest in manifests:
            leases.drop(manifest)


@contextmanager
def unleased(manifest: Path) -> Iterator[bool]:
    """Whether nobody has a lease; nobody gets one while the context lasts. True where there is no manifest.

    Raises:
        OSError, UserError: that can't be known.
    """
    try:
        file = _opened(manifest)
    except FileNotFoundError:
        yield True
        return
    try:
        yield take(file, manifest)
    finally:
        os.close(file)


def _opened(manifest: Path) -> int:
    try:
        # A network file system locks nothing exclusively that isn't open to be written.
        return os.open(manifest, os.O_RDWR | _FLAGS)
    except PermissionError:
        return os.open(manifest, os.O_RDONLY | _FLAGS)


def _close(files: Mapping[Path, int]) -> None:
    for file in files.values():
        os.close(file)
