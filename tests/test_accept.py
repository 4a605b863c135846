"""What becomes the baseline: one rule for `replicate run`, `pytest bench` and `replicate time`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from replicate.commands.main import main
from replicate.commands.session import Session, refusal
from replicate.records.run import Record, load_records, write_record
from replicate.records.timing import TimingRecord
from replicate.records.timing_file import read_timing
from replicate.runs.accept import Candidate, accept, decide
from replicate.runs.runner import Runner
from replicate.runs.store import Store
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile
from replicate.tables.table import Row
from replicate.timing.session import record_of
from replicate.verdicts.published import Status
from tests.synthetic import all_right, runs

TABLES = load_tables()
SVM: Row = TABLES["ernie3_kuake_qic"].row("svm")
REFUSED = {"lower", "higher", "error"}
# Four a side that do not differ among themselves prove nothing of two metrics.
SEEDS = (1, 2, 3, 4, 5)
SMOKE = load_profile("smoke").changed(seeds=SEEDS)


@pytest.mark.parametrize("status", get_args(Status))
def test_a_row_that_differs_is_refused_unless_it_is_said(status: Status) -> None:
    """By name and with its reason, whatever became of the row beside it."""
    changed, same = tuple(runs("base", [20, 21])), tuple(runs("svm", [10, 10]))
    rows = [Candidate("t/base", changed, status, "because"), Candidate("t/svm", same, "replicated", "")]
    decision = decide(rows, ())
    assert decision.refused == ({"t/base": f"{status}: because"} if status in REFUSED else {})
    assert decision.accepted == (same if status in REFUSED else changed + same)
    said = decide(rows, (), changed=True)
    assert (said.accepted, said.refused) == (changed + same, {})


def test_refusals_are_listed_by_name() -> None:
    """A line for each row, and one that says what accepts them."""
    rows = [Candidate(f"t/{name}", (), "lower", "the mean is lower") for name in ("base", "svm")]
    assert refusal(decide(rows, ())).splitlines() == [
        "not accepted: t/base, lower: the mean is lower",
        "not accepted: t/svm, lower: the mean is lower",
        "`--accept-changed` accepts rows that differ",
    ]


def test_a_row_that_cannot_stand_beside_the_others_is_refused() -> None:
    """Seeds of one row have one pretrained net, whoever means the change; a seed that is replaced is no obstacle."""
    old = [replace(one, pretrained="one net") for one in runs("base", [20, 21, 22])]
    new = tuple(replace(one, pretrained="another") for one in runs("base", [20, 21, 22]))
    for records, seeds_left in ((new[:2], True), (new, False)):
        decision = decide([Candidate("t/base", records, "replicated", "")], old, changed=True)
        assert decision.accepted == (() if seeds_left else records)
        if seeds_left:
            assert "another pretrained net" in decision.refused["t/base"]
            assert {"seed-1.json", "seed-3.json"} <= set(re.findall(r"seed-\d\.json", decision.refused["t/base"]))
    other_rows = [replace(one, digests={"dev": "old"}) for one in runs("svm", [10])]
    moved = tuple(replace(one, digests={"dev": "new"}) for one in new)
    assert "another dev set" in decide([Candidate("t/base", moved, "replicated", "")], other_rows).refused["t/base"]


def timing(name: str) -> TimingRecord:
    """A record of nothing."""
    return record_of(name, "2026-01-01T00:00:00+00:00", ("replicate", "time"), "cpu", 1)


def test_runs_and_timings_have_one_way_into_measured(tmp_path: Path) -> None:
    """Each goes to its place there, over what stood in it."""
    (run,) = runs("base", [20], "smoke")
    paths = accept([run, timing("mine"), run], tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [run.place, "timing/mine.json", run.place]
    assert load_records(tmp_path) == [run]
    assert read_timing(tmp_path / "timing" / "mine.json").name == "mine"


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of measured/, and a report that only says that it was written."""
    monkeypatch.setattr("replicate.commands.session.MEASURED", tmp_path / "measured")
    monkeypatch.setattr("replicate.report.build.write", lambda: (tmp_path / "written").touch())
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    return tmp_path / "measured"


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The linear baseline under smoke, five seeds."""
    session = Session(Runner(SMOKE, Store(tmp_path_factory.mktemp("store")), quiet=True), TABLES)
    return list(session.result(SVM).records)


def other(record: Record) -> Record:
    """A record that ended in an error."""
    return replace(record, status="error", reason="svm: it broke", counts={}, predictions="", correct="", confidence="")


Change = Callable[[Record], Record]


@pytest.mark.parametrize(
    ("change", "status"), [(None, ""), (lambda one: one, ""), (all_right, "lower")], ids=["none", "same", "better"]
)
@pytest.mark.parametrize("comparable", [False, True])
def test_a_session_is_held_against_its_own_baseline(
    change: Change | None, status: str, comparable: bool, records: list[Record], measured: Path, tmp_path: Path
) -> None:
    """Also under a profile that is compared with published values: those say nothing of a regression."""
    for one in records if change else []:
        write_record(change(one), measured)  # type: ignore[misc]
    before = load_records(measured)
    profile = replace(SMOKE, comparable=comparable)
    session = Session(Runner(profile, Store(tmp_path / "store"), quiet=True), TABLES)
    session.run([SVM])
    assert load_records(measured) == before
    decision = session.accept()
    assert (tmp_path / "written").exists()
    if not status:
        assert decision.refused == {}
        assert [one.predictions for one in load_records(measured)] == [one.predictions for one in records]
        return
    assert list(decision.refused) == [SVM.full_id]
    assert decision.refused[SVM.full_id].startswith(f"{status}: ")
    assert load_records(measured) == before
    assert session.accept(changed=True).refused == {}
    assert [one.predictions for one in load_records(measured)] == [one.predictions for one in records]


@pytest.fixture
def regressed(records: list[Record], measured: Path) -> list[Record]:
    """A baseline that today's row is worse than."""
    for one in records:
        write_record(all_right(one), measured)
    return load_records(measured)


def test_run_refuses_what_differs(regressed: list[Record], measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`replicate run --accept` names the row, ends with 1 and leaves its baseline; `--accept-changed` takes it."""
    assert main(["run", "svm", "--seeds", "1,2,3,4,5", "--accept", "--quiet", "--json"]) == 1
    out, err = capsys.readouterr()
    assert [row["status"] for row in json.loads(out)] == ["ok"] * 5
    assert err.startswith(f"not accepted: {SVM.full_id}, lower: ")
    assert load_records(measured) == regressed
    assert main(["run", "svm", "--seeds", "1,2,3,4,5", "--accept-changed", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert (f"accepted into {measured / 'smoke'}; report in " in out, err) == (True, "")
    assert load_records(measured) != regressed


def test_run_without_accept_touches_nothing(measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The records are in the store alone, and the last line says how they would be accepted."""
    assert main(["run", "svm", "--quiet"]) == 0
    assert "`--accept`" in capsys.readouterr().out.splitlines()[-1]
    assert not measured.exists()
    assert not (tmp_path / "written").exists()
    assert len(load_records(tmp_path / "store" / "records")) == 3


def test_an_error_is_never_the_baseline_by_itself(
    records: list[Record], measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where nothing was accepted before."""
    session = Session(Runner(SMOKE, Store(tmp_path / "store"), quiet=True), TABLES)
    monkeypatch.setattr(Runner, "drive", lambda self, asks, executor: [*records[:4], other(records[4])])
    session.run([SVM])
    assert session.accept().refused == {SVM.full_id: "error: seed 5: svm: it broke"}
    assert not measured.exists()
