"""Writes the reference of every public name into a folder: `python docs/reference.py FOLDER`.

What pdoc can't import, or warns of, ends it with an error.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pdoc


def main(folder: str) -> None:
    """Every module of the package, from its docstrings."""
    pdoc.render.configure(docformat="google", show_source=False)
    pdoc.pdoc("replicate", output_directory=Path(folder))
    print(f"reference in {folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])
