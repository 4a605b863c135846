"""Writes the reference of every public name into a folder: `python docs/reference.py FOLDER`.

A module that can't be imported, and whatever pdoc warns of, ends it with an error.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pdoc


def main(folder: str) -> None:
    """Every module of the package, from its docstrings."""
    warnings.simplefilter("error")
    # What pydantic's own base class inherits to ours is no fault of ours, nor is what a package deprecates.
    warnings.filterwarnings("ignore", message=".*(pydantic|BaseModel)")
    warnings.simplefilter("ignore", DeprecationWarning)
    pdoc.render.configure(docformat="google", show_source=False)
    pdoc.pdoc("replicate", output_directory=Path(folder))
    print(f"reference in {folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])
