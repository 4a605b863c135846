"""What a person sees of all workers at once: one bar on a terminal, a line a stage elsewhere, nothing when quiet."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

from replicate.common.progress import warn
from replicate.runs.executor import Job
from replicate.runs.schedule import span
from replicate.runs.status import Seen


class View:
    """Progress of a plan on several workers.

    Args:
        quiet: show nothing.
    """

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self.total = self._made = 0
        self._begun = time.monotonic()
        self._work = 0.0
        self._left = ""

    def begin(self, missing: int, stages: int, work: float, left: float, workers: int) -> None:
        """Tell what is ahead.

        Args:
            missing: stages that have to be made.
            stages: in all.
            work: seconds of one worker for them.
            left: seconds of all workers.
            workers: how many run at once.
        """
        self.total = missing
        if self._quiet:
            return
        many = "1 worker" if workers == 1 else f"{workers} workers"
        warn([f"{missing} of {stages} stages to make: {span(work)} of work, some {span(left)} with {many}"])
        if sys.stderr.isatty():
            shape = "{desc} {n_fmt}/{total_fmt} |{bar}| {postfix}"
            self._bar = tqdm(total=missing, file=sys.stderr, leave=False, dynamic_ncols=True, bar_format=shape)
            self._bar.set_description_str("stages")

    def made(self, job: Job, seconds: float) -> None:
        """A stage has been made."""
        self._made += 1
        self._work += seconds
        if self._quiet or self._bar is not None:
            return
        left = f", {self._left} left" if self._left else ""
        line = f"{job.label} · {job.stage.name}: made in {span(seconds)} ({self._made} of {self.total}{left})"
        print(line, file=sys.stderr, flush=True)

    def show(self, seen: Seen) -> None:
        """How far everybody is."""
        self._left = span(seen.left)
        if self._bar is not None:
            running = " | ".join(_short(one) for one in seen.running)
            self._bar.n = self.total - seen.open
            self._bar.set_postfix_str(f"{self._left} left | {running}")

    def end(self) -> None:
        """Tell what it has cost."""
        if self._bar is not None:
            self._bar.close()
        if not self._quiet and self._made:
            took = time.monotonic() - self._begun
            many = f"{self._made} stage{'s' * (self._made > 1)}"
            warn([f"{many} made in {span(took)}: {span(self._work)} of work, {self._work / took:.2f} at once"])


def _short(one: dict[str, Any]) -> str:
    return f"{one['stage']} {one['step']}/{one['of']}" if one["of"] else str(one["stage"])
