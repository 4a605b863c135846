"""A row's stages, and the keys under which their results are kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import pytest

from replicate.common.errors import UserError
from replicate.records.run import Record, load_records
from replicate.runs.ask import selected
from replicate.runs.plan import Sources, Stage, plan
from replicate.stages.registry import KINDS
from replicate.tables.file import load_tables
from replicate.tables.profile import Profile, load_profile, profile_ids
from replicate.tables.table import ResultsTable
from tests.settings import check_options

TABLES = load_tables()
ARTICLE = TABLES["ernie3_kuake_qic"]
SOURCES = Sources({"train": "t", "dev": "d", "labels": "l"}, "u", {"paddlepaddle": "2.6.2"})
SMOKE = load_profile("smoke")


def stages(
    row: str, seed: int = 1, profile: Profile = SMOKE, sources: Sources = SOURCES, table: ResultsTable = ARTICLE
) -> dict[str, Stage]:
    """The stages of a row, in order."""
    return {stage.name: stage for stage in plan(table, row, profile, seed, sources).chain()}


def keys(row: str, seed: int = 1, **changes: Any) -> dict[str, str]:
    """The keys of a row's stages."""
    return {name: stage.key for name, stage in stages(row, seed, **changes).items()}


def with_option(stage: str, **options: Any) -> Profile:
    """The smoke profile with other settings of one stage."""
    changed: Mapping[str, Any] = {**SMOKE.options, stage: {**SMOKE.options.get(stage, {}), **options}}
    return replace(SMOKE, options=changed)


@pytest.mark.parametrize("name", profile_ids())
def test_every_row_plans(name: str) -> None:
    """Each row that a profile runs is a chain of known stages, with settings that exist, up to one that is scored."""
    profile = load_profile(name)
    rows = list(selected(TABLES, profile, ()))
    assert len(rows) >= 5
    for table, row in rows:
        chain = list(plan(table, row, profile, profile.seeds[0], SOURCES).chain())
        assert chain[-1].name in ("finetune", "prune", "distill", "fuse", "svm", "linear", "prompt", "head")
        assert len({stage.key for stage in chain}) == len(chain)
        for stage in chain:
            assert re.fullmatch(r"[0-9a-f]{32}", stage.key)
            check_options(stage.name, dict(stage.passed))


@pytest.mark.parametrize(
    ("row_id", "names"),
    [
        ("base", ["pretrain", "finetune"]),
        ("augment", ["augment", "pretrain", "finetune"]),
        ("prune-1-2", ["augment", "pretrain", "finetune", "prune"]),
        ("svm", ["svm"]),
    ],
)
def test_stages_come_before_those_that_need_them(row_id: str, names: list[str]) -> None:
    """The chain holds each stage once, sources first."""
    assert list(stages(row_id)) == names


def test_pruning_reads_the_augmented_model_and_set() -> None:
    """As the article did: the parent is the augmented row's model, and the examples are the augmented ones."""
    pruned, parent = stages("prune-1-2"), stages("augment")
    assert [one.key for one in pruned["prune"].parents()] == [parent["augment"].key, parent["finetune"].key]
    assert set(pruned["prune"].sources) == {"train", "model"}
    assert "train" not in stages("base")["finetune"].sources


def test_rows_share_what_is_the_same() -> None:
    """Among the rows of a seed there is one pretraining, one augmentation and one augmented model."""
    augment, half, third = keys("augment"), keys("prune-1-2"), keys("prune-2-3")
    assert augment["augment"] == half["augment"] == third["augment"]
    assert augment["finetune"] == half["finetune"] == third["finetune"]
    assert keys("base")["pretrain"] == augment["pretrain"] == third["pretrain"]
    assert half["prune"] != third["prune"]
    assert keys("base")["finetune"] != augment["finetune"]


def test_seeds_share_pretraining_only() -> None:
    """Pretraining is the same for every seed, everything after it is not."""
    one, two = keys("prune-1-2", 1), keys("prune-1-2", 2)
    assert {name for name in one if one[name] == two[name]} == {"pretrain"}
    assert stages("base")["pretrain"].seed is None
    assert stages("base", 2)["finetune"].seed == 2


@pytest.mark.parametrize(
    ("stage", "option", "changed"),
    [
        ("pretrain", {"passes": 7}, {"pretrain", "finetune", "prune"}),
        ("augment", {"copies": 3}, {"augment", "finetune", "prune"}),
        ("finetune", {"epochs": 7}, {"finetune", "prune"}),
        ("prune", {"save_steps": 51}, {"prune"}),
    ],
)
def test_setting_changes_keys_from_its_stage_on(stage: str, option: dict[str, Any], changed: set[str]) -> None:
    """A changed setting gives a new key to its stage and to all that build on it, and to no other."""
    before, after = keys("prune-1-2"), keys("prune-1-2", profile=with_option(stage, **option))
    assert {name for name in before if before[name] != after[name]} == changed


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"digests": {**SOURCES.digests, "train": "other"}}, {"augment", "finetune", "prune"}),
        ({"digests": {**SOURCES.digests, "dev": "other"}}, {"augment", "finetune", "prune"}),
        ({"unlabelled": "other"}, {"pretrain", "finetune", "prune"}),
        ({"environment": {"paddlepaddle": "2.6.3"}}, {"pretrain", "augment", "finetune", "prune"}),
    ],
)
def test_sources_change_keys(changes: dict[str, Any], changed: set[str]) -> None:
    """Other data, other text or other packages give new keys to what depends on them."""
    before, after = keys("prune-1-2"), keys("prune-1-2", sources=replace(SOURCES, **changes))
    assert {name for name in before if before[name] != after[name]} == changed


def test_device_changes_keys_and_seeds_of_the_profile_do_not() -> None:
    """A result of a GPU is not reused on a CPU; how many seeds a profile runs is nobody's key."""
    assert not set(keys("prune-1-2").values()) & set(keys("prune-1-2", profile=SMOKE.changed(device="gpu")).values())
    assert keys("prune-1-2", profile=SMOKE.changed(seeds=(7, 8))) == keys("prune-1-2")


def test_gpus_are_one_kind_of_device() -> None:
    """Which of several GPUs a stage runs on is no part of what it is."""
    one, other = SMOKE.changed(device="gpu"), SMOKE.changed(device="gpu:1")
    assert keys("prune-1-2", profile=one) == keys("prune-1-2", profile=other)


def test_threads_are_part_of_what_is_trained() -> None:
    """Another number gives another net on a CPU: one, of the first results, is in no key; a GPU doesn't mind."""
    two = replace(SOURCES, threads=2)
    one, other = keys("prune-1-2"), keys("prune-1-2", sources=two)
    assert {name for name in one if one[name] != other[name]} == {"pretrain", "finetune", "prune"}
    assert "threads" not in stages("base")["finetune"].identity
    assert stages("base", sources=two)["finetune"].identity["threads"] == 2
    assert keys("svm") == keys("svm", sources=two)
    gpu = SMOKE.changed(device="gpu")
    assert keys("base", profile=gpu) == keys("base", profile=gpu, sources=two)


def test_a_net_of_the_checkout_is_taken_whatever_the_threads() -> None:
    """What was pretrained once is not pretrained again by a machine that names another number."""
    two = replace(SOURCES, threads=2, carried=lambda stage: stage.name == "pretrain")
    found = stages("base", sources=two)
    assert found["pretrain"].key == keys("base")["pretrain"]
    assert found["finetune"].key not in (
        keys("base")["finetune"],
        keys("base", sources=replace(two, threads=3))["finetune"],
    )


def test_code_version_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage whose code means something else does not reuse older results."""
    before = keys("base")
    monkeypatch.setitem(KINDS, "finetune", replace(KINDS["finetune"], version=99))
    assert {name for name, key in keys("base").items() if key != before[name]} == {"finetune"}


def test_seeds_descend_from_the_nets_in_turn() -> None:
    """A profile of two nets keeps the keys of one net for every other seed, and pretrains one more for the rest."""
    two = replace(SMOKE, nets=2)
    for seed in (1, 3, 5):
        assert keys("prune-2-3", seed, profile=two) == keys("prune-2-3", seed)
    second = [keys("prune-2-3", seed, profile=two) for seed in (2, 4)]
    assert second[0]["pretrain"] == second[1]["pretrain"] != keys("prune-2-3")["pretrain"]
    assert second[0]["pretrain"] == keys("prune-2-3", profile=with_option("pretrain", seed=1))["pretrain"]
    assert second[0]["augment"] == keys("prune-2-3", 2)["augment"]
    again = replace(with_option("pretrain", seed=7), nets=2)
    assert stages("base", 2, profile=again)["pretrain"].options["seed"] == 8


def test_training_sets_are_made_from_each_other() -> None:
    """A sample is drawn before it is augmented, and the model is fine-tuned on what comes out."""
    small = load_profile("exploratory")
    found = stages("lines-500-mix", profile=small, table=TABLES["augmentation"])
    assert list(found) == ["sample", "augment", "pretrain", "finetune"]
    assert found["augment"].one("train") is found["sample"]
    assert found["finetune"].one("train") is found["augment"]
    whole = stages("augment", profile=small)
    assert whole["augment"].key != found["augment"].key
    assert whole["pretrain"].key == found["pretrain"].key


def test_augmentation_by_a_language_model_starts_from_it() -> None:
    """The pretrained net is part of that stage's identity, and of no other strategy's."""
    small = load_profile("exploratory")
    found = stages("ernie-replace", profile=small, table=TABLES["augmentation"])
    assert list(found) == ["pretrain", "augment", "finetune"]
    assert found["augment"].one("model") is found["finetune"].one("model") is found["pretrain"]
    assert "model" not in stages("unk", profile=small, table=TABLES["augmentation"])["augment"].sources


def test_a_package_changes_only_what_it_decides() -> None:
    """nlpcda's version belongs to its own strategies; a row that does not use it keeps what it has."""
    small, table = load_profile("exploratory"), TABLES["augmentation"]
    newer = replace(SOURCES, environment={**SOURCES.environment, "nlpcda": "3"})
    for row, changed in (("synonym", {"augment", "finetune"}), ("unk", set())):
        before, after = (keys(row, profile=small, table=table, sources=one) for one in (SOURCES, newer))
        assert {name for name in before if before[name] != after[name]} == changed


def distilled(row: str = "cnn-distilled", **changes: Any) -> dict[str, str]:
    """The keys of a row of the distillation table under `exploratory`."""
    return keys(row, table=TABLES["distillation"], **{"profile": load_profile("exploratory"), **changes})


def test_students_share_their_teacher() -> None:
    """All students of a seed learn from one fine-tuned net; student and control differ in the last stage only."""
    student, control, other = distilled(), distilled("cnn-hard"), distilled("ernie-distilled")
    assert list(student) == ["pretrain", "finetune", "distill"]
    assert student["finetune"] == control["finetune"] == other["finetune"]
    assert len({student["distill"], control["distill"], other["distill"]}) == 3


@pytest.mark.parametrize("part", ["unlabelled", "queries"])
def test_unlabelled_text_is_in_the_key_where_it_is_used(part: str) -> None:
    """Other unlabelled text makes another student, not another control; the profile's also pretrains the teacher."""
    changes: dict[str, Any] = {part: "other"}
    other = replace(SOURCES, **changes)
    paper = replace(load_profile("exploratory"), model="ernie-3.0-base-zh")
    for row, changed in (("cnn-distilled", {"distill"}), ("cnn-hard", set())):
        before, after = (distilled(row, profile=paper, sources=one) for one in (SOURCES, other))
        assert {name for name in before if before[name] != after[name]} == changed


def test_strategies_of_distillation_are_in_its_key() -> None:
    """A package that a strategy of the mix reads counts, as it does for augmentation."""
    small = load_profile("exploratory")
    profile = replace(small, options={**small.options, "distill": {**small.options["distill"], "mix": {"synonym": 1}}})
    newer = replace(SOURCES, environment={**SOURCES.environment, "nlpcda": "3"})
    before, after = (distilled(profile=profile, sources=one) for one in (SOURCES, newer))
    assert {name for name in before if before[name] != after[name]} == {"distill"}
    assert distilled(sources=newer) == distilled()


def test_row_overrides_the_profile() -> None:
    """The row's own settings win, the profile's fill the rest."""
    options = stages("augment", profile=with_option("finetune", select="accuracy"))["finetune"].options
    assert (options["select"], options["evaluations_per_epoch"], options["epochs"]) == ("f1", 5, 4)


def test_named_model_needs_no_pretraining() -> None:
    """A profile that starts from a PaddleNLP name has that name in the key instead."""
    paper = load_profile("paper")
    found = stages("augment", profile=paper)
    assert list(found) == ["augment", "finetune"]
    assert found["finetune"].identity["inputs"]["model"] == "ernie-3.0-base-zh"
    other = stages("augment", profile=replace(paper, model="ernie-3.0-nano-zh"))
    assert other["finetune"].key != found["finetune"].key


def test_content_of_a_named_model_is_in_the_key() -> None:
    """Another checkpoint under the same name is another net; what doesn't start from it stays."""
    paper = load_profile("paper")
    contents: tuple[Callable[[str], str], ...] = (lambda _: "", lambda _: "a" * 64, lambda _: "b" * 64)
    unknown, one, two = (
        stages("prune-1-2", profile=paper, sources=replace(SOURCES, content=content)) for content in contents
    )
    assert one["finetune"].identity["inputs"]["model"] == f"{paper.model}@{'a' * 64}"
    for name in ("finetune", "prune"):
        assert len({found[name].key for found in (unknown, one, two)}) == 3
    assert unknown["augment"].key == one["augment"].key == two["augment"].key


@pytest.mark.parametrize("record", load_records(), ids=lambda record: record.place)
def test_keys_of_committed_records_stay_valid(record: Record) -> None:
    """Of what each record says it was made of, the plan makes the keys that its stages were stored under."""
    inputs = [stage["inputs"] for stage in record.stages]
    sources = Sources(
        digests={part: record.digests[part] for part in ("train", "dev", "labels")},
        unlabelled=next((one["unlabelled"] for one in inputs if "unlabelled" in one), ""),
        environment={name.removesuffix("-gpu"): version for name, version in record.versions.items()},
        queries=next((one["queries"] for one in inputs if "queries" in one), ""),
    )
    last = plan(TABLES[record.table], record.row, load_profile(record.profile), record.seed, sources)
    assert [(one.name, one.key) for one in last.chain()] == [(one["stage"], one["key"]) for one in record.stages]


@pytest.mark.parametrize("name", KINDS)
def test_every_default_is_in_the_key(name: str) -> None:
    """With another default a stage has another key, though nobody named it; the first ones leave it as it was."""
    kind = KINDS[name]
    required: dict[str, dict[str, Any]] = {
        "pretrain": {"architecture": {}},
        "sample": {"examples": 1},
        "duplicate": {"copies": 1},
        "mislabel": {"examples": 1},
        "relabel": {"examples": 1},
        "shots": {"per_class": 1},
        "choose": {"examples": 1},
    }
    required |= {"augment": {"mix": {"unk": 1}}, "prune": {"width": "1/2"}, "distill": {"student": "cnn"}}
    passed = required.get(name, {})
    settings = asdict(kind.settings(passed))
    assert kind.keyed(settings, passed) == passed
    for setting, first in kind.frozen.items():
        other = replace(kind, frozen={**kind.frozen, setting: [first]})
        assert kind.keyed(settings, passed) | {setting: first} == other.keyed(settings, passed)


def test_row_without_a_recipe_says_why() -> None:
    """A row that isn't run is refused with its own reason."""
    row = replace(ARTICLE.row("base"), recipe=(), not_run="its training is not documented")
    table = replace(ARTICLE, rows=(row,), claims=())
    with pytest.raises(UserError, match=f"{row.id} is not run: {re.escape(row.not_run[:20])}"):
        plan(table, row.id, SMOKE, 1, SOURCES)
