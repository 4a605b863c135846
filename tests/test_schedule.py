"""Order, costs and messages of stages that run side by side: values that are known by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from replicate.runs.ask import selected
from replicate.runs.costs import UNKNOWN, expected, recorded
from replicate.runs.executor import Failed, Job
from replicate.runs.messages import as_message, profile_from, stage_from
from replicate.runs.plan import Sources, Stage, plan
from replicate.runs.sameness import differences
from replicate.runs.schedule import Board, longest_paths, makespan, span, work
from replicate.runs.status import Seen, Status, status_of, told
from replicate.runs.troubles import MOST_QUICK, QUICK, Troubles
from replicate.runs.view import View
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile, profile_ids


def stage(name: str, *parents: Stage, **passed: Any) -> Stage:
    """A stage of no kind, made of others."""
    identity = {"stage": name, "inputs": [parent.key for parent in parents], "passed": passed}
    return Stage(name, {}, passed, 1, {"parents": parents} if parents else {}, identity)


#   root (5) ── left (1) ── both (2)
#        └───── right (4) ──┴── leaf (1)        alone (3)
ROOT = stage("root")
LEFT, RIGHT = stage("left", ROOT), stage("right", ROOT)
BOTH, LEAF, ALONE = stage("both", LEFT, RIGHT), stage("leaf", RIGHT), stage("alone")
JOBS = [Job(one, "row · seed 1") for one in (ROOT, LEFT, RIGHT, BOTH, LEAF, ALONE)]
SECONDS = dict(zip((job.stage.key for job in JOBS), (5.0, 1.0, 4.0, 2.0, 1.0, 3.0), strict=True))


def names(jobs: Sequence[Job]) -> list[str]:
    """Of their stages."""
    return [job.stage.name for job in jobs]


def test_the_longest_path_goes_first() -> None:
    """Of what may begin; what has no outcome yet holds back what starts from it."""
    board = Board(JOBS, SECONDS)
    assert names(board.ready()) == ["root", "alone"]
    board.begun.add(ROOT.key)
    assert names(board.ready()) == ["alone"]
    board.settle(JOBS[0])
    assert names(board.ready()) == ["right", "left", "alone"] or names(board.ready()) == ["right", "alone", "left"]
    board.settle(JOBS[2])
    assert names(board.ready())[-1] == "leaf"
    assert not board.settled(JOBS[3])
    board.settle(JOBS[1])
    assert board.settled(JOBS[3])


def test_ranks_and_bounds() -> None:
    """The longest chain is 5 + 4 + 2; one worker takes 16 s, two take that chain, and no more helps."""
    board = Board(JOBS, SECONDS)
    children = {ROOT.key: [LEFT.key, RIGHT.key], LEFT.key: [BOTH.key], RIGHT.key: [BOTH.key, LEAF.key]}
    ranks = longest_paths(SECONDS, children)
    assert [ranks[job.stage.key] for job in JOBS] == [11.0, 3.0, 6.0, 2.0, 1.0, 3.0]
    assert work(JOBS, SECONDS) == 16.0
    assert (board.left(1), board.left(2), board.left(8)) == (16.0, 11.0, 11.0)
    board.begun.add(ROOT.key)
    assert board.left(2, {ROOT.key: 4.0}) == 7.0
    assert board.left(2, {ROOT.key: 400.0}) == 6.0
    # Twelve of one length on two workers: half of them one after another.
    assert makespan({str(number): 15.0 for number in range(12)}, {}, 2) == 90.0
    assert makespan({}, {}, 2) == 0.0


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-3, "0 s"), (0.4, "0 s"), (59.6, "1 min"), (125, "2 min 5 s"), (3600, "1 h"), (33_478, "9 h 17 min")],
)
def test_spans_in_words(seconds: float, told: str) -> None:
    """The two largest units."""
    assert span(seconds) == told


def test_what_was_recorded_says_how_long_it_takes(tmp_path: Path) -> None:
    """The stage itself, else those with its settings, else those of its name; a damaged file says nothing."""
    known, alike, named, unknown = (
        stage("fit", epochs=1),
        stage("fit", ROOT, epochs=2),
        stage("fit", ROOT, epochs=9),
        stage("new"),
    )
    told = [
        {"stage": "fit", "key": known.key, "passed": {"epochs": 1}, "seconds": 7},
        {"stage": "fit", "key": known.key, "passed": {"epochs": 1}, "seconds": 8.0},
        {"stage": "fit", "key": "a", "passed": {"epochs": 2}, "seconds": 20.0},
        {"stage": "fit", "key": "b", "passed": {"epochs": 2}, "seconds": 30.0},
    ]
    record = {"stages": told, "machine": {"cpu": "a processor"}}
    (tmp_path / "seed-1.json").write_text(json.dumps(record), encoding="utf-8")
    (tmp_path / "seed-2.json").write_text("{", encoding="utf-8")
    (tmp_path / "seed-3.json").write_text('{"stages": [{"key": "c", "seconds": "long"}]}', encoding="utf-8")
    (tmp_path / "seed-4.json").write_text("[1]", encoding="utf-8")
    found = expected([known, alike, named, unknown], recorded([tmp_path, tmp_path / "none"]))
    assert found.seconds == {known.key: 8.0, alike.key: 25.0, named.key: 20.0, unknown.key: UNKNOWN}
    assert found.unknown == {unknown.key}
    assert found.processors == ("a processor",)


@pytest.mark.parametrize("name", profile_ids())
def test_stages_arrive_with_their_keys(name: str) -> None:
    """Every stage of every row, through JSON and back: the same key, settings and parents; and so does a profile."""
    profile, seen = load_profile(name), set[str]()
    sources = Sources({"train": "t", "dev": "d", "labels": "l"}, "u", {"paddlepaddle": "2.6.2"}, threads=3)
    for table, row in selected(load_tables(), profile, ()):
        for one in plan(table, row, profile, profile.seeds[0], sources).chain(seen):
            seen.add(one.key)
            found = stage_from(json.loads(json.dumps(as_message(one))))
            assert (found.key, found.name, found.options, found.seed) == (one.key, one.name, one.options, one.seed)
            assert [(parent.name, parent.key) for parent in found.parents()] == [
                (parent.name, parent.key) for parent in one.parents()
            ]
            assert found.sources.keys() == one.sources.keys()
    assert len(seen) >= 5
    fields = {name: getattr(profile, name) for name in vars(profile)}
    assert profile_from(json.loads(json.dumps(fields))) == profile


def test_differences_are_told_by_name() -> None:
    """What is missing on either side is one."""
    assert differences({"code": "a", "threads": "1"}, {"code": "a", "threads": "1"}) == []
    assert differences({"code": "a", "numpy": "1"}, {"code": "b", "lac": "2"}) == [
        "code b, not a",
        "numpy missing, not 1",
        "lac 2, not missing",
    ]


def test_a_machine_on_which_all_fails_is_left_out() -> None:
    """After three stages in a row that fail at once; one that is made, or fails late, begins the count anew."""
    troubles = Troubles(retries=3)
    counts = [troubles.too_many("bad", QUICK - 1) for _ in range(MOST_QUICK - 1)]
    assert counts == [False] * (MOST_QUICK - 1)
    troubles.went_well("bad")
    assert [troubles.too_many("bad", 1) for _ in range(MOST_QUICK)] == [False, False, True]
    assert not troubles.too_many("good", 1)
    assert not troubles.too_many("bad", QUICK + 1)


def test_what_fails_at_once_is_tried_elsewhere_once() -> None:
    """Where there is another machine; there it doesn't come back to the first one."""
    troubles, job, places = Troubles(retries=1), JOBS[0], ("one", "other")
    assert not Troubles(retries=1).elsewhere(job, "one", ("one",))
    assert troubles.welcome(job, "one", places)
    assert troubles.elsewhere(job, "one", places)
    assert not troubles.welcome(job, "one", places)
    assert troubles.welcome(job, "other", places)
    assert not troubles.elsewhere(job, "other", places)
    assert troubles.welcome(job, "one", places)
    assert [troubles.ended(job), troubles.ended(job)] == [True, False]
    failed = Failed(ROOT, "error", "by hand", "now")
    troubles.lost[ROOT.key] = failed
    assert troubles.own(job) == failed
    assert troubles.own(JOBS[1]) is None
    assert troubles.because(JOBS[1]) == failed


RUNNING = {"stage": "base · seed 1 · finetune", "step": 12, "of": 40, "seconds": 65, "place": "there"}
SEEN = Seen("smoke", 42, 30, 1, 125.0, [RUNNING])


def test_what_a_log_tells(capsys: pytest.CaptureFixture[str]) -> None:
    """What is ahead, each stage with the time left, and what it came to; quiet, nothing."""
    view = View(quiet=False)
    view.begin(42, 217, 33_478, 18_100, 2)
    view.show(SEEN)
    view.made(JOBS[0], 15.2)
    view.end()
    first, one, last = capsys.readouterr().err.splitlines()
    assert first == "replicate: 42 of 217 stages to make: 9 h 17 min of work, some 5 h 1 min with 2 workers"
    assert one == "row · seed 1 · root: made in 15 s (1 of 42, 2 min 5 s left)"
    assert last.startswith("replicate: 1 stage made in 0 s: 15 s of work, ")
    quiet = View(quiet=True)
    quiet.begin(42, 217, 1, 1, 2)
    quiet.made(JOBS[0], 1)
    quiet.end()
    assert capsys.readouterr().err == ""


def test_status_is_that_of_runs_that_are_there(tmp_path: Path) -> None:
    """In lines; the file of a process that is gone goes, and what is no status is left alone."""
    status = Status(tmp_path)
    status.write(SEEN)
    (found,) = status_of(tmp_path)
    first, second = told([found])
    assert first.startswith("smoke on ")
    assert first.endswith(": 12 of 42 stages done, 1 failed, 2 min 5 s left")
    assert second == "  base · seed 1 · finetune step 12/40, 1 min 5 s, on there"
    assert next(told([{**found, "at": found["at"] - 300}])).endswith("; not heard of for 5 min")
    (tmp_path / "sweeps" / "gone.json").write_text(json.dumps({**found, "pid": 2**22 + 1}), encoding="utf-8")
    (tmp_path / "sweeps" / "broken.json").write_text("{", encoding="utf-8")
    assert status_of(tmp_path) == [found]
    assert not (tmp_path / "sweeps" / "gone.json").exists()
    status.end()
    assert status_of(tmp_path) == []
