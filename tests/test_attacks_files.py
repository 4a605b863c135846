"""Links, files and folders of others, in the places where this program writes: refused in one line, and untouched."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from replicate.commands.main import main
from replicate.common.errors import UserError
from replicate.common.files import finished_folder, resumable_folder, write_text
from replicate.common.locks import locked
from replicate.common.paths import ROOT
from replicate.runs.artefact import key_of
from replicate.runs.store import Store
from tests.tiny import Made

IDENTITY = {"seed": 1}
NAME = f"svm-{key_of(IDENTITY)}"
WORDS = "thirty years of work\n"
# How a folder is refused whose files may be somebody's.
FOREIGN = "holds files that no run"


def build(folder: Path) -> dict[str, object]:
    """A stage that writes a file and a folder."""
    (folder / "deep").mkdir()
    (folder / "deep" / "weights.bin").write_bytes(bytes(1000))
    return {"accuracy": 0.5}


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of somebody's, outside of everything that is written here."""
    folder = tmp_path / "victim"
    (folder / "deep").mkdir(parents=True)
    for name in ("thesis.tex", "deep/data.csv", "checkpoint.safetensors"):
        (folder / name).write_text(WORDS, encoding="utf-8")
    return folder


def untouched(folder: Path) -> bool:
    """Whether the somebody's folder is as it was."""
    found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    return found == dict.fromkeys(("thesis.tex", "deep/data.csv", "checkpoint.safetensors"), WORDS)


def refused(action: Callable[[], object]) -> str:
    """What is said in one line."""
    with pytest.raises(UserError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def save(target: Path) -> None:
    """What a training command does."""
    with resumable_folder(target) as folder:
        (folder / "model").write_text("x", encoding="utf-8")


def test_the_command_empties_nothing_behind_a_link(
    tmp_path: Path, victim: Path, data_folder: Path, pretrained: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    """`ln -s victim .out.partial; replicate finetune … --save_dir out`: exit code 2, one line, the victim whole."""
    (tmp_path / ".out.partial").symlink_to(victim)
    words = ["finetune", "--dataset_dir", str(data_folder), "--model_name", str(pretrained.folder), "--epochs", "1"]
    assert main([*words, "--max_seq_length", "16", "--save_dir", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert untouched(victim)
    assert told == (
        f"replicate: {tmp_path}/.out.partial: is a link, which is not followed; look at it and move it away\n"
    )
    assert sorted(os.listdir(tmp_path)) == [".out.partial", "victim"]


@pytest.mark.parametrize("ends", [save, lambda target: 1 / 0], ids=["that ends well", "that fails"])
def test_a_real_folder_in_the_place_is_not_emptied(
    tmp_path: Path, victim: Path, ends: Callable[[Path], object]
) -> None:
    """A user's own folder of that name stays as it is, whether the command would end well or not."""
    victim.rename(tmp_path / ".out.partial")

    def command() -> None:
        with resumable_folder(tmp_path / "out"):
            ends(tmp_path / "other")

    assert FOREIGN in refused(command)
    assert untouched(tmp_path / ".out.partial")
    assert os.listdir(tmp_path) == [".out.partial"]


def test_a_folder_that_was_made_anew_is_another_one(tmp_path: Path, victim: Path) -> None:
    """A killed run's folder that the user replaced by one of his own is his, though it may have the same inode."""
    code = "import os, sys; from pathlib import Path; from replicate.common.files import resumable_folder\n"
    code += "with resumable_folder(Path(sys.argv[1])) as folder: (folder / 'half').touch(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")], check=False)
    partial = tmp_path / ".out.partial"
    (partial / "half").unlink()
    partial.rmdir()
    partial.mkdir()
    (partial / "mine").write_text(WORDS, encoding="utf-8")
    assert FOREIGN in refused(lambda: save(tmp_path / "out"))
    assert (partial / "mine").read_text(encoding="utf-8") == WORDS


def test_a_link_inside_goes_and_what_it_leads_to_stays(tmp_path: Path, victim: Path) -> None:
    """What a run leaves is deleted without going through links in it."""

    def stopped() -> None:
        with resumable_folder(tmp_path / "out") as folder:
            (folder / "link").symlink_to(victim)
            (folder / "deep").mkdir()
            (folder / "deep" / "link").symlink_to(victim)
            (folder / "checkpoint.safetensors").symlink_to(victim / "thesis.tex")
            raise UserError("stopped")

    assert refused(stopped) == "stopped"
    assert untouched(victim)
    assert os.listdir(tmp_path) == ["victim"]


def test_another_folder_put_in_the_place_meanwhile(tmp_path: Path, victim: Path) -> None:
    """Swapped while a training runs: neither emptied nor renamed."""

    def command() -> None:
        with resumable_folder(tmp_path / "out") as folder:
            folder.rmdir()
            folder.symlink_to(victim)

    assert ".out.partial" in refused(command)
    assert untouched(victim)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to], ids=["symbolic", "hard"])
@pytest.mark.parametrize("place", [".out.lock", f"store/locks/{NAME}"])
def test_locks_truncate_nothing(tmp_path: Path, victim: Path, place: str, make: Callable[[Path, Path], None]) -> None:
    """`ln [-s] thesis.tex` where a lock would be: not followed, emptied, written or deleted."""
    (tmp_path / "store" / "locks").mkdir(parents=True)
    make(tmp_path / place, victim / "thesis.tex")

    def act() -> None:
        if place == ".out.lock":
            save(tmp_path / "out")
        else:
            Store(tmp_path / "store").make("svm", IDENTITY, build)

    assert str(tmp_path / place) in refused(act)
    assert untouched(victim)
    assert os.path.lexists(tmp_path / place)


def test_somebodys_file_is_no_lock(tmp_path: Path) -> None:
    """A real file with words of its own stays."""
    (tmp_path / ".out.lock").write_text(WORDS, encoding="utf-8")
    assert "not a lock" in refused(lambda: save(tmp_path / "out"))
    assert (tmp_path / ".out.lock").read_text(encoding="utf-8") == WORDS


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to, None], ids=["symbolic", "hard", "a file"])
@pytest.mark.parametrize("name", [".report.md.partial", ".report.md.0123456789abcdef.partial", ".report.md.lock"])
def test_a_writer_writes_into_nobodys_file(
    tmp_path: Path, victim: Path, name: str, make: Callable[[Path, Path], None] | None
) -> None:
    """Whatever is beside the file that is written, nothing behind it changes, and the file comes."""
    place = tmp_path / name
    if make is None:
        place.write_text(WORDS, encoding="utf-8")
    else:
        make(place, victim / "thesis.tex")
    write_text(tmp_path / "report.md", "text")
    assert untouched(victim)
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == "text"
    # The name that ours alone have is swept; what else is there was somebody's.
    if "0123" not in name:
        assert place.read_text(encoding="utf-8") == WORDS


def test_a_linked_target_is_replaced_not_followed(tmp_path: Path, victim: Path) -> None:
    """REPORT.md as a link to somebody's file becomes a file; the somebody's stays."""
    (tmp_path / "report.md").symlink_to(victim / "thesis.tex")
    write_text(tmp_path / "report.md", "text")
    assert untouched(victim)
    assert not (tmp_path / "report.md").is_symlink()


def test_an_export_replaces_no_link(tmp_path: Path, victim: Path) -> None:
    """A folder that is written in one step doesn't come where a link to one stands, dangling or not."""
    (tmp_path / "empty").mkdir()
    for goal in ("empty", "nowhere"):
        target = tmp_path / f"to-{goal}"
        target.symlink_to(tmp_path / goal)
        with pytest.raises(UserError), finished_folder(target) as folder:
            (folder / "model").touch()
        assert target.is_symlink()
    assert not list((tmp_path / "empty").iterdir())


@pytest.mark.parametrize("place", ["partial", "locks", "svm", f"partial/{NAME}"])
def test_the_stores_folders_are_no_links(tmp_path: Path, victim: Path, place: str) -> None:
    """A link in the place of any folder that the store writes into is told before anything is built."""
    path = tmp_path / "store" / place
    path.parent.mkdir(parents=True)
    path.symlink_to(victim)
    assert f"{path}: is a link" in refused(lambda: Store(tmp_path / "store").make("svm", IDENTITY, build))
    assert untouched(victim)


@pytest.mark.parametrize("fails", [False, True])
def test_a_users_folder_in_the_store_is_not_emptied(tmp_path: Path, victim: Path, fails: bool) -> None:
    """A real folder where a stage would be built, though the stage fail: one line, and every file there."""
    partial = tmp_path / "store" / "partial" / NAME
    partial.parent.mkdir(parents=True)
    victim.rename(partial)

    def fail(folder: Path) -> dict[str, object]:
        raise ZeroDivisionError

    store = Store(tmp_path / "store")
    assert FOREIGN in refused(lambda: store.make("svm", IDENTITY, fail if fails else build))
    assert untouched(partial)


def test_gc_deletes_what_is_the_stores(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`store gc --unused --delete`: links, and folders that no stage made, are neither listed nor deleted."""
    root = tmp_path / "store"
    monkeypatch.setenv("REPLICATE_STORE", str(root))
    key = "0" * 32
    for place in (f"partial/{NAME}", f"photos/{key}", "damaged/mine"):
        (root / place).mkdir(parents=True)
        (root / place / "mine").write_text(WORDS, encoding="utf-8")
    for place in (f"partial/prune-{key}", f"svm/{key}", f"damaged/svm-{key}-1", "links"):
        (root / place).parent.mkdir(exist_ok=True)
        (root / place).symlink_to(victim)
    (victim / key).mkdir()
    (victim / key / "mine").write_text(WORDS, encoding="utf-8")
    assert main(["store", "gc", "--unused", "--delete"]) == 0
    told = capsys.readouterr()
    assert re.match(rf"kept .* {root}/photos/{key}: ", told.out)
    assert told.out.count("\n") == 2
    for place in ("partial", "damaged", "svm", "links"):
        assert f"/{place}/" not in told.out
    for place in (f"partial/{NAME}", f"photos/{key}", "damaged/mine", f"links/{key}"):
        assert (root / place / "mine").read_text(encoding="utf-8") == WORDS
    (victim / key / "mine").unlink()
    (victim / key).rmdir()
    assert untouched(victim)


@pytest.mark.parametrize("name", ["../../../victim/thesis.tex", "link", "linked/thesis.tex", "pipe"])
def test_an_artefact_leads_nowhere(tmp_path: Path, victim: Path, name: str) -> None:
    """A manifest that names a file outside, a link, or a pipe (which would be waited for) is damage."""
    import hashlib
    import json

    from replicate.runs.artefact import canonical

    store = Store(tmp_path / "store")
    artefact = store.make("svm", IDENTITY, build)
    (artefact.path / "link").symlink_to(victim / "thesis.tex")
    (artefact.path / "linked").symlink_to(victim)
    os.mkfifo(artefact.path / "pipe")
    manifest = json.loads((artefact.path / "manifest.json").read_text(encoding="utf-8"))
    del manifest["digest"]
    size = 0 if name == "pipe" else len(WORDS)
    manifest["files"][name] = {"sha256": hashlib.sha256(WORDS.encode()).hexdigest(), "bytes": size}
    text = json.dumps({**manifest, "digest": hashlib.sha256(canonical(manifest)).hexdigest()})
    (artefact.path / "manifest.json").write_text(text, encoding="utf-8")
    # In a process of its own, which could wait for ever.
    code = "import sys; from pathlib import Path; from replicate.runs.store import Store\n"
    code += "print(Store(Path(sys.argv[1])).damage(*sys.argv[2:]))"
    command = [sys.executable, "-c", code, str(tmp_path / "store"), "svm", artefact.key]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=ROOT)
    assert done.stdout == f"{name} is no file of its own\n"
    assert untouched(victim)


def test_a_lock_file_keeps_no_old_words(tmp_path: Path) -> None:
    """A shorter note replaces a longer one wholly; an empty one leaves an empty file."""
    for note in ("folder 123456 7", "folder 1 2", ""):
        with locked(tmp_path / "lock") as lock:
            lock.write(note)
        with locked(tmp_path / "lock") as lock:
            assert lock.note == note
    assert (tmp_path / "lock").read_bytes() == b""
