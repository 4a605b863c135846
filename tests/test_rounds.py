"""What plans ask for next, from records alone; what is kept before the first seed, and what is post hoc."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from replicate.commands.session import Session
from replicate.commands.until import about_plan, check_seeds, keep_plans, told, told_as_json, until_decided
from replicate.common.errors import UserError
from replicate.findings.decided import Decided, decided
from replicate.findings.rounds import Study, fitting, next_asks, open_claims, studies_of
from replicate.records.plans import path_of, read_plans
from replicate.records.run import Record, load_records, write_record
from replicate.runs.ask import Ask
from replicate.runs.executor import Executor
from replicate.runs.runner import Runner
from replicate.runs.store import Store
from replicate.tables.table import ResultsTable
from tests.planned import RULE, TWO, planned, runs
from tests.synthetic import failure

SVM = """
[[sequential.added]]
id = "svm-raises"
text = "The baseline is better."
kind = "raises"
row = "svm"
against = "base"
metric = "accuracy"
provenance = "ours"
"""
PROFILE = replace(TWO, dataset="generated", tables=("article",))
# Wrong answers of 20 seeds: the pruned rows differ from the base by what isn't a whole example a seed on average.
WRONG = {
    "base": [22, 23, 22, 22, 23, 24, 22, 23, 22, 22] * 2,
    "prune": [26, 20, 20, 27, 28, 18, 19, 30, 25, 21, 27, 20, 26, 20, 20, 27, 28, 18, 19, 30],
    "svm": [5] * 20,
}


@pytest.fixture
def table(tmp_path: Path) -> ResultsTable:
    """Three claims: two about the pruned row, which stay open, and one that is decided at the first look."""
    return planned(tmp_path, RULE + SVM)


@pytest.fixture
def study(table: ResultsTable) -> Study:
    """The plan of that table, all of it."""
    (one,) = studies_of({"article": table}, PROFILE)
    return one


def seeds_of(row: str, seeds: Sequence[int]) -> list[Record]:
    """The row's runs with these seeds."""
    return [one for one in runs(row, WRONG[row]) if one.seed in seeds]


def found(study: Study, records: Sequence[Record]) -> dict[str, Decided]:
    """What the records decide, by table."""
    one = decided(study.table, PROFILE, records, study.plan)
    assert one is not None
    return {study.table.id: one}


def asked(study: Study, records: Sequence[Record], seeds: int | None = None) -> list[tuple[int, str]]:
    """Seeds and rows that come next."""
    return [(ask.seed, ask.row) for ask in next_asks([study], found(study, records), seeds)]


def test_a_first_round_takes_the_first_look_seed_by_seed(study: Study) -> None:
    """Five places on both nets, rows in the table's order; what is there is not run again."""
    rows = ("base", "prune", "svm")
    assert asked(study, []) == [(seed, row) for seed in range(1, 11) for row in rows]
    there = [*seeds_of("base", range(1, 11)), *seeds_of("svm", range(1, 10))]
    assert asked(study, there) == sorted([(10, "svm"), *((seed, "prune") for seed in range(1, 11))])


def test_rows_of_decided_claims_are_left_alone(study: Study) -> None:
    """After the first look one place a round, without the baseline, until the plan ends."""
    there = [one for row in WRONG for one in seeds_of(row, range(1, 11))]
    assert open_claims(study, found(study, there)["article"]) == ("prune-lowers", "prune-keeps-last")
    rounds = 0
    while runs_next := asked(study, there):
        rounds += 1
        assert runs_next == [(9 + 2 * rounds + seed, row) for seed in (0, 1) for row in ("base", "prune")]
        there += [one for seed, row in runs_next for one in seeds_of(row, [seed])]
    assert rounds == 5
    assert max(one.seed for one in there) == 20


def test_a_stop_is_no_change_of_the_plan(study: Study) -> None:
    """Every row has so many seeds in all; later the rounds go on to where they would have been."""
    there = [one for row in ("base", "prune", "svm") for one in seeds_of(row, range(1, 11))]
    assert asked(study, there, 10) == asked(study, there, 11) == []
    assert asked(study, there, 12) == asked(study, there) != []
    assert len(asked(study, [], 10)) == 30
    with pytest.raises(UserError, match="10"):
        check_seeds([study], 9)
    check_seeds([study], 10)


def test_named_rows_are_those_of_their_claims(study: Study, table: ResultsTable) -> None:
    """Both rows of each, at the level of the whole family; a row of no plan is refused with those that are."""
    (some,) = studies_of({"article": table}, PROFILE, ("svm",))
    assert (some.names, some.rows, some.plan) == (("svm-raises",), ("base", "svm"), study.plan)
    assert {row for _, row in asked(some, [])} == {"base", "svm"}
    assert studies_of({"article": table}, PROFILE, ("article/base",)) == (study,)
    (rest,) = fitting([study], [("article", "base"), ("article", "prune"), ("other", "svm")])
    assert rest.names == ("prune-lowers", "prune-keeps-last")
    assert fitting([study], [("other", "base")]) == ()
    without = replace(table, sequential=None)
    for tables, names, word in (
        ({"article": without}, (), "plan"),
        ({"article": planned_without_svm(table)}, ("svm",), "svm"),
        ({"article": table}, ("nobody",), "nobody"),
    ):
        with pytest.raises(UserError, match=word):
            studies_of(tables, PROFILE, names)


def planned_without_svm(table: ResultsTable) -> ResultsTable:
    """The table with the other claims."""
    assert table.sequential is not None
    added = tuple(one for one in table.sequential.added if one.row != "svm")
    return replace(table, sequential=replace(table.sequential, added=added))


def test_studies_are_joined_by_seed(study: Study, table: ResultsTable) -> None:
    """Two tables: the runs of one seed stand together, so that they share stages and a process."""
    other = replace(study, table=replace(table, id="other"))
    both = {"article": found(study, [])["article"], "other": found(study, [])["article"]}
    asks = next_asks([study, other], both)
    assert [(ask.seed, ask.full_id) for ask in asks[:6]] == [
        (1, f"{name}/{row}") for name in ("article", "other") for row in ("base", "prune", "svm")
    ]
    assert [ask.seed for ask in asks] == sorted(ask.seed for ask in asks)


def test_a_plan_is_kept_where_no_seed_was_first(study: Study, tmp_path: Path) -> None:
    """In the runner's folder, once; not where a record of its rows is there, accepted or not."""
    runner = Runner(PROFILE, Store(tmp_path / "store"), quiet=True)
    measured = tmp_path / "measured"
    outside = [replace(one, profile="paper") for one in seeds_of("base", [1])]
    outside += [replace(one, table="other") for one in seeds_of("base", [1])]
    outside += [replace(seeds_of("base", [1])[0], seed=21), replace(seeds_of("base", [1])[0], row="nobody")]
    assert keep_plans([study], runner, measured, [*outside, *seeds_of("svm", [20])]) == {}
    assert not path_of(runner.records, "small").exists()
    kept = keep_plans([study], runner, measured, outside)
    assert kept["article"].plan == study.plan
    assert read_plans(runner.records, "small") == kept
    assert keep_plans([study], runner, measured, seeds_of("svm", [20])) == kept
    other = replace(study, plan=replace(study.plan, most=9))
    assert keep_plans([other], runner, measured, []) == kept


def test_what_is_post_hoc_is_told_in_a_line(study: Study, tmp_path: Path) -> None:
    """Seeds first, another rule, claims that were added, changed or dropped."""
    runner = Runner(PROFILE, Store(tmp_path / "store"), quiet=True)
    kept = keep_plans([study], runner, tmp_path / "measured", [])["article"]
    seen = seeds_of("base", [1, 2])
    assert about_plan(study, kept, seen) == about_plan(study, None, []) == []
    (line,) = about_plan(study, None, seen)
    assert seen[0].place in line
    assert "post hoc" in line
    less = replace(kept, plan=replace(study.plan, claims=study.plan.claims[:2]))
    (line,) = about_plan(study, less, seen)
    assert "svm-raises" in line
    assert "prune" not in line
    for change, word in (
        ({"most": 9}, "most"),
        ({"margins": {**study.plan.margins, "accuracy": 0.02}}, "margins"),
        ({"pairing": "none"}, "pairing"),
    ):
        (line,) = about_plan(study, replace(kept, plan=replace(study.plan, **change)), seen)  # type: ignore[arg-type]
        assert word in line
        assert "all" in line
    (line,) = about_plan(replace(study, plan=less.plan), kept, seen)
    assert "svm-raises" in line


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[int, str]]]:
    """Each round as it is run, with made-up records of it."""
    told: list[list[tuple[int, str]]] = []

    def drive(self: Runner, asks: Sequence[Ask], executor: Executor) -> Iterator[Record]:
        assert path_of(self.records, "small").exists() or load_records(self.measured)
        told.append([(ask.seed, ask.row) for ask in asks])
        for ask in asks:
            yield from seeds_of(ask.row, [ask.seed])

    monkeypatch.setattr(Runner, "drive", drive)
    return told


def session(table: ResultsTable, folder: Path) -> Session:
    """With nothing run yet, and a measured/ of its own."""
    runner = Runner(PROFILE, Store(folder / "store"), quiet=True, measured=folder / "measured")
    return Session(runner, {table.id: table}, folder / "measured")


def test_rounds_end_with_every_claim_told(
    study: Study, table: ResultsTable, rounds: list[list[tuple[int, str]]], tmp_path: Path
) -> None:
    """The same claims as from the records at once; the session has the rows, and a line says why each has ended."""
    mine = session(table, tmp_path)
    (ended,) = until_decided(mine, [study])
    assert [len(one) for one in rounds] == [30, 4, 4, 4, 4, 4]
    assert ended.found.verdicts == found(study, mine.records)["article"].verdicts
    assert ended.found.post_hoc == set()
    assert {name: len(one.records) for name, one in mine.results.items()} == {
        "article/base": 20,
        "article/prune": 20,
        "article/svm": 10,
    }
    lines = {one["claim"]: one for one in told([ended])}
    assert lines["svm-raises"]["answer"] == "yes"
    assert lines["svm-raises"][""] == ""
    assert lines["prune-lowers"]["seeds"].startswith("10 ")
    assert "20 seeds" in lines["prune-lowers"][""]
    values = {one["claim"]: one for one in told_as_json([ended])}
    assert values["svm-raises"]["decided"] is True
    assert values["svm-raises"]["interval"] == list(ended.found.verdicts["svm-raises"].interval)


def test_accepted_records_count_and_make_an_unkept_plan_post_hoc(
    study: Study, table: ResultsTable, rounds: list[list[tuple[int, str]]], tmp_path: Path
) -> None:
    """They are not run again; that they were first is told, and no plan is written afterwards, accepted or not."""
    for row in WRONG:
        for one in seeds_of(row, range(1, 9)):
            write_record(one, tmp_path / "measured")
    mine = session(table, tmp_path)
    (ended,) = until_decided(mine, [study], 12)
    assert rounds[0] == [(seed, row) for seed in (9, 10) for row in ("base", "prune", "svm")]
    assert ended.found.post_hoc == {"prune-lowers", "prune-keeps-last", "svm-raises"}
    assert all("post hoc" in one[""] for one in told([ended]))
    assert "--max-seeds 12" in told([ended])[0][""]
    assert mine.plans == {}
    assert not path_of(mine.runner.records, "small").exists()


def test_a_plan_is_accepted_before_its_records_and_never_replaced(
    study: Study,
    table: ResultsTable,
    rounds: list[list[tuple[int, str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the first seeds; later ones find it there, and a changed plan leaves it as it is."""
    measured = tmp_path / "measured"
    monkeypatch.setattr("replicate.commands.session.report.write", lambda: None)
    mine = session(table, tmp_path)
    until_decided(mine, [study], 10)
    assert not measured.exists()
    assert len(mine.accept().accepted) == 30
    assert read_plans(measured, "small") == read_plans(mine.runner.records, "small")
    before = path_of(measured, "small").read_bytes()
    elsewhere = Session(
        Runner(PROFILE, Store(tmp_path / "other"), quiet=True, measured=measured), {table.id: table}, measured
    )
    (ended,) = until_decided(elsewhere, [study], 12)
    assert ended.found.post_hoc == set()
    later_seeds = [(seed, row) for seed in (11, 12) for row in ("base", "prune")]
    assert rounds[-1] == later_seeds
    assert sorted((one.seed, one.row) for one in elsewhere.accept().accepted) == later_seeds
    changed = replace(study, plan=replace(study.plan, alpha=0.1))
    later = session(table, tmp_path)
    monkeypatch.setattr("replicate.commands.until.decided", lambda *given: found(changed, given[2])["article"])
    until_decided(later, [changed], 12)
    later.accept()
    assert path_of(measured, "small").read_bytes() == before


def test_a_seed_without_a_score_sticks_its_claims(
    study: Study, table: ResultsTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others go on; it is not left out, and its record is told."""

    def drive(self: Runner, asks: Sequence[Ask], executor: Executor) -> Iterator[Record]:
        for ask in asks:
            (one,) = seeds_of(ask.row, [ask.seed])
            bad = replace(
                failure("prune", 3, "diverged", profile="small"), pretrained=one.pretrained, stages=one.stages
            )
            yield bad if (ask.row, ask.seed) == ("prune", 3) else one

    monkeypatch.setattr(Runner, "drive", drive)
    (ended,) = until_decided(session(table, tmp_path), [study])
    assert [one.place for one in ended.failed] == ["small/article/prune/seed-3.json"]
    stuck = {name for name, one in ended.found.verdicts.items() if one.stuck}
    assert stuck == {"prune-lowers", "prune-keeps-last"}
    assert ended.found.verdicts["svm-raises"].decided
