"""What the records say of few labels, and the section that shows it, from made-up records of the project's table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from replicate.common.paths import EXPECTED
from replicate.findings.compute import compare_all
from replicate.findings.evidence import gather
from replicate.findings.fewshot import FewShot, advise, compute_fewshot
from replicate.records.run import Record
from replicate.report.sections.fewshot import section_fewshot
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile
from tests.shown import lines, pictures, words
from tests.simulated import drawn

TABLES = load_tables(EXPECTED)
SMALL = load_profile("small")
SEEDS = (1, 2, 3, 4, 5, 6)
TABLE = TABLES["few_shot"]


def examples_of(row: str) -> int:
    """Lines with a label."""
    end = row.rsplit("-", 1)[1]
    return 11 * int(end) if end.isdigit() else 6931


def records_of(accuracies: Mapping[str, float]) -> list[Record]:
    """Six runs of each of these rows around an accuracy."""
    rng, found = np.random.default_rng(0), []
    for row, accuracy in accuracies.items():
        for one in drawn(rng, TABLE.id, row, accuracy, SEEDS, SMALL, spread=0.002):
            last = {**one.stages[-1], "summary": {**one.stages[-1]["summary"], "examples": examples_of(row)}}
            found.append(replace(one, stages=(*one.stages[:-1], last)))
    return found


def found_of(accuracies: Mapping[str, float]) -> FewShot:
    """The finding under `small`."""
    evidence = gather(TABLES, records_of(accuracies), {"small": SMALL})
    (found,) = compute_fewshot(evidence, compare_all(evidence))
    return found


def test_every_arm_has_as_many_steps() -> None:
    """Under `small` each training of the table takes 300 steps, and dev sees the last one alone."""
    seen = set()
    for row in TABLE.rows:
        for step in row.recipe:
            if step.stage in ("finetune", "prompt", "contrast"):
                options = {**SMALL.options[step.stage], **step.options}
                seen.add((step.stage, options["steps"], options["batch_size"]))
                assert options.get("evaluations_per_epoch", 1) == 1
    assert seen == {(stage, 300, 32) for stage in ("finetune", "prompt", "contrast")}


def test_sizes_and_methods() -> None:
    """Every method stands at every size, the linear model first; self-training and its control need unlabelled text."""
    found = found_of({})
    assert found.sizes == (8, 16, 32, 64, None)
    assert found.methods[0] == "linear"
    missing = {(m, s) for m in found.methods for s in found.sizes if found.at(m, s) is None}
    assert missing == {("self-trained", None), ("cloze, twice the steps", None)}
    assert len(found.chosen) == 6


def test_nothing_is_said_before_there_are_records() -> None:
    """Without a record everything is not-run, and there is no advice and no picture."""
    blocks = section_fewshot([found_of({})])
    said = words(blocks)
    assert "Not known yet" in said
    assert "by 0.03? not-run" in said
    assert not pictures(blocks)
    assert "90.91%" in said


def test_advice_follows_the_verdicts() -> None:
    """Where every net lies below, the linear model; where one lies above, it; each with its sizes."""
    accuracies: dict[str, float] = {}
    for size, net in ((8, -0.2), (16, -0.2), (32, 0.15), (64, 0.2)):
        accuracies |= {f"linear-{size}": 0.55, f"prompt-{size}": 0.55 + net, f"finetune-{size}": 0.55 + net - 0.03}
    found = found_of(accuracies)
    first, second = advise(found)
    assert (first.sizes, first.method, first.sure) == ((8, 16), "linear", True)
    assert (second.sizes, second.method) == ((32, 64), "cloze")
    blocks = section_fewshot([found])
    said = words(blocks)
    assert "With 8 and 16 lines of each class take the linear model" in said, said
    assert "with 32 and 64 lines of each class take a cloze" in said
    assert "by 0.03? So far no:" in said
    (picture,) = pictures(blocks)
    assert "linear 0.5" in picture.finding
    assert picture.svg().startswith("<svg") or "<svg" in picture.svg()


@pytest.mark.parametrize(("gain", "word"), [(0.2, "Yes"), (0.0, "Undecided"), (-0.2, "So far no")])
def test_a_net_that_is_worth_it(gain: float, word: str) -> None:
    """With 16 lines a class a net has to beat the linear model by 0.03 beyond doubt."""
    found = found_of({"linear-16": 0.55, "prompt-16": 0.55 + gain})
    assert f"by 0.03? {word}:" in words(section_fewshot([found]))


def test_both_metrics_stand_beside_each_other() -> None:
    """A matrix of accuracy, and one of macro-F1, each with every seed behind its figures."""
    blocks = section_fewshot([found_of({"linear-8": 0.5, "linear-16": 0.55})])
    found = [one for one in lines(blocks, "method", "8", "all lines") if one.cells["method"] == "linear"]
    assert len(found) == 2
    for one in found:
        runs = one.runs["16"]
        assert runs is not None
        assert sorted(runs.scores) == [*SEEDS]
        assert one.cells["all lines"] == "not-run"
