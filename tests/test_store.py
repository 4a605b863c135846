"""The run store, with real processes."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from replicate.common.errors import UserError
from replicate.common.work import CHECKPOINT
from replicate.runs.artefact import Artefact, Damaged, key_of
from replicate.runs.store import Store

IDENTITY = {"width": "1/2", "seed": 3}

# Builds one artefact, leaves a line in `log` for each time it builds, and takes `pause` seconds over it, or until there
# is a file `go` beside the log.
WORKER = """
import sys, time
from pathlib import Path
from replicate.runs.store import Store

root, log, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])

def build(folder):
    (folder / "half").write_text("written before the pause")
    with log.open("a") as file:
        file.write("built\\n")
    until = time.monotonic() + pause
    while time.monotonic() < until and not log.with_name("go").exists():
        time.sleep(0.01)
    (folder / "half").rename(folder / "whole")
    return {"steps": 7}

artefact = Store(root).make("finetune", {"seed": 1}, build)
print(artefact.summary["steps"], artefact.reused)
"""


def build(folder: Path) -> dict[str, object]:
    """A stage that writes two files."""
    (folder / "weights.bin").write_bytes(bytes(range(256)) * 64)
    (folder / "deep").mkdir()
    (folder / "deep" / "词表.txt").write_text("发热\n", encoding="utf-8")
    return {"accuracy": 0.1 + 0.2, "loss": float("nan"), "shape": (2, 3)}


def refuse(folder: Path) -> dict[str, object]:
    """A stage that must not run."""
    raise AssertionError("built a second time")


def worker(root: Path, log: Path, pause: float) -> subprocess.Popen[str]:
    """A process of its own that asks `root` for one artefact."""
    command = [sys.executable, "-c", WORKER, str(root), str(log), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def waiting(root: Path, log: Path, pause: float) -> list[subprocess.Popen[str]]:
    """Seven more workers, all of which have said that they wait."""
    found = [worker(root, log, pause) for _ in range(7)]
    for process in found:
        assert process.stderr
        assert re.match(r"waiting .* finetune-", process.stderr.readline())
    return found


def everything(root: Path) -> list[str]:
    """What a store holds, locks apart."""
    return sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.parent.name != "locks"
    )


def wait_for(path: Path) -> None:
    """Returns when `path` is there."""
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.01)


def made(root: Path) -> Artefact:
    """An artefact in a new store."""
    return Store(root).make("prune", IDENTITY, build)


def test_key_depends_on_content_alone() -> None:
    """The key is the same whatever the order of the entries, and another for any other content."""
    assert key_of({"a": 1, "b": [2, 3]}) == key_of({"b": (2, 3), "a": 1})
    assert len({key_of({"a": 1}), key_of({"a": 1.5}), key_of({"a": "1"}), key_of({"a": 1, "b": None})}) == 4
    assert len(key_of({})) == 32


@pytest.mark.parametrize("value", [Path("x"), float("nan"), b"x", {1, 2}])
def test_key_refuses_what_has_no_canonical_form(value: object) -> None:
    """An identity that JSON can't hold is a mistake of the caller, not a key."""
    with pytest.raises((TypeError, ValueError)):
        key_of({"value": value})


def test_second_call_reuses(tmp_path: Path) -> None:
    """A second call, in the same store or a new one, gives the same artefact without building it."""
    store = Store(tmp_path)
    first = store.make("prune", IDENTITY, build)
    assert not first.reused
    assert first.summary == {"accuracy": 0.1 + 0.2, "loss": None, "shape": [2, 3]}
    for again in (store.make("prune", IDENTITY, refuse), Store(tmp_path).make("prune", IDENTITY, refuse)):
        assert again == Artefact(first.path, first.summary, first.key, first.seconds, reused=True)
    found = Store(tmp_path).find("prune", key_of(IDENTITY))
    assert found is not None
    assert found.path == tmp_path / "prune" / key_of(IDENTITY)
    assert Store(tmp_path).find("prune", key_of({})) is None


def test_manifest_says_what_determined_it(tmp_path: Path) -> None:
    """The manifest names the format, the identity and each file with its size and digest."""
    manifest = json.loads((made(tmp_path).path / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["format"], manifest["stage"], manifest["identity"]) == (1, "prune", IDENTITY)
    assert set(manifest["files"]) == {"weights.bin", "deep/词表.txt", "result.json"}
    assert manifest["files"]["weights.bin"]["bytes"] == 256 * 64


@pytest.mark.parametrize("stage", ["locks", "partial", "damaged", "../x", "", "A"])
def test_stage_names_are_checked(tmp_path: Path, stage: str) -> None:
    """A stage can't be named after the store's own folders or lead out of it."""
    with pytest.raises(ValueError, match="not a stage name"):
        Store(tmp_path).make(stage, IDENTITY, build)


def test_failed_build_leaves_nothing(tmp_path: Path) -> None:
    """An exception inside the build passes through, and the store holds no file; the next build works."""

    def fail(folder: Path) -> dict[str, object]:
        (folder / "half").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).make("prune", IDENTITY, fail)
    assert everything(tmp_path) == []
    assert not made(tmp_path).reused


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("name", ["weights.bin", "deep/词表.txt", "result.json", "manifest.json"])
@pytest.mark.parametrize("damage", [_truncate, _flip, Path.unlink])
def test_damage_is_noticed_moved_aside_and_redone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None], name: str
) -> None:
    """A truncated, flipped or missing file makes the artefact damaged: not found, moved aside with one line, redone."""
    artefact = made(tmp_path)
    damage(artefact.path / name)
    store = Store(tmp_path)
    assert store.find("prune", artefact.key) is None
    again = store.make("prune", IDENTITY, build)
    assert not again.reused
    assert again.path == artefact.path
    assert [path.name for path in (tmp_path / "damaged").iterdir()] == [f"prune-{artefact.key}-1"]
    warning = capsys.readouterr().err
    assert warning.startswith(f"warning: prune/{artefact.key}: ")
    assert warning.count("\n") == 1
    assert Store(tmp_path).make("prune", IDENTITY, refuse).reused


def test_flipped_time_in_the_manifest_is_noticed(tmp_path: Path) -> None:
    """A manifest that is still JSON but says something else counts as damaged."""
    artefact = made(tmp_path)
    path = artefact.path / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**manifest, "seconds": 0.0}), encoding="utf-8")
    assert Store(tmp_path).find("prune", artefact.key) is None


def test_artefact_copied_under_another_key_is_refused(tmp_path: Path) -> None:
    """A folder renamed to another key is not that key's result."""
    artefact = made(tmp_path)
    artefact.path.rename(artefact.path.with_name(key_of({})))
    assert Store(tmp_path).find("prune", key_of({})) is None


def test_an_artefact_of_another_store_is_taken_in(tmp_path: Path) -> None:
    """Byte for byte, time and all, so that it counts as made once; what is there already stays."""
    there = made(tmp_path / "there")
    store = Store(tmp_path / "here")
    store.adopt("prune", there.key, there.path)
    taken = store.make("prune", IDENTITY, refuse)
    assert (taken.seconds, taken.reused) == (there.seconds, True)
    assert repr(taken.summary) == repr(there.summary)
    before = (taken.path / "manifest.json").stat()
    Store(tmp_path / "here").adopt("prune", there.key, there.path)
    assert (taken.path / "manifest.json").stat() == before
    assert everything(tmp_path / "here" / "prune") == everything(tmp_path / "there" / "prune")


@pytest.mark.parametrize("harm", [_truncate, _flip, Path.unlink])
@pytest.mark.parametrize("name", ["weights.bin", "manifest.json", "result.json"])
def test_a_damaged_one_is_not_taken_in(tmp_path: Path, name: str, harm: Callable[[Path], None]) -> None:
    """Nothing of it is left in the store, nor where it would be built; under another key it is as good as damaged."""
    there = made(tmp_path / "there")
    store = Store(tmp_path / "here")
    with pytest.raises(Damaged):
        store.adopt("prune", "0" * 32, there.path)
    harm(there.path / name)
    with pytest.raises(Damaged):
        store.adopt("prune", there.key, there.path)
    assert store.find("prune", there.key) is None
    assert not [*store.leftovers()]


def test_only_what_the_manifest_names_is_taken_in(tmp_path: Path) -> None:
    """Whatever else lies in the folder stays there: files, links to elsewhere, pipes; a named file is no link."""
    there = made(tmp_path / "there")
    (tmp_path / "secret").write_text("x")
    (there.path / "more.txt").write_text("x")
    (there.path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(there.path / "pipe")
    store = Store(tmp_path / "here")
    store.adopt("prune", there.key, there.path)
    taken = {path.name for path in (tmp_path / "here" / "prune" / there.key).iterdir()}
    assert taken == {path.name for path in there.path.iterdir()} - {"more.txt", "link", "pipe"}
    (there.path / "weights.bin").rename(tmp_path / "weights.bin")
    (there.path / "weights.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(Damaged, match="no file of its own"):
        Store(tmp_path / "elsewhere").adopt("prune", there.key, there.path)


def test_path_with_spaces_and_chinese(tmp_path: Path) -> None:
    """A store whose path has spaces and Chinese characters works."""
    root = tmp_path / "运行 仓库" / "a b"
    made(root)
    assert Store(root).make("prune", IDENTITY, refuse).reused


def test_unwritable_store_is_one_line(tmp_path: Path) -> None:
    """A store below a plain file can't be made: one line that names it, and nothing is built."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"file/store: the run store can't be written: .*REPLICATE_STORE") as caught:
        Store(tmp_path / "file" / "store").make("prune", IDENTITY, refuse)
    assert "\n" not in str(caught.value)


def test_full_disk_is_one_line(tmp_path: Path) -> None:
    """A build that meets a full disk ends in one line, and the store holds no half result."""

    def fill(folder: Path) -> dict[str, object]:
        (folder / "half").write_text("x")
        with open("/dev/full", "wb", buffering=0) as file:
            file.write(b"x")
        return {}

    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with pytest.raises(UserError, match="No space left on device"):
        Store(tmp_path).make("prune", IDENTITY, fill)
    assert everything(tmp_path) == []


def test_eight_processes_build_once(tmp_path: Path) -> None:
    """Of eight processes that ask for one key one builds; who comes meanwhile waits, says so, and reuses."""
    log = tmp_path / "log"
    first = worker(tmp_path / "store", log, 120)
    wait_for(log)
    others = waiting(tmp_path / "store", log, 120)
    (tmp_path / "go").touch()
    outputs = [process.communicate(timeout=60)[0] for process in (first, *others)]
    assert outputs == ["7 False\n", *["7 True\n"] * 7]
    assert log.read_text() == "built\n"


def test_the_builder_is_killed_while_seven_wait(tmp_path: Path) -> None:
    """A lock dies with its holder: one of those that wait builds, once, and the others reuse."""
    log = tmp_path / "log"
    first = worker(tmp_path / "store", log, 60)
    wait_for(log)
    others = waiting(tmp_path / "store", log, 0.1)
    first.kill()
    first.communicate(timeout=60)
    assert sorted(process.communicate(timeout=60)[0] for process in others) == ["7 False\n", *["7 True\n"] * 6]
    assert log.read_text() == "built\nbuilt\n"


def test_checkpoint_outlives_what_stops_a_build(tmp_path: Path) -> None:
    """Of a stage that ends early only the checkpoint stays, the next one finds it, and a finished stage has none."""
    partial = tmp_path / "partial" / f"prune-{key_of(IDENTITY)}"

    def stop(folder: Path) -> dict[str, object]:
        (folder / "half").write_text("x")
        (folder / "compress").mkdir()
        (folder / CHECKPOINT).write_bytes(b"here")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).make("prune", IDENTITY, stop)
    assert [path.name for path in partial.iterdir()] == [CHECKPOINT]

    def go_on(folder: Path) -> dict[str, object]:
        assert (folder / CHECKPOINT).read_bytes() == b"here"
        return build(folder)

    artefact = Store(tmp_path).make("prune", IDENTITY, go_on)
    assert not partial.exists()
    files = sorted(path.name for path in artefact.path.iterdir())
    assert files == ["deep", "manifest.json", "result.json", "weights.bin"]


def test_read_only_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a read-only store has is read; what it lacks is one line, and nothing in it changes."""
    artefact = made(tmp_path)
    before = everything(tmp_path)

    def refuse_to_write(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for name in ("mkdir", "write_text", "write_bytes"):
        monkeypatch.setattr(Path, name, refuse_to_write)
    monkeypatch.setattr(os, "replace", refuse_to_write)
    assert Store(tmp_path).make("prune", IDENTITY, refuse).path == artefact.path
    with pytest.raises(UserError, match=r"the run store can't be written: Read-only file system; .*REPLICATE_STORE"):
        Store(tmp_path).make("prune", {"seed": 4}, refuse)
    assert everything(tmp_path) == before


def test_killed_build_counts_for_nothing(tmp_path: Path) -> None:
    """SIGKILL in the middle of a build leaves no result and no lock, and the next call starts afresh."""
    root, log = tmp_path / "store", tmp_path / "log"
    process = worker(root, log, 60)
    wait_for(log)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert everything(root) == [f"partial/finetune-{key_of({'seed': 1})}/half"]
    assert Store(root).find("finetune", key_of({"seed": 1})) is None
    after = worker(root, log, 0)
    assert after.communicate(timeout=60) == ("7 False\n", "")
    assert [Path(name).name for name in everything(root)] == ["manifest.json", "result.json", "whole"]
