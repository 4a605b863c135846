"""What the report says to do, from made-up rows, records and timings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from replicate.common.markdown import Anchors
from replicate.common.paths import EXPECTED, MEASURED
from replicate.findings.evidence import Material
from replicate.records.run import TIMING, Record, load_records
from replicate.records.timing import Race, TimingRecord
from replicate.records.timing_file import load_timings
from replicate.report.build import gather, render
from replicate.report.sections.advice import advice
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile, profile_ids
from replicate.tables.table import ResultsTable
from tests.synthetic import PAPER, SMALL, line, plain, study_runs, study_tables
from tests.synthetic import STUDY as HEAD
from tests.synthetic_timing import example
from tests.synthetic_timing import race as comparison

ROWS = """
[[rows]]
id = "masked"
title = "copies"
recipe = [{ stage = "augment", copies = 1, mix = { unk = 1 } }, { stage = "finetune", select = "accuracy" }]
[[rows]]
id = "half"
title = "half"
parent = "base"
recipe = [{ stage = "prune", width = "1/2", engine = "native" }]
[[rows]]
id = "labels"
title = "half without a teacher"
parent = "base"
recipe = [{ stage = "prune", width = "1/2", engine = "native", targets = "labels" }]
[[rows]]
id = "student"
title = "student"
parent = "base"
recipe = [{ stage = "distill", student = "bow" }]
[[rows]]
id = "hard"
title = "student without a teacher"
parent = "base"
recipe = [{ stage = "distill", student = "bow", alpha = 0 }]
[[claims]]
id = "teacher"
text = "The teacher helps."
kind = "raises"
row = "half"
against = "labels"
metrics = ["accuracy"]
provenance = "ours"
[[claims]]
id = "distilled"
text = "Distilled data help."
kind = "raises"
row = "student"
against = "hard"
metrics = ["accuracy"]
provenance = "ours"
[[claims]]
id = "better"
text = "Pruning beats distilling."
kind = "raises"
row = "half"
against = "student"
metrics = ["accuracy"]
provenance = "ours"
"""
UP, DOWN, SAME = (6, 7, 6, 7, 6, 7), (-6, -7, -6, -7, -6, -7), (1, -1, 0, 0, 1, -1)
WIDE = (12, -12, 9, -9, 3, -3)
SIZES = {"base": 2_000_000, "half": 1_300_000, "labels": 1_300_000, "student": 500_000, "hard": 500_000}
PROFILES = {"paper": PAPER, "small": replace(SMALL, seeds=(1, 2, 3, 4, 5, 6), tables=("article", "study"))}


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, ResultsTable]:
    """The article's table and one of measured rows."""
    return study_tables(tmp_path, HEAD + ROWS)


def seeds(row: str, by: Sequence[int] = (0,) * 6) -> list[Record]:
    """One run a seed that differs from the base's by so many right examples."""
    return study_runs(row, by, SIZES.get(row, 2_000_000))


def material_of(
    tables: dict[str, ResultsTable], records: Sequence[Record] = (), timings: Sequence[TimingRecord] = ()
) -> Material:
    """What the table is made of."""
    return gather(tables, records, PROFILES, timings=timings)


def told(material: Material, question: str) -> str:
    """The line of a question."""
    return line("\n\n".join(advice(material)), f"| **{question}** |")


def raced(int8: float) -> Race:
    """A whole net and its half in fp32, the half twice as fast, and the whole one in int8."""
    medians = {"paddle-inference fp32 1": 0.8, "paddle-inference fp32 1/2": 0.4, "onnxruntime int8 1": int8}
    return replace(comparison(32, medians), batch=32)


def test_nothing_run_is_said_of_each_question(tables: dict[str, ResultsTable]) -> None:
    """Without records every question that rows ask says not-run; without such rows there is no question."""
    for question in ("Augment?", "Prune?", "Distil?"):
        assert "| **not-run** | `" in told(material_of(tables), question)
    assert "precision" not in "".join(advice(material_of(tables)))
    article = gather({"article": tables["article"]}, [], PROFILES)
    assert "Augment?" not in "".join(advice(article))
    bare = replace(tables["article"], rows=(tables["article"].row("svm"),), claims=())
    assert advice(gather({"article": bare}, [], PROFILES)) == []


@pytest.mark.parametrize(
    ("by", "answer"),
    [
        (UP, "**Some ways help.** Over training on the lines as they are: `masked` (+0.0650)."),
        (SAME, "**No.** 1 way of augmenting all lines: each gains less than 0.03."),
        (WIDE, "**No gain is shown.** Of 1 way of augmenting all lines none is shown to help."),
    ],
)
def test_augment(tables: dict[str, ResultsTable], by: tuple[int, ...], answer: str) -> None:
    """The answer is that of the section on augmentation."""
    found = told(material_of(tables, seeds("base") + seeds("masked", by)), "Augment?")
    assert answer in found
    assert found.endswith("| `small` |")


@pytest.mark.parametrize(
    ("by", "answer"),
    [
        (UP, "**Yes.** `half` gains: +0.0650 (0.0593 to 0.0707) accuracy over `base`, with 65% of its parameters."),
        (SAME, "**Yes.** `half` keeps: "),
        (DOWN, "**Only at a price.** `half` loses: -0.0650 (-0.0707 to -0.0593)"),
        (WIDE, "**That it costs no accuracy is not shown.** `half` not distinguishable: "),
    ],
)
def test_prune(tables: dict[str, ResultsTable], by: tuple[int, ...], answer: str) -> None:
    """Each answer comes from seeds that call for it; a control is no pruned row, but what is claimed over it counts."""
    records = seeds("base") + seeds("half", by)
    found = told(material_of(tables, records), "Prune?")
    assert answer in found
    assert "Of 2 rows: " in found
    assert "controls" not in found
    found = told(material_of(tables, [*records, *seeds("labels", DOWN)]), "Prune?")
    assert "Of 2 rows: " in found
    assert "Claims that it beats its controls: 1 " in found


def test_what_else_was_shown_is_told(tables: dict[str, ResultsTable]) -> None:
    """A claim about the rows, over no control, is told in its own words where the seeds show it, and only then."""
    for of_student, wanted in ((DOWN, True), (UP, False)):
        records = seeds("base") + seeds("half", UP) + seeds("student", of_student)
        found = told(material_of(tables, records), "Prune?")
        assert (" Shown beside: Pruning beats distilling." in found) == wanted
        assert "Shown beside" not in told(material_of(tables, records), "Distil?")


def test_distil_names_the_smallest_that_keeps(tables: dict[str, ResultsTable]) -> None:
    """Speed is not told where it was not measured."""
    found = told(material_of(tables, seeds("base") + seeds("student", SAME) + seeds("hard", DOWN)), "Distil?")
    assert "**Yes.** `student` keeps: " in found
    assert "with 25% of its parameters. Of 1 row: 1 keeps. Claims that it beats its controls: 1 supported." in found
    assert "times as fast" not in found


@pytest.mark.parametrize(
    ("int8", "word"),
    [
        (0.2, "More speed than pruning."),
        (0.7, "Less speed than pruning."),
        (0.4, "Its speed is not told apart from that of pruning."),
    ],
)
def test_lower_precision(tables: dict[str, ResultsTable], int8: float, word: str) -> None:
    """The word follows from the intervals of both ratios, each with its figures."""
    found = told(material_of(tables, timings=[example(raced(int8))]), "Lower precision instead?")
    assert f"**{word}** Times as fast as the whole " in found
    assert f"int8 in `onnxruntime` {0.8 / int8:.2f} (" in found
    assert "2.00 (2.00 to 2.00) with " in found
    assert found.endswith("| `cpu-2` |")


def test_every_link_of_the_report_leads_somewhere() -> None:
    """Each anchor of the real report is one of its headings, and each link to records a folder or file of them."""
    profiles = {name: load_profile(name) for name in profile_ids()}
    timings = load_timings(MEASURED / TIMING)
    text = render(load_tables(EXPECTED), load_records(MEASURED), profiles, timings=timings)
    anchors = Anchors()
    headings = {anchors.of(plain(one)) for one in re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)}
    targets = set(re.findall(r"\]\(([^)\s]+)\)", text))
    assert len([one for one in targets if one.startswith("#")]) > 15
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in headings
        elif ":" not in target:
            assert (MEASURED.parent / target).exists(), target
