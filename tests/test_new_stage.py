"""A stage of somebody's own: its module and one line of the registry, and everything else takes it.

What stands here is all that a new stage needs. It has two parents, settings, and a summary that is scored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.commands.main import main
from replicate.common.errors import UserError
from replicate.records.run import read_record, read_records
from replicate.report.build import write_session
from replicate.runs.plan import Sources, plan
from replicate.runs.runner import Runner
from replicate.runs.store import Store
from replicate.runs.tree import dot, tree
from replicate.scores.metrics import count
from replicate.scores.packing import pack_bits, pack_predictions, unpack_predictions
from replicate.stages.kind import Inputs, Kind, Port
from replicate.stages.registry import KINDS
from replicate.tables.file import load_table, load_tables
from replicate.tables.profile import Profile, load_profile
from replicate.tables.table import ResultsTable


@dataclass(frozen=True)
class PickOptions:
    """Whom to believe.

    Attributes:
        member: number of the member, from 0.
    """

    member: int = 0


def pick(inputs: Inputs) -> dict[str, Any]:
    """Answer as one of the members does."""
    folder = Path(inputs.sources["members"][inputs.options.member])
    predictions = unpack_predictions(json.loads((folder / "result.json").read_text())["evaluation"]["predictions"])
    gold = np.asarray(inputs.dataset.dev.labels)
    (inputs.folder / "said.txt").write_text(f"{len(inputs.sources['members'])} members\n")
    evaluation = {
        "counts": count(gold, predictions, len(inputs.dataset.labels)),
        "predictions": pack_predictions(predictions),
        "correct": pack_bits(predictions == gold),
        "confidence": "",
    }
    return {"evaluation": evaluation, "parameters": 0}


PICK = Kind(
    "pick",
    PickOptions,
    "scores",
    f"{__name__}:pick",
    (Port("members", ("scores", "net"), many=True),),
    frozen={"member": 0},
)

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
id = "all"
title = "everything"
recipe = [{ stage = "svm" }]
[[rows]]
id = "some"
title = "forty lines"
recipe = [{ stage = "sample", examples = 40 }, { stage = "svm" }]
[[rows]]
id = "second"
title = "the second of the two"
parents = ["all", "some"]
recipe = [{ stage = "pick", member = 1 }]
"""


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ResultsTable:
    """The table, read while the stage is registered."""
    monkeypatch.setitem(KINDS, "pick", PICK)
    path = tmp_path / "mine.toml"
    path.write_text(TABLE, encoding="utf-8")
    return load_table(path)


@pytest.fixture
def profile() -> Profile:
    """Smoke, on this table alone."""
    return replace(load_profile("smoke"), tables=("mine",), seeds=(1,))


def test_the_plan_is_a_graph_with_both_parents(table: ResultsTable, profile: Profile) -> None:
    """The stage starts from each parent's outcome; the tree and the drawing show both."""
    last = plan(table, "second", profile, 1, Sources({"train": "t", "dev": "d", "labels": "l"}, "", {}))
    assert [stage.name for stage in last.chain()] == ["svm", "sample", "svm", "pick"]
    assert last.identity["inputs"]["members"] == [one.key for one in last.parents()]
    assert last.options == {"member": 1}
    assert tree(last, lambda stage: stage.name) == [
        "pick",
        "├─ members: svm",
        "└─ members: svm",
        "   └─ train: sample",
    ]
    assert dot(last, "second").count('[label = "members"]') == 2


def test_it_runs_is_stored_and_recorded(table: ResultsTable, profile: Profile, tmp_path: Path) -> None:
    """Its record says what it was made of, and its answers are those of the parent that it picked; then it is kept."""
    runner = Runner(profile, Store(tmp_path / "store"), quiet=True, offline=True)
    record = runner.run(table, "second", 1)
    assert (record.status, record.reason) == ("ok", "")
    assert [stage["stage"] for stage in record.stages] == ["svm", "sample", "svm", "pick"]
    assert record.predictions == runner.run(table, "some", 1).predictions
    assert record.predictions != runner.run(table, "all", 1).predictions
    assert read_record(runner.keep(record)) == record
    last = runner.planned(table, "second", 1)[-1]
    found = runner.store.find("pick", last.key)
    assert found is not None
    assert (found.path / "said.txt").read_text() == "2 members\n"


def test_the_command_runs_it_and_the_report_shows_it(
    table: ResultsTable,
    profile: Profile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`replicate run` prints its plan, runs it and prints its figures; the session's report has its row."""
    tables = {**load_tables(), "mine": table}
    for place in ("replicate.commands.run", "replicate.report.build"):
        monkeypatch.setattr(f"{place}.load_tables", lambda *_: tables)
    monkeypatch.setattr("replicate.commands.run.load_profile", lambda _: profile)
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    line = ["run", "second", "--offline", "--quiet"]
    assert main([*line, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == [
        "mine/second",
        "  pick: would run for seed 1",
        "  ├─ members: svm: would run for seed 1",
    ]
    assert main([*line, "--json"]) == 0
    (printed,) = json.loads(capsys.readouterr().out)
    assert (printed["row"], printed["status"]) == ("second", "ok")
    found = read_records(tmp_path / "store" / "records")
    write_session(tmp_path / "report", tmp_path / "store" / "records", profile, found)
    page = (tmp_path / "report/docs/report/smoke.md").read_text(encoding="utf-8")
    (row,) = (one for one in page.splitlines() if one.startswith("| [`second`]"))
    assert printed["accuracy"] in row


def test_its_settings_are_checked_where_they_stand(table: ResultsTable, tmp_path: Path) -> None:
    """A misspelt setting or a value of another type is named with file, row and key."""
    for wrong, what in (("membre = 1", "membre: no such setting; settings: member"), ('member = "b"', "not a whole")):
        path = tmp_path / "mine.toml"
        path.write_text(TABLE.replace("member = 1", wrong), encoding="utf-8")
        with pytest.raises(UserError, match=rf"mine\.toml: rows\.second\.recipe\.1\.\w+: .*{what.rpartition(': ')[2]}"):
            load_table(path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('parents = ["all", "some"]', "", "members takes scores or net of each parent"),
        (
            'stage = "pick", member = 1',
            'stage = "sample", examples = 5',
            "it takes one train, and what it descends from",
        ),
        ('parents = ["all", "some"]', 'parents = ["all", "nobody"]', "no row 'nobody'"),
        ('parents = ["all", "some"]', 'parents = ["all", "second"]', "descends from itself"),
        ('parents = ["all", "some"]', 'parents = ["all", "all"]', "a row twice"),
        ('parents = ["all", "some"]', 'parent = "all"\nparents = ["some"]', "among the `parents`"),
    ],
)
def test_parents_that_do_not_fit_are_refused(
    table: ResultsTable, profile: Profile, tmp_path: Path, old: str, new: str, words: str
) -> None:
    """Too few, too many, none or the same: one line that says which row and what."""
    path = tmp_path / "mine.toml"
    path.write_text(TABLE.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError, match=words):
        plan(load_table(path), "second", profile, 1, Sources({}, "", {}))


def test_a_chain_of_thousands_is_no_stack_overflow(table: ResultsTable, profile: Profile) -> None:
    """Plans and their trees are walked without recursion."""
    first = table.row("all")
    rows = [first]
    for number in range(3000):
        rows.append(replace(first, id=f"r{number}", parents=(rows[-1].id,), recipe=table.row("some").recipe[:1]))
    long = replace(table, rows=tuple(rows))
    last = plan(long, "r2999", profile, 1, Sources({}, "", {}))
    assert len([*last.chain()]) == len(tree(last, lambda stage: stage.name)) == 3000
