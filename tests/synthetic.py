"""A small synthetic table, its profiles, and records of it, for tests of the report."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from replicate.records.run import Record
from replicate.scores.metrics import count
from replicate.scores.packing import pack_bits, pack_predictions
from replicate.tables.file import load_table, load_tables
from replicate.tables.profile import Profile
from replicate.tables.table import ResultsTable

GOLD = np.array([0] * 40 + [1] * 30 + [2] * 30)
TABLE = """
schema = 1
id = "article"
title = "A table | of three rows"
main = true
[provenance]
source = "an article"
published = "2022"
language = "English"
retrieved = "2026-01-01"
protocol_known = ["one seed"]
protocol_unknown = ["the rest"]
[dataset]
name = "CORPUS"
split = "dev"
examples = 100
positive_class = "treatment"
positive_index = 1
positive_examples = 30
[statistics]
alpha = { value = "0.05", reason = "usual" }
minimum_seeds = { value = "3", reason = "few" }
[tolerances]
accuracy = { value = "0.05", reason = "two standard errors" }
[[rows]]
id = "base"
title = "Base"
recipe = [{ stage = "finetune", select = "accuracy" }]
[rows.published]
accuracy = "0.8"
precision = "0.75"
recall = "0.8"
f1 = "0.7741935483870969"
[rows.counts]
examples = 100
correct = 80
tp = 24
fp = 8
fn = 6
[rows.provenance]
section = "1"
log = "line 1"
note = "none"
[[rows]]
id = "prune"
title = "Pruned"
parent = "base"
recipe = [{ stage = "prune", width = "1/2", select = "f1" }]
[rows.published]
accuracy = "0.79"
[rows.counts]
examples = 100
correct = 79
[rows.provenance]
section = "1"
log = "line 2"
note = "none"
[[rows]]
id = "svm"
title = "Baseline"
recipe = [{ stage = "svm" }]
[[claims]]
id = "prune-lowers"
text = "Pruning lowers accuracy."
kind = "lowers"
row = "prune"
against = "base"
metrics = ["accuracy"]
provenance = "section 1"
"""


PAPER = Profile(
    id="paper",
    question="Does the table hold?",
    comparable=True,
    reason="",
    device="gpu",
    dataset="corpus",
    seeds=(1, 2, 3),
    tables=("article",),
    model="ernie",
    unlabelled=None,
)
SMALL = replace(PAPER, id="small", comparable=False, reason="a smaller net")
PROFILES = {"paper": PAPER, "small": SMALL}


def article(folder: Path) -> ResultsTable:
    """A table of two published rows and a baseline, through the real loader."""
    (folder / "article.toml").write_text(TABLE, encoding="utf-8")
    return load_table(folder / "article.toml")


def record(row: str, seed: int, wrong: int, *, profile: str = "paper", status: str = "ok", reason: str = "") -> Record:
    """A run that takes the first `wrong` examples, all of class 0, for class 2."""
    predicted = np.where(np.arange(len(GOLD)) < wrong, 2, GOLD)
    return Record(
        table="article",
        row=row,
        profile=profile,
        seed=seed,
        status=status,
        reason=reason,
        command=("replicate", "run", row),
        started=f"2026-01-0{seed}T00:00:00+00:00",
        finished=f"2026-01-0{seed}T01:00:00+00:00",
        commit="c" * 40,
        dirty=False,
        versions={"numpy": "1.26.4"},
        device={"kind": "cpu", "name": "some processor", "threads": 2},
        machine={"cpu": "some processor", "cores": 2},
        stages=(
            {
                "stage": "finetune",
                "key": "k",
                "config": {},
                "passed": {},
                "inputs": {},
                "seconds": 10.0 * seed,
                "summary": {},
            },
        ),
        digests={},
        labels=("diagnosis", "treatment", "other"),
        counts=count(GOLD, predicted, 3),
        predictions=pack_predictions(predicted),
        correct=pack_bits(predicted == GOLD),
        confidence="",
        probabilities="",
        pretrained="",
        parameters=1234567,
    )


def failure(row: str, seed: int, status: str, *, profile: str = "paper") -> Record:
    """A run without predictions."""
    run = record(row, seed, 0, profile=profile, status=status, reason="the loss is NaN | at step 7")
    return replace(run, counts={}, predictions="", correct="")


def runs(row: str, wrongs: Sequence[int], profile: str = "paper") -> list[Record]:
    """One run a seed, from seed 1."""
    return [record(row, seed, wrong, profile=profile) for seed, wrong in enumerate(wrongs, start=1)]


# A table of measured rows, to which a test adds its own.
STUDY = """
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
# Rows of that study: a way of augmenting, smaller nets with their controls, and claims about these.
SMALLER = """
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
role = "control"
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
role = "control"
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


def all_right(run: Record) -> Record:
    """The run, had it got every example right."""
    gold = np.repeat(np.arange(len(run.labels)), [sum(row) for row in run.counts["confusion"]])
    right = pack_bits(np.ones(len(gold), bool))
    counts = count(gold, gold, len(run.labels))
    return replace(run, counts=counts, predictions=pack_predictions(gold), correct=right, confidence="")


# Wrong examples of the base in each seed of a study.
BASE = (20, 22, 21, 20, 22, 21)
# Examples that a row gets right beyond the base's, seed by seed: surely more, surely fewer, as many, and undecided.
UP, DOWN, SAME = (6, 7, 6, 7, 6, 7), (-6, -7, -6, -7, -6, -7), (1, -1, 0, 0, 1, -1)
WIDE = (12, -12, 9, -9, 3, -3)


def study_tables(folder: Path, study: str) -> dict[str, ResultsTable]:
    """The article's table and one of measured rows, through the real loader."""
    (folder / "article.toml").write_text(TABLE, encoding="utf-8")
    (folder / "study.toml").write_text(study, encoding="utf-8")
    return load_tables(folder)


def study_runs(
    row: str, by: Sequence[int], parameters: int = 1234567, summary: Mapping[str, Any] | None = None
) -> list[Record]:
    """A run for each number: of examples that it gets right beyond the base's with that seed.

    Args:
        row: of the study.
        by: those numbers, from seed 1.
        parameters: of the net.
        summary: of the last stage.
    """
    made = []
    for seed, (wrong, right) in enumerate(zip(islice(cycle(BASE), len(by)), by, strict=True), start=1):
        one = record(row, seed, wrong - right, profile="small")
        stages = ({**one.stages[0], "summary": summary or {}},)
        made.append(replace(one, table="study", parameters=parameters, stages=stages))
    return made


def plain(text: str) -> str:
    """Markdown with the words of its links in place of them."""
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)


def line(text: str, *parts: str) -> str:
    """The only line that has all of `parts`, links aside; without its links."""
    found = [line for line in plain(text).splitlines() if all(part in line for part in parts)]
    assert len(found) == 1, (parts, found)
    return found[0]
