"""What `explain`, `audit` and `faithfulness` refuse before any work: files in their way, and input that is no use."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicate.commands import explain
from replicate.commands.main import main
from replicate.commands.outputs import check_new, check_page
from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset, Split, write_dataset
from replicate.nets.classifier import load_classifier
from replicate.nets.folder import save_model
from tests.tiny import Made

TEXTS = tuple(f"第{number}号病人吃什么药" for number in range(12))
PAGE = "<!DOCTYPE html>\n<title>x</title>\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Data of two labels and of one, and files that are good for nothing."""
    labels = tuple(number % 2 for number in range(len(TEXTS)))
    split = Split(TEXTS, labels)
    write_dataset(Dataset("two", ("甲", "乙"), split, split), tmp_path / "two")
    alone = Split(TEXTS, (0,) * len(TEXTS))
    write_dataset(Dataset("one", ("甲",), alone, alone), tmp_path / "one")
    (tmp_path / "notes.txt").write_text("my notes\n", encoding="utf-8")
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "unlabelled.txt").write_text("感冒\n头疼\n", encoding="utf-8")
    (tmp_path / "columns.txt").write_text("感冒\t甲\n头疼\n", encoding="utf-8")
    (tmp_path / "broken.json").write_text('{"text": ', encoding="utf-8")
    (tmp_path / "gbk.txt").write_text("感冒\t甲\n头疼\t乙\n", encoding="gb18030")
    (tmp_path / "noise.txt").write_bytes(bytes(range(256)))
    (tmp_path / "link.html").symlink_to(tmp_path / "page.html")
    return tmp_path


def state(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(one.relative_to(folder)): one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("one", "only one label"),
        ("two --fix-file notes.txt", "already exists"),
        ("two --fix-file two/train.txt", "already exists"),
        ("two --fix-file one", "not a file"),
        ("two --fix-file notes.txt/fix.tsv", "can't be written"),
        ("two --html notes.txt", "no page"),
        ("two --html two/dev.txt", "no page"),
        ("two --html link.html", "not a file"),
        ("two --html new --fix-file new", "name one file"),
        ("two --device tpu", "device is 'tpu'"),
        ("two --accept", "built-in data"),
        ("two --records notes.txt", "no such folder"),
        ("two --model one", "not a model folder"),
        ("gbk.txt", "GBK rather than UTF-8; `replicate data import"),
        ("empty.txt", "empty file"),
        ("unlabelled.txt", "no text with a label"),
    ],
)
def test_an_audit_refuses(
    words: str, told: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line and exit code 2; every file stays as it was, and none is new."""
    monkeypatch.chdir(place)
    before = state(place)
    assert main(["audit", *words.split(), "--quiet"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert told in err
    assert state(place) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--evidence empty.txt", "empty file"),
        ("--evidence unlabelled.txt", "no label"),
        ("--evidence columns.txt", "columns.txt:2"),
        ("--evidence broken.json", "not JSON"),
        ("--evidence gbk.txt", "GBK rather than UTF-8"),
        ("--evidence noise.txt", "noise.txt"),
        ("--evidence two", "no such file"),
        ("--against two", "not a model folder"),
        ("--against strange", "unknown label '丙'"),
        ("--against fewer", "lacks labels of MODEL"),
        ("--html notes.txt", "no page"),
        ("--html two", "not a file"),
        ("--device tpu", "device is 'tpu'"),
        ("--batch_size 0", "batch_size is 0"),
    ],
)
def test_an_explanation_refuses(
    words: str,
    told: str,
    place: Path,
    finetuned: Made,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line and exit code 2, and nothing is explained first."""
    monkeypatch.chdir(place)
    made = load_classifier(finetuned.folder)
    if "strange" in words:
        save_model(made.network, made.tokenizer, place / "strange", ("丙", *made.labels[1:]))
    if "fewer" in words:
        fewer = load_classifier(finetuned.folder, made.labels[:2])
        save_model(fewer.network, fewer.tokenizer, place / "fewer", fewer.labels)
    (place / "MODEL").symlink_to(finetuned.folder)
    before = state(place)
    assert main(["explain", "MODEL", "--text", "感冒吃药", *words.split()]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert told in err
    assert state(place) == before


def test_records_that_are_not_there(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are missed, and not the nets."""
    assert main(["faithfulness", "smoke", "--records", str(place / "none")]) == 2
    assert "none: no such folder" in capsys.readouterr().err


def test_a_page_is_written_again(place: Path) -> None:
    """A page may stand where one is to be, and a file that isn't there yet may be either."""
    check_page(place / "page.html")
    check_page(place / "new.html")
    check_page(None)
    check_new(place / "new" / "fix.tsv")
    with pytest.raises(UserError, match="can't be read"):
        # A file by its kind, whose beginning nobody may read.
        check_page(Path("/proc/self/mem"))
    with pytest.raises(UserError, match="already exists"):
        check_new(place / "page.html")


def test_texts_that_a_page_leaves_out_are_told(
    finetuned: Made, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, beside what the page has."""
    monkeypatch.setattr(explain, "MOST_AT_ONCE", 2)
    words = ["explain", str(finetuned.folder), "--html", str(place / "page.html")]
    for texts, warned in ((TEXTS[:2], 0), (TEXTS[:3], 1)):
        assert main([*words, *(word for text in texts for word in ("--text", text))]) == 0
        assert capsys.readouterr().err.count("\n") == warned
        assert (place / "page.html").read_text(encoding="utf-8").count("<h2>") == 2
