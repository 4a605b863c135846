"""Run records: their JSON form, its validation, and what they capture of the environment."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate.common.errors import UserError
from replicate.records import facts
from replicate.records.run import Record, load_records, read_record, write_record
from replicate.scores import packing
from replicate.scores.metrics import count

GOLD = np.array([0, 0, 1, 1, 1, 2, 2, 2, 2, 2])
PREDICTED = np.array([0, 1, 1, 1, 2, 2, 2, 2, 2, 0])


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
                "config": {"epochs": 1},
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
        confidence=packing.pack_confidence(np.linspace(0, 1, 10)),
        parameters=1234,
    )
    return replace(whole, **changes)


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
    empty = {"counts": {}, "predictions": "", "correct": "", "confidence": ""}
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
        (lambda value: value.update(schema=2), "schema: is 2"),
        (lambda value: value.update(status="fine"), "status: not one of"),
        (lambda value: value.update(row="../base"), "row: not an id"),
        (lambda value: value.update(profile=".."), "profile: not an id"),
        (lambda value: value["stages"].append({}), r"stages\[1\].stage: missing"),
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
    ],
)
def test_bad_record_is_refused(tmp_path: Path, change: Any, key: str) -> None:
    """A record with a wrong key, type or count is refused in one line with the file and the key."""
    path = write_record(example(), tmp_path)
    spoil(path, change)
    with pytest.raises(UserError, match=rf"seed-3\.json: {key}"):
        read_record(path)


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
