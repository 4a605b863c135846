"""The audit: figures on data whose mistakes are known, exact answers beside brute force, and what the command shows."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replicate.audit.audit import ROUNDS, audit
from replicate.audit.classes import class_facts
from replicate.audit.confident import doubts
from replicate.audit.contested import contested
from replicate.audit.folding import fold
from replicate.audit.linear import FOLDS, learn, out_of_fold
from replicate.audit.near import NEAR, neighbours, similarity
from replicate.audit.part import part_of
from replicate.commands.audit import one_line
from replicate.commands.main import main
from replicate.common.paths import MEASURED
from replicate.corpus import kuake
from replicate.corpus.formats import Dataset, Split, write_dataset
from replicate.corpus.generated import draw, generate
from replicate.corpus.kuake import LABELS
from replicate.findings.own_data import own_audit
from replicate.records.run import read_records
from replicate.scores.packing import unpack_bits, unpack_predictions
from replicate.tables.profile import load_profile
from tests.mislabelled import found_of
from tests.tiny import Made

LIMIT = 48
# Five texts that say something of each kind of finding.
LINES = Split(
    (
        "感冒了吃什么药好得快",
        "感冒了吃什么药好得快",
        "感冒了吃什么药好得快一点",
        "头疼是怎么回事",
        "看一次牙要多少钱",
    ),
    (0, 1, 0, 1, 0),
)


def test_labels_flipped_on_purpose_are_found() -> None:
    """On generated texts that have their likeliest labels, so that no label is wrong but the flipped ones."""
    queries = draw(3000)
    labels = np.array([query.best for query in queries])
    area, recall = found_of(tuple(query.text for query in queries), labels, len(LABELS), seed=1)
    assert area >= 0.97
    assert recall >= 0.90


@pytest.fixture
def kuake_qic() -> Dataset:
    """The original files, where this machine has them."""
    if kuake.find() is None:
        pytest.skip(f"{kuake.VARIABLE} is not set")
    return kuake.load()


@pytest.mark.data
@pytest.mark.slow
def test_figures_on_the_real_data(kuake_qic: Dataset) -> None:
    """AUROC at least 0.97 and recall at least 0.90 in the top 2n, as a mean of four draws."""
    data = kuake_qic
    labels = np.asarray(data.train.labels)
    found = [found_of(data.train.texts, labels, len(data.labels), seed) for seed in range(4)]
    area, recall = np.mean(found, axis=0)
    assert area >= 0.97
    assert recall >= 0.90


@pytest.mark.data
def test_contested_lines_of_the_real_data(kuake_qic: Dataset) -> None:
    """47 of 1,955 dev lines are given one other label by at least 95 % of 192 records."""
    digest = kuake_qic.digests["dev"]
    own = [one for one in read_records(MEASURED) if one.profile == "exploratory" and one.digests.get("dev") == digest]
    predicted = np.stack([unpack_predictions(one.predictions) for one in own])
    found = contested(predicted, np.stack([unpack_bits(one.correct, 1955) for one in own]))
    assert found is not None
    assert (found.records, int(found.mask.sum())) == (192, 47)


def test_doubts_are_cleanlab_s() -> None:
    """`tox -e agreement` installs cleanlab. Where a text is confident of two classes but likeliest of a third, it names
    the third, and the paper's rule does not; hence not all.
    """
    peer = pytest.importorskip("cleanlab.filter", reason="`tox -e agreement` installs it")
    agreed, found_any = [], 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        classes, texts = int(rng.integers(2, 12)), int(rng.integers(50, 400))
        labels = np.concatenate([np.arange(classes), rng.integers(0, classes, texts - classes)])
        probability = rng.dirichlet(np.full(classes, 0.5), size=texts)
        found = doubts(probability, labels).doubted
        agreed.append(found == peer.find_label_issues(labels, probability, filter_by="confident_learning", n_jobs=1))
        found_any += int(found.sum())
    assert np.mean(np.concatenate(agreed)) >= 0.99
    assert found_any > 1000


def test_doubts_by_hand() -> None:
    """A class is confident from the mean of its own texts on; what the model itself calls so is never in doubt."""
    probability = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.1, 0.9]])
    found = doubts(probability, np.array([0, 0, 1, 1, 0]))
    # The means are (0.9 + 0.7 + 0.1) / 3 and (0.8 + 0.6) / 2.
    assert found.doubted.tolist() == [False, False, False, False, True]
    assert found.suggested.tolist() == [0, 0, 1, 1, 1]
    assert found.order().tolist() == [4]
    with pytest.raises(ValueError, match="labels"):
        doubts(probability, np.array([0]))


def test_a_label_never_teaches_its_own_text() -> None:
    """Equal texts are left out together, or one would tell the label of the other."""
    texts = ("头疼吃药", "牙疼看病") * 10
    labels = np.array([0, 1] * 10)
    labels[0] = 1
    groups = np.array([0, 1] * 10)
    probability = out_of_fold(texts, labels, 2, groups)
    # Both groups are whole in one fold each, so nobody has seen either text.
    assert np.ptp(probability[::2], axis=0).max() < 1e-6


def test_one_label_and_few_texts() -> None:
    """One class alone, and fewer texts than folds, have an answer."""
    assert learn(("一", "二"), np.array([2, 2]), 3)(["三"]).tolist() == [[0, 0, 1]]
    few = out_of_fold(("一", "二"), np.array([0, 1]), 2, np.arange(2))
    assert np.allclose(few.sum(axis=1), 1)
    assert FOLDS > 2


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_folding_any_text(text: str) -> None:
    """Folding twice changes nothing, and case and blanks between letters don't count."""
    once = fold(text)
    assert fold(once) == once or len(fold(once)) <= len(once)
    assert fold(f" {text} ") == fold(text.strip()) or not text.strip()
    assert fold("A b，C！") == fold("ａbc") == "abc"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("感冒头疼吃药", min_size=1, max_size=12), min_size=2, max_size=40, unique=True), st.data())
def test_neighbours_are_those_of_brute_force(texts: list[str], data: st.DataObject) -> None:
    """Each neighbour is near; whoever has a near text in a part has a neighbour there, but for one chance in 10,000."""
    parts = np.array(data.draw(st.lists(st.integers(0, 1), min_size=len(texts), max_size=len(texts))), dtype=np.int8)
    found = neighbours(texts, parts)
    near = [(a, b) for a, b in combinations(range(len(texts)), 2) if similarity(texts[a], texts[b]) >= NEAR]
    wanted = {(a, int(parts[b])) for pair in near for a, b in (pair, pair[::-1])}
    assert set(found) <= wanted
    for (one, part), (other, alike) in found.items():
        assert parts[other] == part
        assert one != other
        assert alike == round(similarity(texts[one], texts[other]), 4) >= NEAR
    assert len(wanted) - len(found) <= 1


def test_findings_by_hand() -> None:
    """Conflicts, leaks, repeats and near texts, each with the line that it is like."""
    dev = Split(("感冒了,吃什么药 好得快", "头疼是怎么回事", "头疼是怎么回事", "头疼是怎么回事啊"), (0, 1, 1, 1))
    found = audit(Dataset("d", ("x", "y"), LINES, dev), LIMIT, known=set("感冒了吃什么药好得快一点头疼是怎么回事看次"))
    told = {(one.kind, one.part, one.line, one.other) for one in found.faults if one.kind != "label"}
    assert told == {
        ("conflict", "train", 1, ("train", 2)),
        ("conflict", "train", 2, ("train", 1)),
        ("conflict", "dev", 1, ("train", 2)),
        ("repeat", "train", 2, ("train", 1)),
        ("near-repeat", "train", 3, ("train", 1)),
        ("leak", "dev", 1, ("train", 1)),
        ("leak", "dev", 2, ("train", 4)),
        ("leak", "dev", 3, ("train", 4)),
        ("repeat", "dev", 3, ("dev", 2)),
        ("near-leak", "dev", 4, ("train", 4)),
        ("unknown", "train", 5, None),
        ("unknown", "dev", 1, None),
        ("unknown", "dev", 4, None),
    }
    assert found.counts()["leak"] == {"train": 0, "dev": 3}
    assert all(one.thin for one in found.classes)
    assert any("conflict" in one for one in found.warnings())


# What a data set lets in.
ONE_LINE = st.text(min_size=1, max_size=60).filter(
    lambda text: bool(text.strip()) and not {"\n", "\r"} & set(text) and text[0] != "\ufeff"
)
LABELLED = st.tuples(st.one_of(ONE_LINE, st.sampled_from(LINES.texts)), st.integers(0, 1))


@settings(max_examples=40, deadline=None)
@given(st.lists(LABELLED, min_size=2, max_size=12), st.lists(LABELLED, min_size=1, max_size=12))
def test_any_texts(train: list[tuple[str, int]], dev: list[tuple[str, int]]) -> None:
    """Whatever stands in the lines, each finding is of a line that there is, and each leak one that folding tells."""
    splits = {name: Split(*map(tuple, zip(*lines, strict=True))) for name, lines in (("train", train), ("dev", dev))}
    found = audit(Dataset("d", ("x", "y"), splits["train"], splits["dev"]), LIMIT, known=set("感冒"))
    for one in found.faults:
        assert splits[one.part].labels[one.line - 1] == one.label
        assert one.suggested != one.label
        assert one.other is None or 1 <= one.other[1] <= len(splits[one.other[0]])
    seen = {fold(text) for text in splits["train"].texts}
    leaks = [at for at, text in enumerate(splits["dev"].texts, start=1) if fold(text) in seen]
    assert [one.line for one in found.faults if one.kind == "leak"] == leaks
    assert not found.counts()["contested"]["dev"]


def test_texts_that_are_too_long() -> None:
    """With what is not read of them."""
    long = Split(("药" * 50, "短"), (0, 1))
    found = audit(Dataset("d", ("x", "y"), long, Split(("好",), (0,))), 48)
    assert [(one.line, one.value) for one in found.faults if one.kind == "long"] == [(1, 4.0)]


def test_shares_that_shift() -> None:
    """Only what chance doesn't give is told, and the whole shift is half the sum of the differences."""
    train, dev = np.array([0] * 500 + [1] * 500), np.array([0] * 300 + [1] * 100)
    facts = class_facts(("x", "y", "z"), train, dev, np.zeros(3, dtype=np.int64))
    assert [one.shifted for one in facts] == [True, True, False]
    assert [one.thin for one in facts] == [False, False, True]
    same = class_facts(("x", "y"), train, np.array([0] * 55 + [1] * 45), np.zeros(2, dtype=np.int64))
    assert not any(one.shifted for one in same)


def test_contested_by_hand() -> None:
    """One other label of 95 % of the records, not several labels, and nothing of too few records."""
    predicted = np.zeros((20, 4), dtype=np.int64)
    predicted[:, 1] = 1
    predicted[0, 1] = 0
    predicted[:, 2] = [1, 2] * 10
    predicted[:, 3] = 2
    found = contested(predicted, predicted == np.array([0, 0, 0, 2]))
    assert found is not None
    assert found.mask.tolist() == [False, True, False, False]
    assert (found.called[1], found.agreed[1]) == (1, 0.95)
    assert contested(predicted[:9], predicted[:9] == 0) is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of which five labels are wrong and one text stands twice."""
    made = generate(examples_train=300, examples_dev=60)
    texts = (*made.train.texts[:-1], made.dev.texts[0])
    path = tmp_path_factory.mktemp("audited") / "mine"
    write_dataset(replace(made, train=Split(texts, made.train.labels)), path)
    return path


def test_command_shows_no_text_unless_asked(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither the table, nor JSON, nor the page, nor the suggestions; and no byte of the data changes."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    page, fixes = tmp_path / "a.html", tmp_path / "fix.tsv"
    words = ["audit", str(folder), "--html", str(page), "--fix-file", str(fixes), "--quiet"]
    shown = []
    for more in ([], ["--json"], ["--texts"], ["--texts", "--json"]):
        fixes.unlink(missing_ok=True)
        assert main([*words, *more]) == 0
        told = capsys.readouterr()
        assert told.err == ""
        shown.append(told.out + page.read_text(encoding="utf-8") + fixes.read_text(encoding="utf-8"))
    texts = [line.rpartition("\t")[0] for line in before["train.txt"].decode().splitlines()]
    assert not [text for text in texts if text in shown[0] + shown[1]]
    for found in shown[2:]:
        assert sum(text in found for text in texts) > 3
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_json_and_suggestions(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON names every finding; a suggestion is a line with an empty first cell for a person's word."""
    fixes = tmp_path / "fix.tsv"
    assert main(["audit", str(folder), "--json", "--quiet", "--fix-file", str(fixes)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["counts"]["leak"]["dev"] == 1
    (leak,) = (one for one in found["faults"] if one["kind"] == "leak")
    assert (leak["part"], leak["line"], leak["like"]) == ("dev", 1, {"part": "train", "line": 300})
    head, *lines = (line.split("\t") for line in fixes.read_text(encoding="utf-8").splitlines())
    assert head[0] == "accept"
    labels = (folder / "label.txt").read_text(encoding="utf-8").split()
    places = [(line[1], line[2]) for line in lines]
    assert len(places) == len(set(places)) > 5
    for line in lines:
        assert line[0] == ""
        assert line[3] in labels
        assert line[4] in labels
        assert line[3] != line[4]


def test_strict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A leak is enough for exit code 1, which nobody gets without asking."""
    assert main(["audit", str(folder), "--quiet"]) == 0
    assert main(["audit", str(folder), "--quiet", "--strict"]) == 1
    assert "warning: 1 × leak" in capsys.readouterr().out


def test_a_model_judges_dev(data_folder: Path, finetuned: Made, capsys: pytest.CaptureFixture[str]) -> None:
    """Its vocabulary tells unknown characters; train stays with the linear model, which has not seen the text."""
    found = []
    for more in ([], ["--model", str(finetuned.folder), "--max_seq_length", "48"]):
        assert main(["audit", str(data_folder), "--quiet", "--json", *more]) == 0
        found.append(json.loads(capsys.readouterr().out))
    linear, model = found
    assert (linear["judge"], model["judge"]) == ("linear", finetuned.folder.name)
    assert linear["checkup"]["unknown"] is None
    assert model["checkup"]["unknown"] is not None
    assert linear["counts"]["label"]["train"] == model["counts"]["label"]["train"]
    assert linear["counts"]["label"]["dev"] != model["counts"]["label"]["dev"]


@pytest.mark.parametrize("kind", ["student", "onnx", "paddle", "int8"])
def test_every_kind_of_model_judges(
    kind: str, kinds: dict[str, Path], data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A student and an exported graph too; a graph doubts the labels that its net doubts."""
    doubted = []
    for folder in (kinds[kind], kinds["dynamic"]):
        words = ["--model", str(folder), "--max_seq_length", "48"]
        assert main(["audit", str(data_folder), "--quiet", "--json", *words]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["judge"] == folder.name
        assert found["checkup"]["unknown"] is not None
        doubted.append([(one["line"], one["rather"]) for one in found["faults"] if one["kind"] == "label"])
    if kind in ("onnx", "paddle"):
        assert doubted[0] == doubted[1] != []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--max_seq_length", "2"], "max_seq_length is 2"),
        (["--records", "none"], "no such folder"),
        (["--model", "none"], "no such model folder"),
    ],
)
def test_bad_input_is_one_line(more: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2."""
    assert main(["audit", str(folder), "--quiet", *more]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_too_few_records(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Records of other data contest nothing."""
    assert main(["audit", str(folder), "--quiet", "--records", str(tmp_path)]) == 2
    assert "0 records" in capsys.readouterr().err


def test_progress_is_told_in_order() -> None:
    """To its end."""
    done: list[int] = []
    audit(generate(examples_train=60, examples_dev=20), LIMIT, tell=done.append)
    assert done == sorted(done)
    assert done[-1] == ROUNDS


def test_a_part_of_large_data() -> None:
    """So many lines or characters of each part, in their order; small data stay whole, and one long line stays too."""
    made = generate(examples_train=60, examples_dev=20)
    assert part_of(made, 60) == made
    part = part_of(made, 30)
    assert (len(part.train), part.dev) == (30, made.dev)
    labels = dict(zip(made.train.texts, made.train.labels, strict=True))
    assert [labels[text] for text in part.train.texts] == list(part.train.labels)
    places = [made.train.texts.index(text) for text in part.train.texts]
    assert places == sorted(places) != list(range(30))
    assert len(part_of(made, 30, characters=100).train) < 12
    assert len(part_of(made, 30, characters=1).train) == 1


def test_one_line() -> None:
    """It says of how many lines it speaks."""
    made = generate(examples_train=60, examples_dev=20)
    whole = own_audit(made, load_profile("smoke"))
    assert whole.seen == whole.sizes == {"train": 60, "dev": 20}
    said = one_line(whole)
    assert "\n" not in said
    assert "of 80 labels" in said
    assert "of a random 80 of 3,020 lines" in one_line(replace(whole, sizes={"train": 3000, "dev": 20}))


def test_run_audits_own_data_first(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line before anything is trained, which ends nothing; a page of its report has numbers and no text."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    words = ["run", "svm", "--dataset_dir", str(folder), "--seeds", "1", "--quiet"]
    assert main([*words, "--dry-run"]) == 0
    assert "audit" not in capsys.readouterr().err
    assert main(words) == 0
    (told,) = (line for line in capsys.readouterr().err.splitlines() if "audit" in line)
    assert "of 360 labels" in told
    assert told.endswith("lists them")
    (page,) = (tmp_path / "store" / "records-of").glob("*/docs/report/data.md")
    text = page.read_text(encoding="utf-8")
    assert "| `leak` | 0 | 1 |" in text
    lines = (folder / "train.txt").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line.rpartition("\t")[0] in text]
