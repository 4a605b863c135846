"""Runs in a process of their own that tests kill, and what two of them must have in common."""

from __future__ import annotations

import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from replicate.common.paths import ROOT
from replicate.records.run import load_records
from replicate.runs.artefact import MANIFEST, RESULT
from tests.faults_child import report_of

# What a clock, a host or a checkout's state decides.
TIMINGS = {"started", "finished", "seconds", "created", "digest", "files", "commit", "dirty", "origin"}
# Upstream's export names and orders parameters by a counter of the process: the same weights in another order where the
# process had built other nets. The record's predictions are of this export, and are compared.
GRAPHS = {"model.pdmodel", "model.pdiparams"}


class Run:
    """A process that runs rows from nothing to their report, and says when it begins a stage."""

    def __init__(self, work: Path, data: Path, *rows: str, **variables: str) -> None:
        command = [sys.executable, "-m", "tests.faults_child", str(work / "store"), str(work / "out"), str(data), *rows]
        self.environment = {**os.environ, "REPLICATE_CHECKPOINT": "4", "PYTHONPATH": str(ROOT), **variables}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.told: queue.Queue[tuple[str, float]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.told.put((line.strip(), time.monotonic()))
        self.told.put(("", time.monotonic()))

    def stages(self) -> dict[str, float]:
        """Let it run to its end; the seconds of each stage."""
        times = []
        while (one := self.told.get(timeout=600))[0]:
            times.append(one)
        self.process.wait(timeout=60)
        assert self.process.returncode == 0, self.process.stderr and self.process.stderr.read()
        assert times[-1][0] == "done"
        following = itertools.pairwise(times)
        return {name.removeprefix("stage "): later - at for (name, at), (_, later) in following}

    def kill(self, stage: str, after: float) -> bool:
        """SIGKILL so many seconds into a stage; False where it ended before."""
        while (name := self.told.get(timeout=600)[0]) not in ("", f"stage {stage}"):
            pass
        time.sleep(after)
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=60)
        return self.process.returncode == -signal.SIGKILL and name != ""


def without_timings(value: Any) -> Any:
    """A record or manifest with what a clock decides taken out."""
    if isinstance(value, dict):
        return {key: without_timings(item) for key, item in value.items() if key not in TIMINGS}
    return [without_timings(item) for item in value] if isinstance(value, list) else value


def contents(work: Path) -> dict[str, Any]:
    """Every artefact's files and the record; the report, which prints seconds, must be its record's."""
    records = load_records(work / "out" / "records")
    assert (work / "out" / "REPORT.md").read_text(encoding="utf-8") == report_of(records)
    found: dict[str, Any] = {}
    for path in sorted(work.rglob("*")):
        name = path.relative_to(work).as_posix()
        if path.is_file() and path.parent.name != "locks" and path.name not in (*GRAPHS, "REPORT.md"):
            timed = path.suffix == ".json" and path.name in (MANIFEST, RESULT, "seed-1.json")
            found[name] = without_timings(json.loads(path.read_bytes())) if timed else path.read_bytes()
    return found
