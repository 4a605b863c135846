"""Files that are whole or absent: a write that fails leaves things as they were."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from replicate.common.errors import UserError
from replicate.common.files import write_text


def test_folders_are_made_and_the_file_is_replaced(tmp_path: Path) -> None:
    """The second text stands alone, readable by everybody, with nothing beside it."""
    path = tmp_path / "新 folder" / "deep" / "report.md"
    for text in ("first", "第二\n"):
        write_text(path, text)
        assert path.read_bytes() == text.encode()
    assert os.listdir(path.parent) == ["report.md"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", ["x" * 300, "taken"])
def test_failed_write_leaves_nothing(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the folders that it made nor a part, whether it can't begin (too long a name) or can't end."""
    if name == "taken":
        monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UserError, match="can't be written: (File name too long|No space left on device)$"):
        write_text(tmp_path / "new" / "deep" / name, "text")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is `.`, which has no name; both are told, and nothing stays beside them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for path in (Path(), Path("folder")):
        with pytest.raises(UserError, match="can't be written: "):
            write_text(path, "text")
    assert os.listdir(tmp_path) == ["folder"]


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is found while the new text is written; the old one is whole, and folders that were there stay."""
    path = tmp_path / "there" / "report.md"
    write_text(path, "old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UserError, match="No space left on device"):
        write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(path.parent) == ["report.md"]


def test_what_a_killed_writer_left_does_not_stay(tmp_path: Path) -> None:
    """Killed while it writes, it leaves the old file and one part, which the next writer uses up."""
    path = tmp_path / "report.md"
    write_text(path, "old")
    program = "import os, signal; from pathlib import Path; from replicate.common import files; "
    program += "files.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL); "
    program += f"files.write_text(Path({str(path)!r}), 'new' * 1000)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert path.read_text(encoding="utf-8") == "old"
    assert len(os.listdir(tmp_path)) == 2
    write_text(path, "newer")
    assert path.read_text(encoding="utf-8") == "newer"
    assert os.listdir(tmp_path) == ["report.md"]


def test_writers_at_once_are_never_mixed(tmp_path: Path) -> None:
    """Eight threads replace one file again and again; whoever reads it meets one of the texts, whole."""
    path, texts = tmp_path / "report.md", [str(number) * 10_000 for number in range(8)]
    write_text(path, texts[0])

    def write(text: str) -> None:
        for _ in range(20):
            write_text(path, text)

    with ThreadPoolExecutor(len(texts)) as pool:
        written = [pool.submit(write, text) for text in texts]
        while not all(one.done() for one in written):
            assert path.read_text(encoding="utf-8") in texts
        for one in written:
            one.result()
    assert path.read_text(encoding="utf-8") in texts
    assert os.listdir(tmp_path) == ["report.md"]
