"""One comparison has one word and one interval, wherever it is printed, and the interval allows just that word."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from replicate.common.paths import EXPECTED, MEASURED
from replicate.findings.compared import GAP, margin_of
from replicate.findings.compute import Findings, compute
from replicate.findings.evidence import Evidence
from replicate.findings.pairs import share_a_chain
from replicate.records.run import Record, load_records
from replicate.report.pages import project_pages
from replicate.report.sections.claims import name_of
from replicate.tables.file import load_tables
from replicate.verdicts import sequential
from replicate.verdicts.decisions import ANSWERS
from tests.shown import Shown, lines
from tests.simulated import MAIN, MEANS, STUDY, evidence_of, small_records

TABLES = load_tables(EXPECTED)
TABLE_OF = {row.id: table for table in TABLES.values() for row in table.rows}
ENDS = re.compile(r"(-?\d\.\d{4}) to (-?\d\.\d{4})")
FRONT = "does it hold?"
# Profile, both rows, metric; then the interval, and the word.
Key = tuple[str, str, str, str]
Told = tuple[tuple[float, float] | None, str]


def drawn(draw: int) -> Evidence:
    """Records of some state: few or many seeds, wide or narrow, planned or not, and in one a seed that failed."""
    rng = np.random.default_rng(draw)
    seeds = range(1, (3, 6, 10, 11, 15, 20)[draw % 6] + 1)
    means = {table: {row: mean + rng.normal(0, 0.006) for row, mean in rows.items()} for table, rows in MEANS.items()}
    records: list[Record] = small_records(rng, seeds, means, spread=float(rng.choice([0.001, 0.004, 0.012])))
    if draw % 4 == 3:
        # Which row and seed is a matter of the draw.
        bad = int(rng.integers(len(records)))
        records[bad] = replace(records[bad], status="diverged", counts={}, predictions="", correct="")
    return evidence_of(records, ("paper", "small"), planned=draw % 3 != 2)


def told(findings: Findings) -> dict[Key, set[Told]]:
    """All that the tables of every page say of a comparison."""
    found: dict[Key, set[Told]] = {}
    metrics = {name_of(metric): metric for metric in ("accuracy", "macro_f1", "f1", "accuracy_by_accuracy")}
    for page in project_pages(findings):
        for line in lines(page.blocks, "interval", "word"):
            if line.cells["word"]:
                metric = metrics[line.cells.get("metric", "accuracy")]
                found.setdefault(key(line, metric), set()).add((ends(line), word(line)))
    return found


def key(line: Shown, metric: str) -> Key:
    """Whose comparison a line tells, and in what."""
    (profile,), (row, against) = line.profiles, line.rows
    return profile, row, against, metric


def ends(line: Shown) -> tuple[float, float] | None:
    """The printed interval."""
    match = ENDS.fullmatch(line.cells["interval"])
    return (float(match[1]), float(match[2])) if match else None


def word(line: Shown) -> str:
    """The printed word; empty for a metric that stands beside another."""
    shown = line.cells["word"]
    return next((one for one in (*sequential.WORDS, "not-run") if re.match(rf"{one}\b", shown)), "")


def check(findings: Findings, least: int) -> None:
    """Every word follows from its interval, and no comparison is told in two ways."""
    found, words = told(findings), 0
    for (_, row, _, metric), of_pair in found.items():
        assert len(of_pair) == 1, (row, metric, of_pair)
        ((interval, said),) = of_pair
        if not said or said == "not-run":
            continue
        margin = margin_of(TABLE_OF[row], metric.partition("_by_")[0], TABLES[MAIN].tolerances)
        assert said == (sequential.word(*interval, margin) if interval else "undecided"), (row, metric, of_pair)
        words += 1
    assert words >= least
    check_front(findings, found)


def check_front(findings: Findings, found: Mapping[Key, set[Told]]) -> None:
    """The front page's intervals are those of the claims, and its answers follow from their words."""
    front = lines(project_pages(findings)[0].blocks, FRONT)
    assert len(front) == 4
    tests = findings.answer.best.tests
    for line in front:
        if line.cells["our runs"] == "-":
            continue
        ((interval, said),) = found[key(line, "accuracy")]
        match = ENDS.search(line.cells["our runs"])
        assert (match and (float(match[1]), float(match[2]))) == interval
        claim = next(one for one in TABLES[MAIN].claims if (one.row, one.against) == line.rows)
        answer = {str(key): value for key, value in ANSWERS[claim.kind].items()}.get(said, "undecided")
        assert line.cells[FRONT].startswith(answer.upper() if tests else "not run yet")


@pytest.mark.parametrize("draw", range(12))
def test_word_and_interval_never_disagree(draw: int) -> None:
    """Whatever the records."""
    check(compute(drawn(draw)), least=11)


def test_nor_do_they_for_the_committed_records() -> None:
    """Exploratory ones among them, whose figures have no answer on the front page."""
    records = load_records(MEASURED)
    evidence = evidence_of(records, sorted({one.profile for one in records} | {"paper", "small"}))
    check(compute(evidence), least=60)


def states() -> Sequence[tuple[str, int, bool, str]]:
    """What is there, seeds, whether a plan was kept, and a word of every answer."""
    return (
        ("nothing", 0, True, "not run yet"),
        ("before the first look", 6, True, "UNDECIDED: before the first look"),
        ("so far", 12, True, "UNDECIDED: so far, after 12 seeds of 20"),
        ("in the end", 20, True, "UNDECIDED: after all 20 seeds"),
        ("nobody planned", 12, False, "post hoc"),
    )


@pytest.mark.parametrize(("state", "seeds", "planned", "wanted"), states(), ids=[one[0] for one in states()])
def test_the_front_page_in_every_state(state: str, seeds: int, planned: bool, wanted: str) -> None:
    """Wide scores decide nothing, and the page says how far it has come; with no records it says that."""
    rng = np.random.default_rng(5)
    # A claim that a row keeps its score is decided sooner than the others, so each row is a little worse.
    means = {table: {row: -0.004 * place for place, row in enumerate(rows)} for table, rows in MEANS.items()}
    records = small_records(rng, range(1, seeds + 1), means, spread=0.02)
    findings = compute(evidence_of(records, planned=planned))
    answers = [line.cells[FRONT] for line in lines(project_pages(findings)[0].blocks, FRONT)]
    assert len(answers) == 4
    assert all(wanted in answer for answer in answers), (state, answers)
    assert findings.answer.best.tests == bool(seeds)


def test_claims_are_decided_and_then_stay_so() -> None:
    """Narrow scores decide; later seeds change neither word nor interval, nor the seeds that both rest on."""
    means = {**MEANS, MAIN: {"base": 0.0, "augment": -0.03, "prune-1-2": 0.03, "prune-2-3": 0.06}}
    records = small_records(np.random.default_rng(7), range(1, 21), means, spread=0.001)
    early, late = (compute(evidence_of([one for one in records if one.seed <= last])).answer for last in (14, 20))
    assert [one.result.verdict.status for one in late.claims if one.result] == ["supported"] * 4
    for before, after in zip(early.claims, late.claims, strict=True):
        assert before.result
        assert after.result
        assert before.result.judged == after.result.judged
        assert after.result.judged.rule == "plan"
        assert len(after.result.differences["accuracy"].seeds) == after.result.judged.pairs <= 14
    # The pruned rows are PaddleNLP's, which leaks, and the page has leak-free ones to tell.
    front = lines(project_pages(compute(evidence_of(records)))[0].blocks, FRONT)
    assert ["leak" in line.cells[FRONT] for line in front] == [False, True, True, True]


def test_a_gap_in_the_seeds_is_told() -> None:
    """A plan counts from seed 1 on: without it there is a difference, no interval, and the reason."""
    found = compute(evidence_of(small_records(np.random.default_rng(8), range(3, 15))))
    for one in found.answer.claims:
        assert one.result
        judged = one.result.judged
        assert (judged.word, judged.has_interval, judged.reason) == ("undecided", False, GAP)
        assert math.isfinite(judged.difference)
    check(found, least=11)


def test_rows_are_paired_where_they_share_a_stage() -> None:
    """A pruned net and its parent do; nets that are fine-tuned on different sets don't."""
    assert share_a_chain(TABLES[STUDY], "native-1-2", "cleared-1-2")
    assert share_a_chain(TABLES[STUDY], "native-1-2", "parent")
    assert not share_a_chain(TABLES[MAIN], "augment", "base")
    assert share_a_chain(TABLES["augmentation"], "lines-500-mix", "lines-500")
    assert not share_a_chain(TABLES["augmentation"], "mix-1", "plain")
