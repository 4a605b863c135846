"""Ask Paddle in a process of its own, which may die of the answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def answer_of(code: str, *words: str, seconds: float = 300) -> dict[str, Any]:
    """What a Python program printed as its last line of JSON.

    Args:
        code: the program; this package can be imported in it.
        words: its arguments.
        seconds: how long it may take.

    Returns:
        The object; with `error`, the last line of what it died of, where it did, even after it printed one.
    """
    command = [sys.executable, "-W", "ignore", "-c", code, *words]
    # The package may be a checkout that only this process's path names.
    path = os.pathsep.join([str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])])
    variables = {**os.environ, "PYTHONPATH": path}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds, env=variables)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer in {seconds:.0f} seconds"}
    found: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            found = json.loads(line)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        found["error"] = lines[-1] if lines else f"exit code {done.returncode}"
    return found
