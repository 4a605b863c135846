"""Files that a command writes beside its answer: refused before the work begins, not after it."""

from __future__ import annotations

import stat
from pathlib import Path

from replicate.common.errors import UserError

_PAGE = b"<!doctype html"


def check_page(path: Path | None) -> None:
    """Refuse what is no page: a page is written again, and nothing else is written over (UserError)."""
    if path is None or not _is_there(path):
        return
    try:
        with path.open("rb") as file:
            page = file.read(len(_PAGE)).lower()
    except OSError as error:
        raise UserError(f"can't be read: {error.strerror}", path=path, hint="name a new file") from error
    if page != _PAGE:
        raise UserError("already exists, and is no page", path=path, hint="name a new file, or a page to write again")


def check_new(path: Path | None) -> None:
    """Refuse a file that is there, since a person may have worked on it (UserError)."""
    if path is not None and _is_there(path):
        raise UserError("already exists", path=path, hint="name a new file")


def _is_there(path: Path) -> bool:
    """Whether there is a file; links, folders and devices are refused."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UserError(f"can't be written: {error.strerror}", path=path) from error
    if not stat.S_ISREG(mode):
        raise UserError("not a file", path=path, hint="name a new file")
    return True
