"""The report's section on augmentation, from made-up rows and records."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from replicate.common.errors import UserError
from replicate.findings.augmentation import Contrast, Word, ablation
from replicate.findings.evidence import Material
from replicate.findings.rows import RowResult, compare, paired_seeds
from replicate.records.run import Record
from replicate.report.build import gather, render
from replicate.report.pictures.picture import Picture
from replicate.report.sections.augmentation import section_augmentation
from replicate.tables.file import load_tables
from replicate.tables.table import EFFECTS, ResultsTable
from replicate.verdicts.equivalence import holm
from tests.synthetic import PAPER, SMALL, TABLE, failure, line, record

HEAD = """
schema = 1
id = "study"
title = "What copies do"
neighbours = ["Somebody gained 0.8 points"]
[provenance]
source = "an article"
published = "2022"
language = "English"
retrieved = "2026-01-01"
protocol_known = ["one row"]
protocol_unknown = ["the rest"]
[dataset]
name = "CORPUS"
split = "dev"
examples = 100
[statistics]
alpha = { value = "0.05", reason = "usual" }
minimum_seeds = { value = "3", reason = "few" }
[tolerances]
accuracy = { value = "0.03", reason = "A smaller gain is none" }
[[rows]]
id = "base"
title = "base"
recipe = [{ stage = "finetune", select = "accuracy" }]
"""
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
BASE = [20, 22, 21, 20, 22, 21]


def tables_of(
    folder: Path, rows: Mapping[str, str] = ROWS, more: str = "", finetune: str = 'select = "accuracy"'
) -> dict[str, ResultsTable]:
    """The article's table and one of measured rows, through the real loader."""
    (folder / "article.toml").write_text(TABLE, encoding="utf-8")
    written = [
        f'[[rows]]\nid = "{row}"\ntitle = "{row}"\nrecipe = [{steps}, {{ stage = "finetune", {finetune} }}]\n'
        for row, steps in rows.items()
    ]
    (folder / "study.toml").write_text(HEAD + "".join(written) + more, encoding="utf-8")
    return load_tables(folder)


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, ResultsTable]:
    """The article's table and the study's."""
    return tables_of(tmp_path)


def seeds(row: str, wrongs: Sequence[int], examples: int = 60) -> list[Record]:
    """One run a seed, each with the number of examples that it gets wrong."""
    made = []
    for seed, wrong in enumerate(wrongs, start=1):
        one = record(row, seed, wrong, profile="small")
        summary = {"steps": 10, "examples": examples}
        made.append(replace(one, table="study", stages=({**one.stages[0], "summary": summary},)))
    return made


def moved(*by: int) -> list[int]:
    """The wrong examples of a row whose seeds differ from those of `base` by so many right ones."""
    return [wrong - right for wrong, right in zip(BASE, by, strict=False)]


def material_of(tables: Mapping[str, ResultsTable], records: Sequence[Record]) -> Material:
    """What the section is made of."""
    return gather(tables, records, PROFILES)


def contrast(tables: Mapping[str, ResultsTable], records: Sequence[Record], row: str, control: str) -> Contrast:
    """The comparison of two rows of the study."""
    found = ablation(material_of(tables, records), tables["study"], PROFILE).contrast_of(row, control)
    assert found is not None
    return found


def section(tables: Mapping[str, ResultsTable], records: Sequence[Record]) -> str:
    """The section's text, without its pictures."""
    blocks = section_augmentation(material_of(tables, records))
    return "\n\n".join(block for block in blocks if isinstance(block, str))


def ablated(tables: Mapping[str, ResultsTable], records: Sequence[Record]) -> str:
    """The section without the learning curve."""
    return section(tables, records).partition("### From which")[0]


def pictures(tables: Mapping[str, ResultsTable], records: Sequence[Record]) -> list[Picture]:
    """The section's pictures."""
    return [one for one in section_augmentation(material_of(tables, records)) if isinstance(one, Picture)]


UP, DOWN, SAME = (6, 7, 6, 7, 6, 7), (-6, -7, -6, -7, -6, -7), (1, -1, 0, 0, 1, -1)
BELOW, WIDE = (-9, -1, -1, -7, 2, -2), (12, -12, 9, -9, 3, -3)
CASES = {
    "helps": UP,
    "hurts": DOWN,
    "no difference": SAME,
    "no gain": BELOW,
    "not distinguishable": WIDE,
    "not-run": (),
}


@pytest.mark.parametrize(("word", "by"), CASES.items())
def test_each_word_comes_from_seeds_that_call_for_it(
    tables: dict[str, ResultsTable], word: str, by: tuple[int, ...]
) -> None:
    """Every word is reached, with a reason, and stands in the table; the words are those that a conclusion may name."""
    records = seeds("base", BASE) + seeds("mixed", moved(*by))
    found = contrast(tables, records, "mixed", "base")
    assert found.word == word
    assert found.reason
    assert f"**{word}**" in line(ablated(tables, records), "`mixed` minus `base`", found.reason)
    assert set(CASES) == set(get_args(Word)) == {*EFFECTS, "not-run"}


def test_few_or_broken_seeds_decide_nothing(tables: dict[str, ResultsTable]) -> None:
    """Two pairs, however far apart, and a seed that diverged leave a row not distinguishable, with that reason."""
    two = contrast(tables, seeds("base", BASE) + seeds("mixed", moved(9, 9)), "mixed", "base")
    assert (two.word, two.reason) == ("not distinguishable", "2 of the 3 seeds that a verdict takes")
    gone = replace(failure("mixed", 6, "diverged", profile="small"), table="study")
    broken = contrast(tables, [*seeds("base", BASE), *seeds("mixed", moved(*UP[:5])), gone], "mixed", "base")
    assert (broken.word, broken.reason) == ("not distinguishable", "a seed gave no number")


def test_a_shown_difference_may_be_smaller_than_the_tolerance(tables: dict[str, ResultsTable]) -> None:
    """A small but sure gain helps, and its reason says that it is small."""
    found = contrast(tables, seeds("base", BASE) + seeds("mixed", moved(1, 1, 1, 2, 1, 1)), "mixed", "base")
    assert found.word == "helps"
    assert "by less than 0.03" in found.reason


def test_p_is_corrected_over_the_rows_of_a_column(tables: dict[str, ResultsTable]) -> None:
    """Holm's correction runs over every row on all lines, the ones not run included, and over drawn lines apart."""
    records = seeds("base", BASE) + seeds("mixed", moved(3, 1, 4, 0, 3, 4)) + seeds("masks", moved(2, 0, 3, 1, -1, 2))
    found = ablation(material_of(tables, records), tables["study"], PROFILE)
    whole = [one for one in found.against_plain if one.arm.training.lines is None]
    assert [one.arm.row.id for one in whole] == ["again", "mixed", "masks", "once"]
    raw = [one.comparison.p if one.comparison else float("nan") for one in whole]
    assert [one.p for one in whole] == pytest.approx(list(holm(raw)), nan_ok=True)
    assert whole[1].p == pytest.approx(4 * raw[1])
    assert raw[1] < 0.05 < whole[1].p
    assert whole[1].word != "helps"


def test_controls_are_found_by_recipe(tmp_path: Path) -> None:
    """Whatever rows are called, each meets its lines without copies, and as many duplicates where a row has them."""
    names = {row: f"x{n}" for n, row in enumerate(ROWS)}
    tables = tables_of(tmp_path, {names[row]: steps for row, steps in ROWS.items()})
    found = ablation(material_of(tables, []), tables["study"], PROFILE)
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
    text = section(tables, [])
    assert "**Not known yet.** None of 3 ways of augmenting all lines has been run together with its control." in text
    assert "not-run" in line(text, "| `masks`", "4 × unk")
    assert "4 × truncate 0.5, unk 0.5" in line(text, "| `mixed` |")
    assert "Over mere duplicates: not run yet." in text
    assert pictures(tables, []) == []
    assert "Does augmentation help?" in render(tables, [], PROFILES)
    del tables["study"]
    assert "Does augmentation help?" not in render(tables, [], PROFILES)


@pytest.mark.parametrize(
    ("mixed", "masks", "once", "answer"),
    [
        (UP, DOWN, SAME, "**Some ways help.** Over training on the lines as they are: `mixed` (+0.0650). Of these,"),
        (UP, DOWN, SAME, "Of these, over mere duplicates: `mixed` not-run. Worse than"),
        (SAME, DOWN, BELOW, "**No.** 3 ways of augmenting all lines: each gains less than 0.03. Worse than"),
        (SAME, SAME, SAME, "**No.** 3 ways of augmenting all lines: each gains less than 0.03. Against"),
        (SAME, SAME, WIDE, "**No gain is shown.** Of 3 ways of augmenting all lines none is shown to help."),
        (SAME, (), (), "**No gain is shown.** Of 3 ways"),
    ],
)
def test_the_answer_follows_from_the_words(
    tables: dict[str, ResultsTable],
    mixed: tuple[int, ...],
    masks: tuple[int, ...],
    once: tuple[int, ...],
    answer: str,
) -> None:
    """The first sentences change with the seeds."""
    rows = {"mixed": mixed, "masks": masks, "once": once}
    records = seeds("base", BASE) + [one for row, by in rows.items() for one in seeds(row, moved(*by))]
    assert answer in section(tables, records)


@pytest.mark.parametrize(
    ("by", "expects", "verdict"),
    [
        (DOWN, '"hurts"', "supported"),
        (UP, '"hurts"', "contradicted"),
        (SAME, '"hurts"', "contradicted"),
        (BELOW, '"hurts"', "not distinguishable"),
        (WIDE, '"hurts"', "not distinguishable"),
        ((), '"hurts"', "not-run"),
        (BELOW, '"helps"', "contradicted"),
        (BELOW, '"hurts", "no difference"', "supported"),
        (SAME, '"no gain"', "supported"),
    ],
)
def test_a_clause_holds_by_what_its_rows_leave_possible(
    tmp_path: Path, by: tuple[int, ...], expects: str, verdict: str
) -> None:
    """A ruled-out gain proves no harm and no absence of it, but that nothing helps by as much."""
    tables = tables_of(tmp_path, more=CONCLUSION.format(row="masks", expects=expects))
    text = section(tables, seeds("base", BASE) + seeds("masks", moved(*by)))
    assert f"- Masking adds noise. **{verdict}**: against `base`, `masks` " in text


def test_a_clause_about_rows_that_are_not_compared_is_refused(tmp_path: Path) -> None:
    """A conclusion that names no control of its row is an error, not a clause that is never run."""
    tables = tables_of(tmp_path, more=CONCLUSION.format(row="few-mixed", expects='"helps"'))
    with pytest.raises(UserError, match="compares 'few-mixed' with 'base'"):
        section(tables, [])


@pytest.mark.parametrize(
    ("few", "whole", "told"),
    [
        (UP, SAME, "it helps up to 20 lines and no longer from 60 lines on"),
        (UP, UP, "it helps at every size tried"),
        (SAME, DOWN, "it helps at no size tried, not even at 20 lines"),
        (SAME, UP, "its effect does not follow the size"),
        (UP, WIDE, "it helps up to 20 lines; for more, these seeds can't tell"),
        (WIDE, SAME, "these seeds can't tell from where on it stops helping"),
        ((), SAME, "these seeds can't tell from where on it stops helping"),
    ],
)
def test_the_learning_curve_says_where_it_stops(
    tables: dict[str, ResultsTable], few: tuple[int, ...], whole: tuple[int, ...], told: str
) -> None:
    """The sentence follows from the words along the sizes, and both controls have their own."""
    records = seeds("base", BASE) + seeds("few", BASE, 20)
    records += seeds("mixed", moved(*whole)) + seeds("few-mixed", moved(*few))
    text = section(tables, records)
    assert f"Over training on the lines as they are: {told} (" in text
    assert "Over mere duplicates: not run yet." in text
    assert "- Somebody gained 0.8 points." in text
    assert "0.7900" in line(text, "| 60 lines")


def test_settings_that_differ_are_told(tmp_path: Path) -> None:
    """Where rows with copies are also chosen otherwise than their control, the report says how."""
    assert "more than their data" not in section(tables_of(tmp_path), [])
    changed = tables_of(tmp_path, finetune='select = "f1", evaluations_per_epoch = 5')
    text = section(changed, [])
    assert "`evaluations_per_epoch` 5 against unset, `select` f1 against accuracy (`again`, `mixed`" in text
    assert "Differences to duplicates are free of that." in text


def test_copies_that_changed_nothing_are_counted(tables: dict[str, ResultsTable]) -> None:
    """Shares of copies equal to their original and of empty ones, over all seeds."""
    made = seeds("masks", moved(*SAME))
    counted = [
        replace(one, stages=({**one.stages[0], "stage": "augment", "summary": summary}, one.stages[0]))
        for one, summary in zip(
            made,
            [{"copies": 90, "unchanged": 40, "dropped": 10}] * 3 + [{"copies": 110, "unchanged": 10, "dropped": 0}] * 3,
            strict=True,
        )
    ]
    text = section(tables, counted)
    assert re.search(r"\| 100 +\| 25\.0% +\| 4\.8%", line(text, "| `masks`", "25.0%"))
    assert "equal to their original" not in section(tables, made)


def test_figures_are_those_of_the_records(tables: dict[str, ResultsTable]) -> None:
    """Scores, steps, differences and links are those of the records, its control's included."""
    text = ablated(tables, seeds("base", BASE) + seeds("mixed", moved(*UP)))
    line(text, "| `base`", "0.7900 ± 0.0089 (6)", " 10 ")
    line(text, "| `mixed`", "0.8550")
    assert "| [`mixed`](measured/small/study/mixed) minus [`base`](measured/small/study/base) |" in text
    assert "0.0593 to 0.0707" in line(text, "| `mixed` minus `base`", "+0.0650 ± 0.0055 (6)")


def test_pictures_are_there_where_there_is_something_to_draw(tables: dict[str, ResultsTable]) -> None:
    """A forest takes one comparison, a curve two sizes; their text alternatives state what was found."""
    base, mixed = seeds("base", BASE), seeds("mixed", moved(*UP))
    assert pictures(tables, base) == []
    (forest,) = pictures(tables, base + mixed)
    assert forest.path == "docs/figures/augmentation-small.svg"
    assert "1 helps, 3 not-run" in forest.finding
    forest, curve = pictures(tables, base + mixed + seeds("few", moved(*DOWN), 20))
    assert "as they are, 0.725 with 20 lines, 0.790 with 60 lines" in curve.finding
    assert ">few<" not in forest.svg()
    assert ">mixed<" in forest.svg()
    assert ">60<" in curve.svg()


def test_rows_of_the_study_stand_in_no_other_section(tables: dict[str, ResultsTable]) -> None:
    """The first table stays the published one, and measured rows are not listed a second time."""
    text = render(tables, seeds("base", BASE) + seeds("mixed", moved(*UP)), PROFILES)
    assert "Does the table of *A table | of three rows* hold" in text
    assert "## What copies do" not in text
    assert text.index("## A table") < text.index("## Does augmentation help?") < text.index("## `small`")
    line(text, "| study/mixed")


def test_only_profiles_that_run_the_study_show_it(tables: dict[str, ResultsTable]) -> None:
    """A profile that does not name the study, or runs on other data, is not asked."""
    records = [replace(one, profile="paper") for one in seeds("base", BASE)]
    assert "Under `paper`" not in section(tables, records)
    elsewhere = {**PROFILES, "small": replace(PROFILE, dataset="generated")}
    assert section_augmentation(gather(tables, records, elsewhere)) == []


def test_seeds_that_started_from_different_nets_are_no_pair(tables: dict[str, ResultsTable]) -> None:
    """Another machine pretrains another net, whose difference is none of the row's; the other pairs stay."""
    base = [replace(one, pretrained="here") for one in seeds("base", BASE)]
    mixed = [replace(one, pretrained="here" if one.seed > 2 else "elsewhere") for one in seeds("mixed", moved(*UP))]
    table = tables["study"]
    a, b = (RowResult(table.row(row), "small", tuple(of)) for row, of in (("mixed", mixed), ("base", base)))
    assert paired_seeds(a, b) == [3, 4, 5, 6]
    comparison = compare(a, b, "accuracy")
    assert comparison is not None
    assert comparison.n == 4
    everywhere = contrast(tables, base + [replace(one, pretrained="elsewhere") for one in mixed], "mixed", "base")
    assert everywhere.word == "not-run"
    assert everywhere.differences == ()


def test_seeds_of_a_row_from_different_nets_are_refused(tables: dict[str, ResultsTable]) -> None:
    """A mean over two nets would be the score of neither; the message names both files."""
    base = [replace(one, pretrained="here" if one.seed > 2 else "elsewhere") for one in seeds("base", BASE)]
    files = r"^small/study/base/seed-3\.json: made with another pretrained net than small/study/base/seed-1\.json; "
    with pytest.raises(UserError, match=files):
        contrast(tables, base, "mixed", "base")
