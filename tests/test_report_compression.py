"""The report's section on compression, from made-up rows, records and timings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from replicate.findings.compression import compressed_rows, latency_of, parent_of, pareto
from replicate.findings.evidence import Material
from replicate.records.run import Record
from replicate.records.timing import Race, TimingRecord
from replicate.report import build as report
from replicate.report.build import gather, render
from replicate.report.pictures.picture import Picture
from replicate.report.sections.compression import section_compression
from replicate.report.sections.tables import section_profiles
from replicate.tables.table import ResultsTable
from replicate.verdicts.equivalence import holm
from tests.synthetic import PAPER, SMALL, line, study_runs, study_tables
from tests.test_report_augmentation import HEAD
from tests.test_timing import comparison, example

ROWS = """
[[rows]]
id = "half"
title = "half"
parent = "base"
recipe = [{ stage = "prune", width = "1/2", engine = "native" }]
[[rows]]
id = "other-half"
title = "no parent is named, but its stages are"
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
NEAR = (0, 1, 0, -1, 1, -1)
UP, DOWN, SAME = (6, 7, 6, 7, 6, 7), (-6, -7, -6, -7, -6, -7), (1, -1, 0, 0, 1, -1)
SLIGHTLY_DOWN, WIDE = (-1, -1, -1, -2, -1, -1), (12, -12, 9, -9, 3, -3)
SIZES = {"base": 2_000_000, "half": 1_300_000, "other-half": 1_300_001, "student": 500_000, "orphan": 1_300_002}


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, ResultsTable]:
    """The article's table and one of measured rows."""
    return study_tables(tmp_path, HEAD + ROWS)


def seeds(row: str, by: Sequence[int] = (0,) * 6) -> list[Record]:
    """One run a seed that differs from the base's by so many right examples."""
    return study_runs(row, by, SIZES[row])


def material_of(
    tables: Mapping[str, ResultsTable], records: Sequence[Record] = (), timings: Sequence[TimingRecord] = ()
) -> Material:
    """What the section is made of."""
    return gather(tables, records, PROFILES, timings=timings)


def section(material: Material) -> str:
    """The section's text, without its pictures."""
    return "\n\n".join(block for block in section_compression(material) if isinstance(block, str))


def pictures(material: Material) -> list[Picture]:
    """The section's pictures."""
    return [block for block in section_compression(material) if isinstance(block, Picture)]


def sized(one: Race, sizes: Mapping[str, int]) -> Race:
    """The comparison with other numbers of parameters."""
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
    return replace(sized(comparison(length, medians), sizes), batch=batch)


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
    text = section(material_of(tables))
    assert "**Not known yet.** None of 5 compressed rows has been run" in text
    assert "Rows of *What copies do*, **not-run**: `half`, `other-half`, `student`, `orphan`." in text
    assert pictures(material_of(tables)) == []
    del tables["study"]
    assert "What copies do" not in section(material_of(tables))


def test_rows_without_records_stand_beside_the_others(tables: dict[str, ResultsTable]) -> None:
    """As soon as one row of a table was run, the others print not-run, and so does what is claimed of them."""
    text = section(material_of(tables, seeds("half", SAME)))
    line(text, "| `student` ", "distill student bow", "not-run")
    line(text, "| `half` ", "prune engine native width 1/2", "0.79")
    line(text, "| `half` minus `base`", "**not-run**")
    line(text, "| `orphan`, no row is its parent", "**not-run**")
    line(text, "| Labels do as well. ", "**not-run**")


@pytest.mark.parametrize(
    ("by", "word"),
    [(UP, "gains"), (DOWN, "loses"), (SAME, "keeps"), (SLIGHTLY_DOWN, "loses little"), (WIDE, "not distinguishable")],
)
def test_each_word_comes_from_seeds_that_call_for_it(
    tables: dict[str, ResultsTable], by: tuple[int, ...], word: str
) -> None:
    """Every word is reached, with a reason, and stands in the table."""
    material = material_of(tables, seeds("base") + seeds("half", by))
    found = {one.row.id: one for one in compressed_rows(material, tables["study"], PROFILE)}
    assert found["half"].word == word
    assert f"**{word}**: {found['half'].reason}" in line(section(material), "`half` minus `base`", "±")
    assert found["student"].word == "not-run"


def test_few_seeds_decide_nothing(tables: dict[str, ResultsTable]) -> None:
    """Two pairs, however far apart, leave a row not distinguishable."""
    (half, *_) = compressed_rows(material_of(tables, seeds("base") + seeds("half", (9, 9))), tables["study"], PROFILE)
    assert (half.word, half.reason) == ("not distinguishable", "2 of the 3 seeds that a verdict takes")


def test_p_is_corrected_over_the_rows(tables: dict[str, ResultsTable]) -> None:
    """Holm's correction runs over every compressed row of the table, the ones not run included."""
    records = seeds("base") + seeds("half", (3, 1, 4, 0, 3, 4)) + seeds("student", (2, 0, 3, 1, -1, 2))
    found = compressed_rows(material_of(tables, records), tables["study"], PROFILE)
    raw = [one.comparison.p if one.comparison else float("nan") for one in found]
    assert [one.p for one in found] == pytest.approx(list(holm(raw)), nan_ok=True)
    assert raw[0] < 0.05 < found[0].p
    assert found[0].word != "gains"


def test_figures_are_those_of_the_records(tables: dict[str, ResultsTable]) -> None:
    """Scores, sizes, shares and links are the records'; the claims are judged on them."""
    text = section(material_of(tables, seeds("base") + seeds("half", UP) + seeds("other-half", UP)))
    line(text, "| `half` ", "0.8550 ± ", "1,300,000", "5.20", "65%", "not-run")
    assert "| [`half`](measured/small/study/half) | prune" in text
    line(text, "| `base` ", "0.7900 ± 0.0089 (6)", "2,000,000", "8.00")
    line(text, "| Labels do as well. ", "**supported**", "accuracy +0.0000")
    assert "Of 5 compressed rows" in text
    assert "The smallest that is not worse by the tolerance: `study/half`, 65% of" in text
    assert "How fast they are: **not-run**." in text


def test_claims_tell_their_p_alone_and_corrected(tmp_path: Path) -> None:
    """The same claim twice is corrected over two, and the verdict goes by that."""
    twice = HEAD + ROWS + ROWS[ROWS.index("[[claims]]") :].replace('"alike"', '"again"').replace("well.", "well still.")
    text = section(
        material_of(study_tables(tmp_path, twice), seeds("base") + seeds("half") + seeds("other-half", NEAR))
    )
    for claim in ("Labels do as well.", "Labels do as well still."):
        cells = [cell.strip() for cell in line(text, f"| {claim} ").split("|")]
        assert cells[2] == "**supported**"
        assert 0 < float(cells[4]) == pytest.approx(2 * float(cells[3]), rel=0.1)
    assert "corrected over all 2 (Holm)" in text


def test_speed_is_measured_or_not_run(tables: dict[str, ResultsTable]) -> None:
    """A ratio is of nets of both sizes, each in its fastest runtime; it never follows from sizes."""
    records = seeds("base") + seeds("half", SAME) + seeds("student", SAME)
    text = section(material_of(tables, records, [example(timed(), timed(length=128))]))
    line(text, "| `half` ", "2.00 (2.00 to 2.00)")
    assert "and their differences. `times as fast`: 32 × 32, `paddle-inference`, `cpu-2`." in text
    line(text, "| `student` ", "25%", "not-run")
    assert "The fastest of them: `study/half`, 2.00 (2.00 to 2.00) times as fast." in text
    large = latency_of([example(timed(), timed(batch=64))], SIZES["half"], SIZES["base"])
    assert large is not None
    assert large.comparison.batch == 64
    assert latency_of([example(timed())], SIZES["student"], SIZES["base"]) is None
    other = sized(comparison(32, {"dygraph fp32 1": 2.0, "onnxruntime fp32 1": 1.0, "dygraph fp32 1/2": 0.5}), BOTH)
    text = section(material_of(tables, records, [example(other)]))
    assert "`times as fast`: 32 × 32, `dygraph` over `onnxruntime`, `cpu-2`." in text
    line(text, "| `half` ", "2.00 (2.00 to 2.00)")
    assert latency_of([example(timed())], None, None) is None


def test_picture_is_of_latency_where_it_was_measured(tables: dict[str, ResultsTable]) -> None:
    """Milliseconds of the rows that took turns, and megabytes where some did not; it says that speed was not run."""
    records = seeds("base") + seeds("half", UP) + seeds("student", DOWN)
    (by_size,) = pictures(material_of(tables, records))
    assert by_size.path == "docs/figures/compression-small.svg"
    assert "megabytes of fp32 weights; speed: not-run" in by_size.finding
    assert "on the Pareto front: student 0.725 at 2, half 0.855 at 5.2." in by_size.finding
    assert all(f">{kind}<" in by_size.svg() for kind in ("whole", "pruned", "distilled", "student", "half"))
    (by_time, too) = pictures(material_of(tables, records, [example(timed())]))
    assert "ms for 32 texts of 32 tokens (cpu-2)" in by_time.finding
    assert by_time.finding.endswith("on the Pareto front: half 0.855 at 400.")
    assert by_time.title == "Accuracy by latency: whole and pruned nets"
    assert too.path == "docs/figures/compression-small-size.svg"
    assert too.title == "Accuracy by size: whole, pruned and distilled nets"
    (alone,) = pictures(material_of(tables, seeds("base") + seeds("half", UP), [example(timed())]))
    assert alone == replace(by_time, draw=alone.draw)


def test_the_front_is_what_nothing_beats() -> None:
    """Cheaper or better than everything that is not worse; of equals in cost the better one."""
    points = [(1.0, 0.5), (2.0, 0.4), (2.0, 0.7), (3.0, 0.7), (4.0, 0.9)]
    assert pareto(points) == {(1.0, 0.5), (2.0, 0.7), (4.0, 0.9)}


def test_section_stands_after_the_profiles(tables: dict[str, ResultsTable]) -> None:
    """Figures of a profile that replicates nothing stand after the published table; the section is there once."""
    assert report.SECTIONS.index(section_profiles) + 1 == report.SECTIONS.index(section_compression)
    assert render(tables, [], PROFILES).count("## What compression costs and buys") == 1


def test_only_profiles_on_the_same_data_show_it(tables: dict[str, ResultsTable]) -> None:
    """A profile that does not name the study, or runs on other data, is not asked."""
    elsewhere = {"small": replace(PROFILE, dataset="generated")}
    assert section_compression(gather(tables, [], elsewhere)) == []
