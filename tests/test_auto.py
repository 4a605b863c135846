"""`--profile auto`: what a budget holds on somebody's own data, that it is said and kept, and that it runs."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest

from replicate.commands import auto
from replicate.commands.auto import about_nets, budget_of
from replicate.commands.main import main
from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset, Split, write_dataset
from replicate.corpus.generated import generate
from replicate.corpus.unlabelled import UNLABELLED
from replicate.records.run import read_records
from replicate.runs.ask import selected
from replicate.runs.chosen import keep_choice, read_choice
from replicate.runs.plan import Sources, plan
from replicate.tables.auto import (
    AUTO,
    GROUPS,
    LENGTHS,
    MOST_SEEDS,
    PLANNED,
    SIZES,
    Choice,
    Facts,
    Size,
    Speed,
    budget_of_all,
    choose,
    facts_of,
    profile_of,
    seconds_of,
    told,
)
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile
from replicate.timing.step import Pace, pace_of, pace_of_student

TABLES = load_tables()
PROFILE = load_profile(AUTO)
# 6,000 lines of 20 characters and 10 classes, a fifth of them dev, on a quiet machine of two cores.
FACTS = Facts(4800, 1200, 4800, 10, 2000, 22, 22.0, 22.0, 0, True)
SPEED = Speed((Pace(1e-3, 3e-4), Pace(2.5e-3, 8e-4), Pace(6e-3, 2e-3)), Pace(8e-4, 3e-4), processes=2)
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.mark.parametrize("budget", [300.0, 900.0, 3600.0, 36_000.0])
@pytest.mark.parametrize("lines", [300, 6000, 60_000])
def test_a_choice_fits_its_budget(budget: float, lines: int, tmp_path: Path) -> None:
    """Within the share that is planned, with the seconds that it says; no more seed or pass fits; it is kept."""
    facts = replace(FACTS, train=lines, lines=lines)
    found = choose(facts, budget, SPEED)
    assert found.seconds == seconds_of(found, facts, SPEED)
    keep_choice(found, tmp_path)
    assert read_choice(tmp_path) == found
    if found.groups > 1:
        assert found.seconds <= PLANNED * budget
        assert found.seeds >= 3
        # On two processes an odd number of seeds takes as long as the next even one.
        assert found.seeds == MOST_SEEDS or found.seeds % 2 == 0
        more = replace(found, passes=found.passes + min(1, 30_000 / lines))
        assert found.passes == 30 or seconds_of(more, facts, SPEED) > PLANNED * budget


def test_more_time_asks_more() -> None:
    """Questions first, in their order, then a larger net and more seeds; a quarter of an hour holds every question."""
    found = [choose(FACTS, budget, SPEED) for budget in (60.0, 200.0, 900.0, 7200.0)]
    assert [one.groups for one in found] == sorted(one.groups for one in found)
    assert (found[0].groups, found[2].groups) == (1, len(GROUPS))
    assert found[2].seconds < 900
    assert found[3].seeds == MOST_SEEDS
    needed = budget_of_all(FACTS, SPEED)
    assert choose(FACTS, needed + 1, SPEED).groups == len(GROUPS)
    assert choose(FACTS, needed - 1, SPEED).groups < len(GROUPS)


def test_a_larger_net_takes_text_and_time() -> None:
    """A net that the text can't fill is not chosen for any budget, nor one that a slow machine can't train."""
    assert choose(FACTS, 1e6, SPEED).size == 0
    assert choose(replace(FACTS, lines=30_000), 1e6, SPEED).size == 1
    assert choose(replace(FACTS, lines=300_000), 1e6, SPEED).size == 2
    slow = Speed(tuple(Pace(9 * one.train, 9 * one.label) for one in SPEED.nets), SPEED.student)
    found = choose(replace(FACTS, lines=30_000), 9000.0, slow)
    assert (found.size, found.groups) == (0, len(GROUPS))


def test_length_and_way_follow_the_texts() -> None:
    """A net reads as much as 95 of 100 texts have; synonyms are for Chinese; few lines are read more often."""
    found = [choose(replace(FACTS, length=length), 3600, SPEED).length for length in (3, 32, 33, 90, 5000)]
    assert found == [32, 32, 64, 128, 128]
    assert [choose(replace(FACTS, chinese=one), 3600, SPEED).way for one in (True, False)] == ["synonym", "unk"]
    assert [choose(replace(FACTS, train=train), 1e5, SPEED).epochs for train in (100, 3000, 60_000)] == [10, 6, 3]
    # Of much text a part is as much as all of little.
    assert choose(replace(FACTS, lines=3_000_000), 900.0, SPEED).passes < 0.5
    assert [choose(replace(FACTS, spare=spare), 3600, SPEED).spare for spare in (0, 4799, 4800)] == [False, False, True]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", ["synonym", "unk"])
@pytest.mark.parametrize("spare", [True, False])
def test_every_choice_can_be_planned(size: Size, way: str, spare: bool) -> None:
    """All of its rows, with the settings that it has."""
    chosen = Choice(900.0, SIZES.index(size), 64, 5.0, 4, 3, len(GROUPS), way, spare)
    profile = profile_of(PROFILE, chosen)
    assert profile.seeds == (1, 2, 3)
    rows = [*selected(TABLES, profile, chosen.rows)]
    assert {f"{table.id}/{row}" for table, row in rows} == {*chosen.rows}
    stages = [stage for table, row in rows for stage in plan(table, row, profile, 1, Sources({}, "u", {})).chain()]
    assert {stage.options["max_seq_length"] for stage in stages if "max_seq_length" in stage.options} == {64}
    assert {stage.options["passes"] for stage in stages if stage.name == "pretrain"} == {5}
    assert {stage.options["epochs"] for stage in stages if stage.name == "finetune"} == {4}
    assert {tuple(stage.options["mix"]) for stage in stages if stage.name == "augment"} == {(way,)}
    # A student sees as many texts as its control, whatever they are.
    distilled, hard = (one for one in {one.key: one for one in stages if one.name == "distill"}.values())
    sides = [
        (1 + one.options["copies"] + one.options["unlabelled"]) * one.options["epochs"] for one in (distilled, hard)
    ]
    assert sides[0] == sides[1] == 12
    assert distilled.options["evaluations_per_epoch"] * distilled.options["epochs"] == 36
    assert hard.options["evaluations_per_epoch"] * hard.options["epochs"] == 36


def test_facts_are_those_of_the_data() -> None:
    """Counted by hand; a text of thousands of characters counts as what a net reads of it."""
    train = Split(("胃疼 吃什么", "x" * 5000, "a b"), (0, 1, 0))
    found = facts_of(Dataset("d", ("a", "b"), train, Split(("?",), (0,))), ("胃疼", "胃"), 7)
    assert found == Facts(3, 1, 2, 2, 2, 7, (4 + 7 + LENGTHS[-1]) / 3, 3.5, 7, False)
    assert facts_of(Dataset("d", ("a",), Split(("胃疼x",), (0,)), Split(("?",), (0,))), (), 0).chinese


def test_it_is_said_before_it_starts() -> None:
    """How long it takes, what is left out, and the budget that would hold it."""
    (first, second, third) = told(choose(FACTS, 200.0, SPEED), FACTS, SPEED)
    assert "4800 training texts" in first
    assert "3 min" in second
    assert "distillation" in third
    budget = budget_of(third.rpartition("--budget ")[2].split()[0])
    assert choose(FACTS, budget, SPEED).groups == len(GROUPS)
    assert len([*told(choose(FACTS, budget, SPEED), FACTS, SPEED)]) == 2
    assert len([*told(choose(FACTS, 200.0, SPEED), FACTS, SPEED, whole=False)]) == 1
    assert "baseline" in next(told(choose(FACTS, 60.0, SPEED), FACTS, SPEED))


@pytest.mark.parametrize(
    ("text", "seconds"), [("30m", 1800), ("90s", 90), ("2h", 7200), ("1h30m", 5400), ("1h1s", 3601)]
)
def test_a_budget(text: str, seconds: float) -> None:
    """Hours, minutes and seconds."""
    assert budget_of(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "0m", "-1m", "1.5h", "30m2h", "9999h", "30 m", "٣m"])
def test_what_is_no_budget(text: str) -> None:
    """Refused by argparse."""
    with pytest.raises(argparse.ArgumentTypeError, match="is not a time"):
        budget_of(text)


def test_paces_are_measured() -> None:
    """A larger net and longer texts take longer, and labelling less than learning."""
    small, large = (pace_of({**TINY, "hidden_size": width}, 50, 3, 64) for width in (16, 512))
    assert 0 < small.label < large.label < large.train
    student = pace_of_student("cnn", 50, 3, 16, 64)
    assert 0 < student.label < student.train


def test_what_was_chosen_stays(tmp_path: Path) -> None:
    """As it was written; one by another hand is one line."""
    chosen = choose(FACTS, 900.0, SPEED)
    assert read_choice(tmp_path) is None
    path = keep_choice(chosen, tmp_path)
    assert read_choice(tmp_path) == chosen
    assert read_records(tmp_path) == []
    for change in (
        {"size": 9},
        {"passes": 0.0},
        {"passes": "3"},
        {"length": 7},
        {"seeds": 0},
        {"groups": 6},
        {"seeds": True},
        {"more": 1},
        {"schema": 2},
    ):
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}), encoding="utf-8")
        with pytest.raises(UserError, match=r"choice\.json: not what was chosen.*delete it"):
            read_choice(tmp_path)
        keep_choice(chosen, tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "passes": 3}), encoding="utf-8")
    assert read_choice(tmp_path) == replace(chosen, passes=3.0)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match="not what was chosen"):
        read_choice(tmp_path)


def test_rows_that_are_about_nets() -> None:
    """For the linear baseline alone there is nothing to choose."""
    assert about_nets(TABLES, ())
    assert about_nets(TABLES, ("svm", "cnn-hard-12"))
    assert not about_nets(TABLES, ("svm", "ernie3_kuake_qic/svm"))


def test_own_data_from_a_file_to_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Chosen, said, kept, run, reported; a second run keeps the choice, and another budget chooses anew."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    monkeypatch.delenv(UNLABELLED, raising=False)
    made = generate(examples_train=60, examples_dev=30)
    write_dataset(replace(made, unlabelled=()), tmp_path / "mine")
    tiny = replace(SIZES[0], architecture=TINY)
    monkeypatch.setattr("replicate.tables.auto.SIZES", (tiny, *SIZES[1:]))
    monkeypatch.setattr(auto, "measured", lambda *_: SPEED)
    words = ["run", "--dataset_dir", str(tmp_path / "mine"), "--quiet", "--processes", "1"]
    assert main([*words, "--budget", "2m", "--dry-run"]) == 0
    assert "auto: this takes" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
    assert main([*words, "--seeds", "1", "--budget", "20s"]) == 0
    (folder,) = (tmp_path / "store" / "records-of").iterdir()
    # Of one seed it doesn't say how long the seeds take that it would have chosen.
    assert "auto: this takes" not in capsys.readouterr().err
    records = read_records(folder)
    assert {one.row for one in records} >= {"svm"}
    assert all(one.status == "ok" and one.profile == AUTO for one in records)
    assert (folder / "report.html").exists()
    before = read_choice(folder)
    assert main([*words, "--seeds", "1"]) == 0
    assert "chosen before" in capsys.readouterr().err
    assert read_choice(folder) == before
    assert main([*words, "--budget", "9m", "--dry-run"]) == 0
    assert "chosen before" not in capsys.readouterr().err
    assert read_choice(folder) == before


def test_one_at_a_time_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU one a core, and never so many that they fill the memory."""
    for there, wanted in ((1, 1), (2, 2), (64, 4)):
        monkeypatch.setattr(auto, "cores", lambda there=there: there)
        assert (auto.seeds_at_once("cpu"), auto.seeds_at_once("gpu")) == (wanted, 1)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("--profile auto", "for your own data; name them with --dataset_dir"),
        ("svm --profile auto", "for your own data; name them with --dataset_dir"),
    ],
)
def test_auto_is_for_own_data(words: str, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused in one line, before anything runs."""
    assert main(["run", *words.split()]) == 2
    told = capsys.readouterr().err
    assert wanted in told
    assert told.count("\n") == 1
