"""Folders that other packages keep things in, where the user's own can't be written or isn't there."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

# Each package's variable, and its folder below the home.
FOLDERS = {"PPNLP_HOME": ".paddlenlp", "MPLCONFIGDIR": ".config/matplotlib"}


def give_homes() -> None:
    """Names a scratch folder, which goes when the process ends, to whoever couldn't make a folder in the home.

    What the user has named stays. PaddleNLP makes its folder while it is imported, also where nothing is ever kept in
    it, and Matplotlib and others ask for the home.
    """
    try:
        home = Path.home()
    except RuntimeError:
        # No variable, and no entry for this user.
        os.environ["HOME"] = str(scratch())
        return
    for variable, folder in FOLDERS.items():
        if not os.environ.get(variable) and not _can_be_made(home / folder):
            os.environ[variable] = str(scratch())


def paddlenlp_home() -> Path:
    """Where PaddleNLP keeps models and data."""
    give_homes()
    return Path(os.environ.get("PPNLP_HOME") or Path.home() / FOLDERS["PPNLP_HOME"])


@cache
def scratch() -> Path:
    """A folder of this process."""
    folder = tempfile.mkdtemp(prefix="replicate-home-")
    # A child that this process forks must not delete it.
    atexit.register(_remove, folder, os.getpid())
    return Path(folder)


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _can_be_made(folder: Path) -> bool:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
