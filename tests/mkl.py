"""The MKL that Paddle brings, which tests ask how many threads it has."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

_PADDLE = find_spec("paddle")
MKL = Path(_PADDLE.origin or "" if _PADDLE else "").parent / "libs" / "libmklml_intel.so"
needs_mkl = pytest.mark.skipif(not MKL.exists(), reason="this Paddle has no MKL to ask")
