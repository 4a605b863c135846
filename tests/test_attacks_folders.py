"""A fuzzer for model folders: nothing outside a folder is opened, nothing fails otherwise than in one line."""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from replicate.inference.export import export
from replicate.nets.classifier import load_classifier
from replicate.nets.folder import save_model
from replicate.nets.student_net import StudentConfig, shape_of, student_class
from replicate.timing.random_net import random_model
from tests.attacks_child import MARK, OWN
from tests.hostile import LABELS, SHAPE

CASES = int(os.environ.get("REPLICATE_FOLDERS", "2000"))
# Of one process.
TOGETHER = 250
# Seconds in which a case must be done.
STALLED = 60.0
MOST_MEMORY = 1 << 30
# What `strace` tells of: everything that opens, makes, changes or removes a file, starts a program or connects.
CALLS = (
    "open,openat,openat2,creat,truncate,unlink,unlinkat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,"
    "mkdir,mkdirat,rmdir,mknod,mknodat,chmod,fchmodat,connect,bind,execve,execveat,stat,newfstatat"
)
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small folder of each kind: nets, students and exports in both formats and precisions."""
    nets, found = tmp_path_factory.mktemp("nets"), tmp_path_factory.mktemp("bases")
    small = {**SHAPE, "num_hidden_layers": 1, "max_position_embeddings": 64}
    random_model(small, None, LABELS, found / "ernie")
    random_model(small, None, LABELS, nets / "ernie")
    tokenizer = load_classifier(nets / "ernie").tokenizer
    for student in ("bow", "bilstm"):
        shape = {**shape_of(student, {}), "embedding_size": 8, "hidden_size": 8}
        net = student_class()(StudentConfig(student, shape, 60, len(LABELS), 0, 64))
        save_model(net, tokenizer, found / student, LABELS)
    for kind in ("paddle", "onnx"):
        for int8 in (False, True):
            export(nets / "ernie", found / f"{kind}-{int8}", kind, int8, ["t1 t2", "t3"] * 8 if int8 else ())
        export(found / "bilstm", found / f"{kind}-bilstm", kind)
    return found


@dataclass
class Found:
    """What came of the cases: how many of each outcome, and every failure."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    peak: int = 0


def tried(bases: Path, root: Path, first: int, last: int, found: Found) -> int:
    """Try cases in one process; returns the number of the first that it did not come to."""
    trace, told = root / "trace", root / "stderr"
    strace = shutil.which("strace")
    traced = [strace, "-f", "-qq", "--seccomp-bpf", "-e", f"trace={CALLS}", "-o", str(trace)] if strace else []
    command = [*traced, sys.executable, "-m", "tests.attacks_child", str(bases), str(root), str(first), str(last)]
    number, ended = first, False
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (
        told.open("wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment) as child,
        selectors.DefaultSelector() as selector,
    ):
        assert child.stdout
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(STALLED):
                child.kill()
                break
            line = child.stdout.readline()
            if not line:
                break
            one: dict[str, Any] = json.loads(line)
            number, ended = one["case"], "outcome" in one
            if ended:
                found.outcomes[one["outcome"]] += 1
                found.peak = max(found.peak, one["peak"])
                if one["outcome"] == "failed":
                    found.failures.append(f"case {number}: {one['words']}")
        child.kill()
    if not (ended and number == last - 1):
        where = told.read_text(encoding="utf-8", errors="replace")[-300:]
        found.failures.append(f"case {number}: the process ended ({child.returncode}) or stalled: {where}")
    if traced:
        found.failures += strangers(trace, root)
    return number + 1


def strangers(trace: Path, root: Path) -> list[str]:
    """Calls during a case that name a file outside its folder, but for what Python and the libraries read."""
    found, within = [], False
    for line in trace.read_text(encoding="utf-8", errors="replace").splitlines():
        if any(mark in line for mark in MARK):
            within = MARK[0] in line
        elif within and " stat(" not in line and "newfstatat(" not in line and " resumed>" not in line:
            path = (_PATH.findall(line) or [""])[0]
            writes = re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", line) or "open" not in line
            ours = re.search(r"/case-\d+(/|$)", path) or path == "/dev/null"
            # Threads that libraries start look for the number of processors and the like.
            reads = not writes and path.startswith(OWN)
            if not ours and not reads and not path.startswith((str(root / "case"), "pipe:")):
                found.append(f"{trace.name}: {line[:300]}")
    return found


@pytest.mark.attacks
def test_hostile_folders(bases: Path, tmp_path: Path) -> None:
    """Each of some thousand folders is answered or refused in one line, in bounded memory, and touches nothing else."""
    found, number = Found(), 0
    while number < CASES and len(found.failures) < 50:
        (tmp_path / str(number)).mkdir()
        number = tried(bases, tmp_path / str(number), number, min(number + TOGETHER, CASES), found)
    print(dict(found.outcomes), f"peak {found.peak >> 20} MB")
    assert not found.failures, "\n".join(found.failures)
    assert found.peak < MOST_MEMORY
    # Where all were refused nothing would have been tried, and where none was there was no attack.
    assert min(found.outcomes["refused"], found.outcomes["answered"]) > CASES // 20


def test_a_few_hostile_folders(bases: Path, tmp_path: Path) -> None:
    """The first of them, in the unit tests."""
    found = Found()
    tried(bases, tmp_path, 0, 40, found)
    assert not found.failures, "\n".join(found.failures)
    assert sum(found.outcomes.values()) == 40
