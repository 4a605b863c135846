"""Texts with labels: the data that rows are trained and scored on. It knows no net."""

from __future__ import annotations

from pathlib import Path

from replicate.corpus import generated, kuake
from replicate.corpus.formats import Dataset, read_dataset

BUILT_IN = (kuake.NAME, generated.NAME)


def own_folder(folder: str) -> str:
    """A folder that the user names, so that it is never taken for a built-in data set of that name."""
    return f"./{folder}" if folder in BUILT_IN else folder


def load_dataset(name_or_folder: str, offline: bool = False) -> Dataset:
    """Load "kuake-qic", "generated" (default sizes) or a folder in the local format; UserError where it can't."""
    if name_or_folder == kuake.NAME:
        return kuake.load(offline=offline)
    if name_or_folder == generated.NAME:
        return generated.generate()
    return read_dataset(Path(name_or_folder))
