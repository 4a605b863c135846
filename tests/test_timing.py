"""Turns, ratios and instability; timing records and the refusal of damaged ones; goals."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.common.errors import UserError
from replicate.records.timing_file import load_timings, read_timing, write_timing
from replicate.timing import race as racing
from replicate.timing.goals import GOALS, goals, net_name, pick
from replicate.timing.goals import Pick as P
from replicate.timing.summary import dataset_rows, rows_of, service_rows, shown
from tests.synthetic_timing import FULL, example, race


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8])
def test_turns_are_balanced(count: int) -> None:
    """Over 2 n rounds everyone has each place, and each pair of neighbours in that order, equally often."""
    labels = [f"c{number}" for number in range(count)]
    rounds = list(itertools.islice(racing.orders(labels, seed=3), 2 * count))
    assert all(sorted(one) == labels for one in rounds)
    places = Counter((place, label) for one in rounds for place, label in enumerate(one))
    assert set(places.values()) == {2}
    assert len(places) == count**2
    followed = Counter(pair for one in rounds for pair in itertools.pairwise(one))
    assert count == 1 or (set(followed.values()) == {2} and len(followed) == count * (count - 1))


def test_turns_follow_the_seed() -> None:
    """The same seed gives the same orders, another one others."""
    first, again, other = (list(itertools.islice(racing.orders("abcdef", seed), 12)) for seed in (1, 1, 2))
    assert first == again != other


def test_race_keeps_warmups_apart() -> None:
    """Everyone runs once a round; a contestant's own seconds count, and those of the warm-ups are dropped."""
    calls: list[str] = []
    numbers = itertools.count(1)

    def remote() -> float:
        calls.append("remote")
        return float(next(numbers))

    told: list[int] = []
    seconds = racing.race({"local": lambda: calls.append("local"), "remote": remote}, 3, 2, tell=told.append)
    assert seconds["remote"] == (3.0, 4.0, 5.0)
    assert len(seconds["local"]) == 3
    assert 0 < max(seconds["local"]) < 1
    assert told == [1, 2, 3, 4, 5]
    assert all(set(calls[i : i + 2]) == {"local", "remote"} for i in range(0, 10, 2))


def test_local_seconds_are_those_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call of this process is timed from its start to its return, without the pause before it."""
    clock = {"now": 0.0}

    def pass_time(seconds: float) -> None:
        clock["now"] += seconds

    monkeypatch.setattr("time.perf_counter", lambda: clock["now"])
    monkeypatch.setattr("time.sleep", pass_time)
    found = racing.one_round({"a": lambda: pass_time(2.0), "b": lambda: pass_time(3.0)}, ("b", "a"), pause=0.5)
    assert found == {"b": 3.0, "a": 2.0}
    assert clock["now"] == 6.0


def test_speed_up_is_of_pairs() -> None:
    """A machine that gets slower and slower does not hide that one contestant is always twice as fast."""
    slow = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]
    found = racing.speed_up({"half": [one / 2 for one in slow], "whole": slow}, "half", "whole")
    assert (found.median, found.low, found.high) == (2, 2, 2)
    assert found.coverage > 0.95


@pytest.mark.parametrize(("samples", "expected"), [([1.0] * 5, False), ([1, 1.04, 1.1], False), ([1, 1.1, 1.3], True)])
def test_instability(samples: list[float], expected: bool) -> None:
    """Unstable is an interquartile range over 10 % of the median: of 1, 1.1 and 1.3 it is 0.15."""
    assert racing.unstable(samples) is expected


def test_goals_are_judged_with_the_best_runtime() -> None:
    """The runtime with the fastest Base is the best one at every width, though another is faster at width 1/2."""
    found = {(one.goal.id, one.length): one for one in goals(example(race(32, FULL)))}
    assert len(found) == sum(len(goal.lengths) for goal in GOALS) == 11
    half = found["half", 32]
    assert half.status == "reached"
    assert half.words.split(" over ") == ["paddle-inference fp32 1/2", "paddle-inference fp32 1"]
    assert half.found is not None
    assert half.found.median == pytest.approx(2)
    reached = {key for key, one in found.items() if one.status == "reached"}
    assert reached == {(name, 32) for name in ("half", "two-thirds", "default", "int8")}
    assert found["pytorch", 32].status == found["int8-half", 32].status == "missed"
    assert {one.status for (_, length), one in found.items() if length == 128} == {"not measured"}


def test_goal_needs_its_whole_interval() -> None:
    """An interval with the goal inside leaves it undecided."""
    wide = race(32, {"paddle-inference fp32 1": 0.8, "pytorch fp32 1": 0.8})
    seconds = {**wide.seconds, "pytorch fp32 1": tuple(0.8 * factor for factor in (0.5, 0.6, 0.9, 1, 1.1, 1.5, 2))}
    result = next(one for one in goals(example(replace(wide, seconds=seconds))) if one.goal.id == "pytorch")
    assert result.status == "undecided"
    assert result.found is not None
    assert result.found.low < 1 < result.found.high


def test_what_was_not_measured_is_said() -> None:
    """Without a contestant, a comparison, or two threads of a CPU a goal has no verdict and no figure, but a reason."""
    without = {key: value for key, value in FULL.items() if not key.startswith("pytorch")}
    left_out = {"pytorch fp32 1": "no Python is named"}
    found = {(one.goal.id, one.length): one for one in goals(example(race(32, without, left_out)))}
    assert found["pytorch", 32].status == "not measured"
    assert found["pytorch", 32].found is None
    ((label, why),) = left_out.items()
    assert found["pytorch", 32].words.startswith(f"{label} ")
    assert found["pytorch", 32].words.endswith(f": {why}")
    assert found["pytorch", 128].words.endswith("ernie-3.0-base at 32 × 128")
    assert found["half", 32].status == "reached"
    only = goals(example(race(32, {"paddle-inference fp32 1": 0.8})))
    assert {one.status for one in only} == {"not measured"}
    assert next(one for one in only if one.goal.id == "int8").words == "no best int8 1"
    for changes in ({"threads": 4}, {"device": {"kind": "gpu", "name": "a GPU"}}):
        assert {one.status for one in goals(example(race(32, FULL), **changes))} == {"not measured"}
    assert pick(race(32, {"pytorch fp32 1": 0.1}), P("best", "fp32", "1")) is None


def test_a_student_is_no_whole_net() -> None:
    """The best runtime is that of the first net, however fast a student is in another one."""
    found = race(32, {"paddle-inference fp32 1": 0.8, "onnxruntime fp32 1": 1.4, "onnxruntime int8 1": 0.01})
    student = replace(found.contestants[2], precision="fp32", model="bow")
    found = replace(found, contestants=(*found.contestants[:2], student))
    best = pick(found, P("best", "fp32", "1"))
    assert best is not None
    assert best.label == "paddle-inference fp32 1"


def test_record_round_trip(tmp_path: Path) -> None:
    """What is written reads back the same, under its name, and is the same bytes when written again."""
    record = example(race(32, FULL), race(128, {"dygraph fp32 1": 3.0}, {"pytorch fp32 1": "no"}))
    path = write_timing(record, tmp_path)
    assert path == tmp_path / "cpu-2.json"
    assert read_timing(path) == record
    first = path.read_bytes()
    write_timing(read_timing(path), tmp_path)
    assert path.read_bytes() == first
    assert load_timings(tmp_path) == [record]
    assert load_timings(tmp_path / "none") == []
    path.rename(tmp_path / "other.json")
    with pytest.raises(UserError, match=r"other\.json: belongs in cpu-2\.json"):
        load_timings(tmp_path)


def set_to(*keys: Any, value: Any) -> Callable[[Any], None]:
    """A change of one value of a record's JSON."""

    def change(found: Any) -> None:
        for key in keys[:-1]:
            found = found[key]
        found[keys[-1]] = value

    return change


COMPARISON = ("comparisons", 0)
LABEL = "dygraph fp32 1"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (set_to("schema", value=1), "schema: is 1, this version reads 3"),
        (set_to("extra", value=1), "extra: unknown key"),
        (lambda found: found.pop("threads"), "threads: missing"),
        (set_to("threads", value=True), "threads: not a whole number"),
        (set_to("name", value="../x"), "name: not an identifier"),
        (set_to(*COMPARISON, value=[]), r"comparisons\[0\]: not an object"),
        (set_to(*COMPARISON, "batch", value=0), r"comparisons\[0\]\.batch, length: not positive"),
        (set_to(*COMPARISON, "weights", value="none"), r"comparisons\[0\]\.weights: none of random, trained"),
        (set_to(*COMPARISON, "rounds", value=8), r"comparisons\[0\]\.seconds\.dygraph fp32 1: not 8 positive numbers"),
        (set_to(*COMPARISON, "seconds", LABEL, 0, value=-1), "seconds.dygraph fp32 1: not 7 positive numbers"),
        (set_to(*COMPARISON, "seconds", LABEL, 0, value=None), "seconds.dygraph fp32 1: not 7 positive numbers"),
        (set_to(*COMPARISON, "seconds", "who", value=[1.0] * 7), r"seconds: not those of the contestants"),
        (set_to(*COMPARISON, "contestants", value=[]), r"comparisons\[0\]\.contestants: none"),
        (set_to(*COMPARISON, "contestants", 0, "flops", value="many"), r"contestants\[0\]\.flops: not a whole number"),
        (
            set_to("datasets", 0, "padded", value={}),
            r"datasets\[0\]\.padded\.paddle-inference fp32 1: not of file order",
        ),
        (
            set_to("datasets", 0, "predictions", value={}),
            r"datasets\[0\]\.predictions: not those of the contestants",
        ),
        (
            set_to("datasets", 0, "gold", value="0 1"),
            r"datasets\[0\]\.gold: not 70 label indices",
        ),
        (
            set_to("services", 0, "latencies", "half", value=[0.1]),
            r"services\[0\]\.latencies\.half: not 8 positive numbers",
        ),
        (
            set_to("services", 0, "latencies", value={}),
            r"services\[0\]\.latencies: not those of the contestants",
        ),
        (set_to("services", 0, "clients", value=0), r"services\[0\]\.clients: not positive"),
        (set_to("command", value=[1]), "command: not made of texts"),
    ],
)
def test_damaged_record_is_refused(change: Callable[[Any], object], complaint: str, tmp_path: Path) -> None:
    """A record that was changed by hand is refused in one line that names file and key."""
    path = write_timing(example(race(32, {"dygraph fp32 1": 2.0})), tmp_path)
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(UserError, match=rf"cpu-2\.json: .*{complaint}"):
        read_timing(path)


def test_bad_record_is_not_written(tmp_path: Path) -> None:
    """A record without all its seconds, or with a name that is no file name, leaves nothing behind."""
    short = race(32, {"dygraph fp32 1": 2.0})
    for record in (example(replace(short, seconds={LABEL: (1.0,)})), example(short, name="a/b")):
        with pytest.raises(UserError):
            write_timing(record, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_shape_has_no_ideal() -> None:
    """A student that took turns with a whole net has its own name and a speed-up, and nothing that FLOPs promise."""
    found = race(32, FULL)
    label = "paddle-inference fp32 1/2"
    student = replace(
        next(one for one in found.contestants if one.label == label), label="student", model="bow", width="1"
    )
    found = replace(
        found, contestants=(*found.contestants, student), seconds={**found.seconds, "student": found.seconds[label]}
    )
    row = rows_of(found)[-1]
    assert (row["speed-up"][0], row["ideal"]) == (2, None)
    assert [net_name(found, one) for one in found.contestants[-2:]] == ["width 1", "bow"]
    assert net_name(found, replace(student, width="1/2")) == "bow (width 1/2)"


def test_rows() -> None:
    """A contestant is compared with the whole net in its own runtime, and with the first of all; padding is told."""
    rows = {(row["runtime"], row["precision"], row["width"]): row for row in rows_of(race(32, FULL))}
    half = rows["paddle-inference", "fp32", "1/2"]
    assert half["ms"] == 400
    assert half["ideal"] == 2
    assert half["speed-up"][:3] == [2, 2, 2]
    assert half["over first"][0] == 5
    assert half["stable"]
    base = rows["dygraph", "fp32", "1"]
    assert base["speed-up"] is base["ideal"] is base["over first"] is None
    assert rows["onnxruntime", "int8", "1"]["speed-up"] is None
    assert [shown(one) for one in (half["speed-up"], None, False, True, 1.5)] == [
        "2.00 (2.00 to 2.00)",
        "-",
        "unstable",
        "",
        "1.5",
    ]
    (row,) = dataset_rows(example().datasets[0])
    assert row["speed-up"][0] == 2
    assert row["padding, file order"] == 0.5
    assert shown(row["speed-up"]).endswith("50%)")


def test_service_row_counts_answers_and_their_latency() -> None:
    """Requests in a second of the median round, percentiles over all answers, and the rate over the first's."""
    whole, half = service_rows(example().services[0])
    assert (whole["requests/s"], half["requests/s"]) == (10, 20)
    assert (whole["p50 ms"], half["p50 ms"]) == (250, 100)
    assert half["p99 ms"] == pytest.approx(1000 * np.percentile([0.1] * 7 + [1.0], 99), abs=0.1)
    assert whole["over first"] is None
    assert half["over first"][0] == 2
