"""Stages of many rows as one piece of work: each is done once, and a failure takes none with it but its own rows."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from replicate.common.errors import Stopped, UserError
from replicate.records.run import load_records
from replicate.runs.artefact import Artefact
from replicate.runs.ask import Ask
from replicate.runs.executor import Failed, Job, Made, NotRun, jobs_of
from replicate.runs.plan import Stage
from replicate.runs.runner import Runner
from replicate.runs.sequential import Sequential
from replicate.runs.store import Store
from replicate.tables.file import load_tables
from replicate.tables.profile import Profile, load_profile
from replicate.tables.table import ResultsTable, Row, Step
from replicate.training.optimisation import Diverged


def stage(name: str, *parents: Stage) -> Stage:
    """A stage of no kind, made of others."""
    identity = {"stage": name, "inputs": [parent.key for parent in parents]}
    return Stage(name, {}, {}, 1, {"parents": parents} if parents else {}, identity)


#        root
#       /    \
#   left      right
#       \    /    \
#       both      leaf
ROOT = stage("root")
LEFT, RIGHT = stage("left", ROOT), stage("right", ROOT)
BOTH, LEAF = stage("both", LEFT, RIGHT), stage("leaf", RIGHT)
GRAPH = (ROOT, LEFT, RIGHT, BOTH, LEAF)


class Maker:
    """Makes stages out of nothing, and raises what it is told to."""

    def __init__(self, **faults: BaseException) -> None:
        self.faults = faults
        self.made: list[str] = []

    def __call__(self, stage: Stage, label: str) -> Artefact:
        """The stage's result."""
        self.made.append(stage.name)
        if stage.name in self.faults:
            raise self.faults[stage.name]
        return Artefact(Path("somewhere"), {"label": label}, stage.key, 1.0, reused=False)


def jobs(stages: Sequence[Stage] = GRAPH) -> list[Job]:
    """Them all, for one row."""
    return [Job(one, "row · seed 1") for one in stages]


def test_stages_that_plans_share_are_one_job() -> None:
    """Each key once, for whoever asked first, and none before one that it starts from."""
    found = jobs_of([("a", LEAF), ("b", BOTH), ("c", LEAF)])
    assert [(job.stage.name, job.label) for job in found] == [
        ("root", "a"),
        ("right", "a"),
        ("leaf", "a"),
        ("left", "b"),
        ("both", "b"),
    ]


def test_every_stage_is_made_once_in_order() -> None:
    """An outcome a job, with what was made."""
    make = Maker()
    outcomes = [*Sequential(make, quiet=True).execute(jobs())]
    assert make.made == ["root", "left", "right", "both", "leaf"]
    assert all(isinstance(one, Made) and one.artefact.key == one.stage.key for one in outcomes)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (RuntimeError("it broke\nin two lines"), "error", "RuntimeError: it broke"),
        (ZeroDivisionError(), "error", "ZeroDivisionError: "),
        (Diverged(7), "diverged", "the loss was not finite at step 7"),
    ],
)
def test_a_failure_skips_only_what_descends_from_it(
    error: Exception, status: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stage beside it, and what starts from that alone, go on; the skipped ones are told."""
    make = Maker(left=error)
    outcomes = {one.stage.name: one for one in Sequential(make, quiet=True).execute(jobs())}
    assert make.made == ["root", "left", "right", "leaf"]
    failed = outcomes["left"]
    assert isinstance(failed, Failed)
    assert (failed.status, failed.reason) == (status, reason)
    assert outcomes["both"] == NotRun(BOTH, failed)
    assert {name for name, one in outcomes.items() if isinstance(one, Made)} == {"root", "right", "leaf"}
    told = capsys.readouterr().err
    assert "row · seed 1 · both: skipped (parent failed)\n" in told
    assert ("Traceback" in told) == (status == "error")


def test_a_failure_skips_what_descends_from_it_at_any_depth() -> None:
    """All of them name the first failure, not one another."""
    make = Maker(root=RuntimeError("at once"))
    first, *others = Sequential(make, quiet=True).execute(jobs())
    assert make.made == ["root"]
    assert isinstance(first, Failed)
    assert others == [NotRun(one, first) for one in GRAPH[1:]]


def test_what_failed_is_not_tried_again_for_the_next_row() -> None:
    """Nor what descends from it, by the same engine."""
    make = Maker(right=RuntimeError("always"))
    engine = Sequential(make, quiet=True)
    first = {one.stage.name: one for one in engine.execute(jobs([*LEAF.chain()]))}
    then = {one.stage.name: one for one in engine.execute(jobs())}
    assert make.made == ["root", "right", "root", "left"]
    assert then["right"] is first["right"]
    assert then["leaf"] == first["leaf"] == NotRun(LEAF, then["right"])  # type: ignore[arg-type]
    assert then["both"] == NotRun(BOTH, then["right"])  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [UserError("no such data"), Stopped(signal.SIGTERM), KeyboardInterrupt()])
def test_what_no_stage_would_survive_ends_the_work(error: BaseException) -> None:
    """Bad data or a signal end it at once, with what was made before told."""
    make = Maker(right=error)
    outcomes = Sequential(make, quiet=True).execute(jobs())
    assert [next(outcomes).stage.name for _ in range(2)] == ["root", "left"]
    with pytest.raises(type(error)):
        next(outcomes)
    assert make.made == ["root", "left", "right"]


def test_progress_names_each_row_and_seed_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no terminal, a line when its first stage begins; quiet, nothing."""
    work = jobs_of([("a", LEAF), ("b", BOTH)])
    assert len([*Sequential(Maker()).execute(work)]) == 5
    assert capsys.readouterr().err == "a (1 of 2)\nb (2 of 2)\n"
    assert len([*Sequential(Maker(), quiet=True).execute(work)]) == 5
    assert capsys.readouterr().err == ""


ARTICLE = load_tables()["ernie3_kuake_qic"]
SVM = Step("svm", {})


def svm_table(**samples: int) -> ResultsTable:
    """Rows of the linear baseline, which takes a blink: each trains on so many lines, 0 for all of them."""
    base = ARTICLE.row("svm")
    rows: list[Row] = []
    for name, examples in samples.items():
        recipe = (Step("sample", {"examples": examples}), SVM) if examples else (SVM,)
        rows.append(replace(base, id=name, recipe=recipe))
    return replace(ARTICLE, rows=tuple(rows), claims=())


@pytest.fixture
def profile() -> Profile:
    """Smoke, on two seeds."""
    return replace(load_profile("smoke"), seeds=(1, 2))


def asks(table: ResultsTable, profile: Profile) -> list[Ask]:
    """Every row with every seed."""
    return [Ask(table, row.id, seed) for row in table.rows for seed in profile.seeds]


def test_rows_share_stages_and_leave_records(profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows of one recipe cost one; each record lies in the store when it comes."""
    runner = Runner(profile, Store(tmp_path), quiet=True)
    made: Counter[str] = Counter()
    make = Runner.make
    monkeypatch.setattr(Runner, "make", lambda self, stage, label: made.update([stage.key]) or make(self, stage, label))
    table = svm_table(one=50, other=50, whole=0)
    come = []
    for record in runner.drive(asks(table, profile)):
        come.append((record.row, record.seed))
        assert (runner.records / record.place).is_file()
    assert sorted(come) == [(row, seed) for row in ("one", "other", "whole") for seed in (1, 2)]
    assert set(made.values()) == {1}
    # A sample and a classifier of each seed, and the classifier of the whole.
    assert len(made) == 6
    records = {(one.row, one.seed): one for one in load_records(runner.records)}
    assert records["one", 1].stages == records["other", 1].stages
    assert records["one", 1].predictions == records["other", 1].predictions
    assert {one.status for one in records.values()} == {"ok"}


def test_a_failed_stage_is_tried_once_and_on_every_record(
    profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that descend from it have the reason on record, under its own name; the others are run."""
    runner = Runner(profile, Store(tmp_path), quiet=True)
    tried: list[int] = []
    make = Runner.make

    def broken(self: Runner, stage: Stage, label: str) -> Artefact:
        if stage.name == "sample" and stage.seed == 1:
            tried.append(1)
            raise MemoryError("no room")
        return make(self, stage, label)

    monkeypatch.setattr(Runner, "make", broken)
    found = {(one.row, one.seed): one for one in runner.drive(asks(svm_table(one=50, other=50, whole=0), profile))}
    assert tried == [1]
    assert {key for key, one in found.items() if one.status == "ok"} == {
        ("one", 2),
        ("other", 2),
        ("whole", 1),
        ("whole", 2),
    }
    for row in ("one", "other"):
        lost = found[row, 1]
        assert (lost.status, lost.reason, lost.stages) == ("error", "sample: MemoryError: no room", ())
        assert (lost.predictions, lost.counts) == ("", {})
    assert len(load_records(runner.records)) == 6


def test_faults_are_told_before_anything_runs(profile: Profile, tmp_path: Path) -> None:
    """Also one of the last row."""
    table = svm_table(whole=0, wrong=3)
    wrong = replace(table.row("wrong"), recipe=(Step("sample", {"exampels": 3}), SVM))
    table = replace(table, rows=(table.row("whole"), wrong))
    with pytest.raises(UserError, match="wrong, stage sample under profile smoke: .* no setting 'exampels'"):
        next(Runner(profile, Store(tmp_path), quiet=True).drive(asks(table, profile)))
    assert not [*tmp_path.iterdir()]


def test_a_stopped_run_goes_on(profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came before the signal is on record; the same call then does the rest alone, and ends with the same."""
    table, make = svm_table(one=50, whole=0), Runner.make
    done: list[str] = []

    def stopping(self: Runner, stage: Stage, label: str) -> Artefact:
        if len(done) == 3:
            raise Stopped(signal.SIGINT)
        done.append(stage.key)
        return make(self, stage, label)

    with monkeypatch.context() as patched:
        patched.setattr(Runner, "make", stopping)
        runner = Runner(profile, Store(tmp_path / "a"), quiet=True)
        with pytest.raises(Stopped):
            [*runner.drive(asks(table, profile))]
    assert [(one.row, one.seed) for one in load_records(runner.records)] == [("one", 1)]
    again = Runner(profile, Store(tmp_path / "a"), quiet=True)
    found = [*again.drive(asks(table, profile))]
    whole = [*Runner(profile, Store(tmp_path / "b"), quiet=True).drive(asks(table, profile))]
    assert [without_times(one) for one in found] == [without_times(one) for one in whole]


def without_times(record: Any) -> Any:
    """A record without what a clock decides."""
    stages = tuple({**stage, "seconds": 0, "summary": {**stage["summary"], "origin": {}}} for stage in record.stages)
    return replace(record, started="", finished="", stages=stages)
