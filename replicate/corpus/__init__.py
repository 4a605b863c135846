"""Texts with labels: the data that rows are trained and scored on. It knows no net."""

from __future__ import annotations

from pathlib import Path

from replicate.common.errors import UserError
from replicate.common.limits import MOST_LINE
from replicate.corpus import generated, kuake
from replicate.corpus.formats import Dataset, read_dataset, read_labels
from replicate.corpus.usual import read_usual

# Of the local format.
NEEDED = ("label.txt", "train.txt", "dev.txt")

BUILT_IN = (kuake.NAME, generated.NAME)
# The data of a profile whose user brings them.
OWN = "own"


def own_folder(folder: str) -> str:
    """A folder that the user names, so that it is never taken for a built-in data set of that name."""
    return f"./{folder}" if folder in (*BUILT_IN, OWN) else folder


def load_dataset(name_or_folder: str, offline: bool = False) -> Dataset:
    """Load "kuake-qic", "generated" (default sizes), a folder in the local format, or any usual file or folder.

    Raises:
        UserError: it can't be read or is at fault; names file and line.
    """
    if name_or_folder == kuake.NAME:
        return kuake.load(offline=offline)
    if name_or_folder == generated.NAME:
        return generated.generate()
    if name_or_folder == OWN:
        raise UserError("this profile is for your own data", hint="name them with --dataset_dir")
    path = Path(name_or_folder)
    if path.exists() and not all((path / name).exists() for name in NEEDED):
        return read_usual([path])
    for name in (*NEEDED, "data.txt", "test.txt"):
        # A pipe would be waited for.
        if (path / name).exists() and not (path / name).is_file():
            raise UserError("not a file", path=path / name)
    try:
        return read_dataset(path)
    except UserError as error:
        # These names are usual too for numbers in place of labels, and for labels that stand first.
        if not path.is_dir() or _begins_local(path):
            raise
        try:
            return read_usual([path])
        except UserError:
            raise error from None


def _begins_local(folder: Path) -> bool:
    """Whether the first training line is one of the local format."""
    try:
        labels = read_labels(folder / "label.txt")
        with (folder / "train.txt").open(encoding="utf-8") as file:
            return file.readline(MOST_LINE).rstrip("\n").rpartition("\t")[2] in labels
    except (UserError, OSError, UnicodeDecodeError):
        return True
