"""What the records say to do, from made-up records of made-up studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from replicate.findings.advice import Advice
from replicate.findings.compression import KindAnswer
from replicate.findings.compute import compute
from replicate.findings.evidence import gather
from replicate.records.run import Record
from replicate.records.timing import Race, TimingRecord
from replicate.report.sections import augmentation
from replicate.report.sections.advice import section_advice
from replicate.report.spans import plain
from replicate.tables.table import ResultsTable
from tests.shown import line, lines
from tests.synthetic import DOWN, PAPER, SAME, SMALL, SMALLER, STUDY, UP, WIDE, study_runs, study_tables
from tests.synthetic_timing import example, race

SIZES = {"base": 2_000_000, "half": 1_300_000, "labels": 1_300_000, "student": 500_000, "hard": 500_000}
PROFILES = {"paper": PAPER, "small": replace(SMALL, seeds=(1, 2, 3, 4, 5, 6), tables=("article", "study"))}


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, ResultsTable]:
    """The article's table and one of measured rows."""
    return study_tables(tmp_path, STUDY + SMALLER)


def seeds(row: str, by: Sequence[int] = (0,) * 6) -> list[Record]:
    """One run a seed that differs from the base's by so many right examples."""
    return study_runs(row, by, SIZES.get(row, 2_000_000))


def advice(
    tables: dict[str, ResultsTable], records: Sequence[Record] = (), timings: Sequence[TimingRecord] = ()
) -> Advice:
    """What the records say to do."""
    return compute(gather(tables, records, PROFILES, timings)).advice


def answered(found: Advice, kind: str) -> KindAnswer:
    """The only answer on nets made smaller in one way."""
    ((profile, answer),) = dict(found.smaller)[kind]
    assert profile == "small"
    return answer


def shown(found: Advice, question: str) -> str:
    """What the table answers to a question."""
    return line(section_advice(found), **{"": question}).cells["answer"]


def raced(int8: float) -> Race:
    """A whole net and its half in fp32, the half twice as fast, and the whole one in int8."""
    medians = {"paddle-inference fp32 1": 0.8, "paddle-inference fp32 1/2": 0.4, "onnxruntime int8 1": int8}
    return replace(race(32, medians), batch=32)


def test_nothing_run_is_said_of_each_question(tables: dict[str, ResultsTable]) -> None:
    """Without records every question that rows ask says not-run; without such rows there is no question."""
    found = advice(tables)
    assert [one.answer for one in found.augment] == ["not-run"]
    # Each kind under the first profile that would run it.
    assert [(kind, [answer.lead for _, answer in answers]) for kind, answers in found.smaller] == [
        ("pruned", ["not-run"]),
        ("distilled", ["not-run"]),
    ]
    assert found.precision == ()
    for question in ("Augment?", "Prune?", "Distil?"):
        assert shown(found, question) == "not-run"
    assert advice({"article": tables["article"]}).augment == ()
    bare = replace(tables["article"], rows=(tables["article"].row("svm"),), claims=())
    assert section_advice(advice({"article": bare})) == []


@pytest.mark.parametrize(("by", "answer"), [(UP, "some help"), (SAME, "none helps"), (WIDE, "open")])
def test_augment(tables: dict[str, ResultsTable], by: tuple[int, ...], answer: str) -> None:
    """The answer is that of the section on augmentation."""
    found = advice(tables, seeds("base") + seeds("masked", by))
    (study,) = found.augment
    assert (study.profile.id, study.answer, len(study.ways)) == ("small", answer, 1)
    assert shown(found, "Augment?") == plain(augmentation.in_short(study))


@pytest.mark.parametrize(
    ("by", "lead", "word"),
    [
        (UP, "kept", "above"),
        (SAME, "kept", "no difference"),
        (DOWN, "at a price", "below"),
        (WIDE, "open", "undecided"),
    ],
)
def test_prune(tables: dict[str, ResultsTable], by: tuple[int, ...], lead: str, word: str) -> None:
    """Each answer comes from seeds that call for it; a control is no pruned row, but what is claimed over it counts."""
    records = seeds("base") + seeds("half", by)
    answer = answered(advice(tables, records), "pruned")
    assert answer.told is not None
    assert (answer.lead, answer.told.row.id, answer.told.judged.word) == (lead, "half", word)
    # The article's own pruned row is the other one.
    assert [one.row.id for one in answer.rows] == ["prune", "half"]
    assert answer.told.share == 0.65
    assert [one.verdict.status for one in answer.against_controls] == ["not-run"]
    answer = answered(advice(tables, [*records, *seeds("labels", DOWN)]), "pruned")
    assert [one.row.id for one in answer.rows] == ["prune", "half"]
    assert [one.verdict.status for one in answer.against_controls] != ["not-run"]


def test_few_seeds_give_no_advice_on_the_front_page(tables: dict[str, ResultsTable]) -> None:
    """Beside the main table's answer a word rests on a plan or on ten pairs, and else it isn't told."""
    records = seeds("base") + seeds("half", UP) + seeds("student", SAME) + seeds("masked", UP)
    findings = compute(gather(tables, records, PROFILES))
    for question in ("Augment?", "Prune?", "Distil?"):
        told = line(section_advice(findings.advice, findings.answer), **{"": question}).cells["answer"]
        assert told.startswith("Not known yet")
        assert told != shown(findings.advice, question)
        assert "+0.0" not in told


@pytest.mark.parametrize(("pairs", "leads"), [(3, ["Not known yet", "Not known yet"]), (12, ["Only at a price"])])
def test_few_seeds_are_not_told_beside_more(tables: dict[str, ResultsTable], pairs: int, leads: Sequence[str]) -> None:
    """Where one profile has words that rest on enough, another one's few seeds take no line."""
    more = replace(PROFILES["small"], seeds=tuple(range(1, 13)))
    few = replace(more, id="few", seeds=(1, 2, 3))
    records = seeds("base") + seeds("student", DOWN)
    records += [replace(one, seed=one.seed + 6) for one in records]
    of_few = [replace(one, profile="few") for one in records if one.seed <= 3]
    kept = [one for one in records if one.seed <= pairs]
    findings = compute(gather(tables, [*kept, *of_few], {"paper": PAPER, "few": few, "small": more}))
    told: dict[str, list[str]] = {}
    question = ""
    for one in lines(section_advice(findings.advice, findings.answer), "answer"):
        question = one.cells[""] or question
        told.setdefault(question, []).append(one.cells["answer"].partition(":")[0])
    assert told["Distil?"] == leads


def test_distil_names_the_smallest_that_keeps(tables: dict[str, ResultsTable]) -> None:
    """Speed is not told where it was not measured."""
    found = advice(tables, seeds("base") + seeds("student", SAME) + seeds("hard", DOWN))
    answer = answered(found, "distilled")
    assert answer.told is not None
    assert (answer.lead, answer.told.row.id, answer.told.share) == ("kept", "student", 0.25)
    assert answer.told.judged.word == "no difference"
    assert [one.verdict.status for one in answer.against_controls] == ["supported"]
    assert answer.told.latency is None
    assert "times as fast" not in shown(found, "Distil?")


@pytest.mark.parametrize(("int8", "beside"), [(0.2, "more"), (0.7, "less"), (0.4, "alike")])
def test_lower_precision(tables: dict[str, ResultsTable], int8: float, beside: str) -> None:
    """The word follows from the intervals of both ratios, each with its figures."""
    found = advice(tables, timings=[example(raced(int8))])
    (one,) = found.precision
    (way,) = one.nets.less_precise
    assert (one.record, way.precision, way.runtime, way.beside) == ("cpu-2", "int8", "onnxruntime", beside)
    assert way.ratio.median == pytest.approx(0.8 / int8)
    told = shown(found, "Lower precision instead?")
    assert f"int8 in onnxruntime {0.8 / int8:.2f} (" in told
    assert "2.00 (2.00 to 2.00) with " in told
