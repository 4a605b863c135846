"""The command: files and folders in, NAME_aug.txt out, whole or not at all; its flags."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from replicate.augment import STRATEGIES
from replicate.augment.engine import UNK_TOKEN
from replicate.augment.files import augment_path
from replicate.commands import augment as cli
from replicate.common.errors import UserError
from tests.command_line import parsed, ran

LINES = ["感冒怎么治疗\t治疗方案", "头痛吃什么药好\t治疗方案", "湿疹会传染给孩子吗\t疾病表述"]
MASK = {"unk": 1.0}


def write(path: Path, lines: list[str]) -> Path:
    """A file of these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


def read(path: Path) -> list[str]:
    """A file's lines, split at line feeds only."""
    return path.read_bytes().decode().removesuffix("\n").split("\n")


def run(*arguments: object) -> int:
    """The command with these arguments."""
    return ran(cli, *arguments)


def test_each_line_stands_before_its_copies(tmp_path: Path) -> None:
    """The output has (n + 1) lines for each of the input, the original first, labels untouched."""
    source = write(tmp_path / "train.txt", LINES)
    (summary,) = augment_path(source, tmp_path / "out", MASK, 3, seed=0).values()
    lines = read(tmp_path / "out" / "train_aug.txt")
    assert len(lines) == 4 * len(LINES)
    assert lines[::4] == LINES
    assert [line.split("\t")[1] for line in lines] == [line.split("\t")[1] for line in LINES for _ in range(4)]
    assert (summary.lines, summary.copies) == (3, 9)


def test_folder_gives_a_file_for_each(tmp_path: Path) -> None:
    """Every .txt of a folder is augmented under its own name; other files are left alone."""
    for name in ("a.txt", "b.txt", "notes.md"):
        write(tmp_path / "in" / name, LINES)
    augment_path(tmp_path / "in", tmp_path / "out", MASK, 1, seed=0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a_aug.txt", "b_aug.txt"]


def test_several_columns_change_together_in_one_line(tmp_path: Path) -> None:
    """Two text columns give (n + 1) lines, not more, and the columns between stay."""
    source = write(tmp_path / "pairs.txt", [f"{'感冒怎么治疗' * 9}\tid{i}\t{'头痛吃什么药' * 9}\t1" for i in range(20)])
    augment_path(source, tmp_path, MASK, 2, columns=(1, 3), seed=0)
    rows = [line.split("\t") for line in read(tmp_path / "pairs_aug.txt")]
    assert len(rows) == 60
    assert [row[1::2] for row in rows] == [[f"id{i}", "1"] for i in range(20) for _ in range(3)]
    assert any(UNK_TOKEN in row[0] and UNK_TOKEN in row[2] for row in rows)


def test_odd_line_separators_inside_a_text_survive(tmp_path: Path) -> None:
    """U+2028 and its like are part of a text; CR LF ends and a BOM are not."""
    source = tmp_path / "odd.txt"
    source.write_bytes("\ufeff感冒\u2028怎么\x85治疗\t0\r\n头痛吃什么药\t1".encode())
    augment_path(source, tmp_path, MASK, 1, seed=0)
    assert read(tmp_path / "odd_aug.txt")[::2] == ["感冒\u2028怎么\x85治疗\t0", "头痛吃什么药\t1"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "empty file"),
        ("感冒\t1\n\t2\n".encode(), r"bad\.txt:2: .*no text in column 1"),
        ("感冒\t1\n\n头痛\t2\n".encode(), r"bad\.txt:2: "),
        ("感冒\t1\n".encode() + b"\xff\xfe\t1\n", r"bad\.txt:2: not UTF-8"),
    ],
)
def test_bad_input_is_refused_and_nothing_written(tmp_path: Path, content: bytes, complaint: str) -> None:
    """A bad line names file and line, and no file of the folder is written, not even the good ones."""
    write(tmp_path / "in" / "a.txt", LINES)
    (tmp_path / "in" / "bad.txt").write_bytes(content)
    with pytest.raises(UserError, match=complaint):
        augment_path(tmp_path / "in", tmp_path / "out", MASK, 1, seed=0)
    assert not (tmp_path / "out").exists()


def test_too_few_columns_are_refused(tmp_path: Path) -> None:
    """A line without the column that was asked for is refused by number."""
    source = write(tmp_path / "a.txt", ["感冒\t头痛", "感冒"])
    with pytest.raises(UserError, match=r"a\.txt:2: no column 2, the line has 1"):
        augment_path(source, tmp_path / "out", MASK, 1, columns=(1, 2), seed=0)


@pytest.mark.parametrize("columns", [(), (0,), (1, 1)])
def test_impossible_columns_are_refused(tmp_path: Path, columns: tuple[int, ...]) -> None:
    """No columns, column 0 and repeated columns mean nothing."""
    with pytest.raises(UserError, match="not a list of text columns"):
        augment_path(write(tmp_path / "a.txt", LINES), tmp_path, MASK, columns=columns, seed=0)


def test_missing_and_empty_input_is_refused(tmp_path: Path) -> None:
    """An input that isn't there, a folder without .txt files and an output that is a file are refused."""
    with pytest.raises(UserError, match="can't read"):
        augment_path(tmp_path / "none.txt", tmp_path, MASK, seed=0)
    with pytest.raises(UserError, match=r"no \.txt file"):
        augment_path(tmp_path, tmp_path, MASK, seed=0)
    source = write(tmp_path / "a.txt", LINES)
    with pytest.raises(UserError, match="not a folder"):
        augment_path(source, source, MASK, seed=0)


def test_command_with_the_articles_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The article's own command line works, abbreviated names included, and says what it did."""
    source = write(tmp_path / "in" / "train.txt", LINES)
    flags = "--unk 0.25 --trunc 0.25 --pos 0.5 --w2v 0 --aug 2 --seed 3".split()
    assert run(source.parent, tmp_path / "out", *flags) == 0
    assert len(read(tmp_path / "out" / "train_aug.txt")) == 9
    table = capsys.readouterr().out
    assert "train_aug.txt" in table
    assert "pos_replace" in table
    assert run(source.parent, tmp_path / "json", *flags, "--json") == 0
    (counts,) = json.loads(capsys.readouterr().out)
    assert (counts["lines"], counts["copies"]) == (len(LINES), 6)
    first = (tmp_path / "out" / "train_aug.txt").read_bytes()
    assert run(source, tmp_path / "again", *flags) == 0
    assert (tmp_path / "again" / "train_aug.txt").read_bytes() == first


def test_command_reads_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-w` with `--vectors` replaces words by their neighbours in the file."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    source = write(tmp_path / "a.txt", ["感冒\t1"] * 40)
    vectors = write(tmp_path / "v.txt", ["2 2", "感冒 1 0", "流感 1 1"])
    run(source, tmp_path, "-u", 0, "-t", 0, "-r", 0, "-w", 1, "--vectors", vectors)
    assert {line.split("\t")[0] for line in read(tmp_path / "a_aug.txt")} == {"感冒", "流感"}


def test_command_without_vectors(tmp_path: Path) -> None:
    """Without vectors w2v_replace isn't in the default mix, and asked for by name it says what is missing."""
    source = write(tmp_path / "a.txt", LINES)
    assert run(source, tmp_path, "-n", 1) == 0
    with pytest.raises(UserError, match="needs word vectors; give a word2vec file with --vectors"):
        run(source, tmp_path, "-w", 0.5)


def test_command_refuses_a_bad_column_list(tmp_path: Path) -> None:
    """`-c x` is a user's error."""
    with pytest.raises(UserError, match="not a list of columns"):
        run(write(tmp_path / "a.txt", LINES), tmp_path, "-c", "x")


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("--unk 1", "unk"),
        ("--trunc 1", "truncate"),
        ("--pos 1", "pos_replace"),
        ("--w2v 1", "w2v_replace"),
        ("--ernie 1", "ernie_replace"),
        ("-e 1", "ernie_replace"),
        ("--word_u 1", "word_unk"),
        ("--word_p 1", "word_pos"),
        ("--n_s 1", "n_sampling"),
    ],
)
def test_prefixes_name_one_strategy(flags: str, name: str) -> None:
    """Unambiguous prefixes of the long names work, beside the options that begin alike."""
    args = parsed(cli, "in", "out", *flags.split())
    assert [key for key in STRATEGIES if getattr(args, key, None) is not None] == [name]


def test_strategies_without_a_name_keep_their_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in data_aug.py, naming one switches no other off; 0 does."""
    source = write(tmp_path / "a.txt", LINES * 20)
    for flags, strategies in (
        ("--word_unk 1", ["unk", "truncate", "pos_replace", "word_unk"]),
        ("-u 0 -t 0 -r 0 --n_sampling 1 --nlpcda swap=1", ["n_sampling", "swap"]),
    ):
        run(source, tmp_path / "out", *flags.split())
        head = capsys.readouterr().out.splitlines()[0].split()
        assert head == ["file", "lines", "copies", *strategies, "redrawn", "unchanged", "dropped"]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ("-u 0 -t 0 -r 0", "no strategy has a probability above 0"),
        ("-e 1", "ernie_replace needs a masked language model; give a model folder or name with --model"),
        ("-e 1 --model none/here", "none/here: no such model folder"),
        ("--nlpcda shuffle=1", "--nlpcda has no strategy 'shuffle'; known are entity, synonym, "),
        ("--nlpcda unk=1", "--nlpcda has no strategy 'unk'"),
        ("--nlpcda swap", "not a probability for swap: ''; write --nlpcda swap=0.5"),
        ("--nlpcda swap=a", "not a probability for swap: 'a'"),
        ("--nlpcda swap=-1", "not a probability for swap: -1.0"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_written(tmp_path: Path, flags: str, complaint: str) -> None:
    """A mix of nothing, a strategy without what it needs and an unknown one of nlpcda's are the user's errors."""
    source = write(tmp_path / "a.txt", LINES)
    with pytest.raises(UserError) as refused:
        run(source, tmp_path / "out", *flags.split())
    assert str(refused.value).startswith(complaint)
    assert not (tmp_path / "out").exists()
