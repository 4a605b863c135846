"""Where the project's data files and its store are."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
# A wheel carries `expected` and `profiles` inside the package; a checkout has them beside it.
ROOT = _PACKAGE if (_PACKAGE / "expected").is_dir() else _PACKAGE.parent
EXPECTED = ROOT / "expected"
PROFILES = ROOT / "profiles"
MEASURED = ROOT / "measured"
REPORT = ROOT / "REPORT.md"


def store_root() -> Path:
    """The run store's folder: `REPLICATE_STORE`, else `.replicate` in the current folder."""
    return Path(os.environ.get("REPLICATE_STORE") or ".replicate")


def paddlenlp_home() -> Path:
    """The folder of PaddleNLP's caches: `PPNLP_HOME`, else `~/.paddlenlp`."""
    return Path(os.environ.get("PPNLP_HOME") or Path.home() / ".paddlenlp")
