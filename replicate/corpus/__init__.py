"""Texts with labels: the data that rows are trained and scored on. It knows no net."""

from __future__ import annotations

from pathlib import Path

from replicate.corpus import generated, kuake
from replicate.corpus.formats import Dataset, read_dataset
from replicate.corpus.usual import read_usual

# Of the local format.
NEEDED = ("label.txt", "train.txt", "dev.txt")

BUILT_IN = (kuake.NAME, generated.NAME)


def own_folder(folder: str) -> str:
    """A folder that the user names, so that it is never taken for a built-in data set of that name."""
    return f"./{folder}" if folder in BUILT_IN else folder


def load_dataset(name_or_folder: str, offline: bool = False) -> Dataset:
    """Load "kuake-qic", "generated" (default sizes), a folder in the local format, or any usual file or folder.

    Raises:
        UserError: it can't be read or is at fault; names file and line.
    """
    if name_or_folder == kuake.NAME:
        return kuake.load(offline=offline)
    if name_or_folder == generated.NAME:
        return generated.generate()
    path = Path(name_or_folder)
    # A folder that lacks nothing, or nothing else, is taken by its word.
    if not path.exists() or all((path / name).exists() for name in NEEDED):
        return read_dataset(path)
    return read_usual([path])
