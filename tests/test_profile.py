"""Profiles load or are refused with file and key, and every setting that they name exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicate.common.errors import UserError
from replicate.stages.finetune import FinetuneOptions
from replicate.stages.kind import options_of
from replicate.tables.profile import load_profile, profile_ids
from tests.settings import check_options

VALID = """
schema = 1
id = "mine"
question = "Does it load?"
comparable = false
reason = "a test"
device = "cpu"
dataset = "generated"
seeds = [1, 2]
tables = ["ernie3_kuake_qic"]
unlabelled = "generated"

[pretrain]
architecture = { hidden_size = 24 }
"""


def test_the_profiles_are_there() -> None:
    """Only the two of published tables may be compared with published values, and all say what they ask."""
    assert profile_ids() == ("auto", "exploratory", "paper", "paper-multi-class", "small", "smoke")
    profiles = [load_profile(name) for name in profile_ids()]
    assert [profile.id for profile in profiles if profile.comparable] == ["paper", "paper-multi-class"]
    assert all(profile.question and (profile.comparable or profile.reason) for profile in profiles)
    assert 3 in load_profile("paper").seeds


@pytest.mark.parametrize("name", profile_ids())
def test_every_setting_exists(name: str) -> None:
    """No profile names a setting that its stage lacks, or a value that the stage refuses."""
    for stage, options in load_profile(name).options.items():
        check_options(stage, dict(options))


def test_unknown_setting_is_refused() -> None:
    """A misspelt setting is named, beside those that exist."""
    with pytest.raises(UserError, match="FinetuneOptions has no setting 'epoch'; settings: learning_rate, "):
        options_of(FinetuneOptions, {"epoch": 3})


def test_valid_file_loads(tmp_path: Path) -> None:
    """What the file says is what the profile holds."""
    (tmp_path / "mine.toml").write_text(VALID, encoding="utf-8")
    profile = load_profile("mine", tmp_path)
    assert (profile.seeds, profile.model, profile.unlabelled, profile.device) == ((1, 2), None, "generated", "cpu")
    assert profile.options == {"pretrain": {"architecture": {"hidden_size": 24}}}
    assert profile.nets == 1
    (tmp_path / "mine.toml").write_text(VALID.replace("seeds", "nets = 2\nseeds"), encoding="utf-8")
    assert load_profile("mine", tmp_path).nets == 2


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("schema = 1", "schema = 2", "schema"),
        ("schema = 1", "", "schema"),
        ('id = "mine"', 'id = "yours"', "id"),
        ('id = "mine"', 'id = "Mine!"', "id"),
        ('question = "Does it load?"', "", "question"),
        ("comparable = false", 'comparable = "no"', "comparable"),
        ('reason = "a test"', "", "reason"),
        ('reason = "a test"', 'reason = " "', "reason"),
        ('device = "cpu"', 'device = "tpu"', "device"),
        ('dataset = "generated"', "dataset = 1", "dataset"),
        ("seeds = [1, 2]", "seeds = []", "seeds"),
        ("seeds = [1, 2]", "seeds = [1, 1]", "seeds"),
        ("seeds = [1, 2]", "seeds = [-1]", "seeds"),
        ("seeds = [1, 2]", "seeds = [true]", "seeds"),
        ("seeds = [1, 2]", "seeds = 1", "seeds"),
        ('tables = ["ernie3_kuake_qic"]', "tables = []", "tables"),
        ('unlabelled = "generated"', "", "model"),
        ('unlabelled = "generated"', 'unlabelled = "generated"\nmodel = "ernie-3.0-base-zh"', "model"),
        ("seeds = [1, 2]", "seeds = [1, 2]\nnets = 0", "nets"),
        ("seeds = [1, 2]", 'seeds = [1, 2]\nnets = "two"', "nets"),
        (VALID[VALID.index("unlabelled") :], 'model = "m"\nnets = 2', "nets"),
        ("[pretrain]", "[pretraining]", "pretraining"),
        ("[pretrain]", "[[pretrain]]", "pretrain"),
    ],
)
def test_complaint_names_file_and_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    """Each fault is one line that starts with the file and then the key."""
    assert old in VALID
    path = tmp_path / "mine.toml"
    path.write_text(VALID.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_profile("mine", tmp_path)
    assert str(caught.value).startswith(f"{path}: {key}: ")


def test_small_is_exploratory_on_two_nets() -> None:
    """Not one setting differs but the seed of pretraining: no net of `small` had been seen when its plan was made.

    Those of few labels are its own: no row of `exploratory` asks for them.
    """
    small, first = load_profile("small"), load_profile("exploratory")
    assert (small.nets, first.nets) == (2, 1)
    pretrain = dict(small.options["pretrain"])
    assert pretrain.pop("seed") == 1
    assert set(small.options) - set(first.options) == {"prompt", "contrast", "pseudo", "head"}
    shared = {stage: settings for stage, settings in small.options.items() if stage in first.options}
    assert first.options == {**shared, "pretrain": pretrain}
    assert (small.dataset, small.unlabelled, small.device) == (first.dataset, first.unlabelled, first.device)
    assert small.seeds == tuple(range(1, 21))


def test_bad_toml_is_refused(tmp_path: Path) -> None:
    """A file that is not TOML, or not UTF-8, is named."""
    for data in (b"schema = ", b"\xff"):
        (tmp_path / "mine.toml").write_bytes(data)
        with pytest.raises(UserError, match=r"mine\.toml"):
            load_profile("mine", tmp_path)


@pytest.mark.parametrize("name", ["huge", "", "../profiles/smoke"])
def test_unknown_profile_names_the_known(name: str) -> None:
    """A name that is none, a path included, is answered with those that exist."""
    with pytest.raises(UserError, match="profiles: auto, exploratory, paper, paper-multi-class, small, smoke"):
        load_profile(name)


def test_command_line_overrides() -> None:
    """Seeds and device change nothing else; another data set ends comparability and says so."""
    paper = load_profile("paper")
    assert paper.changed() == paper
    other = paper.changed(seeds=(9,), device="cpu")
    assert (other.seeds, other.device, other.comparable) == ((9,), "cpu", True)
    foreign = paper.changed(dataset="folder")
    assert not foreign.comparable
    assert "another data set" in foreign.reason
    # A folder, whatever it is called.
    namesake = paper.changed(dataset="kuake-qic")
    assert (namesake.dataset, namesake.comparable) == ("./kuake-qic", False)
