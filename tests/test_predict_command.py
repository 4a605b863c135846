"""`replicate predict`: from wherever the texts come, one line of output for each, and the best model of the store."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from replicate.commands.main import main
from replicate.commands.predict import LINE, STDIN, Table, best_pruned, fitted, places, read_texts
from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset
from replicate.inference.predict import Prediction
from replicate.runs.store import Store
from tests.tiny import Made

LABELS = ("病情诊断", "其他")


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[list[dict[str, Any]], str]:
    """What `replicate predict --json` prints, and what it tells stderr."""
    assert main(["predict", *words, "--json"]) == 0
    told = capsys.readouterr()
    return [json.loads(line) for line in told.out.splitlines()], told.err


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Bytes on standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


def test_the_same_from_everywhere(
    finetuned: Made, data_folder: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """--text, standard input with and without `-`, and data.txt; MODEL and --params_path; in chunks or at once."""
    folder, texts = str(finetuned.folder), dataset.unlabelled
    from_file, _ = printed(capsys, folder, "--dataset_dir", str(data_folder))
    assert [row["text"] for row in from_file] == list(texts)
    assert set(from_file[0]) == {"text", "label", "probability", "truncated"}
    feed(monkeypatch, "\r\n".join(texts).encode())
    # Chunks of fifty.
    found, _ = printed(capsys, folder, "-", "--batch_size", "1")
    assert [row["label"] for row in found] == [row["label"] for row in from_file]
    feed(monkeypatch, ("\ufeff" + "\n\ufeff".join(texts[:3]) + "\n").encode())
    assert printed(capsys, "--params_path", folder)[0] == printed(capsys, folder, *text_options(texts[:3]))[0]


def text_options(texts: tuple[str, ...]) -> Iterator[str]:
    """`--text` for each."""
    return (word for text in texts for word in ("--text", text))


def test_one_line_for_each_line(finetuned: Made, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Empty lines keep their place without a label, long ones are cut; both are counted at the end."""
    feed(monkeypatch, ("胃疼\n\n" + "病" * 200 + "\n  \n" + "牙" * 3_500_000 + "\n头疼").encode())
    rows, told = printed(capsys, str(finetuned.folder), "--max_seq_length", "48")
    assert [row["label"] is None for row in rows] == [False, True, False, True, False, False]
    assert [row["truncated"] for row in rows] == [False, False, True, False, True, False]
    assert (rows[2]["text"], rows[5]["text"]) == ("病" * 200, "头疼")
    # Of ten megabytes the first is kept.
    assert rows[4]["text"] == "牙" * (LINE // 3)
    assert re.findall(r"\d+ \w+", told) == ["6 texts", "2 cut", "48 tokens", "2 empty"]
    assert told.index("\n") == len(told) - 1


def test_a_table_goes_on_under_one_header(finetuned: Made, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Several chunks are one table, with columns that stay where they are."""
    feed(monkeypatch, "".join(f"胃疼{number}\n" for number in range(120)).encode())
    assert main(["predict", str(finetuned.folder), "--batch_size", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["text", "label", "probability"]
    assert set(lines[1]) == {"-", " "}
    assert len(lines) == 122
    assert len({places(line) for line in lines[2:]}) == 1


def test_bad_utf8_is_found_where_it_is(finetuned: Made, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Exit code 2 with the number of the line; the chunks before it are printed, each line whole."""
    feed(monkeypatch, "胃疼\n".encode() * 60 + b"\xff\xfe\n")
    assert main(["predict", str(finetuned.folder), "--batch_size", "1", "--json"]) == 2
    told = capsys.readouterr()
    assert told.err == f"replicate: {STDIN}:61: not UTF-8\n"
    assert [json.loads(line)["text"] for line in told.out.splitlines()] == ["胃疼"] * 50


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("{model} --params_path {model} --text a", "MODEL and --params_path both name a model; name it once"),
        ("{model} --dataset_dir {model}", "data.txt: can't read the file (No such file or directory)"),
        ("{model} --text a --max_seq_length 129", "max_seq_length is 129; this net takes 3 to 128 tokens"),
        ("{model} --text a --batch_size 0", "batch_size is 0; it must be above 0"),
        ("{model} --text \udcff", "not UTF-8"),
        ("--text a", "no model is named, and the run store has no pruned one; name a model folder"),
    ],
)
def test_bad_input_is_one_line(
    words: str, told: str, finetuned: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Exit code 2, what is wrong and what to do, and nothing printed."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    assert main(["predict", *words.format(model=finetuned.folder).split(" ")]) == 2
    found = capsys.readouterr()
    assert told in found.err
    assert found.err.count("\n") == 1
    assert found.out == ""


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_pipe_or_a_device_in_a_folder(
    finetuned: Made, make: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither is waited for or read."""
    make(tmp_path / "data.txt")
    assert main(["predict", str(finetuned.folder), "--dataset_dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"replicate: {tmp_path / 'data.txt'}: not a file; ")


def test_one_source_only(capsys: pytest.CaptureFixture[str]) -> None:
    """Texts come from one place."""
    with pytest.raises(SystemExit, match="^2$"):
        main(["predict", "model", "--text", "a", "-"])
    assert "not allowed with" in capsys.readouterr().err


def test_lines_are_read_when_they_are_asked_for() -> None:
    """What comes later need not be there yet, nor be right; each line end is no part of the text."""
    source = io.BytesIO("a\r\n\n 病 \n".encode() + b"\xff")
    texts = read_texts(source, "file")
    assert [next(texts) for _ in range(3)] == ["a", "", " 病 "]
    with pytest.raises(UserError, match="^file:4: not UTF-8$"):
        next(texts)


@pytest.mark.parametrize("end", [b"", b"\n", b"\nnext"])
def test_a_line_of_any_length(end: bytes) -> None:
    """A line beyond a MiB is kept to the last whole character before it; the next line is the next."""
    for surplus in (-1, 0, 1, 3 * LINE):
        data = b"a" + "病".encode() * ((LINE + surplus) // 3)
        found = list(read_texts(io.BytesIO(data + end), "file"))
        assert found[1:] == (["next"] if end == b"\nnext" else [])
        assert found[0] == data[:LINE].decode(errors="ignore")


def test_table_has_room_for_what_it_shows() -> None:
    """Chinese takes two places, what is too long ends in an ellipsis, and no text moves the cursor."""
    assert [places(text) for text in ("ab", "病", "e\u0301", "㍿")] == [2, 2, 1, 2]
    assert fitted("病人", 6) == "病人  "
    assert fitted("病人病人", 6) == "病人… "
    assert fitted("a\tb\x1b[1m\n", 8) == "a b [1m "
    table = Table(LABELS)
    lines = list(table.lines([Prediction("病" * 100, "其他", 0.5), Prediction("", None, None)]))
    assert lines[2] == "病" * 29 + "…   其他      0.5000"
    assert lines[3] == ""
    assert list(table.lines([Prediction("a", "病情诊断", 1.0)])) == ["a" + " " * 61 + "病情诊断  1.0000"]


def counts(right: int, wrong: int) -> dict[str, Any]:
    """Counts of an evaluation of two classes."""
    tp = right // 2
    return {
        "examples": right + wrong,
        "confusion": [[right - tp, wrong], [0, tp]],
        "tp": tp,
        "fp": wrong,
        "fn": 0,
    }


def kept(store: Store, name: str, data: str, right: int) -> Path:
    """A pruned model in a store, that is nothing but its summary."""
    summary = {"width": "1/2", "evaluation": {"counts": counts(right, 10 - right)}}
    return store.make("prune", {"name": name, "inputs": {"dev": data}}, lambda folder: summary).path


def test_best_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The most accurate intact one of the data that was used last, and stderr says which."""
    store = Store(tmp_path)
    with pytest.raises(UserError, match="the run store has no pruned one"):
        best_pruned(store)
    old, best, other = kept(store, "a", "d", 6), kept(store, "b", "d", 9), kept(store, "c", "d", 7)
    (tmp_path / "prune" / "stray").mkdir()
    assert best_pruned(store) == best
    told = capsys.readouterr().err
    assert f"width 1/2 from {best}: " in told
    assert re.findall(r"0\.\d+|\d+ dev", told.partition(str(best))[2]) == ["0.9000", "0.8889", "10 dev"]
    assert told.index("\n") == len(told) - 1
    (best / "result.json").write_text((best / "result.json").read_text() + " ")
    assert best_pruned(Store(tmp_path)) == other
    assert f"{best} is damaged" in capsys.readouterr().err
    for path in (old, other):
        (path / "manifest.json").write_text((path / "manifest.json").read_text() + " x")
    with pytest.raises(UserError, match="every pruned model in the run store is damaged"):
        best_pruned(Store(tmp_path))


def test_other_data_is_not_ranked_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A better score on other dev examples says nothing: the data of the newest model decides."""
    store = Store(tmp_path)
    clock = Mock()
    monkeypatch.setattr("replicate.runs.artefact.datetime", clock)
    paths = {}
    for day, data, right in ((1, "hard", 7), (2, "easy", 10)):
        clock.now.return_value = datetime(2024, 1, day, tzinfo=timezone.utc)
        paths[data] = kept(store, data, data, right)
    assert best_pruned(store) == paths["easy"]
    clock.now.return_value = datetime(2024, 1, 3, tzinfo=timezone.utc)
    kept(store, "worse", "hard", 5)
    assert best_pruned(store) == paths["hard"]


def test_without_a_model_the_best_one_predicts(
    pruned: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A pruned model in the store is found and used; the texts come from the article's folder or anywhere."""

    def build(folder: Path) -> dict[str, Any]:
        shutil.copytree(pruned.folder, folder, dirs_exist_ok=True)
        return pruned.summary

    Store(tmp_path).make("prune", {"inputs": {"dev": "d"}}, build)
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path))
    rows, told = printed(capsys, "--text", "胃疼怎么办", "--max_seq_length", "48")
    assert rows[0]["label"]
    assert told.startswith(f"replicate: width {pruned.summary['width']} from {tmp_path}")
