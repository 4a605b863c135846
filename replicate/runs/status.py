"""How far the runs on a store are, in files that another terminal can look at."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.common.files import read_json, to_json, write_text
from replicate.runs.schedule import span

FOLDER = "sweeps"
# Seconds between two writes, and after which one that is silent may not be there any more.
_EVERY = 2.0
_SILENT = 60.0


@dataclass(frozen=True)
class Seen:
    """How far a run is.

    Attributes:
        profile: that it runs.
        stages: that it had to make.
        open: of those, the ones without an outcome.
        failed: stages that have failed.
        left: seconds until all have been made, as far as one can tell.
        running: each stage that runs, with its step, how many it has, its seconds, and where.
    """

    profile: str
    stages: int
    open: int
    failed: int
    left: float
    running: Sequence[dict[str, Any]] = field(default_factory=list)


class Status:
    """The file of this process's run.

    Args:
        root: the store's folder.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / FOLDER / f"{platform.node()}-{os.getpid()}.json"
        self._written = -_EVERY
        # What killed runs have left goes.
        status_of(root)

    def write(self, seen: Seen) -> None:
        """Write how far it is, unless that was a moment ago."""
        if time.monotonic() - self._written >= _EVERY:
            self._written = time.monotonic()
            own = {"host": platform.node(), "pid": os.getpid(), "at": time.time()}
            write_text(self._path, to_json({**asdict(seen), **own}))

    def end(self) -> None:
        """It runs no more."""
        self._path.unlink(missing_ok=True)


def status_of(root: Path) -> list[dict[str, Any]]:
    """The runs on a store; the file of a process of this machine that is there no more goes."""
    found = []
    for path in sorted((root / FOLDER).glob("*.json")):
        try:
            one = read_json(path)
            here = one["host"] == platform.node()
            if here and not _runs(int(one["pid"])):
                path.unlink(missing_ok=True)
                continue
            found.append(one)
        except (UserError, KeyError, TypeError, ValueError):
            continue
    return found


def told(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The runs in lines."""
    for one in runs:
        done = one["stages"] - one["open"]
        failed = f", {one['failed']} failed" if one["failed"] else ""
        silent = time.time() - one["at"]
        quiet = f"; not heard of for {span(silent)}" if silent > _SILENT else ""
        yield (
            f"{one['profile']} on {one['host']} (process {one['pid']}): {done} of {one['stages']} stages done{failed}, "
            f"{span(one['left'])} left{quiet}"
        )
        for stage in one["running"]:
            step = f" step {stage['step']}/{stage['of']}" if stage["of"] else ""
            yield f"  {stage['stage']}{step}, {span(stage['seconds'])}, on {stage['place']}"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
