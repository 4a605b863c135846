"""Where the project's data files and its store are."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
# A wheel carries `expected` and `profiles` inside the package; a checkout has them beside it.
ROOT = _PACKAGE if (_PACKAGE / "expected").is_dir() else _PACKAGE.parent
EXPECTED = ROOT / "expected"
PROFILES = ROOT / "profiles"
# What a wheel holds belongs to its installer, who deletes it with the next version: results go below the current
# folder, into one where nobody else has pages that a report would take for its own.
_RESULTS = Path("replicate-results") if ROOT == _PACKAGE else ROOT
MEASURED = _RESULTS / "measured"
REPORT = _RESULTS / "REPORT.md"


def store_root() -> Path:
    """The run store's folder: `REPLICATE_STORE`, else `.replicate` in the current folder."""
    return Path(os.environ.get("REPLICATE_STORE") or ".replicate")
