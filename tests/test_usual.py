"""Any usual file: look-alikes of public sets become data sets, and what can't is one line with file and number."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest

from replicate.commands.main import main
from replicate.common.errors import UserError
from replicate.corpus import load_dataset
from replicate.corpus.checkup import check_up, told
from replicate.corpus.dev_split import dev_indices
from replicate.corpus.formats import Dataset, Split, read_dataset
from replicate.corpus.raw import Reading
from replicate.corpus.usual import read_usual
from tests.lookalikes import FORMATS, NAMES, examples


@pytest.mark.parametrize("name", FORMATS)
def test_published_formats(name: str, tmp_path: Path) -> None:
    """A folder as it is published is read, and its import is the same data set in the local format."""
    make, sizes = FORMATS[name]
    source = tmp_path / name
    source.mkdir()
    make(source)
    found = load_dataset(str(source))
    test = 0 if found.test is None else len(found.test)
    assert (len(found.train), len(found.dev), test, len(found.unlabelled)) == sizes
    assert found.notes
    if name == "waimai":
        assert set(found.labels) == {"0", "1"}
    elif name == "fasttext":
        assert set(found.labels) == {"c0", "c1", "c2", "c3"}
    else:
        assert {label.removesuffix("_x") for label in found.labels} == set(NAMES)
    for split in filter(None, (found.train, found.dev, found.test)):
        for text, label in zip(split.texts, split.labels, strict=True):
            # Each text names its class.
            at = int(text[1 : text.index("句")]) % 4
            wanted = {"waimai": str(at % 2), "fasttext": f"c{at}", "banking77": f"{NAMES[at]}_x"}.get(name, NAMES[at])
            assert found.labels[label] == wanted
    assert main(["data", "import", str(source), str(tmp_path / "out")]) == 0
    assert read_dataset(tmp_path / "out") == Dataset(
        "out", found.labels, found.train, found.dev, found.unlabelled, found.test
    )


def test_labels_are_in_order_of_frequency_or_of_their_file(tmp_path: Path) -> None:
    """Without a file of labels the commonest is the first; with one, its order holds."""
    lines = [("一", "b"), ("二", "b"), ("三", "b"), ("四", "a"), ("五", "a"), ("六", "c"), ("七", "c")]
    path = tmp_path / "all.tsv"
    path.write_text("".join(f"{text}\t{label}\n" for text, label in lines), encoding="utf-8")
    assert read_usual([path]).labels == ("b", "a", "c")
    (tmp_path / "labels.txt").write_text("c\na\nb\n", encoding="utf-8")
    assert read_usual([tmp_path]).labels == ("c", "a", "b")


def test_several_files_are_one_set(tmp_path: Path) -> None:
    """Files that no name gives a part are training text together."""
    for name, start in (("one", 0), ("two", 24)):
        lines = "".join(f"{text}\t{label}\n" for text, label in examples(24, start))
        (tmp_path / f"{name}.txt").write_text(lines, encoding="utf-8")
    found = read_usual([tmp_path / "one.txt", tmp_path / "two.txt"])
    assert len(found.train) + len(found.dev) == 48
    assert read_usual([tmp_path]).train == found.train


def test_what_lies_beside_the_parts_is_not_read(tmp_path: Path) -> None:
    """Where a name says train, a file that says no part is told and left; named by itself, it is training text."""
    for name, start in (("train", 0), ("more", 24)):
        lines = "".join(f"{text}\t{label}\n" for text, label in examples(24, start))
        (tmp_path / f"{name}.txt").write_text(lines, encoding="utf-8")
    found = read_usual([tmp_path])
    assert len(found.train) + len(found.dev) == 24
    assert any("more.txt" in note and "not read" in note for note in found.notes)
    found = read_usual([tmp_path, tmp_path / "more.txt"])
    assert len(found.train) + len(found.dev) == 48


@pytest.mark.parametrize(
    ("encoding", "named"), [("gb18030", "gb18030"), ("utf-16", "utf-16"), ("utf-16-le", "utf-16"), ("utf-8-sig", "")]
)
def test_other_encodings_are_named_and_read_when_asked_for(encoding: str, named: str, tmp_path: Path) -> None:
    """Bytes of another encoding are never taken for UTF-8; the message says which option reads them."""
    path = tmp_path / "all.tsv"
    path.write_bytes("".join(f"{text}\t{label}\n" for text, label in examples(20)).encode(encoding))
    if not named:
        assert len(load_dataset(str(path)).train) == 16
        return
    with pytest.raises(UserError, match=f"--encoding {named}"):
        load_dataset(str(path))
    assert main(["data", "import", str(path), str(tmp_path / "out"), "--encoding", encoding]) == 0
    assert {text for text, _ in examples(20)} == {
        text for split in ("train", "dev") for text in getattr(read_dataset(tmp_path / "out"), split).texts
    }


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.tsv", "一\ta\n二\tb\textra\n三\ta\n", 2),
        ("a.tsv", "一\ta\n\tb\n三\ta\n", 2),
        ("a.csv", 'text,label\n一,a\n"二"x,b\n', 3),
        ("a.csv", "text,label\n一,a\n二\n", 3),
        ("a.jsonl", '{"text": "一", "label": "a"}\n{"text": "二", "label": }\n', 2),
        ("a.jsonl", '{"text": "一", "label": "a"}\n["二", "b"]\n', 2),
        ("a.json", '[\n{"text": "一", "label": "a"},\n{"text": 7, "label": "b"}\n]', 3),
        ("a.jsonl", '{"text": "一", "label": ["a"]}\n{"text": "二", "label": ["a", "b"]}\n', 2),
        ("a.jsonl", '{"text": "一", "label": ["a"]}\n{"text": "二", "label": [[0, 1, "b"]]}\n', 2),
        ("a.txt", "__label__a 一\n__label__a __label__b 二\n", 2),
    ],
)
def test_a_wrong_line_is_named(name: str, content: str, line: int, tmp_path: Path) -> None:
    """One wrong line refuses the file, with its number; text with several labels is another task."""
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_dataset(str(path))
    assert str(caught.value).startswith(f"{path}:{line}: ")


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.csv", "text,toxic,rude\n一,0,1\n二,1,0\n三,1,1\n", "several labels"),
        ("a.jsonl", '{"sentence1": "一", "sentence2": "二", "label": "1"}\n', "pairs"),
        ("a.xlsx", "PK", "no reader"),
        ("a.txt", "一\n二\n", "no text with a label"),
        ("a.tsv", "一\ta\n二\ta\n", "every text has the label"),
        ("a.parquet", "PAR0", "not parquet"),
        ("a.csv.gz", "text,label", "gzip"),
    ],
)
def test_other_tasks_and_kinds_are_refused(name: str, content: str, what: str, tmp_path: Path) -> None:
    """What no net here reads is told in one line that names the file."""
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=what) as caught:
        load_dataset(str(path))
    assert str(caught.value).startswith(f"{path}")


def test_unknown_numbers_are_refused(tmp_path: Path) -> None:
    """A number that the class file has no name for is a line at fault."""
    FORMATS["thucnews"][0](tmp_path)
    with (tmp_path / "dev.txt").open("a", encoding="utf-8") as file:
        file.write("多了一个\t4\n")
    with pytest.raises(UserError) as caught:
        load_dataset(str(tmp_path))
    assert str(caught.value).startswith(f"{tmp_path / 'dev.txt'}:9: ")


def test_options_overrule_what_was_found(tmp_path: Path) -> None:
    """Columns by name and number, the label's place, the header and the delimiter are what the user says."""
    path = tmp_path / "a.csv"
    path.write_text("text,label,why\n一一一,a,x\n二二二,b,y\n三三三,a,y\n四四四,b,x\n", encoding="utf-8")
    assert read_usual([path]).labels == ("a", "b")
    assert read_usual([path], Reading(columns=("text", "why"))).labels == ("x", "y")
    assert read_usual([path], Reading(columns=("1", "3"))).labels == ("x", "y")
    with pytest.raises(UserError, match="no column 'none'"):
        read_usual([path], Reading(columns=("none", "why")))
    path.write_text("a|长长长长\nb|短\na|长长长\nb|短短\n", encoding="utf-8")
    found = read_usual([path], Reading(delimiter="bar", label_first=True, header=False))
    assert (set(found.labels), len(found.train) + len(found.dev)) == ({"a", "b"}, 4)


def test_a_dev_set_is_drawn_by_label_and_text() -> None:
    """Each label gives its share, equal texts stay together, and the seed decides alone."""
    texts = [f"t{at // 2}" for at in range(400)] + ["only"]
    labels = [at // 2 % 4 for at in range(400)] + [4]
    drawn = dev_indices(texts, labels, 0.25, 7)
    assert drawn == dev_indices(texts, labels, 0.25, 7)
    assert drawn != dev_indices(texts, labels, 0.25, 8)
    assert [sum(labels[at] == label for at in drawn) for label in range(5)] == [24, 24, 24, 24, 0] or [
        sum(labels[at] == label for at in drawn) for label in range(5)
    ] == [26, 26, 26, 26, 0]
    assert not {texts[at] for at in drawn} & {texts[at] for at in range(len(texts)) if at not in drawn}
    for share in (0.0, 1.0, -1.0):
        with pytest.raises(UserError, match="dev share"):
            dev_indices(texts, labels, share, 7)


def test_checkup_counts_what_threatens_a_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Leaks, conflicts, repetitions, absent labels, cut and unknown text are counted, each with the right number."""
    train = Split(("甲甲", "甲甲", "乙乙", "丙" * 20), (0, 0, 1, 1))
    dev = Split(("甲甲", "乙乙", "丁丁", "甲丁"), (1, 1, 1, 2))
    data = Dataset("d", ("x", "y", "z"), train, dev)
    found = check_up(data, 12, {"甲", "乙"})
    assert (found.leaked, found.conflicts, found.repeated) == (2, 1, 1)
    assert found.commonest == ("y", 0.75)
    assert found.absent == (("z",), ("x",))
    assert found.cut == pytest.approx(1 / 8)
    assert found.lost == pytest.approx(10 / 34)
    assert found.unknown == pytest.approx(3 / 8)
    warnings = [line for line in told(found) if line.startswith("warning")]
    assert len(warnings) == 6
    FORMATS["iflytek"][0](tmp_path)
    assert main(["data", "check", str(tmp_path)]) == 0
    assert "warning: longer than 128 tokens: 100.0%" in capsys.readouterr().out


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    """Bytes changed, lost or doubled: a data set or one line, and nothing else."""
    make, _ = FORMATS[name]
    rng = random.Random(name)
    for turn in range(25):
        source = tmp_path / str(turn)
        source.mkdir()
        make(source)
        files = sorted(path for path in source.rglob("*") if path.is_file())
        path = rng.choice(files)
        data = bytearray(path.read_bytes())
        at = rng.randrange(len(data))
        change = rng.randrange(4)
        if change == 0:
            data[at] = rng.randrange(256)
        elif change == 1:
            del data[at : at + rng.randrange(1, 40)]
        elif change == 2:
            data[at:at] = data[at : at + rng.randrange(1, 40)]
        else:
            data[at:at] = rng.choice([b"\r", b"\t", b'"', b"{", b"\0", "\ufeff".encode(), b"\xff", b"\n\n", b",,,"])
        path.write_bytes(bytes(data))
        # Anything but a UserError ends the test.
        with contextlib.suppress(UserError):
            found = load_dataset(str(source))
            assert len(found.train)
            assert len(found.dev)


def test_names_of_the_local_format_with_other_contents(tmp_path: Path) -> None:
    """Numbers for the lines of label.txt, and labels that stand first, are read; a slip in the format is one."""
    for name, line in (("numbers", "{text}\t{label}\n"), ("first", "{name}\t{text}\n")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "label.txt").write_text("".join(f"{one}\n" for one in NAMES), encoding="utf-8")
        for part, start in (("train", 0), ("dev", 40)):
            lines = [line.format(text=text, label=at, name=NAMES[at]) for text, at in examples(20, start)]
            (folder / f"{part}.txt").write_text("".join(lines), encoding="utf-8")
        found = load_dataset(str(folder))
        assert (found.labels, found.train.labels) == (NAMES, tuple(at % 4 for at in range(20)))
        assert found.train.texts == tuple(text for text, _ in examples(20))
    (folder / "train.txt").write_text(f"一\t{NAMES[0]}\n二\tx\n", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_dataset(str(folder))
    assert str(caught.value).startswith(f"{folder / 'train.txt'}:2: ")
