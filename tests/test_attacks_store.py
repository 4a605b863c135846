"""A store that several people and processes share, on file systems whose locks fail."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from replicate.commands.main import main
from replicate.common.errors import UserError
from replicate.common.paths import ROOT
from replicate.runs.leases import MOST
from replicate.runs.store import Store

# Every flock of a process fails with the error that `FLOCK_ERRNO` names; with 0 it does nothing.
SHIM = """
#include <errno.h>
#include <stdlib.h>
int flock(int file, int how) { (void)file; (void)how; errno = atoi(getenv("FLOCK_ERRNO")); return errno ? -1 : 0; }
"""
MAKE = """
import sys
from pathlib import Path
from replicate.common.errors import UserError
from replicate.common.files import resumable_folder, write_text
from replicate.runs.store import Store

def build(folder):
    (folder / "file").write_text("x")
    return {}

def save():
    with resumable_folder(root / "out") as folder:
        (folder / "file").write_text("x")

root = Path(sys.argv[1])
for action in (lambda: Store(root / "store").make("svm", {}, build), save, lambda: write_text(root / "a.md", "text")):
    try:
        action()
    except UserError as error:
        print(error)
"""
# Reads an artefact, says so, and reads it again when it is told to.
READER = """
import sys
from pathlib import Path
from replicate.runs.store import Store

store = Store(Path(sys.argv[1]))
found = store.find("prune", sys.argv[2])
print("reading", flush=True)
sys.stdin.readline()
print(len((found.path / "weights.bin").read_bytes()), store.find("prune", sys.argv[2]) is not None)
"""
# As one of a group: user id, group id, umask, the store, what to do.
MEMBER = """
import os, sys, tempfile
from pathlib import Path
from replicate.common.errors import UserError
from replicate.runs.store import Store

# What is imported late is imported now: the environment may be one that only root can read.
with tempfile.TemporaryDirectory() as rehearsal:
    Store(Path(rehearsal)).make("svm", {"seed": 0}, lambda folder: {})

os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[1]))
os.umask(int(sys.argv[3], 8))

def build(folder):
    (folder / "deep").mkdir()
    (folder / "deep" / "weights.bin").write_bytes(bytes(10))
    if sys.argv[5] == "die":
        os.kill(os.getpid(), 9)
    return {}

store = Store(Path(sys.argv[4]))
try:
    print(store.make("svm", {"seed": 1}, build).reused)
    if sys.argv[5] == "remove":
        print([store.remove(store.root / stage / key) for stage, key in store.artefacts()])
except UserError as error:
    sys.exit(f"refused: {error}")
"""
TRAIN = ["--dataset_dir", "{data}"]


def build(folder: Path) -> dict[str, object]:
    """A stage that writes a file."""
    (folder / "weights.bin").write_bytes(bytes(1000))
    return {}


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that lets locks fail."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc here to make locks fail with")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "flock.c").write_text(SHIM, encoding="utf-8")
    command = ["gcc", "-shared", "-fPIC", "-o", "flock.so", "flock.c"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "flock.so"


@pytest.mark.parametrize("name", ["ENOLCK", "ENOTSUP", "ESTALE", "EIO", "ENOSYS"])
def test_locks_that_fail_are_not_waited_for(shim: Path, tmp_path: Path, name: str) -> None:
    """A network drive without locks: one line for each that says what, where and what to do, and nothing is left."""
    number = getattr(errno, name)
    environment = {**os.environ, "LD_PRELOAD": str(shim), "FLOCK_ERRNO": str(number), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", MAKE, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    told = done.stdout.splitlines()
    assert len(told) == 3
    for line, place in zip(told, ("store/locks/svm-", ".out.lock", ".a.md."), strict=True):
        assert line.startswith(f"{tmp_path}/{place}")
        assert line.endswith(
            f": can't be locked: {os.strerror(number)}; "
            "name a folder on a file system with locks, such as a local disk"
        )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert os.listdir(tmp_path) == ["store"]


@pytest.mark.parametrize("name", ["ENOLCK", "ENOTSUP", "ESTALE", "EIO", ""])
def test_no_worker_runs_anything_without_locks(shim: Path, tmp_path: Path, name: str) -> None:
    """Locks that fail, or do nothing, are told in one line before the first of several processes trains."""
    number = getattr(errno, name) if name else 0
    variables = {"LD_PRELOAD": str(shim), "FLOCK_ERRNO": str(number), "PYTHONPATH": str(ROOT)}
    words = ["run", "svm", "--profile", "smoke", "--seeds", "1,2", "--quiet", "--offline", "-j", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "replicate", *words],
        env={**os.environ, **variables, "REPLICATE_STORE": str(tmp_path / "store")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    told = f"can't be locked: {os.strerror(number)}" if name else "locks have no effect on this file system"
    assert told in line
    assert "; name a folder on " in line
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "locks"] == []


def test_gc_beside_a_run_deletes_nothing_that_it_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a process has found stays until it ends, however it ends; what nobody uses goes."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path))
    used, unused = (Store(tmp_path).make("prune", {"seed": seed}, build) for seed in (1, 2))
    command = [sys.executable, "-c", READER, str(tmp_path), used.key]
    for ends in (True, False):
        reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert reader.stdout
        assert reader.stdout.readline() == "reading\n"
        assert main(["store", "gc", "--unused", "--delete", "--json"]) == 0
        (kept,) = json.loads(capsys.readouterr().out)["kept"]
        assert kept["path"] == str(used.path)
        assert "another process" in kept["why"]
        assert main(["store", "gc", "--unused", "--delete"]) == 0
        told = capsys.readouterr().out.splitlines()
        assert told[-2].startswith("kept ")
        assert told[-2].endswith(f"{used.path}: {kept['why']}")
        assert told[-1].endswith("1 kept")
        assert not unused.path.exists()
        if ends:
            assert reader.communicate("go on\n", timeout=60)[0] == "1000 True\n"
        else:
            reader.kill()
            reader.communicate(timeout=60)
    assert main(["store", "gc", "--unused", "--delete"]) == 0
    assert not used.path.exists()


# Commands that load a model folder, the function that loads it, and their words before and after the folder.
LOADERS = {
    "predict": ("replicate.commands.predict.open_runtime", ["predict"], ["--text", "发热"]),
    "predict-pruned": ("replicate.commands.predict.open_runtime", ["predict", "--text", "发热"], None),
    "evaluate": ("replicate.commands.evaluate.open_runtime", ["evaluate"], ["{data}/dev.txt"]),
    "export": ("replicate.commands.export.export", ["export"], ["{out}"]),
    "serve": ("replicate.commands.serve.open_runtime", ["serve"], ["--port", "0"]),
    "finetune": (
        "replicate.nets.classifier.load_classifier",
        ["finetune", *TRAIN, "--save_dir", "{out}", "--init_from_ckpt"],
        [],
    ),
    "prune": (
        "replicate.nets.classifier.load_classifier",
        ["prune", *TRAIN, "--width_mult", "1/2", "--output_dir", "{out}", "--params_dir"],
        [],
    ),
    "distill": (
        "replicate.nets.classifier.load_classifier",
        ["distill", *TRAIN, "--output_dir", "{out}", "--student", "bow", "--teacher"],
        [],
    ),
}


@pytest.mark.parametrize("name", LOADERS)
def test_gc_beside_a_command_deletes_no_model_that_it_loads(
    tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """From the moment that a folder of the store is named, or chosen, until its model is loaded; then it may go."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    counts = {"examples": 2, "confusion": [[1, 0], [0, 1]], "tp": 1, "fp": 0, "fn": 0}
    model = Store(tmp_path / "store").make(
        "prune",
        {"inputs": {"dev": "x"}},
        lambda folder: {**build(folder), "evaluation": {"counts": counts}, "width": "1/2"},
    )
    place, before, after = LOADERS[name]
    told: list[str] = []

    def load(*words: object, **options: object) -> None:
        told.append(Store(tmp_path / "store").remove(model.path))
        raise UserError("enough")

    monkeypatch.setattr(place, load)
    words = [*before, *([] if after is None else [str(model.path), *after])]
    assert main([word.format(data=data_folder, out=tmp_path / "out") for word in words]) == 2
    assert told == ["another process uses it"]
    assert Store(tmp_path / "store").remove(model.path) == ""


def test_leases_are_few_and_end_with_their_store(tmp_path: Path) -> None:
    """The last `MOST` artefacts are held and no more files than that; when the store is let go, none."""
    store, before = Store(tmp_path), len(os.listdir("/proc/self/fd"))
    for seed in range(MOST + 10):
        store.make("prune", {"seed": seed}, build)
        store.make("prune", {"seed": seed}, build)
    assert len(os.listdir("/proc/self/fd")) == before + MOST
    del store
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def shared() -> Iterator[Path]:
    """A store of a group, where other users than root may come."""
    if os.getuid() != 0:
        pytest.skip("only root can become two other users")
    top = Path(tempfile.mkdtemp(prefix="shared-"))
    top.chmod(0o755)
    (top / "store").mkdir()
    os.chown(top / "store", 20_001, 30_000)
    (top / "store").chmod(0o2775)
    yield top / "store"
    shutil.rmtree(top)


def member(user: int, store: Path, act: str, umask: str) -> subprocess.CompletedProcess[str]:
    """What one of the group does in a process of its own."""
    command = [sys.executable, "-c", MEMBER, str(user), "30000", umask, str(store), act]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_a_group_shares_a_store(shared: Path) -> None:
    """Two users with umask 002: one goes on where the other was killed, reuses what is there, and may delete it."""
    assert member(20_001, shared, "die", "002").returncode == -9
    assert list(shared.glob("partial/svm-*/deep/weights.bin"))
    for user, act, told in (
        (20_002, "make", "False\n"),
        (20_001, "make", "True\n"),
        (20_002, "remove", "True\n['']\n"),
    ):
        done = member(user, shared, act, "002")
        assert (done.returncode, done.stdout, done.stderr) == (0, told, "")
    for path in (one for one in shared.rglob("*") if one.exists()):
        found = path.stat()
        assert found.st_gid == 30_000
        assert found.st_mode & 0o060 == 0o060


def test_a_shared_store_asks_nobody_for_his_umask(shared: Path) -> None:
    """With umask 022 what the store itself makes is still the group's: another member can build, wait and reuse."""
    for user, told in ((20_001, "False\n"), (20_002, "True\n")):
        done = member(user, shared, "make", "022")
        assert (done.returncode, done.stdout, done.stderr) == (0, told, "")
    for path in (shared / "locks", shared / "partial", shared / "svm", *(shared / "locks").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o060 == 0o060


def test_a_store_of_somebody_else_is_one_line(shared: Path) -> None:
    """Without the group's right to write: what is wrong, where, and both remedies."""
    shared.chmod(0o755)
    done = member(20_002, shared, "make", "022")
    assert done.returncode == 1
    assert done.stderr == (
        f"refused: {shared}: the run store can't be written: Permission denied; let its group write "
        "(chmod -R g+w, umask 002), or name another folder in REPLICATE_STORE\n"
    )
