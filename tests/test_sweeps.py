"""Stages side by side in processes of this machine: the same records, also where workers and drivers are killed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replicate.common.work import CHECKPOINT
from replicate.records.run import load_records
from tests.planned import Checkout, records

ROWS = ("base", "short", "svm")


@pytest.fixture(scope="module")
def sequential(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The rows of the tiny table, one after another."""
    work = tmp_path_factory.mktemp("sequential")
    checkout = Checkout(work / "checkout", work / "store")
    checkout.run()
    return checkout


@pytest.fixture
def other(sequential: Checkout, tmp_path: Path) -> Checkout:
    """The same checkout with a store of its own."""
    return Checkout(sequential.root, tmp_path / "store")


@pytest.fixture
def broken(sequential: Checkout, tmp_path: Path) -> Checkout:
    """A checkout of its own, to be changed, with the nets of the other."""
    shutil.copytree(sequential.root, tmp_path / "checkout")
    shutil.copytree(sequential.store / "pretrain", tmp_path / "store" / "pretrain")
    return Checkout(tmp_path / "checkout", tmp_path / "store")


def insert(path: Path, before: str, line: str) -> None:
    """Put a line before another one."""
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1
    path.write_text(text.replace(before, line + before), encoding="utf-8")


def children(process: subprocess.Popen[str]) -> list[int]:
    """The processes that one has started."""
    return [int(one) for one in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Those of them that make stages: an import may start a process too."""
    found = []
    for pid in children(process):
        with contextlib.suppress(OSError):
            if b"replicate.runs.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def until(seen: Callable[[], Any]) -> Any:
    """What it gives as soon as that is something."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        if found := seen():
            return found
        time.sleep(0.02)
    raise AssertionError("it never came")


def training(checkout: Checkout) -> list[Path]:
    """Checkpoints of what is being trained."""
    return [*checkout.store.glob(f"partial/finetune-*/{CHECKPOINT}")]


def test_two_workers_make_the_same_records(sequential: Checkout, other: Checkout) -> None:
    """Each stage once, in two processes, and nothing is left behind; again, no worker is started."""
    out, err = other.run("-j", "2")
    assert records(other) == records(sequential)
    assert other.left == []
    assert "base" in out
    assert err == ""
    before = {path: path.stat().st_mtime_ns for path in other.store.rglob(CHECKPOINT)}
    other.run("--engine", "local")
    assert {path: path.stat().st_mtime_ns for path in other.store.rglob(CHECKPOINT)} == before
    assert len(load_records(other.records)) == len(ROWS) * 2


def test_a_killed_worker_loses_nothing(sequential: Checkout, other: Checkout) -> None:
    """What it was at goes on in another one from its checkpoint, and one line says so."""
    process = other.start("-j", "2")
    until(lambda: training(other))
    for pid in children(process):
        os.kill(pid, signal.SIGKILL)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert "its worker ended (killed by SIGKILL); tried again from its checkpoint\n" in err
    assert "Traceback" not in err
    logs = "".join(path.read_text(encoding="utf-8") for path in other.store.glob("logs/finetune-*.log"))
    assert "going on from" in logs
    assert records(other) == records(sequential)
    assert other.left == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_stopped_driver_goes_on(number: int, code: int, sequential: Checkout, other: Checkout) -> None:
    """Workers keep their checkpoints and go, in seconds; a driver that is told to stop says one line."""
    process = other.start("-j", "2")
    until(lambda: training(other))
    workers = children(process)
    assert len(workers) == 2
    begun = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    until(lambda: not [one for one in workers if Path(f"/proc/{one}").exists()])
    assert time.monotonic() - begun < 30
    assert "Traceback" not in err
    if number != signal.SIGKILL:
        assert err.endswith("the same command goes on from there\n")
    assert training(other)
    other.run("-j", "2")
    assert records(other) == records(sequential)
    assert other.left == []


# What has been imported before the signal comes.
IMPORTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from replicate.nets import upstream
upstream.quiet()
from replicate.commands.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("number", "processes", "before"),
    [
        (signal.SIGTERM, 2, ""),
        (signal.SIGINT, 3, ""),
        (signal.SIGTERM, 3, IMPORTED),
        (signal.SIGINT, 2, IMPORTED),
    ],
    ids=["term-2", "int-3", "term-3-imported", "int-2-imported"],
)
def test_a_stop_reaches_workers_that_have_just_begun(
    number: signal.Signals, processes: int, before: str, other: Checkout
) -> None:
    """None of them outlives a stop: not one that isn't ready yet, nor one whose driver has imported Paddle."""
    words = ["--seeds", "1,2,3,4,5,6", "-j", str(processes)]
    process = other.start(*words, code=before)
    workers = until(lambda: workers_of(process))
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number, err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith(f"replicate: stopped by {number.name}")
    until(lambda: not [one for one in workers if Path(f"/proc/{one}").exists()])
    assert [path for path in other.left if "/partial/" not in path] == []


def test_status_from_another_terminal(other: Checkout) -> None:
    """While it runs: stages done, time left, what each worker is at. Before and after it: nothing runs."""
    assert "nothing runs" in other.run("--status")[0]
    process = other.start("-j", "2")
    (path,) = until(lambda: list(other.store.glob("sweeps/*.json")))
    until(lambda: "pretrain" in path.read_text(encoding="utf-8"))
    # What is so short is done before another process has begun.
    process.send_signal(signal.SIGSTOP)
    out, _ = other.run("--status")
    assert "tiny on " in out
    assert " stages done, " in out
    assert " · pretrain" in out
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=120)
    assert json.loads(other.run("--status", "--json")[0]) == []


def test_an_exception_is_on_record_with_a_log(sequential: Checkout, broken: Checkout) -> None:
    """It is not tried again; what descends from it is skipped, the rest goes on; mended, only that is run."""
    path = broken.root / "replicate" / "stages" / "finetune.py"
    before = path.read_text(encoding="utf-8")
    insert(path, "    model = inputs.model(", '    if inputs.seed == 2:\n        raise ZeroDivisionError("by hand")\n')
    process = broken.start("-j", "2")
    _, err = process.communicate(timeout=600)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "base · seed 2 · finetune: ZeroDivisionError: by hand; log in " in err
    found = {(one.row, one.seed): one for one in load_records(broken.records)}
    assert {key for key, one in found.items() if one.status == "error"} == {("base", 2), ("short", 2)}
    assert found["base", 2].reason == "finetune: ZeroDivisionError: by hand"
    log = Path(err.partition("base · seed 2 · finetune: ZeroDivisionError: by hand; log in ")[2].splitlines()[0])
    assert "Traceback" in log.read_text(encoding="utf-8")
    path.write_text(before, encoding="utf-8")
    broken.run("-j", "2")
    assert records(broken) == records(sequential)


def test_the_first_failure_may_end_it(broken: Checkout) -> None:
    """With --fail-fast, in one line; its record is there."""
    path = broken.root / "replicate" / "stages" / "finetune.py"
    insert(path, "    model = inputs.model(", '    raise ZeroDivisionError("by hand")\n')
    for words in (("-j", "2"), ()):
        process = broken.start("base", "--fail-fast", *words)
        _, err = process.communicate(timeout=600)
        assert process.returncode == 2
        assert "finetune: ZeroDivisionError: by hand; --fail-fast ends here; " in err.splitlines()[-1]
        assert [one.status for one in load_records(broken.records)] == ["error"]
        shutil.rmtree(broken.records)


def test_retries_end(broken: Checkout) -> None:
    """A stage that kills every worker ends as an error, after as many tries as somebody wants."""
    path = broken.root / "replicate" / "stages" / "finetune.py"
    line = "    if inputs.seed == 2:\n        import os\n\n        os.kill(os.getpid(), 9)\n"
    insert(path, "    model = inputs.model(", line)
    process = broken.start("base", "svm", "-j", "2", "--retries", "1")
    _, err = process.communicate(timeout=600)
    assert process.returncode == 1
    found = {(one.row, one.seed): one for one in load_records(broken.records)}
    assert found["base", 2].reason == "finetune: its worker ended 2 times (killed by SIGKILL)"
    assert {one.status for key, one in found.items() if key != ("base", 2)} == {"ok"}
    assert len(found) == 4


def test_a_budget_ends_it_with_checkpoints(sequential: Checkout, other: Checkout) -> None:
    """One line says how many stages are left, and the same command goes on."""
    process = other.start("-j", "2", "--budget", "1s")
    _, err = process.communicate(timeout=600)
    assert process.returncode == 1
    assert err.splitlines()[0] == "replicate: 1 s: no record says how long anything takes, so all rows run until then"
    assert "replicate: the budget is spent with " in err
    other.run("-j", "2")
    assert records(other) == records(sequential)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--processes", "0"), "there has to be one"),
        (("--retries", "2"), "add -j N"),
        (("-j", "2", "--retries", "-1"), "give 0 or more"),
        (("--engine", "local", "--device", "gpu"), "no CUDA device is visible"),
    ],
)
def test_options_that_make_no_sense(words: tuple[str, ...], told: str, other: Checkout) -> None:
    """One line, and nothing is written."""
    _, err = other.run("svm", *words, code=2)
    assert told in err
    assert len(err.splitlines()) == 1
    assert not other.store.exists()
