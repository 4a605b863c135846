"""`replicate store`: damage is named, leftovers are listed, and nothing is deleted unasked."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from replicate.commands.main import main
from replicate.common.locks import locked
from replicate.common.work import CHECKPOINT, sign_of
from replicate.runs.artefact import Artefact, key_of
from replicate.runs.store import Store

HOLDER = """
import sys, time
from pathlib import Path
from replicate.runs.store import Store

def build(folder):
    (folder / "half").write_text("x")
    print("building", flush=True)
    time.sleep(60)

Store(Path(sys.argv[1])).make("augment", {"seed": 9}, build)
"""


def build(folder: Path) -> dict[str, object]:
    """A stage that writes a file."""
    (folder / "weights.bin").write_bytes(bytes(1000))
    return {}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store that the command looks at; its path has blanks and Chinese characters."""
    root = tmp_path / "运行 仓库"
    monkeypatch.setenv("REPLICATE_STORE", str(root))
    return root


@pytest.fixture
def artefacts(root: Path) -> list[Artefact]:
    """Two artefacts, and folders that are none."""
    (root / "records" / "smoke").mkdir(parents=True)
    return [Store(root).make("prune", {"seed": seed}, build) for seed in (1, 2)]


def as_json(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """Exit code and output of `replicate store … --json`."""
    code = main(["store", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_an_intact_store(artefacts: list[Artefact], capsys: pytest.CaptureFixture[str]) -> None:
    """Every artefact is counted, and the exit code is 0."""
    assert main(["store", "verify"]) == 0
    assert capsys.readouterr().out == "2 artefacts, 0 damaged\n"
    code, found = as_json(capsys, "verify")
    assert (code, len(found["artefacts"])) == (0, len(artefacts))


def test_a_flipped_bit_is_named(artefacts: list[Artefact], capsys: pytest.CaptureFixture[str]) -> None:
    """The folder and the file are named, the exit code is 1, and nothing is moved."""
    path = artefacts[1].path / "weights.bin"
    path.write_bytes(bytes(500) + b"\x01" + bytes(499))
    assert main(["store", "verify"]) == 1
    told = capsys.readouterr().out
    damage = "weights.bin doesn't match its digest"
    assert told.startswith(f"damaged: {artefacts[1].path}: {damage}\n2 artefacts, 1 damaged")
    code, found = as_json(capsys, "verify")
    assert code == 1
    assert {one["key"]: one["damage"] for one in found["artefacts"]} == {
        artefacts[0].key: "",
        artefacts[1].key: damage,
    }
    assert path.is_file()


def test_no_store_at_all(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A store that isn't there has nothing damaged and nothing to delete, and isn't made."""
    assert main(["store", "verify"]) == 0
    assert main(["store", "gc", "--delete"]) == 0
    verified, collected = capsys.readouterr().out.splitlines()
    assert re.findall(r"\d+ \w+", verified) == ["0 artefacts", "0 damaged"]
    assert re.findall(r"[\d.]+ \w+", collected) == ["0.0 MiB", "0 folders"]
    assert collected.endswith("nothing to delete")
    assert not root.exists()


def test_gc_lists_and_deletes_what_is_left_over(
    root: Path, artefacts: list[Artefact], capsys: pytest.CaptureFixture[str]
) -> None:
    """Halves and damaged folders go, a checkpoint and whole artefacts stay; without --delete everything does."""
    (root / "partial" / "finetune-a").mkdir(parents=True)
    (root / "partial" / "finetune-a" / "half").write_bytes(bytes(2**20))
    # As a killed stage leaves it.
    with locked(root / "locks" / "finetune-a") as lock:
        lock.write(sign_of(root / "partial" / "finetune-a"))
    (root / "partial" / "finetune-b").mkdir()
    (root / "partial" / "finetune-b" / CHECKPOINT).write_bytes(b"x")
    (artefacts[0].path / "weights.bin").unlink()
    Store(root).make("prune", {"seed": 1}, build)
    capsys.readouterr()
    _, found = as_json(capsys, "gc")
    assert [(one["kind"], Path(one["path"]).name) for one in found["found"]] == [
        ("damaged", f"prune-{artefacts[0].key}-1"),
        ("partial", "finetune-a"),
    ]
    assert not found["deleted"]
    assert (root / "partial" / "finetune-a" / "half").exists()
    assert main(["store", "gc", "--delete"]) == 0
    assert capsys.readouterr().out.endswith("1.0 MiB in 2 folders; deleted\n")
    assert [path.name for path in (root / "partial").iterdir()] == ["finetune-b"]
    assert not [*(root / "damaged").iterdir()]
    assert Store(root).find("prune", artefacts[0].key)


def test_gc_of_unused_artefacts(root: Path, artefacts: list[Artefact], capsys: pytest.CaptureFixture[str]) -> None:
    """Only on demand: checkpoints, and artefacts that no record names; a deleted one is wholly gone."""
    (root / "partial" / "finetune-b").mkdir(parents=True)
    (root / "partial" / "finetune-b" / CHECKPOINT).write_bytes(b"x")
    _, found = as_json(capsys, "gc", "--unused")
    assert [one["kind"] for one in found["found"]] == ["checkpoint", "unused", "unused"]
    assert as_json(capsys, "gc")[1]["found"] == []
    assert main(["store", "gc", "--unused", "--delete"]) == 0
    assert not [*Store(root).artefacts()]
    assert not [*(root / "partial").iterdir()]
    assert Store(root).find("prune", artefacts[0].key) is None


def test_gc_leaves_alone_what_is_being_made(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A stage that another process builds is no leftover; when that process is killed, it is one."""
    command = [sys.executable, "-c", HOLDER, str(root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "building\n"
    assert as_json(capsys, "gc", "--delete")[1]["found"] == []
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 10
    while not (found := as_json(capsys, "gc")[1]["found"]):
        assert time.monotonic() < deadline
    assert Path(found[0]["path"]).name == f"augment-{key_of({'seed': 9})}"


def test_a_record_that_can_not_be_read_stops_gc(
    root: Path, artefacts: list[Artefact], capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it isn't known what a record names, nothing is deleted: one line, exit code 2."""
    (root / "records" / "smoke" / "x.json").write_text("{", encoding="utf-8")
    assert main(["store", "gc", "--unused", "--delete"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert Store(root).find("prune", artefacts[0].key)
