"""The pages on the data and on explanations: from records, with figures that are known beforehand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from replicate.common.errors import UserError
from replicate.common.paths import MEASURED
from replicate.findings.clean import compute_clean
from replicate.findings.compute import compute
from replicate.findings.evidence import gather
from replicate.findings.looked_at import compute_looked_at
from replicate.records.audited import AuditRecord, load_audited, read_audited, write_audited
from replicate.records.explained import (
    Agreement,
    ExplainedRecord,
    ExplainedRun,
    load_explained,
    read_explained,
    write_explained,
)
from replicate.records.run import AUDITED, EXPLAINED, read_records
from replicate.report.blocks import Table
from replicate.report.markdown import markdown
from replicate.report.pages import page
from replicate.report.sections.advice import section_advice
from replicate.report.sections.clean import contested_sentence, section_clean
from replicate.report.sections.looked_at import section_looked_at
from replicate.report.site import Site
from replicate.scores.packing import pack_bits, pack_predictions
from tests.shown import line as shown_line
from tests.synthetic import DOWN, GOLD, PROFILES, SAME, STUDY, article, line, runs, study_runs, study_tables

AUDIT = AuditRecord(
    name="corpus",
    command=("replicate", "audit", "corpus"),
    dev="d",
    parts={"train": 200, "dev": 100},
    counts={"label": {"train": 7, "dev": 3}, "leak": {"train": 0, "dev": 0}},
    shift=0.125,
    shifted=("治疗",),
    thin=(),
    records=12,
)
PARENT, PEER = Agreement(0.8, 0.7, 0.2, 0.9), Agreement(0.4, 0.5, 0.2, 0.9)


def explained(ranks: tuple[float, ...]) -> ExplainedRecord:
    """A record of a pruned row whose nets agree with their parents so much, and 0.4 with another seed."""
    made = [
        ExplainedRun("t", "prune", seed, 0.4, 0.0, (0.1, 0.3), replace(PARENT, rank=rank), PEER)
        for seed, rank in enumerate(ranks, start=1)
    ]
    base = ExplainedRun("t", "base", 1, 0.5, -0.1, (0.1, 0.3))
    return ExplainedRecord("small", "small", "d", 100, "occlusion", (base, *made))


def test_records_read_back_as_written(tmp_path: Path) -> None:
    """Both kinds, and the committed ones; other readers of the folder pass them by."""
    write_audited(AUDIT, tmp_path / AUDITED)
    write_explained(explained((0.8, 0.7)), tmp_path / EXPLAINED)
    assert load_audited(tmp_path / AUDITED) == (AUDIT,)
    assert load_explained(tmp_path / EXPLAINED) == (explained((0.8, 0.7)),)
    assert read_records(tmp_path) == []
    assert load_audited(tmp_path / "none") == ()
    assert load_explained(tmp_path / "none") == ()
    assert load_audited(MEASURED / AUDITED)
    assert load_explained(MEASURED / EXPLAINED)


def test_runs_whose_nets_are_gone_stay(tmp_path: Path) -> None:
    """A run that is measured again takes the place of the older one; runs on other texts are refused."""
    before, now = explained((0.8, 0.7)), explained((0.5,))
    now = replace(now, runs=tuple(replace(one, commit="new") for one in now.runs if one.row == "prune"))
    whole = now.beside(before)
    assert [(one.row, one.seed, one.commit) for one in whole.runs] == [
        ("base", 1, ""),
        ("prune", 1, "new"),
        ("prune", 2, ""),
    ]
    assert whole.runs[1].parent == replace(PARENT, rank=0.5)
    with pytest.raises(UserError, match="another texts"):
        replace(now, texts=50).beside(before)


def test_an_older_schema_is_read(tmp_path: Path) -> None:
    """Its one commit is that of each run."""
    path = write_explained(explained((0.8,)), tmp_path)
    value = json.loads(path.read_text(encoding="utf-8"))
    for one in value["runs"]:
        del one["commit"]
    path.write_text(json.dumps({**value, "schema": 1, "commit": "abc"}), encoding="utf-8")
    assert {one.commit for one in read_explained(path).runs} == {"abc"}


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("audit", {"schema": 9}),
        ("audit", {"name": "other"}),
        ("audit", {"counts": {"label": {"train": -1}}}),
        ("audit", {"more": 1}),
        ("explained", {"schema": 9}),
        ("explained", {"texts": "many"}),
        ("explained", {"runs": [{}]}),
        ("explained", {"runs": 7}),
    ],
)
def test_damaged_records_are_refused(kind: str, change: dict[str, object], tmp_path: Path) -> None:
    """In one line with the file's name."""
    path = write_audited(AUDIT, tmp_path) if kind == "audit" else write_explained(explained((0.8,)), tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    with pytest.raises(UserError, match=path.name):
        (read_audited if kind == "audit" else read_explained)(path)


@pytest.mark.parametrize(
    ("ranks", "status"),
    [
        ((0.8, 0.82, 0.79, 0.81), "supported"),
        ((0.1, 0.12, 0.09, 0.11), "contradicted"),
        ((0.1, 0.9, 0.2, 0.7), "undecided"),
        ((0.8,), "undecided"),
    ],
)
def test_verdict_on_looking_where_the_parent_looks(ranks: tuple[float, ...], status: str) -> None:
    """It needs more agreement with the parent than with another seed of the same row."""
    (found,) = compute_looked_at([explained(ranks)])
    assert [(one.row, verdict.status) for one, verdict in found.verdicts] == [("prune", status)]
    tables = [block for block in section_looked_at([found]) if isinstance(block, Table)]
    assert [len(table.lines) for table in tables] == [2, 1]


def test_a_control_has_no_verdict() -> None:
    """It stands in the table, as what it is."""
    (found,) = compute_looked_at([explained((0.8, 0.82, 0.79))], {("t", "prune")})
    assert found.verdicts == ()
    assert [one.row for one in found.controls] == ["prune"]
    text = markdown(Site((page("looked", "Looked", "Looked", section_looked_at([found])),)))["docs/report/looked.md"]
    assert line(text, "`prune` | 0.803").endswith("| control |")


def test_the_page_says_where_sufficiency_is_missed() -> None:
    """How many nets are above 0 and why, in one sentence; none where no net is. A net of two rows counts once."""
    record = explained((0.8, 0.7))
    base = replace(record.runs[0], sufficiency=0.05)
    missed = replace(record, runs=(base, replace(base, table="students", row="teacher"), *record.runs[1:]))
    texts = [
        markdown(Site((page("looked", "Looked", "Looked", section_looked_at(compute_looked_at([one]))),)))
        for one in (record, missed)
    ]
    told = ["The aim was" in text["docs/report/looked.md"] for text in texts]
    assert told == [False, True]
    assert "1 of 3 nets miss it" in texts[1]["docs/report/looked.md"]


def test_contested_lines_beside_the_scores_as_given(tmp_path: Path) -> None:
    """Four lines that twelve records give one other label: scores without them are those of the other 96."""
    table = article(tmp_path)
    made = []
    for one in runs("base", [20] * 12, "small"):
        predicted = GOLD.copy()
        predicted[:4], predicted[50:56] = 2, 0
        right = predicted == GOLD
        made.append(replace(one, predictions=pack_predictions(predicted), correct=pack_bits(right)))
    clean = compute_clean(gather({table.id: table}, made, PROFILES), [AUDIT])
    (found,) = clean.contested
    assert (found.lines, found.examples, found.records) == (10, 100, 12)
    (row,) = (one for one in found.rows if one.result.row.id == "base")
    assert set(np.round(list(row.as_given.values()), 6)) == {0.9}
    assert set(row.without.values()) == {1.0}
    text = markdown(Site((page("data", "Data", "Data", section_clean(clean)),)))["docs/report/data.md"]
    assert "10 of 100" in text
    assert "治疗" in text
    assert "12 records of all profiles were asked" in text
    assert "10.00%" in contested_sentence(clean, table)
    assert contested_sentence(replace(clean, contested=()), table) == ""


def test_few_records_contest_nothing(tmp_path: Path) -> None:
    """Nine don't."""
    table = article(tmp_path)
    assert compute_clean(gather({table.id: table}, runs("base", [20] * 9, "small"), PROFILES), []).contested == ()


WRONG = STUDY.replace(
    "[[rows]]",
    """[[claims]]
id = "cost"
text = "Wrong labels cost."
kind = "lowers"
row = "wrong"
against = "base"
metrics = ["accuracy"]
provenance = "ours"
[[rows]]
id = "wrong"
title = "with wrong labels"
against = "base"
recipe = [{ stage = "mislabel", examples = 9 }, { stage = "finetune", select = "accuracy" }]
[[rows]]""",
)


CORRECTED = WRONG.replace(
    '''[[rows]]
id = "wrong"''',
    '''[[claims]]
id = "wrong-corrected"
text = "Correcting them raises it."
kind = "raises"
row = "corrected"
against = "wrong"
metrics = ["accuracy"]
provenance = "ours"
[[claims]]
id = "wrong-chance"
text = "And beats chance."
kind = "raises"
row = "corrected"
against = "chance"
metrics = ["accuracy"]
provenance = "ours"
[[rows]]
id = "corrected"
title = "with doubted labels corrected"
against = "wrong"
recipe = [WRONG, { stage = "relabel", examples = 9 }, NET]
[[rows]]
id = "chance"
title = "with others corrected"
role = "control"
against = "wrong"
recipe = [WRONG, { stage = "relabel", examples = 9, chosen = "random" }, NET]
[[rows]]
id = "wrong"'''.replace("WRONG", '{ stage = "mislabel", examples = 9 }').replace(
        "NET", '{ stage = "finetune", select = "accuracy" }'
    ),
)


@pytest.mark.parametrize(
    ("seeds", "wrong", "lead"),
    [(10, DOWN, "Yes, where they may be wrong:"), (10, SAME, "No:"), (6, DOWN, "Not known yet:")],
)
def test_whether_to_audit_labels(seeds: int, wrong: Sequence[int], lead: str, tmp_path: Path) -> None:
    """The front page answers from ten pairs of the corrected row and the one whose labels stay wrong."""
    tables = study_tables(tmp_path, CORRECTED)
    profiles = {"small": replace(PROFILES["small"], tables=("article", "study"), seeds=tuple(range(1, 11)))}
    by = {"base": SAME, "corrected": SAME, "wrong": wrong, "chance": wrong}
    made = [one for row, right in by.items() for one in study_runs(row, (*right, *right)[:seeds])]
    evidence = gather(tables, made, profiles)
    clean = compute_clean(evidence, [])
    answer = compute(evidence).advice
    told = shown_line(section_advice(answer, None, clean), **{"": "Audit the labels?"}).cells["answer"]
    assert told.startswith(lead)
    assert ("over lines at random" in told) == (seeds == 10)


def test_what_wrong_labels_cost(tmp_path: Path) -> None:
    """How many are wrong comes from the records, what they cost from the seeds, and whoever published it is named."""
    tables = study_tables(tmp_path, WRONG)
    made = [*study_runs("base", (0,) * 6), *study_runs("wrong", DOWN)]
    spoilt = [
        replace(one, stages=({**one.stages[0], "summary": {"examples": 50, "wrong": 9}}, *one.stages))
        for one in made[6:]
    ]
    profiles = {"small": replace(PROFILES["small"], tables=("article", "study"))}
    clean = compute_clean(gather(tables, [*made[:6], *spoilt], profiles), [])
    (found,) = clean.wrong_labels
    assert [(one.result.row.id, set(one.wrong), set(one.seen)) for one in found.rows] == [
        ("wrong", {9}, {0}),
        ("base", {0}, {0}),
    ]
    assert [one.verdict.status for one in found.compared.claims] == ["supported"]
    text = markdown(Site((page("data", "Data", "Data", section_clean(clean)),)))["docs/report/data.md"]
    assert line(text, "`wrong` | 0 | 9 |")
    assert "Somebody gained" in text
    # Twelve records would be enough to contest dev lines; those of a table with wrong labels aren't asked.
    assert clean.contested == ()
