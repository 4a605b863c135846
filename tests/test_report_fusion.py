"""What the records say of fusion, and the section that shows it, from made-up rows, records and timings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from replicate.findings.compression import compute_compression
from replicate.findings.compute import compare_all, compute
from replicate.findings.evidence import Evidence, gather
from replicate.findings.fusion import Fused, FusedTable, compute_fusion, votes_of
from replicate.findings.pairs import pairs_of
from replicate.records.run import Record
from replicate.records.timing import TimingRecord
from replicate.report.blocks import Block
from replicate.report.sections.advice import section_advice
from replicate.report.sections.fusion import section_fusion
from replicate.tables.table import ResultsTable
from tests.shown import line, lines, pictures, words
from tests.synthetic import PAPER, SAME, SMALL, STUDY, UP, WIDE, record, study_runs, study_tables
from tests.synthetic_timing import example, race


def of_three(name: str, how: str, against: str = "", member: str = "base") -> str:
    """A row of three seeds of a member."""
    other = f'against = "{against}"\n' if against else ""
    recipe = f'[{{ stage = "fuse", of = ["{member}"], members = 3, how = "{how}" }}]'
    return f'[[rows]]\nid = "{name}"\ntitle = "{name}"\n{other}recipe = {recipe}\n'


ROWS = (
    '[[rows]]\nid = "other"\ntitle = "o"\nrole = "member"\nrecipe = [{ stage = "finetune", select = "f1" }]\n'
    '[[rows]]\nid = "third"\ntitle = "t"\nrole = "member"\nrecipe = [{ stage = "finetune", select = "" }]\n'
    + of_three("one", "first")
    + of_three("mean", "mean", "one")
    + of_three("voted", "vote", "one")
    + of_three("soup", "soup", "one")
    + of_three("other-mean", "mean", "one", "other")
    + of_three("third-mean", "mean", "one", "third")
    + """
[[rows]]
id = "student"
title = "of the mean"
parent = "mean"
recipe = [{ stage = "distill", student = "bow" }]
[[claims]]
id = "mean-raises"
text = "Three are better than one."
kind = "raises"
row = "mean"
against = "one"
metrics = ["accuracy"]
provenance = "ours"
"""
)
PROFILE = replace(SMALL, seeds=(1, 2, 3, 4, 5, 6), tables=("article", "study"))
SIZES = {"one": 1_000_000, "soup": 1_000_000, "student": 400_000}
# As the mean with `UP`, but for one text more or fewer.
LIKE_UP = tuple(right + by for right, by in zip(UP, SAME, strict=True))
VOTES = {"3": {"texts": 70, "right": 63}, "2": {"texts": 25, "right": 15}, "1": {"texts": 5, "right": 1}}


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, ResultsTable]:
    """The article's table and one with fused rows."""
    return study_tables(tmp_path, STUDY + ROWS)


def fused(row: str, by: Sequence[int], apart: float = 0.1, members: float = 0.79) -> list[Record]:
    """One run a seed, of members that have this accuracy and disagree so much."""
    summary: Mapping[str, Any] = {
        "how": "mean",
        "members": 3,
        "member_accuracy": [members] * 3,
        "disagreement": apart,
        "votes": VOTES,
    }
    runs = study_runs(row, by, SIZES.get(row, 3_000_000), summary)
    last = [{**run.stages[0], "stage": "distill", "summary": {}} for run in runs]
    return [
        replace(
            run,
            stages=(
                {**run.stages[0], "stage": "fuse"},
                *([end] if row == "student" else []),
            ),
        )
        for run, end in zip(runs, last, strict=True)
    ]


def evidence(
    tables: Mapping[str, ResultsTable], records: Sequence[Record] = (), timings: Sequence[TimingRecord] = ()
) -> Evidence:
    """Of both profiles."""
    return gather(tables, records, {"paper": PAPER, "small": PROFILE}, timings)


def found(
    tables: Mapping[str, ResultsTable], records: Sequence[Record] = (), timings: Sequence[TimingRecord] = ()
) -> FusedTable:
    """The study under the profile that runs it."""
    given = evidence(tables, records, timings)
    (only,) = compute_fusion(given, compare_all(given)).tables
    return only


def rows_of(one: FusedTable) -> dict[str, Fused]:
    """By their ids."""
    return {row.row.id: row for row in one.rows}


def section(
    tables: Mapping[str, ResultsTable], records: Sequence[Record] = (), timings: Sequence[TimingRecord] = ()
) -> list[Block]:
    """What the section shows."""
    given = evidence(tables, records, timings)
    return section_fusion(compute_fusion(given, compare_all(given)))


def test_nothing_run(tables: dict[str, ResultsTable]) -> None:
    """Rows are named as not-run, members are none of them, nothing is drawn, and neighbours are told."""
    blocks = section(tables)
    assert "Not known yet. Of 6 fused rows, none" in words(blocks)
    assert ": one, mean, voted, soup, other-mean, third-mean, student." in words(blocks)
    assert (lines(blocks), pictures(blocks)) == ([], [])
    assert "Somebody gained 0.8 points" in words(blocks)
    del tables["study"]
    assert section(tables) == []


def test_an_ensemble_of_seeds_is_not_paired_with_its_member(tables: dict[str, ResultsTable]) -> None:
    """Seed 2 of three has members 4 to 6, so seed 2 of the member is no pair of it; a student's ensemble is."""
    pairs = {pair[:2] for pair in pairs_of(tables["study"], PROFILE)}
    assert pairs == {(row, "one") for row in ("mean", "voted", "soup", "other-mean", "third-mean")} | {
        ("student", "mean")
    }


def test_a_student_of_an_ensemble_is_no_compressed_net(tables: dict[str, ResultsTable]) -> None:
    """It is told here, beside its ensemble, and not among the nets that were made smaller."""
    given = evidence(tables, fused("student", SAME))
    compressed = compute_compression(given, compare_all(given))
    assert {one.table.id for profile in compressed.profiles for one in profile.tables} == {"article"}


def test_figures_are_those_of_the_records(tables: dict[str, ResultsTable]) -> None:
    """Gains are over the members' mean, differences to the row that is named, and sizes the records'."""
    records = fused("one", SAME) + fused("mean", UP, 0.15) + fused("soup", SAME) + fused("student", LIKE_UP)
    blocks, of = section(tables, records), rows_of(found(tables, records))
    mean = of["mean"]
    # Right: 80, 78, 79, 80, 78, 79 and 6 or 7 more, of 100.
    assert [*mean.gains.values()] == pytest.approx([0.07, 0.06, 0.06, 0.08, 0.05, 0.07])
    shown = line(blocks, row="mean", **{"made by": "mean of the probabilities of 3"})
    assert shown.cells["over its members"].startswith("+0.0650 (0.0540 to 0.0760")
    assert (shown.cells["disagreement"], shown.cells["parameters"]) == ("0.1500", "3,000,000")
    assert (shown.cells["ms, beside that of"], shown.cells["times as fast"]) == ("not-run", "not-run")
    assert line(blocks, row="soup").cells["times as fast"] == "as large"
    student = line(blocks, row="student", parameters="400,000")
    assert student.cells["made by"] == "student of the mean of the probabilities of 3"
    assert line(blocks, difference="mean minus one").cells["word"] == "above"
    assert line(blocks, difference="student minus mean").cells["word"] == "no difference"
    assert line(blocks, claim="Three are better than one.").cells["does it hold?"] == "yes (unplanned)"
    assert "that gains most over its members: mean, +0.0650 for the cost of 3 nets" in words(blocks)
    one = line(blocks, row="one", **{"made by": "one of 3"})
    assert (one.cells["over its members"], one.cells["times as fast"]) == ("", "")


def twice(records: Sequence[Record]) -> list[Record]:
    """The same scores under six more seeds."""
    return [*records, *(replace(one, seed=one.seed + 6) for one in records)]


def advised(tables: Mapping[str, ResultsTable], *records: Sequence[Record]) -> str:
    """What the front page says of fusion."""
    profile = replace(PROFILE, seeds=tuple(range(1, 13)))
    given = gather(tables, [one for some in records for one in some], {"paper": PAPER, "small": profile})
    return line(section_advice(compute(given).advice), **{"": "Fuse?"}).cells["answer"]


def test_advice_names_gains_with_their_cost(tables: dict[str, ResultsTable]) -> None:
    """A word rests on ten pairs; an ensemble that gains costs its members, and a soup that gains is one net."""
    assert advised(tables) == "not-run"
    assert advised(tables, fused("one", SAME), fused("mean", UP)).startswith("Not known yet: ")
    one, up = twice(fused("one", SAME)), twice(fused("mean", UP))
    told = advised(tables, one, up, twice(fused("soup", SAME)))
    assert told.startswith("Where its time may be spent: it gains. Over the row that each is compared with: mean +0.0")
    assert told.endswith(", above, at the cost of 3 nets.")
    told = advised(tables, one, up, twice(fused("soup", LIKE_UP)))
    assert told.startswith("Yes: one net may have the gain.")
    assert "; soup +0.0" in told
    assert told.endswith(", above, at the cost of 1 net.")
    assert advised(tables, one, twice(fused("mean", SAME))).startswith("No: none gains. ")
    told = advised(tables, one, twice(fused("mean", WIDE)))
    assert told.startswith("Undecided: none with a plan or ten seeds is shown to gain. ")


def test_speed_stands_beside_that_of_one_net(tables: dict[str, ResultsTable]) -> None:
    """Milliseconds of both, and how many times as fast, from a race of nets of these sizes."""
    seconds = {"dygraph fp32 1": 0.003, "onnxruntime fp32 1": 0.001, "onnxruntime fp32 1/2": 0.0032}
    one = race(32, seconds)
    sizes = dict(zip(seconds, (1_000_000, 1_000_000, 3_000_000), strict=True))
    contestants = tuple(replace(each, parameters=sizes[each.label]) for each in one.contestants)
    records = fused("one", SAME) + fused("mean", UP)
    blocks = section(tables, records, [example(replace(one, contestants=contestants))])
    shown = line(blocks, row="mean", parameters="3,000,000")
    assert shown.cells["ms, beside that of"] == "3.20, one 1.00"
    assert shown.cells["times as fast"].startswith("0.31 (")


def test_gain_against_disagreement(tables: dict[str, ResultsTable]) -> None:
    """The slope of each seed over the rows, and a picture that names every ensemble."""
    # Per 0.1 of disagreement 1, 2 and 3 texts more of 100, from members as good as the base.
    records = [
        *fused("mean", (1, 2, 3), 0.1, 0.79),
        *fused("other-mean", (2, 4, 6), 0.2, 0.79),
        *fused("third-mean", (3, 6, 9), 0.3, 0.79),
    ]
    one = found(tables, records)
    assert one.slope is not None
    assert [*one.slope.by_seed.values()] == pytest.approx([0.1, 0.2, 0.3])
    assert one.slope.rows == ("mean", "other-mean", "third-mean")
    # 0.2 ± 4.303 × 0.1 / √3.
    assert one.slope.interval == pytest.approx((0.2 - 0.2484, 0.2 + 0.2484), abs=1e-3)
    blocks = section(tables, records)
    assert "Undecided: for each 0.1 of disagreement more, the gain changes by +0.0200 " in words(blocks)
    (picture,) = pictures(blocks)
    assert picture.path == "docs/figures/fusion-study-small.svg"
    assert all(f">{name}<" in picture.svg() for name in ("mean", "other-mean", "third-mean"))
    assert "Pareto" not in picture.svg()
    two = found(tables, fused("mean", (1, 2, 3)) + fused("other-mean", (2, 4, 6)))
    assert two.slope is None


def test_votes_tell_which_answers_are_sure(tables: dict[str, ResultsTable]) -> None:
    """Of members, the counts of all seeds; of single nets, how many seeds agree on a text."""
    # Of 100 texts the first 20, 22 and 21 are wrong, and to one label: three agree on 98, and are right in 78 of them.
    records = fused("voted", (0, 0, 0)) + fused("one", (0, 0, 0))
    blocks = section(tables, records)
    shares = {
        (shown.cells["votes of"], shown.cells["agree"]): (
            shown.cells["share of dev texts"],
            shown.cells["of these right"],
        )
        for shown in lines(blocks, "votes of")
    }
    assert shares == {
        ("voted", "3 of 3"): ("70.0%", "90.0%"),
        ("voted", "2 of 3"): ("25.0%", "60.0%"),
        ("voted", "1 of 3"): ("5.0%", "20.0%"),
        ("one", "3 of 3"): ("98.0%", "79.6%"),
        ("one", "2 of 3"): ("2.0%", "50.0%"),
    }


def test_votes_of_records_by_hand() -> None:
    """The label of the most votes is right where one of its voters is; one record has no votes."""
    runs = [record("base", seed, wrong) for seed, wrong in ((1, 10), (2, 30), (3, 30))]
    assert votes_of(runs) == {3: (80, 70), 2: (20, 0)}
    assert votes_of(runs[:1]) == {}
