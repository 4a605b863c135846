"""Small inputs that people have, which once gave a wrong result without a word, or a traceback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from replicate.augment.vectors import load_vectors
from replicate.commands.main import main
from replicate.commands.predict import read_texts
from replicate.common import homes
from replicate.common.cores import cores, threads
from replicate.common.errors import UserError
from replicate.common.files import read_json
from replicate.common.paths import EXPECTED, PROFILES, ROOT
from replicate.corpus import load_dataset, own_folder
from replicate.corpus.formats import Dataset, Split, read_labels, write_dataset
from replicate.findings.rows import judge_row_against_baseline, paired_seeds, row_result
from replicate.nets.classifier import load_classifier
from replicate.records.run import Record, read_records, write_record
from replicate.runs.runner import Runner
from replicate.runs.store import Store
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile
from tests.synthetic import runs
from tests.tiny import Made

PACKAGE = ROOT / "replicate"
TABLE = load_tables(EXPECTED)["ernie3_kuake_qic"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("3 3\n甲 0:1.5000 1:0.2500 2:0.7500\n乙 0:0.1000 1:0.9000 2:0.3000\n丙 0:0.4000 1:0.5000 2:0.6000\n", 2),
        ("2 3\n甲 1 0 0\n乙 0 1 0\n丙 0 0 1\n", 4),
        ("4 3\n甲 1 0 0\n乙 0 1 0\n丙 0 0 1\n", 5),
        ("3 2\n甲 1 0 0\n乙 0 1 0\n", 2),
        ("3 2\n\n甲 1 0\n乙 0 1\n丙 0 1\n", 2),
        ("2 2\n甲 nan 0\n乙 0 1\n", 2),
        ("2 2\n甲 1,5 0,5\n乙 0,5 1,5\n", 2),
        ("2 2\n. . . 1 0\n乙 0 1\n", 2),
        ("2 2\n2 2\n甲 1 0\n乙 0 1\n", 2),
        ("2 1\n2 1\n甲 1\n乙 0\n", 4),
        ("2 2\n甲\t1\t0\n乙\t0\t1\n", 2),
        ("甲 1 0\n乙 0 1\n", 1),
    ],
)
def test_text_vectors_are_never_binary(tmp_path: Path, content: str, line: int) -> None:
    """A text file that is not as its header says is refused where it first differs."""
    path = tmp_path / "vectors.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_vectors(path, tmp_path / "cache")
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_binary_vectors_end_with_the_file(tmp_path: Path) -> None:
    """What is left over after the last vector means another shape than the header's."""
    path = tmp_path / "vectors.bin"
    rows = np.arange(1, 13, dtype="<f4").reshape(4, 3)
    entries = b"".join(f"w{at} ".encode() + row.tobytes() + b"\n" for at, row in enumerate(rows))
    path.write_bytes(b"4 3\n" + entries)
    loaded = load_vectors(path, tmp_path / "cache")
    assert [*loaded.words] == ["w0", "w1", "w2", "w3"]
    np.testing.assert_allclose(loaded.matrix, rows / np.linalg.norm(rows, axis=1, keepdims=True), rtol=1e-6)
    path.write_bytes(b"3 3\n" + entries)
    with pytest.raises(UserError, match="3 vectors of 3 numbers"):
        load_vectors(path, tmp_path / "cache")


def small(name: str = "mine") -> Dataset:
    """Four lines of two labels."""
    return Dataset(name, ("甲", "乙"), Split(("一", "二"), (0, 1)), Split(("三", "四"), (0, 1)))


@pytest.mark.parametrize("name", ["kuake-qic", "generated"])
def test_a_folder_is_never_the_built_in_set_of_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder called like a built-in data set is read, and its records are its own."""
    monkeypatch.chdir(tmp_path)
    write_dataset(small(), tmp_path / name)
    assert len(load_dataset(own_folder(name)).train) == 2
    profile = load_profile("smoke")
    store = Store(tmp_path / "store")
    own = Runner(profile.changed(dataset=name), store)
    assert own.dataset.train.texts == ("一", "二")
    assert own.records.parent == store.root / "records-of"
    assert Runner(profile, store).records == store.root / "records"


def test_namesakes_with_other_dev_sets_have_folders_of_their_own(tmp_path: Path) -> None:
    """Two folders of one name and one training set, but two dev sets, keep their records apart."""
    found = []
    for place, dev in (("a", "三"), ("b", "五")):
        write_dataset(replace(small(), dev=Split((dev,), (0,))), tmp_path / place / "mine")
        profile = load_profile("smoke").changed(dataset=str(tmp_path / place / "mine"))
        found.append(Runner(profile, Store(tmp_path / "store")).records)
    assert found[0] != found[1]


def of_table(row: str, wrong: list[int]) -> list[Record]:
    """Runs of a row of the article's table."""
    return [replace(one, table=TABLE.id) for one in runs(row, wrong)]


def test_seeds_of_other_dev_sets_are_not_averaged(tmp_path: Path) -> None:
    """Records of one row, or of two rows that are compared, have to be of one dev set; both files are named."""
    one, two = of_table("base", [20, 21])
    other = replace(two, digests={**two.digests, "dev": "f" * 64})
    one = replace(one, digests={**one.digests, "dev": "e" * 64})
    with pytest.raises(UserError, match=f"{other.place}.*{one.place}"):
        row_result([one, other], TABLE.row("base"), one.profile)
    alone = row_result([one], TABLE.row("base"), one.profile)
    beside = row_result([replace(other, row="augment", seed=one.seed)], TABLE.row("augment"), one.profile)
    with pytest.raises(UserError, match="dev set"):
        paired_seeds(alone, beside)


def test_some_of_the_accepted_seeds_are_the_same_runs() -> None:
    """Fewer seeds than were accepted, with the same predictions, agree with them."""
    accepted = of_table("base", [20, 21, 22])
    verdict = judge_row_against_baseline(
        TABLE,
        row_result(accepted[:2], TABLE.row("base"), accepted[0].profile),
        row_result(accepted, TABLE.row("base"), accepted[0].profile),
    )
    assert verdict.status == "replicated"


@pytest.mark.parametrize(("change", "line"), [((1, 0, *range(2, 11)), 1), ((*range(9), 10, 9), 10)])
def test_labels_of_a_model_agree_with_its_configuration(
    change: tuple[int, ...], line: int, finetuned: Made, tmp_path: Path
) -> None:
    """A label.txt in another order would give every text a wrong name."""
    folder = tmp_path / "model"
    shutil.copytree(finetuned.folder, folder)
    labels = read_labels(folder / "label.txt")
    assert load_classifier(folder).labels == labels
    (folder / "label.txt").write_text("".join(f"{labels[at]}\n" for at in change), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_classifier(folder)
    assert str(caught.value).startswith(f"{folder / 'label.txt'}:{line}: ")


@pytest.mark.parametrize("name", ["甲 ", " 甲", "甲\u3000"])
def test_blanks_make_no_label_of_their_own(name: str, tmp_path: Path) -> None:
    """Two labels that differ by a blank are one label with a slip."""
    path = tmp_path / "label.txt"
    path.write_text(f"甲\n{name}\n", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_labels(path)
    assert str(caught.value).startswith(f"{path}:2: ")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_standard_input_has_any_line_ends(end: str, last: bool, tmp_path: Path) -> None:
    """Lines that end in LF, CR LF or CR are texts of their own, and empty ones stay."""
    texts = ["感冒", "", "发烧", "x" * (1 << 20), "药"]
    path = tmp_path / "texts"
    path.write_bytes(end.join(texts).encode() + end.encode() * last)
    with path.open("rb") as file:
        assert [*read_texts(file, "it")] == texts


def test_homes_that_cannot_be_made_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a home, or where it can't be written, packages get a scratch folder; what the user names stays."""
    for name in homes.FOLDERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/dev/null/nobody")
    homes.give_homes()
    assert all(Path(os.environ[name]).is_dir() for name in homes.FOLDERS)
    assert homes.paddlenlp_home() == homes.scratch()
    monkeypatch.setenv("PPNLP_HOME", "/named")
    homes.give_homes()
    assert homes.paddlenlp_home() == Path("/named")

    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", none)
    homes.give_homes()
    assert os.environ["HOME"] == str(homes.scratch())


def test_hidden_files_are_no_data(tmp_path: Path) -> None:
    """What editors and file managers leave behind is neither a record nor a training file."""
    (one,) = runs("base", [20])
    path = write_record(one, tmp_path)
    for name in (".ipynb_checkpoints/seed-1.json", "._seed-1.json", ".DS_Store.json"):
        left = path.parent / name
        left.parent.mkdir(exist_ok=True)
        left.write_bytes(b"\0")
    assert [record.place for record in read_records(tmp_path)] == [one.place]
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.txt").write_text("感冒吃什么药\t甲\n", encoding="utf-8")
    (tmp_path / "set" / "._train.txt").write_bytes(b"\0\xff")
    words = ["augment", str(tmp_path / "set"), str(tmp_path / "out"), "-u", "0", "-t", "0.5", "-r", "0", "-w", "0"]
    assert main(words) == 0
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["train_aug.txt"]


@pytest.mark.parametrize(("value", "wanted"), [("0", None), ("-1", None), ("x", None), ("3", 3), ("2,1", 2)])
def test_threads_are_a_number(value: str, wanted: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """OMP_NUM_THREADS that is none means one thread a core, as OpenMP takes it."""
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads() == (wanted or cores())


@pytest.mark.parametrize(
    ("line", "code"),
    [("list >&-", 2), ("list >/dev/full", 2), ("predict nowhere <&-", 2), ("list >/dev/null 2>&-", 0)],
)
def test_closed_and_full_streams(line: str, code: int) -> None:
    """One line and an exit code, whatever the caller has closed."""
    command = f"exec {sys.executable} -m replicate {line}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == (code != 0)


@pytest.mark.parametrize("words", [["--html", ""], ["--html="]])
def test_an_empty_option_is_no_path(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An empty variable of a script is told as what it is."""
    assert main(["report", *words]) == 2
    assert capsys.readouterr().err.startswith("replicate: html ")


STOPPED_IMPORT = """
import os, signal, sys
# A shell that starts this in the background has SIGINT ignored, and Python keeps to that.
signal.signal(signal.SIGINT, signal.default_int_handler)
from replicate.commands import main, list as command
def run(args):
    try:
        os.kill(os.getpid(), signal.Signals[sys.argv[1]])
        for _ in range(10**9): pass
    except KeyboardInterrupt:
        raise ImportError("initialization failed")
command.run = run
raise SystemExit(main.main(["list"]))
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_stopped_import_is_a_stop(name: str) -> None:
    """A module that a signal stops while it is imported may call that an ImportError."""
    words = [sys.executable, "-c", STOPPED_IMPORT, name]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 128 + signal.Signals[name]
    assert done.stderr == f"replicate: stopped by {name}\n"


def test_a_wheel_keeps_results_below_the_current_folder(tmp_path: Path) -> None:
    """Installed, the package writes nothing into its own folder, which an upgrade replaces."""
    site, here = tmp_path / "site", tmp_path / "here"
    package = site / "replicate"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (EXPECTED, PROFILES):
        shutil.copytree(folder, package / folder.name)
    here.mkdir()
    before = sorted(site.rglob("*"))
    words = [sys.executable, "-B", "-m", "replicate", "run", "svm", "--profile", "smoke", "--seeds", "1", "--accept"]
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("REPLICATE_STORE", None)
    done = subprocess.run(words, capture_output=True, text=True, cwd=here, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(site.rglob("*")) == before
    kept = here / "replicate-results" / "measured" / "smoke" / "ernie3_kuake_qic" / "svm" / "seed-1.json"
    assert read_json(kept)["row"] == "svm"
    assert {path.name for path in here.iterdir()} == {".replicate", "replicate-results"}
