"""What the records say of augmentation, and the section that shows it, from made-up rows and records."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from replicate.common.errors import UserError
from replicate.findings.augmentation import (
    Ablation,
    AugmentationFinding,
    Contrast,
    compute_augmentation,
)
from replicate.findings.compute import compare_all, compute
from replicate.findings.evidence import gather
from replicate.findings.recipes import TrainingSet
from replicate.findings.rows import RowResult, difference_of
from replicate.findings.training_sets import Copies
from replicate.records.run import Record
from replicate.report.blocks import Block
from replicate.report.pages import project_pages
from replicate.report.sections.augmentation import section_augmentation
from replicate.report.spans import plain
from replicate.tables.table import EFFECTS, ResultsTable
from replicate.verdicts.effects import Effect
from tests.shown import headings, line, lines, pictures, words
from tests.synthetic import DOWN, PAPER, SAME, SMALL, STUDY, UP, WIDE, failure, study_runs, study_tables

ROWS = {
    "again": '{ stage = "duplicate", copies = 4 }',
    "mixed": '{ stage = "augment" }',
    "masks": '{ stage = "augment", mix = { unk = 1.0 } }',
    "once": '{ stage = "augment", copies = 1 }',
    "few": '{ stage = "sample", examples = 20 }',
    "few-again": '{ stage = "sample", examples = 20 }, { stage = "duplicate", copies = 4 }',
    "few-mixed": '{ stage = "sample", examples = 20 }, { stage = "augment" }',
}
CONCLUSION = """
[[conclusions]]
text = "Masking adds noise"
rows = ["{row}"]
against = "base"
expects = [{expects}]
"""
PROFILE = replace(
    SMALL,
    seeds=(1, 2, 3, 4, 5, 6),
    tables=("article", "study"),
    options={"augment": {"copies": 4, "mix": {"unk": 0.5, "truncate": 0.5}}},
)
PROFILES = {"paper": PAPER, "small": PROFILE}
LEVEL = (0,) * 6
MIX = (("truncate", 0.5), ("unk", 0.5))


def tables_of(
    folder: Path, rows: Mapping[str, str] = ROWS, more: str = "", finetune: str = 'select = "accuracy"'
) -> dict[str, ResultsTable]:
    """The article's table and one of measured rows, through the real loader."""
    written = [
        f'[[rows]]\nid = "{row}"\ntitle = "{row}"\nrecipe = [{steps}, {{ stage = "finetune", {finetune} }}]\n'
        for row, steps in rows.items()
    ]
    return study_tables(folder, STUDY + "".join(written) + more)


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, ResultsTable]:
    """The article's table and the study's."""
    return tables_of(tmp_path)


def seeds(row: str, by: Sequence[int] = LEVEL, examples: int = 60) -> list[Record]:
    """One run a seed that differs from the base's by so many right examples."""
    return study_runs(row, by, summary={"steps": 10, "examples": examples})


def computed(tables: Mapping[str, ResultsTable], records: Sequence[Record] = ()) -> AugmentationFinding:
    """The finding."""
    evidence = gather(tables, records, PROFILES)
    return compute_augmentation(evidence, compare_all(evidence))


def ablation(tables: Mapping[str, ResultsTable], records: Sequence[Record] = ()) -> Ablation:
    """What is found of the study."""
    (found,) = computed(tables, records).ablations
    return found


def contrast(tables: Mapping[str, ResultsTable], records: Sequence[Record], row: str, control: str) -> Contrast:
    """The comparison of two rows of the study."""
    study = ablation(tables, records)
    both = (*study.against_plain, *study.against_duplicates)
    (found,) = (one for one in both if (one.arm.row.id, one.control.row.id) == (row, control))
    return found


def section(tables: Mapping[str, ResultsTable], records: Sequence[Record] = ()) -> list[Block]:
    """What the section shows."""
    return section_augmentation(computed(tables, records))


def ablated(tables: Mapping[str, ResultsTable], records: Sequence[Record] = ()) -> list[Block]:
    """What it shows before the learning curve."""
    blocks = section(tables, records)
    first = next((one for one in headings(blocks) if one.id.endswith("-sizes")), None)
    return blocks[: blocks.index(first)] if first else blocks


# Surely not 0.03 worse, maybe better.
ABOUT = (5, -2, 4, -1, 2, 1)
CASES = {
    "above": UP,
    "below": DOWN,
    "no difference": SAME,
    "not worse": ABOUT,
    "undecided": WIDE,
    "not-run": (),
}


@pytest.mark.parametrize(("word", "by"), CASES.items())
def test_each_word_comes_from_seeds_that_call_for_it(
    tables: dict[str, ResultsTable], word: str, by: tuple[int, ...]
) -> None:
    """Every word is reached, and stands in the table; a conclusion may name those that say something."""
    records = seeds("base") + seeds("mixed", by)
    found = contrast(tables, records, "mixed", "base")
    assert found.word == word
    shown = line(ablated(tables, records), difference="mixed minus base")
    assert re.match(rf"{word}\b", shown.cells["word"])
    assert ("two samples" in shown.cells["word"]) == (word != "not-run")
    assert set(CASES) == set(get_args(Effect)) == {*EFFECTS, "undecided", "not-run"}


def test_few_or_broken_seeds_decide_nothing(tables: dict[str, ResultsTable]) -> None:
    """Two pairs, however far apart, and a seed that diverged leave a row undecided, with that reason."""
    two = contrast(tables, seeds("base") + seeds("mixed", (9, 9)), "mixed", "base")
    assert two.word == "undecided"
    assert two.judged.reason.startswith("2 of the 3 seeds ")
    gone = replace(failure("mixed", 6, "diverged", profile="small"), table="study")
    broken = contrast(tables, [*seeds("base"), *seeds("mixed", UP[:5]), gone], "mixed", "base")
    assert broken.word == "undecided"
    assert "no number" in broken.judged.reason
    assert not broken.judged.has_interval


def test_controls_are_found_by_recipe(tmp_path: Path) -> None:
    """Whatever rows are called, each meets its lines without copies, and as many duplicates where a row has them."""
    names = {row: f"x{n}" for n, row in enumerate(ROWS)}
    found = ablation(tables_of(tmp_path, {names[row]: steps for row, steps in ROWS.items()}))
    back = {new: old for old, new in names.items()} | {"base": "base"}
    pairs = [
        [(back[one.arm.row.id], back[one.control.row.id]) for one in contrasts]
        for contrasts in (found.against_plain, found.against_duplicates)
    ]
    assert pairs[0] == [
        ("again", "base"),
        ("mixed", "base"),
        ("masks", "base"),
        ("once", "base"),
        ("few-again", "few"),
        ("few-mixed", "few"),
    ]
    assert pairs[1] == [("mixed", "again"), ("masks", "again"), ("few-mixed", "few-again")]


def test_nothing_run(tables: dict[str, ResultsTable]) -> None:
    """Without records every row prints not-run, nothing is answered and nothing is drawn."""
    found, blocks = ablation(tables), section(tables)
    assert (found.answer, len(found.ways)) == ("not-run", 3)
    assert found.over_plain.pattern == found.over_duplicates.pattern == "not-run"
    assert "Not known yet." in words(blocks)
    shown = {one.cells["row"]: one.cells for one in lines(ablated(tables), "steps")}
    assert {one["accuracy"] for one in shown.values()} == {"not-run"}
    assert shown["masks"]["copies of each line"] == "4 × unk"
    assert shown["mixed"]["copies of each line"] == "4 × truncate 0.5, unk 0.5"
    assert pictures(blocks) == []
    del tables["study"]
    assert section(tables) == []


@pytest.mark.parametrize(
    ("mixed", "masks", "once", "answer", "hurt"),
    [
        (UP, DOWN, SAME, "some help", ["masks"]),
        (SAME, DOWN, SAME, "none helps", ["masks"]),
        (SAME, SAME, SAME, "none helps", []),
        (SAME, SAME, WIDE, "open", []),
        (SAME, (), (), "open", []),
        ((), (), (), "not-run", []),
    ],
)
def test_the_answer_follows_from_the_words(
    tables: dict[str, ResultsTable],
    mixed: tuple[int, ...],
    masks: tuple[int, ...],
    once: tuple[int, ...],
    answer: str,
    hurt: list[str],
) -> None:
    """It changes with the seeds; rows that help or hurt are named with gain and interval, the others are not."""
    rows = {"mixed": mixed, "masks": masks, "once": once}
    records = seeds("base") + [one for row, by in rows.items() for one in seeds(row, by)]
    found = ablation(tables, records)
    assert found.answer == answer
    assert [one.arm.row.id for one in found.ways if one.word == "below"] == hurt
    told, *_ = words(section(tables, records)).splitlines()
    assert ("mixed (+0.0650, interval " in told) == (answer == "some help")
    assert ("masks (-0.0650, interval " in told) == bool(hurt)


def test_the_largest_gain_left_open(tables: dict[str, ResultsTable]) -> None:
    """It is the highest end of an interval of the ways, and of the rows over duplicates their own."""
    records = seeds("base") + seeds("mixed", UP) + seeds("masks", SAME) + seeds("again", DOWN)
    found = ablation(tables, records)
    tops = [one.judged.interval[1] for one in found.ways if one.difference]
    assert found.most == max(tops)
    assert found.most_over_duplicates > found.most
    assert math.isnan(ablation(tables).most)


@pytest.mark.parametrize(
    ("by", "expects", "verdict"),
    [
        (DOWN, '"below"', "supported"),
        (UP, '"below"', "contradicted"),
        (SAME, '"below"', "contradicted"),
        (WIDE, '"below"', "undecided"),
        ((), '"below"', "not-run"),
        (ABOUT, '"below"', "contradicted"),
        (ABOUT, '"above"', "undecided"),
        (ABOUT, '"above", "no difference"', "supported"),
        (SAME, '"not worse"', "supported"),
    ],
)
def test_a_clause_holds_by_what_its_rows_leave_possible(
    tmp_path: Path, by: tuple[int, ...], expects: str, verdict: str
) -> None:
    """A ruled-out loss proves no gain and no absence of it."""
    tables = tables_of(tmp_path, more=CONCLUSION.format(row="masks", expects=expects))
    records = seeds("base") + seeds("masks", by)
    (clause,) = ablation(tables, records).clauses
    assert clause.verdict == verdict
    assert [(one.arm.row.id, one.control.row.id) for one in clause.contrasts] == [("masks", clause.against)]
    assert f"Masking adds noise. {verdict}: against base, masks " in words(section(tables, records))


def test_a_clause_about_rows_that_are_not_compared_is_refused(tmp_path: Path) -> None:
    """A conclusion that names no control of its row is an error, not a clause that is never run."""
    tables = tables_of(tmp_path, more=CONCLUSION.format(row="few-mixed", expects='"above"'))
    with pytest.raises(UserError, match="compares 'few-mixed' with 'base'"):
        computed(tables)


def test_a_study_needs_a_tolerance(tables: dict[str, ResultsTable]) -> None:
    """Its own or the main table's; without either, the error names the table."""
    borrowing = replace(tables["study"], tolerances={})
    assert ablation({**tables, "study": borrowing}).tolerance == tables["article"].tolerances["accuracy"]
    article = replace(tables["article"], tolerances={})
    with pytest.raises(UserError, match="table study: states no tolerance of accuracy"):
        computed({"article": article, "study": borrowing})


@pytest.mark.parametrize(
    ("few", "whole", "pattern", "helped"),
    [
        (UP, SAME, "until", 1),
        (UP, UP, "always", 2),
        (SAME, DOWN, "never", 0),
        (SAME, UP, "no order", 0),
        (UP, WIDE, "until, then open", 1),
        (WIDE, SAME, "open", 0),
        ((), SAME, "open", 0),
        ((), (), "not-run", 0),
    ],
)
def test_the_learning_curve_says_where_it_stops(
    tables: dict[str, ResultsTable], few: tuple[int, ...], whole: tuple[int, ...], pattern: str, helped: int
) -> None:
    """It follows from the words along the sizes, and both controls have their own."""
    records = seeds("base") + seeds("few", examples=20) + seeds("mixed", whole) + seeds("few-mixed", few)
    found = ablation(tables, records)
    assert (found.over_plain.pattern, found.over_plain.helped) == (pattern, helped)
    assert [size.lines for size, _ in found.over_plain.compared] == [20, 60]
    assert found.over_duplicates.pattern == "not-run"
    blocks = section(tables, records)
    (sizes,) = headings(blocks)
    assert (sizes.id, sizes.profiles) == ("augmentation-study-small-sizes", ("small",))
    assert ("up to 20 lines" in words(blocks)) == pattern.startswith("until")
    assert "Somebody gained 0.8 points." in words(blocks).splitlines()
    shown = line(blocks, trained_on="60 lines")
    assert shown.cells["as they are"] == "0.7900 ± 0.0089 (6)"
    assert shown.rows == ("base", "again", "mixed")
    assert shown.links[0] == "measured/small/study/base"


def test_settings_that_differ_are_told(tmp_path: Path) -> None:
    """Where rows with copies are also chosen otherwise than their control, the report says how."""
    alike = tables_of(tmp_path)
    assert not any(one.choices for one in ablation(alike).against_plain)
    changed = tables_of(tmp_path, finetune='select = "f1", evaluations_per_epoch = 5')
    found = ablation(changed)
    differing = {one.arm.row.id: one.choices for one in found.against_plain}
    choices = (("evaluations_per_epoch", 5, None), ("select", "f1", "accuracy"))
    assert {differing[row] for row in ("again", "mixed", "masks", "once")} == {choices}
    assert not any(one.choices for one in found.against_duplicates)
    told = "evaluations_per_epoch 5 against unset, select f1 against accuracy (again, mixed"
    assert told in words(section(changed))
    assert told not in words(section(alike))


def test_copies_that_changed_nothing_are_counted(tables: dict[str, ResultsTable]) -> None:
    """Shares of copies equal to their original and of empty ones, over all seeds."""
    made = seeds("masks", SAME)
    counted = [
        replace(one, stages=({**one.stages[0], "stage": "augment", "summary": summary}, one.stages[0]))
        for one, summary in zip(
            made,
            [{"copies": 90, "unchanged": 40, "dropped": 10}] * 3 + [{"copies": 110, "unchanged": 10, "dropped": 0}] * 3,
            strict=True,
        )
    ]
    copies = {arm.row.id: arm.copies for arm in ablation(tables, counted).arms}
    assert copies["masks"] == Copies(per_seed=100, unchanged=150 / 600, dropped=30 / 630)
    assert copies["mixed"] is None
    (shown,) = lines(section(tables, counted), "copies a seed")
    assert list(shown.cells.values()) == ["masks", "4 × unk", "100", "25.0%", "4.8%"]
    assert lines(section(tables, made), "copies a seed") == []


def test_figures_are_those_of_the_records(tables: dict[str, ResultsTable]) -> None:
    """Scores, steps, differences and links are those of the records, its control's included; means have their seeds."""
    blocks = ablated(tables, seeds("base") + seeds("mixed", UP))
    shown = {one.cells["row"]: one for one in lines(blocks, "steps")}
    base, mixed = shown["base"], shown["mixed"]
    assert (base.cells["accuracy"], base.cells["steps"]) == ("0.7900 ± 0.0089 (6)", "10")
    assert mixed.values["accuracy"] == pytest.approx(0.855)
    runs = base.runs["accuracy"]
    assert runs is not None
    assert dict(runs.scores) == pytest.approx({1: 0.80, 2: 0.78, 3: 0.79, 4: 0.80, 5: 0.78, 6: 0.79})
    assert (mixed.rows, mixed.profiles) == (("mixed",), ("small",))
    difference = line(blocks, difference="mixed minus base")
    assert difference.links == ("measured/small/study/mixed", "measured/small/study/base")
    assert difference.cells["mean (pairs)"] == "+0.0650 ± 0.0055 (6)"
    judged = contrast(tables, seeds("base") + seeds("mixed", UP), "mixed", "base").judged
    assert difference.cells["interval"] == f"{judged.interval[0]:.4f} to {judged.interval[1]:.4f}"
    pairs = difference.runs["mean (pairs)"]
    assert pairs is not None
    assert dict(pairs.scores) == pytest.approx({seed: right / 100 for seed, right in enumerate(UP, start=1)})
    assert difference.rows == ("mixed", "base")


def test_every_mean_has_its_seeds(tables: dict[str, ResultsTable]) -> None:
    """Each cell of each table that shows a number of seeds or pairs has as many behind it."""
    records = [one for row in ("base", *ROWS) for one in seeds(row, SAME if row == "mixed" else LEVEL)]
    found = 0
    for shown in lines(section(tables, records)):
        for head, cell in shown.cells.items():
            runs = shown.runs[head]
            assert (runs is not None) == cell.endswith("(6)"), (head, cell)
            found += runs is not None
    assert found > 20


def test_training_sets_are_told_apart(tables: dict[str, ResultsTable]) -> None:
    """What the profile says holds where the row says nothing."""
    found = {arm.row.id: arm.training for arm in ablation(tables).arms}
    assert found["base"] == TrainingSet(None, 0, ())
    assert found["again"] == TrainingSet(None, 4, ())
    assert found["few-mixed"] == TrainingSet(20, 4, MIX)


def test_pictures_are_there_where_there_is_something_to_draw(tables: dict[str, ResultsTable]) -> None:
    """A forest takes one comparison, a curve two sizes; their text alternatives state what was found."""
    base, mixed = seeds("base"), seeds("mixed", UP)
    assert pictures(section(tables, base)) == []
    (forest,) = pictures(section(tables, base + mixed))
    assert forest.path == "docs/figures/augmentation-small.svg"
    assert "1 of 4 rows lies above" in forest.finding
    forest, curve = pictures(section(tables, base + mixed + seeds("few", DOWN, 20)))
    assert "0.725 with 20 lines, 0.790 with 60 lines" in curve.finding
    assert ">few<" not in forest.svg()
    assert ">mixed<" in forest.svg()
    assert ">60<" in curve.svg()


def test_rows_of_the_study_stand_on_no_other_page(tables: dict[str, ResultsTable]) -> None:
    """The main table stays the published one, and measured rows are shown a second time only where all records are."""
    records = seeds("base") + seeds("mixed", UP)
    findings = compute(gather(tables, records, PROFILES))
    assert findings.answer.table.id == "article"
    pages = {page.path: page.blocks for page in project_pages(findings)}
    titles = [plain(block.words) for blocks in pages.values() for block in headings(blocks)]
    assert not any(tables["study"].title in title for title in titles)
    shown = [path for path, blocks in pages.items() if any("mixed" in one.rows for one in lines(blocks))]
    assert shown == ["docs/report/augmentation.md", "docs/report/method.md"]
    del tables["study"]
    assert shown[0] not in [page.path for page in project_pages(compute(gather(tables, [], PROFILES)))]


def test_only_profiles_that_run_the_study_show_it(tables: dict[str, ResultsTable]) -> None:
    """A profile that does not name the study, or runs on other data, is not asked."""
    records = [replace(one, profile="paper") for one in seeds("base")]
    assert [one.profile.id for one in computed(tables, records).ablations] == ["small"]
    elsewhere = {**PROFILES, "small": replace(PROFILE, dataset="generated")}
    evidence = gather(tables, records, elsewhere)
    assert section_augmentation(compute_augmentation(evidence, compare_all(evidence))) == []


def test_seeds_that_started_from_different_nets_are_no_pair(tables: dict[str, ResultsTable]) -> None:
    """Another machine's net, whose difference is none of the row's, makes no pair; gathered with ours it is refused."""
    base = [replace(one, pretrained="here") for one in seeds("base")]
    mixed = [replace(one, pretrained="here" if one.seed > 2 else "elsewhere") for one in seeds("mixed", UP)]
    a, b = (RowResult(tables["study"].row(row), "small", tuple(of)) for row, of in (("mixed", mixed), ("base", base)))
    difference = difference_of(a, b, "accuracy")
    assert difference is not None
    assert difference.found.n == 4
    assert list(difference.by_seed) == [3, 4, 5, 6]
    files = r"^small/study/mixed/seed-1\.json: made with another pretrained net than small/study/base/seed-1\.json; "
    with pytest.raises(UserError, match=files):
        contrast(tables, base + mixed, "mixed", "base")


def test_seeds_of_a_row_from_different_nets_are_refused(tables: dict[str, ResultsTable]) -> None:
    """A mean over two nets would be the score of neither; the message names both files."""
    base = [replace(one, pretrained="here" if one.seed > 2 else "elsewhere") for one in seeds("base")]
    files = r"^small/study/base/seed-3\.json: made with another pretrained net than small/study/base/seed-1\.json; "
    with pytest.raises(UserError, match=files):
        contrast(tables, base, "mixed", "base")
