"""Seeds that other processes run ahead of this one: the store is what they share, and its locks keep them apart."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from replicate.common.cores import cores
from replicate.common.progress import Progress
from replicate.tables.profile import Profile, load_profile

# Set for a process that runs ahead: only the one that waits for it writes a report, and scores a test set.
AHEAD = "REPLICATE_AHEAD"
# Seconds between two looks at what has run.
_EVERY = 2.0


def threads_of(processes: int) -> str:
    """What OMP_NUM_THREADS is for each of so many processes: its share of the cores, unless it is set."""
    return os.environ.get("OMP_NUM_THREADS") or str(max(1, cores() // processes))


def run_ahead(
    asked: Mapping[int, Sequence[str]],
    profile: Profile,
    processes: int,
    offline: bool = False,
    done: Callable[[], int] | None = None,
    quiet: bool = True,
) -> None:
    """Have each seed's rows run by a process of its own, at most so many at once, and wait for all of them.

    What they made lies in the store, where this process finds it; what failed there is tried, and told, here. Each has
    its share of the cores, unless OMP_NUM_THREADS says otherwise: the number of threads decides the last bits of a net.

    Args:
        asked: by seed, the full ids of its rows.
        profile: what they are run with; its settings have to be those of its file.
        processes: how many at once; 1 runs nothing ahead.
        offline: open no connection.
        done: how many rows and seeds have run by now; told without `quiet`.
        quiet: show no progress.
    """
    # Without a name `run` takes every row of the profile.
    asked = {seed: rows for seed, rows in asked.items() if rows}
    if processes < 2 or len(asked) < 2:
        return
    threads = threads_of(processes)
    words = ["--profile", profile.id, "--device", profile.device, "--quiet"]
    words += ["--offline"] if offline else []
    if profile.dataset != load_profile(profile.id).dataset:
        words += ["--dataset_dir", profile.dataset]
    running: list[subprocess.Popen[bytes]] = []
    progress = Progress(f"rows of {len(asked)} seeds, {processes} at once", quiet or done is None)
    progress.start(sum(map(len, asked.values())))
    try:
        for seed, rows in asked.items():
            if len(running) >= processes:
                # It is ours until it has ended: a stop while we wait for it has to reach it, too.
                _wait(running[0], progress, done)
                running.pop(0)
            running.append(
                subprocess.Popen(
                    [sys.executable, "-m", "replicate", "run", *rows, *words, "--seeds", str(seed)],
                    env={**os.environ, "OMP_NUM_THREADS": threads, AHEAD: "1"},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        for one in running:
            _wait(one, progress, done)
    except BaseException:
        # They stop as every run does: training keeps its checkpoint.
        for one in running:
            one.terminate()
        for one in running:
            one.wait()
        raise
    finally:
        progress.close()


def _wait(process: subprocess.Popen[bytes], progress: Progress, done: Callable[[], int] | None) -> None:
    while True:
        try:
            process.wait(_EVERY)
            return
        except subprocess.TimeoutExpired:
            # Before the first nobody knows how long one takes.
            if done is not None and (count := done()):
                progress.step(count)
