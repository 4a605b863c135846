"""What the records say of compression, and the section that shows it, from made-up rows, records and timings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from replicate.findings.compressed import Compressed, latency_of
from replicate.findings.compression import Compression, CompressionFinding, compute_compression
from replicate.findings.compute import compare_all
from replicate.findings.evidence import gather
from replicate.findings.pairs import pairs_of, parent_of
from replicate.findings.planes import pareto
from replicate.findings.study import cells_of
from replicate.records.run import Record
from replicate.records.timing import Race, TimingRecord
from replicate.report.blocks import Block
from replicate.report.sections.compression import PREDICATES, section_compression
from replicate.report.sections.paired import counted
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable
from replicate.verdicts import sequential
from replicate.verdicts.moderated import moderate_cells
from tests.shown import headings, line, lines, pictures, words
from tests.synthetic import DOWN, PAPER, SAME, SMALL, STUDY, UP, WIDE, study_runs, study_tables
from tests.synthetic_timing import example, race

ROWS = """
[[rows]]
id = "half"
title = "half"
parent = "base"
recipe = [{ stage = "prune", width = "1/2", engine = "native" }]
[[rows]]
id = "other-half"
title = "no parent is named, but its stages are"
role = "control"
recipe = [{ stage = "finetune", select = "accuracy" }, { stage = "prune", width = "1/2", targets = "labels" }]
[[rows]]
id = "student"
title = "a student with a training set of its own"
recipe = [{ stage = "finetune", select = "accuracy" }, { stage = "augment" }, { stage = "distill", student = "bow" }]
[[rows]]
id = "orphan"
title = "made from a net that is no row"
recipe = [{ stage = "finetune", select = "f1" }, { stage = "prune", width = "1/2" }]
[[claims]]
id = "alike"
text = "Labels do as well."
kind = "keeps"
row = "other-half"
against = "half"
metrics = ["accuracy"]
provenance = "ours"
"""
PROFILE = replace(SMALL, seeds=(1, 2, 3, 4, 5, 6), tables=("article", "study"))
PROFILES = {"paper": PAPER, "small": PROFILE}
NEAR, LEVEL = (0, 1, 0, -1, 1, -1), (0,) * 6
SLIGHTLY_UP = (7, -2, 6, -1, 2, 1)
SIZES = {"base": 2_000_000, "half": 1_300_000, "other-half": 1_300_001, "student": 500_000, "orphan": 1_300_002}


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, ResultsTable]:
    """The article's table and one of measured rows."""
    return study_tables(tmp_path, STUDY + ROWS)


def seeds(row: str, by: Sequence[int] = LEVEL) -> list[Record]:
    """One run a seed that differs from the base's by so many right examples."""
    return study_runs(row, by, SIZES[row])


def computed(
    tables: Mapping[str, ResultsTable],
    records: Sequence[Record] = (),
    timings: Sequence[TimingRecord] = (),
    profiles: Mapping[str, Profile] = PROFILES,
) -> CompressionFinding:
    """The finding."""
    evidence = gather(tables, records, profiles, timings)
    return compute_compression(evidence, compare_all(evidence))


def small(
    tables: Mapping[str, ResultsTable], records: Sequence[Record] = (), timings: Sequence[TimingRecord] = ()
) -> Compression:
    """What is found under the profile that runs the study."""
    (found,) = (one for one in computed(tables, records, timings).profiles if one.profile.id == "small")
    return found


def rows_of(found: Compression) -> dict[str, Compressed]:
    """The study's rows by their ids."""
    return {one.row.id: one for one in found.rows if one.table.id == "study"}


def section(
    tables: Mapping[str, ResultsTable], records: Sequence[Record] = (), timings: Sequence[TimingRecord] = ()
) -> list[Block]:
    """What the section shows."""
    return section_compression(computed(tables, records, timings))


def sized(one: Race, sizes: Mapping[str, int]) -> Race:
    """The race with other numbers of parameters."""
    contestants = tuple(replace(each, parameters=sizes.get(each.label, each.parameters)) for each in one.contestants)
    return replace(one, contestants=contestants)


BOTH = {
    "dygraph fp32 1": SIZES["base"],
    "onnxruntime fp32 1": SIZES["base"],
    "dygraph fp32 1/2": SIZES["half"],
}


def timed(length: int = 32, batch: int = 32) -> Race:
    """The base and its half in two runtimes, of which the second is the faster; two others lack one of them."""
    medians = {
        "dygraph fp32 1": 2.0,
        "dygraph fp32 1/2": 0.5,
        "paddle-inference fp32 1": 0.8,
        "paddle-inference fp32 1/2": 0.4,
        "onnxruntime int8 1/2": 0.01,
        "pytorch fp32 1": 0.1,
    }
    sizes = {label: SIZES["base" if label.endswith(" 1") else "half"] for label in medians}
    return replace(sized(race(length, medians), sizes), batch=batch)


def test_parents_are_found_by_stages(tables: dict[str, ResultsTable]) -> None:
    """The row with the same stages but the last, whatever it is called; a training set of the student's is skipped."""
    table = tables["study"]
    parents = {row.id: parent_of(table, row) for row in table.rows[1:]}
    assert {name: one.id if one else None for name, one in parents.items()} == {
        "half": "base",
        "other-half": "base",
        "student": "base",
        "orphan": None,
    }


def test_nothing_run(tables: dict[str, ResultsTable]) -> None:
    """Without records the rows are named as not-run, nothing is answered and nothing is drawn."""
    found, blocks = small(tables), section(tables)
    assert {one.judged.word for one in found.rows} == {"not-run"}
    assert len(found.rows) == 5
    assert (found.smallest, found.fastest, found.planes) == (None, None, ())
    assert {one.kind: (one.lead, one.told) for one in found.kinds} == dict.fromkeys(
        ("pruned", "distilled"), ("not-run", None)
    )
    assert ": half, other-half, student, orphan." in words(blocks)
    assert lines(blocks) == []
    assert pictures(blocks) == []
    del tables["study"]
    assert [one.table.id for one in small(tables).tables] == ["article"]


def test_rows_without_records_stand_beside_the_others(tables: dict[str, ResultsTable]) -> None:
    """As soon as one row of a table was run, the others print not-run, and so does what is claimed of them."""
    blocks = section(tables, seeds("half", SAME))
    student = line(blocks, row="student").cells
    assert (student["made by"], student["accuracy"], student["times as fast"]) == (
        "distill student bow",
        "not-run",
        "not-run",
    )
    assert line(blocks, row="half").cells["made by"] == "prune engine native width 1/2"
    for difference in ("half minus base", "orphan, no row is its parent"):
        shown = line(blocks, difference=difference)
        assert shown.cells["mean (pairs)"] == "not-run"
        assert shown.cells["word"].startswith("not-run: ")
        assert shown.values["interval"] is None
    assert not lines(blocks, "claim")


@pytest.mark.parametrize(
    ("by", "word"),
    [(UP, "above"), (DOWN, "below"), (SAME, "no difference"), (SLIGHTLY_UP, "not worse"), (WIDE, "undecided")],
)
def test_each_word_comes_from_seeds_that_call_for_it(
    tables: dict[str, ResultsTable], by: tuple[int, ...], word: str
) -> None:
    """Every word is reached, and stands in the table beside the interval that it is read from."""
    records = seeds("base") + seeds("half", by)
    found = rows_of(small(tables, records))
    half = found["half"].judged
    assert half.word == word == sequential.word(*half.interval, half.margin)
    assert half.margin == 0.03
    shown = line(section(tables, records), difference="half minus base")
    assert shown.cells["word"] == word
    assert shown.cells["interval"] == f"{half.interval[0]:.4f} to {half.interval[1]:.4f}"
    assert found["student"].judged.word == "not-run"


def test_few_seeds_decide_nothing(tables: dict[str, ResultsTable]) -> None:
    """Two pairs, however far apart, leave a row undecided, without an interval."""
    half = rows_of(small(tables, seeds("base") + seeds("half", (9, 9))))["half"].judged
    assert (half.word, half.has_interval) == ("undecided", False)
    assert half.reason.startswith("2 of the 3 seeds ")


def test_intervals_hold_at_once(tables: dict[str, ResultsTable]) -> None:
    """Each has a share of alpha, for every comparison of the table, those not run included; and a moderated spread."""
    records = seeds("base") + seeds("half", (3, 1, 4, 0, 3, 4)) + seeds("student", (2, 0, 3, 1, -1, 2))
    found = rows_of(small(tables, records))
    half, student = (found[row].difference for row in ("half", "student"))
    assert half
    assert student
    pairs = pairs_of(tables["study"], PROFILE)
    family = [pair for pair in pairs if pair[2] == "accuracy"]
    # Rows, their parents, and the claim: two of five rows have no record.
    assert len(family) == 4
    cells = [cells_of(half, paired=True), cells_of(student, paired=True)]
    for one, result in zip((half, student), moderate_cells(cells, 0.05 / len(family)), strict=True):
        assert one.judged
        assert one.judged.difference == pytest.approx(result.difference)
        assert one.judged.interval == pytest.approx(result.ci, abs=1e-4)
        assert not one.judged.separate
    plain = half.found.ci
    assert half.judged
    assert plain[0] > half.judged.interval[0]


def test_figures_are_those_of_the_records(tables: dict[str, ResultsTable]) -> None:
    """Scores, sizes, shares and links are the records'; the claims are judged on them; means have their seeds."""
    alike = tuple(right + by for right, by in zip(UP, SAME, strict=True))
    records = seeds("base") + seeds("half", UP) + seeds("other-half", alike)
    blocks, found = section(tables, records), small(tables, records)
    half = line(blocks, row="half")
    assert half.cells["accuracy"].startswith("0.8550 ± ")
    assert [half.cells[name] for name in ("parameters", "MB", "share of parameters", "times as fast")] == [
        "1,300,000",
        "5.20",
        "65%",
        "not-run",
    ]
    assert half.links == ("measured/small/study/half",)
    assert (half.rows, half.profiles) == (("half",), ("small",))
    base = line(blocks, row="base")
    assert (base.cells["accuracy"], base.cells["parameters"], base.cells["MB"]) == (
        "0.7900 ± 0.0089 (6)",
        "2,000,000",
        "8.00",
    )
    claim = line(blocks, claim="Labels do as well.")
    assert (claim.cells["does it hold?"], claim.cells["metric"]) == ("yes (unplanned)", "accuracy")
    assert claim.cells["difference (pairs)"].startswith("+0.0000 ± ")
    difference = line(blocks, difference="half minus base", word="above")
    ours, pairs = "difference (pairs)", "mean (pairs)"
    for shown, head in ((half, "accuracy"), (half, "macro-F1"), (claim, ours), (difference, pairs)):
        runs = shown.runs[head]
        assert runs is not None
        assert list(runs.scores) == [1, 2, 3, 4, 5, 6]
        value = shown.values[head]
        assert value is not None
        assert sum(runs.scores.values()) / 6 == pytest.approx(value, abs=1e-12)
    assert found.smallest is not None
    assert (found.smallest.row.full_id, found.smallest.share) == ("study/half", 0.65)
    assert found.fastest is None


def test_a_claim_over_two_metrics_has_a_line_for_each(tmp_path: Path) -> None:
    """The first decides, and the other stands beside it with its own interval."""
    both = STUDY.replace("accuracy = {", 'f1 = { value = "0.03", reason = "same" }\naccuracy = {') + ROWS.replace(
        'metrics = ["accuracy"]', 'metrics = ["accuracy", "f1"]'
    )
    blocks = section(study_tables(tmp_path, both), seeds("base") + seeds("half") + seeds("other-half", NEAR))
    first, second = lines(blocks, "claim")
    assert (first.cells["claim"], first.cells["metric"]) == ("Labels do as well.", "accuracy")
    assert (second.cells["claim"], second.cells["metric"]) == ("", "F1 of class 1")
    assert first.cells["word"] == "no difference"
    assert second.cells["word"].startswith("beside")
    assert first.rows == second.rows == ("other-half", "half")
    assert first.runs["difference (pairs)"] is not None
    assert second.runs["difference (pairs)"] is not None


def test_speed_is_measured_or_not_run(tables: dict[str, ResultsTable]) -> None:
    """A ratio is of nets of both sizes, each in its fastest runtime; it never follows from sizes."""
    records = seeds("base") + seeds("half", SAME) + seeds("student", SAME)
    timings = [example(timed(), timed(length=128))]
    found, blocks = small(tables, records, timings), section(tables, records, timings)
    assert line(blocks, row="half").cells["times as fast"] == "2.00 (2.00 to 2.00)"
    assert line(blocks, row="half").values["times as fast"] == pytest.approx(2)
    assert "32 × 32, paddle-inference, cpu-2." in words(blocks)
    student = line(blocks, row="student").cells
    assert (student["share of parameters"], student["times as fast"]) == ("25%", "not-run")
    assert found.fastest is not None
    assert found.fastest.row.full_id == "study/half"
    large = latency_of([example(timed(), timed(batch=64))], SIZES["half"], SIZES["base"])
    assert large is not None
    assert large.batch == 64
    assert latency_of([example(timed())], SIZES["student"], SIZES["base"]) is None
    other = sized(race(32, {"dygraph fp32 1": 2.0, "onnxruntime fp32 1": 1.0, "dygraph fp32 1/2": 0.5}), BOTH)
    blocks = section(tables, records, [example(other)])
    assert "32 × 32, dygraph over onnxruntime, cpu-2." in words(blocks)
    assert line(blocks, row="half").cells["times as fast"] == "2.00 (2.00 to 2.00)"
    assert latency_of([example(timed())], None, None) is None


def test_picture_is_of_latency_where_it_was_measured(tables: dict[str, ResultsTable]) -> None:
    """Milliseconds of the rows that took turns, and megabytes where some did not; it says that speed was not run."""
    records = seeds("base") + seeds("half", UP) + seeds("student", DOWN)
    (by_size,) = pictures(section(tables, records))
    assert by_size.path == "docs/figures/compression-small.svg"
    assert "; speed: not-run" in by_size.finding
    assert by_size.finding.endswith(": student 0.725 at 2, half 0.855 at 5.2.")
    assert all(f">{kind}<" in by_size.svg() for kind in ("whole", "pruned", "distilled", "student", "half"))
    timings = [example(timed())]
    latency, size = small(tables, records, timings).planes
    assert (latency.by, list(latency.kinds)) == ("latency", ["whole", "pruned"])
    assert [(place.row, round(place.cost)) for place in latency.front] == [("half", 400)]
    assert (size.by, list(size.kinds)) == ("size", ["whole", "pruned", "distilled"])
    by_time, too = pictures(section(tables, records, timings))
    assert by_time.finding.endswith(": half 0.855 at 400.")
    assert "32 texts of 32 tokens (cpu-2)" in by_time.finding
    assert too.path == "docs/figures/compression-small-size.svg"
    (alone,) = pictures(section(tables, seeds("base") + seeds("half", UP), timings))
    assert alone == replace(by_time, draw=alone.draw)


def test_the_front_is_what_nothing_beats() -> None:
    """Cheaper or better than everything that is not worse; of equals in cost the better one."""
    points = [(1.0, 0.5), (2.0, 0.4), (2.0, 0.7), (3.0, 0.7), (4.0, 0.9)]
    assert pareto(points) == {(1.0, 0.5), (2.0, 0.7), (4.0, 0.9)}


@pytest.mark.parametrize(
    ("half", "other", "lead", "told"),
    [
        (SAME, (), "kept", "half"),
        (DOWN, DOWN, "at a price", "half"),
        (DOWN, WIDE, "at a price", "half"),
        (WIDE, (), "open", "half"),
        ((), UP, "not-run", None),
    ],
)
def test_the_answer_for_a_kind(
    tables: dict[str, ResultsTable], half: tuple[int, ...], other: tuple[int, ...], lead: str, told: str | None
) -> None:
    """It is told of rows that are no controls: `other-half` learns from labels, so it is one."""
    found = small(tables, seeds("base") + seeds("half", half) + seeds("other-half", other))
    pruned, distilled = found.kinds
    assert (pruned.lead, pruned.told.row.id if pruned.told else None) == (lead, told)
    assert "other-half" not in {one.row.id for one in pruned.rows}
    assert (distilled.kind, distilled.lead) == ("distilled", "not-run")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (["not worse", "above", "not worse"], "1 of 3 rows lies above it and 2 are not worse"),
        (["below", "undecided", "below"], "2 of 3 rows lie below it and 1 is undecided"),
        (["not-run"], "the only row has not been run"),
        ([], ""),
    ],
)
def test_words_are_counted_in_a_sentence(found: list[str], told: str) -> None:
    """The first predicate says of how many rows; every word has one."""
    assert counted(found, PREDICATES) == told
    assert set(PREDICATES) == {*sequential.WORDS, "not-run"}


def test_parts_are_by_profile(tables: dict[str, ResultsTable]) -> None:
    """Each profile has a heading that a link finds, comparable profiles first."""
    found = headings(section(tables))
    assert [(one.id, one.profiles) for one in found] == [
        ("compression-paper", ("paper",)),
        ("compression-small", ("small",)),
    ]


def test_only_profiles_on_the_same_data_show_it(tables: dict[str, ResultsTable]) -> None:
    """A profile that does not name the study, or runs on other data, is not asked."""
    elsewhere = {"small": replace(PROFILE, dataset="generated")}
    assert section_compression(computed(tables, profiles=elsewhere)) == []
