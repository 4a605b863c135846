"""Run records: their JSON form, its validation, and what they capture of the environment."""

from __future__ import annotations

import base64
import json
import math
import subprocess
import sys
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate.commands import list as listings
from replicate.commands.main import main
from replicate.common.errors import UserError
from replicate.common.paths import MEASURED
from replicate.corpus.formats import MOST_LABELS
from replicate.records import facts, migrations
from replicate.records.run import (
    Record,
    check_fellows,
    load_records,
    pretrained_of,
    read_record,
    read_records,
    write_record,
)
from replicate.scores import packing
from replicate.scores.metrics import CELLS, confusion, count, matrix_of
from replicate.stages.registry import KINDS

GOLD = np.array([0, 0, 1, 1, 1, 2, 2, 2, 2, 2])
PREDICTED = np.array([0, 1, 1, 1, 2, 2, 2, 2, 2, 0])
# Of the predicted class; the other two share the rest.
CONFIDENCE = np.linspace(0.55, 1, 10)
PROBABILITY = np.where(np.arange(3) == PREDICTED[:, None], CONFIDENCE[:, None], (1 - CONFIDENCE[:, None]) / 2)
# A record as the first schema wrote it: a pruned net, whose engine its row names and whose depth nobody does.
SCHEMA_1 = MEASURED / "exploratory" / "compression" / "native-1-2" / "seed-1.json"


def example(**changes: Any) -> Record:
    """A record of ten dev examples and three labels."""
    whole = Record(
        table="article",
        row="base",
        profile="small",
        seed=3,
        status="ok",
        reason="",
        command=("replicate", "run", "base"),
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:01:00+00:00",
        commit="0" * 40,
        dirty=False,
        versions={"numpy": "1.26.4"},
        device={"kind": "cpu", "name": "a processor", "threads": 2},
        machine={"cpu": "a processor", "cores": 2, "memory_gib": 8.0, "platform": "Linux", "python": "3.11.7"},
        stages=(
            {
                "stage": "finetune",
                "key": "ab",
                "config": {"epochs": 1, "select": "f1"},
                "passed": {"epochs": 1},
                "inputs": {},
                "seconds": 1.5,
                "summary": {"history": [{"step": 1, "loss": math.nan, "confusion": [[1, 2], [3, 4]]}]},
            },
        ),
        digests={"train": "cd"},
        labels=("病情诊断", "治疗方案", "其他"),
        counts=count(GOLD, PREDICTED, 3),
        predictions=packing.pack_predictions(PREDICTED),
        correct=packing.pack_bits(GOLD == PREDICTED),
        confidence=packing.pack_confidence(CONFIDENCE),
        probabilities=packing.pack_probabilities(PROBABILITY),
        pretrained="ef",
        parameters=1234,
    )
    return replace(whole, **changes)


packed = packing.pack_probabilities


def softer(mask: np.ndarray) -> np.ndarray:
    """The probabilities, where `mask` has it such that the predicted class is the largest by little."""
    less = np.where(np.arange(3) == PREDICTED[:, None], 0.4, 0.3)
    return np.where(mask[:, None], less, PROBABILITY)


def spoil(path: Path, change: Any) -> None:
    """Rewrites a record's JSON after `change` has had its way with it."""
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def test_round_trip(tmp_path: Path) -> None:
    """What is written reads back the same (but NaN as None), in its place, and is the same bytes when written again."""
    path = write_record(example(), tmp_path)
    assert path == tmp_path / "small" / "article" / "base" / "seed-3.json"
    back = read_record(path)
    assert back.stages[0]["summary"]["history"][0]["loss"] is None
    assert replace(back, stages=()) == replace(example(), counts=back.counts, stages=())
    assert back.counts["confusion"] == [[1, 1, 0], [0, 2, 1], [1, 0, 4]]
    first = path.read_bytes()
    assert write_record(back, tmp_path).read_bytes() == first
    assert "治疗方案".encode() in first
    assert b"[1, 1, 0]" in first
    assert sorted(item.name for item in path.parent.iterdir()) == ["seed-3.json"]


def test_load_records_sorts_by_number(tmp_path: Path) -> None:
    """Records load by profile, table, row and seed, seed 10 after seed 9; an empty folder has none."""
    assert load_records(tmp_path) == []
    for seed in (10, 9):
        write_record(example(seed=seed), tmp_path)
    write_record(example(profile="paper"), tmp_path)
    assert [(record.profile, record.seed) for record in load_records(tmp_path)] == [
        ("paper", 3),
        ("small", 9),
        ("small", 10),
    ]


def test_record_in_the_wrong_place_is_refused(tmp_path: Path) -> None:
    """A record copied under another row's or seed's name isn't counted as that one."""
    path = write_record(example(), tmp_path)
    path.rename(path.with_name("seed-4.json"))
    with pytest.raises(UserError, match=r"seed-4\.json: belongs in small/article/base/seed-3\.json"):
        load_records(tmp_path)


def test_run_without_predictions(tmp_path: Path) -> None:
    """A run that diverged or failed is a record without counts; an `ok` one without counts is refused."""
    empty = {"counts": {}, "predictions": "", "correct": "", "confidence": "", "probabilities": ""}
    path = write_record(example(status="diverged", reason="loss is NaN at step 7", **empty), tmp_path)
    assert read_record(path).counts == {}
    with pytest.raises(UserError, match="counts: needs confusion, examples, fn, fp, tp"):
        write_record(example(**empty), tmp_path)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda value: value.pop("seed"), "seed: missing"),
        (lambda value: value.update(extra=1), "extra: unknown key"),
        (lambda value: value.update(seed="3"), "seed: wrong type"),
        (lambda value: value.update(seed=True), "seed: wrong type"),
        (lambda value: value.update(dirty=0), "dirty: wrong type"),
        (lambda value: value.update(schema=3), "schema: is 3, this version reads 2"),
        (lambda value: value.update(schema=[2]), "schema: wrong type"),
        (lambda value: value.update(schema=1), "pretrained: unknown key"),
        (lambda value: value.update(status="fine"), "status: not one of"),
        (lambda value: value.update(row="../base"), "row: not an id"),
        (lambda value: value.update(profile=".."), "profile: not an id"),
        (lambda value: value["stages"].append({}), r"stages\[1\].stage: missing"),
        (lambda value: value["stages"][0].pop("passed"), r"stages\[0\].passed: missing"),
        (lambda value: value["stages"][0].update(config=[]), r"stages\[0\].config: wrong type"),
        (lambda value: value["stages"][0]["passed"].update(depth="1"), r"stages\[0\].passed.depth: not in config"),
        (lambda value: value.update(pretrained=None), "pretrained: wrong type"),
        (lambda value: value["labels"].append(1), "labels: not a list of strings"),
        (lambda value: value["labels"].append("x"), "counts.confusion: not 4 by 4"),
        (lambda value: value["counts"].pop("tp"), "counts: needs"),
        (lambda value: value["counts"].update(tp=3), "counts.tp, fp, fn: don't match"),
        (lambda value: value["counts"].update(fn=True), "counts.tp, fp, fn: don't match"),
        (lambda value: value["counts"].update(fp=2), "counts.tp, fp, fn: don't match"),
        (lambda value: value["counts"]["confusion"].append(3), "counts.confusion: not 3 by 3"),
        (lambda value: value["counts"]["confusion"][0].__setitem__(0, -1), "counts.confusion: not 3 by 3"),
        (lambda value: value["counts"]["confusion"][0].__setitem__(0, 2), "counts.examples: is 10"),
        (lambda value: value["counts"]["confusion"][0].__setitem__(slice(2), [0, 2]), "predictions: don't match"),
        (lambda value: value.update(predictions="0 1"), "predictions: not 10 indices"),
        (lambda value: value.update(predictions="x"), "predictions: invalid literal"),
        (lambda value: value.update(predictions="9" * 30), "predictions: "),
        (lambda value: value.update(correct="AAA="), "correct: doesn't match"),
        (lambda value: value.update(correct="?"), "correct: not base64"),
        (lambda value: value.update(correct=""), "correct: 0 bytes can't be 10"),
        (lambda value: value.update(confidence="AAA="), "confidence: not 10 values"),
        (lambda value: value.update(confidence="AA=="), "confidence: "),
        (lambda value: value.update(probabilities="?"), "probabilities: not base64"),
        (lambda value: value.update(probabilities="AAA="), "probabilities: not zlib"),
        (lambda value: value.update(probabilities=packed(PROBABILITY[:9])), "probabilities: not 10 by 3 values"),
        (lambda value: value.update(probabilities=packed(PROBABILITY / 2)), "probabilities: don't sum to 1"),
        (lambda value: value.update(probabilities=packed(PROBABILITY[::-1])), "probabilities: don't match the predict"),
        (lambda value: value.update(probabilities=packed(softer(PREDICTED == 1))), "probabilities: don't match counts"),
        (
            lambda value: value.update(probabilities=packed(softer(PREDICTED == 2))),
            "probabilities: don't match the con",
        ),
    ],
)
def test_bad_record_is_refused(tmp_path: Path, change: Any, key: str) -> None:
    """A record with a wrong key, type or count is refused in one line with the file and the key."""
    path = write_record(example(), tmp_path)
    spoil(path, change)
    with pytest.raises(UserError, match=rf"seed-3\.json: {key}"):
        read_record(path)


MANY = tuple(f"class {number}" for number in range(300))


def of_many(labels: tuple[str, ...] = MANY, seed: int = 3) -> Record:
    """A record of the ten examples and as many labels."""
    counts = count(GOLD, PREDICTED, len(labels))
    return example(labels=labels, counts=counts, confidence="", probabilities="", seed=seed)


def test_a_record_of_many_classes_grows_with_its_examples(tmp_path: Path) -> None:
    """It is read back the same, from few lines, and so is one with the whole matrix, as they were written before."""
    path = write_record(of_many(), tmp_path)
    assert read_record(path).counts == of_many().counts
    few = write_record(of_many(MANY[:3], seed=4), tmp_path)
    names = len(json.dumps(MANY, indent=1)) - len(json.dumps(MANY[:3], indent=1))
    assert path.stat().st_size < few.stat().st_size + 2 * names
    spoil(path, lambda value: value["counts"].update(confusion=confusion(GOLD, PREDICTED, len(MANY)).tolist()))
    back = read_record(path)
    assert np.array_equal(matrix_of(back.counts["confusion"]), matrix_of(of_many().counts["confusion"]))


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda cells: cells.update(classes=299), "counts.confusion: not 300 by 300"),
        (lambda cells: cells.update(classes=300.0), "counts.confusion: not 300 by 300"),
        (lambda cells: cells.update(extra=1), "counts.confusion: not 300 by 300"),
        (lambda cells: cells.pop("true"), "counts.confusion: not 300 by 300"),
        (lambda cells: cells.update(true="0"), "counts.confusion: not 300 by 300"),
        (lambda cells: cells["true"].append(0), "counts.confusion: not 300 by 300"),
        (lambda cells: cells["true"].__setitem__(0, 300), "counts.confusion: not 300 by 300"),
        (lambda cells: cells["predicted"].__setitem__(0, -1), "counts.confusion: not 300 by 300"),
        (lambda cells: cells["counts"].__setitem__(0, True), "counts.confusion: not 300 by 300"),
        (lambda cells: [cells[name].append(cells[name][0]) for name in CELLS], "counts.confusion: not 300 by 300"),
        (lambda cells: cells["counts"].__setitem__(0, 2), "counts.examples: is 10"),
    ],
)
def test_bad_cells_are_refused(tmp_path: Path, change: Any, key: str) -> None:
    """Cells out of the matrix, twice, or not all of one kind."""
    path = write_record(of_many(), tmp_path)
    spoil(path, lambda value: change(value["counts"]["confusion"]))
    with pytest.raises(UserError, match=rf"seed-3\.json: {key}"):
        read_record(path)


def test_more_classes_than_data_may_have_make_no_matrix(tmp_path: Path) -> None:
    """A small file must not ask for gigabytes."""
    labels = tuple(f"class {number}" for number in range(MOST_LABELS + 1))
    with pytest.raises(UserError, match=r"counts\.confusion: not 1001 by 1001"):
        write_record(of_many(labels), tmp_path)


@pytest.mark.parametrize("data", [b"", b"{\n", b"\xff", b"[]", b"null", b"[" * 100_000])
def test_what_is_no_record_is_refused(tmp_path: Path, data: bytes) -> None:
    """A file that isn't a JSON object gives one line, not a traceback."""
    path = tmp_path / "seed-1.json"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"seed-1\.json"):
        read_record(path)


def test_unwritable_folder_is_one_line(tmp_path: Path) -> None:
    """A record that can't be written gives one line with the path."""
    (tmp_path / "small").write_text("in the way")
    with pytest.raises(UserError, match=r"seed-3\.json: can't be written"):
        write_record(example(), tmp_path)


@given(st.lists(st.booleans(), max_size=40))
def test_bits_round_trip(mask: list[bool]) -> None:
    """Any booleans come back from their packed form."""
    assert packing.unpack_bits(packing.pack_bits(mask), len(mask)).tolist() == mask


@given(st.lists(st.floats(0, 1), max_size=40))
def test_confidence_round_trip(probability: list[float]) -> None:
    """Any probabilities come back to half a step of 1/65535, and 0 and 1 exactly."""
    back = packing.unpack_confidence(packing.pack_confidence(probability))
    assert len(back) == len(probability)
    assert np.abs(back - probability).max(initial=0) <= 0.5 / 65535 + 1e-12
    assert packing.unpack_confidence(packing.pack_confidence([0.0, 1.0])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_confidence_refuses_what_is_no_probability(value: float) -> None:
    """A number outside [0, 1] doesn't wrap around silently."""
    with pytest.raises(ValueError, match="outside"):
        packing.pack_confidence([value])


@st.composite
def probabilities(draw: st.DrawFn) -> np.ndarray:
    """Of any number of examples and classes, each row summing to 1."""
    shape = draw(st.integers(0, 12)), draw(st.integers(1, 6))
    values = draw(st.lists(st.floats(0.01, 1), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    # Steep, as a trained net's are.
    weights = np.array(values).reshape(shape) ** draw(st.sampled_from([1, 4, 30]))
    return weights / weights.sum(axis=1, keepdims=True)


@given(probabilities())
def test_probabilities_round_trip(probability: np.ndarray) -> None:
    """Any probabilities come back to half a level, and the largest of an example is still one of its largest."""
    back = packing.unpack_probabilities(packing.pack_probabilities(probability), *probability.shape)
    assert back.shape == probability.shape
    assert np.abs(back - probability).max(initial=0) <= 1 / 510 + 1e-12
    assert np.array_equal(back * 255, np.rint(back * 255))
    for row, levels in zip(probability, back, strict=True):
        assert levels[row.argmax()] == levels.max()


@given(probabilities(), st.integers(0, 12), st.integers(1, 6))
def test_probabilities_of_another_size_are_refused(probability: np.ndarray, examples: int, classes: int) -> None:
    """Neither more nor fewer values than the record has examples and classes are taken."""
    text = packing.pack_probabilities(probability)
    if examples * classes != probability.size:
        with pytest.raises(ValueError, match=rf"{examples} by {classes} values"):
            packing.unpack_probabilities(text, examples, classes)


@given(st.binary(max_size=60), st.integers(0, 12), st.integers(1, 6))
def test_any_bytes_are_probabilities_or_refused(data: bytes, examples: int, classes: int) -> None:
    """What is no packed matrix is a ValueError, nothing else; the empty text has no rows."""
    text = base64.b64encode(data).decode("ascii")
    try:
        found = packing.unpack_probabilities(text, examples, classes)
    except ValueError:
        return
    assert found.shape == ((examples, classes) if text else (0, classes))


def test_probabilities_cut_or_continued_are_refused() -> None:
    """A stream that was cut, has something behind it, or is longer than any such matrix."""
    whole = base64.b64decode(packing.pack_probabilities(PROBABILITY))
    for data in (whole[:-1], whole[:-5], whole + b"\0", whole + whole):
        with pytest.raises(ValueError, match="not 10 by 3 values"):
            packing.unpack_probabilities(base64.b64encode(data).decode("ascii"), 10, 3)
    with pytest.raises(ValueError, match="too long for 10 by 3 values"):
        packing.unpack_probabilities("A" * 1000, 10, 3)


def test_probabilities_that_would_grow_are_not_unpacked() -> None:
    """A text of some kilobytes that unpacks to hundreds of megabytes is refused before they are there."""
    small, large = 10_000, 300_000_000
    text = base64.b64encode(zlib.compress(bytes(large), 9)[:small]).decode("ascii")
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="not 5000 by 3 values"):
            packing.unpack_probabilities(text, 5000, 3)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("value", [[[-0.1]], [[1.1]], [[math.nan]], [0.5]])
def test_probabilities_refuse_what_is_none(value: Any) -> None:
    """A number outside [0, 1] doesn't wrap around silently, and a vector is no matrix."""
    with pytest.raises(ValueError, match=r"outside|not of shape"):
        packing.pack_probabilities(value)


def test_committed_record_of_schema_1_reads() -> None:
    """It stays as it is on the disk; read, it says all settings, its net, and that there are no probabilities."""
    before = json.loads(SCHEMA_1.read_text(encoding="utf-8"))
    assert before["schema"] == 1
    found = read_record(SCHEMA_1)
    assert (found.probabilities, found.confidence) == ("", before["confidence"])
    weights = next(stage["summary"]["weights"] for stage in before["stages"] if stage["stage"] == "pretrain")
    assert found.pretrained == weights == pretrained_of(found.stages)
    assert [stage["passed"] for stage in found.stages] == [stage["config"] for stage in before["stages"]]
    config = {stage["stage"]: stage["config"] for stage in found.stages}
    assert config["augment"] == {
        "mix": {"pos_replace": 0.5, "truncate": 0.25, "unk": 0.25},
        "copies": 4,
        "unk_token": "😄",
        "article": True,
        "per_copy": False,
    }
    assert config["prune"] == {
        "width": "1/2",
        "learning_rate": 3e-4,
        "batch_size": 32,
        "epochs": 1,
        "max_seq_length": 128,
        "warmup_proportion": 0.0,
        "weight_decay": 0.0,
        "save_steps": 250,
        "select": "f1",
        "batching": "length",
        "importance": "dev",
        "engine": "native",
        "depth": "1",
        "start": "parent",
        "targets": "teacher",
    }
    assert (config["finetune"]["start"], config["pretrain"]["heldout"]) == ("model", 0.01)


_SCHEDULE = {"learning_rate", "batch_size", "steps", "max_seq_length", "warmup_proportion", "weight_decay"}
# Settings that came after schema 1, whose migration no later change touches.
LATER = {
    "augment": {"emptied"},
    "finetune": {"schedule", "max_grad_norm", "steps"},
    "prune": {"jointly"},
    "relabel": {"chosen"},
    "svm": {"probabilities"},
    "holdout": {"share"},
    "fuse": {"how", "max_seq_length"},
    "choose": {"chosen"},
    "prompt": {*_SCHEDULE, "max_grad_norm", "batching"},
    "contrast": _SCHEDULE,
    "pseudo": {"per_class", "candidates", "max_seq_length"},
    "head": {"strength", "max_seq_length"},
}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_migrated_settings_are_the_frozen_defaults(name: str) -> None:
    """What schema 1 left out is what the store's keys leave out: the defaults of the settings that there were."""
    old = {"schema": 1, "stages": [{"stage": name, "config": {"passed": 1}}]}
    (stage,) = migrations.migrate(old)["stages"]
    frozen = {one: value for one, value in KINDS[name].frozen.items() if one not in LATER.get(name, ())}
    assert stage == {"stage": name, "config": {**frozen, "passed": 1}, "passed": {"passed": 1}}
    assert LATER.get(name, set()) <= KINDS[name].frozen.keys()


def test_migration_is_pure() -> None:
    """The value that is migrated stays as it was; what is of today's schema, or of none, comes back itself."""
    value = json.loads(SCHEMA_1.read_text(encoding="utf-8"))
    kept = json.loads(json.dumps(value))
    found = migrations.migrate(value)
    assert value == kept
    assert found["schema"] == migrations.SCHEMA
    assert migrations.migrate(found) is found
    others: tuple[Any, ...] = (None, [], {}, {"schema": True}, {"schema": [1]}, {"schema": 99})
    for other in others:
        assert migrations.migrate(other) is other


def test_committed_records_read_and_are_written_as_today(tmp_path: Path) -> None:
    """A record that was migrated is one of this schema: written and read again it is the same."""
    record = read_record(SCHEMA_1)
    path = write_record(record, tmp_path)
    assert json.loads(path.read_text(encoding="utf-8"))["schema"] == migrations.SCHEMA
    assert read_record(path) == record


def first(**changes: Any) -> tuple[Record, Record]:
    """Two seeds of a row, the second with changes."""
    return example(seed=1, digests={"dev": "d"}), replace(example(seed=2, digests={"dev": "d"}), **changes)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"digests": {"dev": "e"}}, "dev set"),
        ({"digests": {"dev": "e"}, "row": "other"}, "dev set"),
        ({"labels": ("病情诊断", "治疗方案", "别的")}, "label list"),
        ({"labels": ("病情诊断", "治疗方案", "别的"), "row": "other"}, "label list"),
        ({"pretrained": "0"}, "pretrained net"),
        ({"pretrained": "0", "row": "other", "seed": 1}, "pretrained net"),
    ],
)
def test_records_of_other_data_or_another_net_are_refused(tmp_path: Path, changes: Any, what: str) -> None:
    """Seeds that can't be averaged, and rows that can't be compared, are one line with both files."""
    one, other = (write_record(record, tmp_path) for record in first(**changes))
    assert len(read_records(tmp_path)) == 2
    with pytest.raises(UserError) as error:
        load_records(tmp_path)
    message = f"{other}: made with another {what} than {one}; remove one of them, or run it again"
    assert str(error.value) == message


@pytest.mark.parametrize(
    "changes",
    [
        {"pretrained": ""},
        {"pretrained": "0", "row": "other"},
        {"pretrained": "0", "table": "other", "digests": {"dev": "e"}},
        {"pretrained": "0", "profile": "other", "digests": {"dev": "e"}},
        {"digests": {}},
    ],
)
def test_records_that_may_stand_beside_each_other(tmp_path: Path, changes: Any) -> None:
    """Rows may come from different nets, tables and profiles be of different data; what isn't said doesn't differ."""
    for record in first(**changes):
        write_record(record, tmp_path)
    assert len(load_records(tmp_path)) == 2


def on_net(record: Record, seed: int, digest: str) -> Record:
    """The record, from a net whose pretraining started at a seed."""
    stage = {**record.stages[0], "stage": "pretrain", "config": {"seed": seed}, "passed": {}}
    return replace(record, stages=(stage, *record.stages), pretrained=digest)


def test_seeds_on_several_nets_stand_beside_each_other() -> None:
    """Each net with the digest that its first seed has; a record from before there were settings of it is of net 0."""
    one, two, three, four = (example(seed=seed) for seed in (1, 2, 3, 4))
    check_fellows([on_net(one, 0, "a"), on_net(two, 1, "b"), replace(three, pretrained="a"), on_net(four, 1, "b")])
    with pytest.raises(UserError, match=r"seed-4\.json: made with another pretrained net than .*seed-2\.json"):
        check_fellows([on_net(one, 0, "a"), on_net(two, 1, "b"), on_net(four, 1, "c")])


def test_commands_refuse_them_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad input: exit code 2, and one line on the screen."""
    for record in first(pretrained="0"):
        write_record(record, tmp_path)
    monkeypatch.setattr(listings, "MEASURED", tmp_path)
    assert main(["list"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert "seed-2.json: made with another " in told.err


def test_silent_record_between_two_that_differ_hides_nothing(tmp_path: Path) -> None:
    """A run that failed before it had a net doesn't stand for those that had one."""
    for seed, net in ((1, ""), (2, "a"), (3, "b")):
        write_record(example(seed=seed, pretrained=net), tmp_path)
    with pytest.raises(UserError, match=r"seed-3\.json: made with another pretrained net than .*seed-2\.json"):
        load_records(tmp_path)


@pytest.mark.parametrize(
    ("stages", "net"),
    [
        ([], ""),
        ([("svm", {})], ""),
        ([("augment", {}), ("pretrain", {"weights": "a"}), ("finetune", {"weights": "b"})], "a"),
        ([("finetune", {"pretrained": "c", "weights": "b"}), ("prune", {"weights": "d"})], "c"),
    ],
)
def test_pretrained_net_of_a_chain(stages: list[tuple[str, Any]], net: str) -> None:
    """It is what pretraining made, or the named net that fine-tuning began with; an SVM has none."""
    assert pretrained_of([{"stage": name, "summary": summary} for name, summary in stages]) == net


@given(st.lists(st.integers(0, 100_000), max_size=40))
def test_predictions_round_trip(predicted: list[int]) -> None:
    """Any label indices come back."""
    assert packing.unpack_predictions(packing.pack_predictions(predicted)).tolist() == predicted


def test_environment_without_paddle() -> None:
    """Capturing versions, machine and commit imports neither Paddle nor what stands on it, and finds this NumPy."""
    code = (
        "import sys, json; from replicate.records import facts as r;"
        "print(json.dumps([r.versions(), r.machine(), r.commit()]));"
        "assert not {'paddle', 'paddlenlp', 'sklearn', 'gensim'} & set(sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    versions, machine, _ = json.loads(out)
    assert versions["numpy"] == np.__version__
    assert set(machine) == {"cpu", "cores", "memory_gib", "platform", "python"}
    assert machine["cores"] >= 1
    assert machine["memory_gib"] > 0


def test_commit_and_dirty(tmp_path: Path) -> None:
    """Only a change of code or data makes a checkout dirty, not REPORT.md or a record; outside git nothing is known."""

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    assert facts.commit(tmp_path) == ("unknown", False)
    for name in ("replicate/records/facts.py", "README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    git("init", "-q")
    assert facts.commit(tmp_path) == ("unknown", False)
    git("add", ".")
    git("commit", "-qm", "a")
    head, dirty = facts.commit(tmp_path)
    assert len(head) == 40
    assert not dirty
    (tmp_path / "measured").mkdir()
    for name in ("measured/a.json", "REPORT.md", "README.md"):
        (tmp_path / name).write_text("changed")
    assert facts.commit(tmp_path) == (head, False)
    (tmp_path / "replicate" / "new.py").write_text("x")
    assert facts.commit(tmp_path) == (head, True)
