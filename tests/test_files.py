"""Files that are whole or absent: a write that fails leaves things as they were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from replicate.errors import UserError
from replicate.files import write_text


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


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is found while the new text is written; the old one is whole, and folders that were there stay."""
    path = tmp_path / "there" / "report.md"
    write_text(path, "old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UserError, match="No space left on device"):
        write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(path.parent) == ["report.md"]
