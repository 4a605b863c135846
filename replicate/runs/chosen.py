"""What was chosen to run on somebody's own data, kept beside its records: it stays what it is for every later run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import get_type_hints

from replicate.common.errors import UserError
from replicate.common.files import read_json, to_json, write_text
from replicate.records.run import CHOICE
from replicate.tables.auto import AUTO, GROUPS, LENGTHS, SIZES, Choice

SCHEMA = 1


def read_choice(folder: Path) -> Choice | None:
    """The choice below a folder of records; None where there is none.

    Raises:
        UserError: the file can't be read, or is no choice that this version knows.
    """
    path = _path(folder)
    if not path.is_file():
        return None
    value = read_json(path)
    try:
        if value.pop("schema") != SCHEMA:
            raise ValueError(f"this version reads schema {SCHEMA}")
        kinds = get_type_hints(Choice)
        # A whole number is a number, too; of true and false neither is.
        value = {
            name: float(one) if kinds.get(name) is float and type(one) is int else one for name, one in value.items()
        }
        if {name: type(one) for name, one in value.items()} != kinds:
            raise TypeError("other keys, or values of other types")
        found = Choice(**value)
        counts = (found.epochs, found.seeds, found.groups)
        if found.size not in range(len(SIZES)) or found.length not in LENGTHS or min(counts) < 1 or found.passes <= 0:
            raise ValueError("a size, a length or a number that is not offered")
        if found.groups > len(GROUPS):
            raise ValueError("more questions than there are")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"not what was chosen to run ({error})", path=path, hint="delete it") from None
    return found


def keep_choice(choice: Choice, folder: Path) -> Path:
    """Writes the choice below a folder of records, in place of an earlier one."""
    path = _path(folder)
    write_text(path, to_json({"schema": SCHEMA, **asdict(choice)}))
    return path


def _path(folder: Path) -> Path:
    return folder / AUTO / CHOICE
