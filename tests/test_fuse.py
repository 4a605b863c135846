"""`fuse` makes one model of several: as a stage, in a plan with disjoint seeds, and as a command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.commands.main import main
from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset, Split, read_split
from replicate.nets.classifier import load_classifier
from replicate.nets.folder import digest_of, weights_of
from replicate.nets.logits import network_logits, probabilities
from replicate.nets.tokens import encode
from replicate.records.run import read_record
from replicate.records.strata import member_seeds, net_of
from replicate.runs.ask import seeds_of
from replicate.runs.plan import Sources, plan
from replicate.runs.runner import Runner
from replicate.runs.store import Store
from replicate.scores.calibration import as_probabilities, fit_scale
from replicate.scores.fusion import mean, vote
from replicate.scores.metrics import scores
from replicate.scores.packing import unpack_probabilities
from replicate.stages.fuse.options import HOWS, FuseOptions
from replicate.stages.kind import Inputs
from replicate.stages.registry import KINDS
from replicate.stages.svm import DEV, margins, svm
from replicate.tables.file import load_table, load_tables
from replicate.tables.profile import Profile, load_profile
from tests.tiny import QUIET

TABLE = """
schema = 1
id = "mine"
title = "A table of my own"
[provenance]
source = "nobody"
published = "never"
language = "en"
retrieved = "never"
protocol_known = ["all of it"]
protocol_unknown = ["nothing"]
[dataset]
name = "generated"
split = "dev"
examples = 200
[statistics]
alpha = { value = "0.05", reason = "custom" }
minimum_seeds = { value = "3", reason = "custom" }
[tolerances]
[[rows]]
id = "net"
title = "a net"
role = "member"
recipe = [{ stage = "finetune" }]
[[rows]]
id = "svm"
title = "no net"
role = "member"
recipe = [{ stage = "svm", probabilities = true }]
[[rows]]
id = "three"
title = "three seeds"
recipe = [{ stage = "fuse", of = ["net"], members = 3 }]
[[rows]]
id = "student"
title = "of the three"
parent = "three"
recipe = [{ stage = "distill", student = "bow", copies = 0, unlabelled = 0 }]
[[rows]]
id = "both"
title = "a net and the SVM"
recipe = [{ stage = "fuse", of = ["net", "svm"], how = "vote" }]
"""
SOURCES = Sources({"train": "t", "dev": "d", "labels": "l"}, "", {})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The table's file."""
    found = tmp_path / "mine.toml"
    found.write_text(TABLE, encoding="utf-8")
    return found


@pytest.fixture
def profile() -> Profile:
    """Smoke, on this table alone, on two nets."""
    return replace(load_profile("smoke"), tables=("mine",), seeds=tuple(range(1, 14)), nets=2)


def run(dataset: Dataset, folder: Path, how: str, members: Sequence[Path], train: Path | None = None) -> dict[str, Any]:
    """What the stage gives."""
    folder.mkdir()
    sources: dict[str, tuple[Path | str, ...]] = {"members": tuple(members)}
    sources |= {"train": (train,)} if train else {}
    options = FuseOptions(how, 48)
    return KINDS["fuse"](Inputs(options, 1, dataset, sources, lambda: (), folder, QUIET))


def stage(name: str, dataset: Dataset, folder: Path, passed: Mapping[str, Any], **sources: Path) -> dict[str, Any]:
    """What another stage gives with these settings."""
    folder.mkdir()
    given = {port: (found,) for port, found in sources.items()}
    return KINDS[name](Inputs(KINDS[name].settings(passed), 1, dataset, given, lambda: (), folder, QUIET))


@pytest.fixture(scope="session")
def held(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training set without a fifth, which lies beside it."""
    folder = tmp_path_factory.mktemp("held") / "out"
    stage("holdout", dataset, folder, {})
    return folder


def test_holdout_keeps_a_fifth_of_each_label(dataset: Dataset, held: Path) -> None:
    """No line is lost, none is on both sides, and equal texts stay together."""
    kept, out = (read_split(held / name, dataset.labels) for name in ("train.txt", "held.txt"))
    assert sorted(zip(kept.texts + out.texts, kept.labels + out.labels, strict=True)) == sorted(
        zip(dataset.train.texts, dataset.train.labels, strict=True)
    )
    assert 0.1 < len(out) / len(dataset.train) < 0.3
    assert not set(kept.texts) & set(out.texts)
    with pytest.raises(UserError, match="share is 1"):
        KINDS["holdout"].settings({"share": 1.0})


@pytest.mark.parametrize("how", HOWS)
def test_every_way_gives_a_scored_model(
    how: str, dataset: Dataset, fellows: tuple[Path, ...], held: Path, tmp_path: Path
) -> None:
    """The folder answers as the summary says; a soup is as large as one member, an ensemble as all together."""
    summary = run(dataset, tmp_path / "out", how, fellows, held if how in ("stack", "greedy") else None)
    made = load_classifier(tmp_path / "out")
    assert made.labels == dataset.labels
    assert summary["weights"] == digest_of(weights_of(made.network))
    one = load_classifier(fellows[0]).parameters
    assert summary["parameters"] == made.parameters == one * (3 if how in ("mean", "vote", "stack") else 1)
    assert sum(summary["shares"]) == pytest.approx(1)
    assert (summary["how"], summary["members"], len(summary["member_accuracy"])) == (how, 3, 3)
    assert 0 < summary["disagreement"] < 1
    evaluation = summary["evaluation"]
    found = unpack_probabilities(evaluation["probabilities"], len(dataset.dev), len(dataset.labels))
    assert found.sum(axis=1) == pytest.approx(1, abs=0.03)
    if how == "first":
        assert scores(evaluation["counts"])["accuracy"] == pytest.approx(summary["member_accuracy"][0])


def test_members_take_no_part_in_each_other(dataset: Dataset, fellows: tuple[Path, ...], tmp_path: Path) -> None:
    """Their order changes nothing of a mean, and an ensemble of one answer twice is that answer."""
    orders = (fellows, fellows[::-1])
    found = [run(dataset, tmp_path / str(at), "mean", order)["evaluation"] for at, order in enumerate(orders)]
    assert found[0]["predictions"] == found[1]["predictions"]
    twin = shutil.copytree(fellows[0], tmp_path / "twin")
    same = run(dataset, tmp_path / "same", "vote", (fellows[0], twin))
    alone = run(dataset, tmp_path / "alone", "first", (fellows[0], fellows[1]))
    assert same["evaluation"]["predictions"] == alone["evaluation"]["predictions"]
    assert same["disagreement"] == 0


@pytest.mark.parametrize("how", ["stack", "greedy"])
def test_weighing_needs_lines_that_nobody_saw(
    how: str, dataset: Dataset, fellows: tuple[Path, ...], tmp_path: Path
) -> None:
    """Without `holdout` before the members there are none."""
    with pytest.raises(UserError, match=f"{how} needs lines that no member was trained on"):
        run(dataset, tmp_path / "out", how, fellows)


def test_an_svm_is_mixed_in_by_its_probabilities(
    dataset: Dataset, fellows: tuple[Path, ...], held: Path, tmp_path: Path
) -> None:
    """It decides as ever, and the mixture is scored but no model; without probabilities it is refused."""
    for name, options in (("svm", {"probabilities": True}), ("plain", {})):
        stage("svm", dataset, tmp_path / name, options, train=held)
    told = np.load(tmp_path / "svm" / DEV)
    train = read_split(held / "train.txt", dataset.labels)
    assert np.array_equal(told.argmax(axis=1), svm(train, dataset.dev, len(dataset.labels), 1))
    for how in ("mean", "vote", "stack", "first"):
        summary = run(dataset, tmp_path / how, how, (fellows[0], tmp_path / "svm"), held)
        assert not (tmp_path / how / "config.json").exists()
        assert summary["parameters"] == 0
        found = unpack_probabilities(summary["evaluation"]["probabilities"], len(dataset.dev), len(dataset.labels))
        net = load_classifier(fellows[0])
        rows = encode(net.tokenizer, dataset.dev.texts, 48)
        both = [probabilities(network_logits(net.network), rows, net.tokenizer.pad_token_id), told]
        expected = (vote if how == "vote" else mean)(both, summary["shares"])
        assert np.abs(found - expected).max() < 1 / 500
    for how, member, words in (
        ("soup", "svm", "soup: a member is no net"),
        ("mean", "plain", "a member has no probabilities"),
    ):
        with pytest.raises(UserError, match=words):
            run(dataset, tmp_path / f"{how}-{member}", how, (fellows[0], tmp_path / member))


def test_margins_become_probabilities_that_fit() -> None:
    """Of margins drawn with a known factor that factor is found; a class without a text has no probability."""
    rng = np.random.default_rng(4)
    drawn = rng.normal(0, 1, (4000, 3))
    labels = (drawn * 3.8 + rng.gumbel(size=drawn.shape)).argmax(axis=1)
    assert fit_scale(drawn, labels) == pytest.approx(3.8, rel=0.1)
    two = margins(Split(("甲乙", "丙丁", "甲丙", "丁丁"), (0, 2, 0, 2)), ("甲", "丁"), 3, 1)
    assert as_probabilities(two, 4.0)[:, 1].tolist() == [0, 0]
    assert two.argmax(axis=1).tolist() == [0, 2]


def test_seeds_are_disjoint_and_of_one_net() -> None:
    """On one net seed s takes 3s - 2 to 3s; on two every member descends from the net of its ensemble."""
    assert [member_seeds(seed, 3, 1) for seed in (1, 2)] == [(1, 2, 3), (4, 5, 6)]
    for members, nets in ((3, 2), (2, 2), (4, 3)):
        taken = [member_seeds(seed, members, nets) for seed in range(1, 13)]
        every = [one for seeds in taken for one in seeds]
        assert sorted(every) == [*range(1, 12 * members + 1)]
        for seed, seeds in enumerate(taken, start=1):
            assert {net_of(one, nets) for one in seeds} == {net_of(seed, nets)}
    with pytest.raises(UserError, match="seed 0 has no members"):
        member_seeds(0, 3, 1)


def test_a_plan_has_a_member_for_each_seed(path: Path, profile: Profile) -> None:
    """Three fine-tunings of three seeds of one pretrained net, and a student that goes on from their ensemble."""
    last = plan(load_table(path), "student", profile, 2, SOURCES)
    assert [one.name for one in last.chain()] == ["pretrain", "finetune", "finetune", "finetune", "fuse", "distill"]
    (fuse,) = last.parents()
    assert [one.seed for one in fuse.parents()] == [2, 4, 6]
    assert last.identity["inputs"]["model"] == fuse.key
    assert "train" in last.identity["inputs"]
    assert fuse.options == {"how": "mean", "max_seq_length": 64}
    # Neither the rows' names nor their number is part of what is made.
    assert set(fuse.identity["options"]) == {"max_seq_length"}
    assert len({plan(load_table(path), "three", profile, seed, SOURCES).key for seed in (1, 2, 3)}) == 3


def test_a_profile_runs_as_many_ensembles_as_its_seeds_give(path: Path, profile: Profile) -> None:
    """Thirteen seeds on two nets give two ensembles of three on each; named seeds are run as they are."""
    table = load_table(path)
    assert seeds_of(table, "three", profile) == seeds_of(table, "student", profile) == (1, 2, 3, 4)
    assert seeds_of(table, "both", profile) == profile.seeds
    assert seeds_of(table, "three", profile.changed(seeds=(9,))) == (9,)
    assert not table.row("net").runs_under("smoke")
    six = seeds_of(load_tables()["fusion"], "prune-2-3-mean", load_profile("small"))
    assert six == (1, 2, 3, 4, 5, 6)


def test_it_runs_is_stored_and_recorded(path: Path, dataset: Dataset, data_folder: Path, tmp_path: Path) -> None:
    """A row of seeds, a student of it and a mixture with the SVM end well; what was made is not made again."""
    smoke = load_profile("smoke")
    options = {
        **smoke.options,
        "pretrain": {**smoke.options["pretrain"], "passes": 1},
        "finetune": {**smoke.options["finetune"], "epochs": 1},
    }
    profile = replace(smoke, dataset=str(data_folder), unlabelled=str(data_folder / "data.txt"), options=options)
    table = load_table(path)
    runner = Runner(profile, Store(tmp_path / "store"), quiet=True, offline=True)
    for row in ("student", "three", "both"):
        record = runner.run(table, row, 1)
        assert (record.status, record.reason) == ("ok", ""), row
        assert read_record(runner.keep(record)) == record
        assert record.pretrained == record.stages[0]["summary"]["weights"]
    assert len(list(runner.store.artefacts())) == 1 + 3 + 1 + 1 + 1 + 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('of = ["net"], members = 3', 'of = ["nobody"], members = 3', "no row 'nobody'"),
        ('of = ["net"], members = 3', 'of = ["net", "net"]', "recipe.1.of: a row twice"),
        ('of = ["net"], members = 3', 'of = ["net"], members = 0', "members: not 1 to 100: 0"),
        ('of = ["net"], members = 3', 'of = ["net"], members = 101', "members: not 1 to 100: 101"),
        ('of = ["net"], members = 3', "members = 3", "members: say whose in `of`"),
        ('id = "three"', 'id = "three"\nparent = "net"', "parent: name it in `of`"),
        ('stage = "finetune"', 'stage = "finetune", of = ["svm"]', "of: only the first stage of a recipe"),
        ("members = 3 }]", 'members = 3 }, { stage = "fuse", of = ["svm"] }]', "2.of: only the first stage"),
        (
            'parent = "three"\nrecipe = [',
            'recipe = [{ stage = "fuse", of = ["three"], members = 2 }, ',
            "members already",
        ),
        ('how = "vote"', 'how = "median"', "'median'; choose one of mean"),
    ],
)
def test_rows_that_make_no_sense_are_refused(path: Path, profile: Profile, old: str, new: str, words: str) -> None:
    """One line that says which row, and which key."""
    path.write_text(TABLE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError, match=words):
        plan(load_table(path), "both", profile, 1, SOURCES)


def test_nothing_can_be_made_of_mere_scores(path: Path, profile: Profile) -> None:
    """A student of a mixture that is no model is refused before anything runs."""
    path.write_text(TABLE.replace('parent = "three"', 'parent = "both"'), encoding="utf-8")
    with pytest.raises(UserError, match="nothing before it gives its model"):
        plan(load_table(path), "student", profile, 1, SOURCES)


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_the_command_fuses_ones_own_models(
    fellows: tuple[Path, ...], dataset: Dataset, held: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mean and a stack are written and labelled with; the shares are printed beside the models."""
    models = [str(one) for one in fellows]
    assert main(["fuse", *models, "--save_dir", str(tmp_path / "mean"), "--max_seq_length", "48"]) == 0
    assert capsys.readouterr().out.count("0.3333  ") == 3
    line = ["fuse", *models, "--how", "stack", "--held", str(held / "held.txt"), "--max_seq_length", "48"]
    assert main([*line, "--save_dir", str(tmp_path / "stack")]) == 0
    shares = [float(line.split()[0]) for line in capsys.readouterr().out.splitlines()[:3]]
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert main(["predict", "--params_path", str(tmp_path / "mean"), "--text", "胃疼怎么办", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["label"] in dataset.labels


@pytest.mark.parametrize(
    ("words", "told_of"),
    [
        ("{0}", "1 to fuse"),
        ("{0} {0}", "named twice"),
        ("{0} {1} --how stack", "no member was trained on"),
        ("{0} {1} --held {held}", "--held is for stack and greedy"),
        ("{0} {1} --max_seq_length 4000", "max_seq_length is 4000"),
        ("{0} {half} --how soup", "of one shape"),
        ("{0} {none}", "no such model folder"),
        ("{0} {labels}", "its labels are not those of"),
        ("{0} {tokens}", "its tokenizer is not that of"),
        ("{0} {1} --how median", "invalid choice"),
    ],
)
def test_the_command_refuses_in_one_line(
    words: str,
    told_of: str,
    fellows: tuple[Path, ...],
    pruned: Any,
    held: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, and nothing is written."""
    places = {"held": held / "held.txt", "half": pruned.folder, "none": tmp_path / "none"}
    for name, old, files in (("labels", "其他", ("label.txt", "config.json")), ("tokens", "胃", ("vocab.txt",))):
        places[name] = shutil.copytree(fellows[1], tmp_path / name)
        for path in (places[name] / file for file in files):
            text = path.read_text(encoding="utf-8")
            assert old in text
            path.write_text(text.replace(old, "龘"), encoding="utf-8")
    line = [word.format(*fellows, **places) for word in words.split()]
    try:
        code = main(["fuse", *line, "--save_dir", str(tmp_path / "out")])
    except SystemExit as stop:
        code = int(stop.code or 0)
    assert code == 2
    assert told_of in told(capsys)
    assert not (tmp_path / "out").exists()


def test_several_teachers_teach_one_student(
    fellows: tuple[Path, ...], data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`distill --teacher A B` learns from the mean of both: its teacher's accuracy is the ensemble's."""
    line = "--student bow --copies 0 --unlabelled_per_text 0 --epochs 1 --max_seq_length 48 --batch_size 50"
    teachers = [str(one) for one in fellows[:2]]
    given = ["--dataset_dir", str(data_folder), "--output_dir", str(tmp_path / "student"), *line.split()]
    assert main(["distill", "--teacher", *teachers, *given]) == 0
    said = capsys.readouterr().out
    assert main(["fuse", *teachers, "--save_dir", str(tmp_path / "both"), "--max_seq_length", "48"]) == 0
    capsys.readouterr()
    given = ["--dataset_dir", str(data_folder), "--output_dir", str(tmp_path / "again"), *line.split()]
    assert main(["distill", "--teacher", str(tmp_path / "both"), *given]) == 0
    again = capsys.readouterr().out
    assert said.replace(str(tmp_path / "student"), "") == again.replace(str(tmp_path / "again"), "")
    assert main(["distill", "--teacher", teachers[0], teachers[0], *given]) == 2
    assert "named twice" in told(capsys)
