"""What the front page and the article's say beside the words of claims, from drawn records and real timings."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from replicate.common.paths import EXPECTED, MEASURED
from replicate.findings.compute import Findings, compute
from replicate.findings.origins import origins_of
from replicate.records.run import TIMING
from replicate.records.timing_file import load_timings
from replicate.report.pages import project_pages
from replicate.report.sections.apart import section_apart
from replicate.report.sections.compression import section_compression
from replicate.report.sections.origins import section_origins
from replicate.report.sections.published import section_published
from replicate.report.words import score
from replicate.tables.file import load_tables
from replicate.tables.profile import load_profile
from replicate.tables.table import ResultsTable
from replicate.verdicts.original import mcnemar_at, published_difference, visible
from tests.shown import Shown, line, lines, words
from tests.simulated import EXAMPLES, MAIN, MEANS, drawn, evidence_of, small_records
from tests.synthetic import runs


@pytest.fixture(scope="module")
def decided() -> Findings:
    """Twenty seeds of `small` with narrow scores, and the project's timings."""
    means = {**MEANS, MAIN: {"base": 0.0, "augment": -0.03, "prune-1-2": 0.0, "prune-2-3": 0.03}}
    records = small_records(np.random.default_rng(11), range(1, 21), means, spread=0.001)
    return compute(replace(evidence_of(records), timings=tuple(load_timings(MEASURED / TIMING))))


@pytest.fixture(scope="module")
def table() -> ResultsTable:
    """The article's."""
    return load_tables(EXPECTED)[MAIN]


def front(findings: Findings, question: str) -> Shown:
    """The front page's line on a question."""
    return line(project_pages(findings)[0].blocks, **{"": question})


def test_what_one_run_could_show(decided: Findings) -> None:
    """Power, prediction interval, telescope and McNemar are those of the verdicts' functions on our own pairs."""
    originals = {one.printed.claim.id: one for one in decided.published[0].originals}
    assert list(originals) == ["augment-lowers", "prune-1-2-keeps", "prune-2-3-raises", "prune-2-3-beats-base"]
    one = originals["prune-2-3-raises"]
    ours = one.result.differences["accuracy"]
    printed = one.printed.differences["accuracy"]
    assert printed == pytest.approx((1582 - 1560) / 1955)
    assert one.found == published_difference(list(ours.by_seed.values()), printed)
    assert one.mcnemar == mcnemar_at(1582, 1560, EXAMPLES, one.disagreement)
    # Rows that share no stage are as far apart as both spread.
    apart = originals["augment-lowers"]
    pair = apart.result.differences["accuracy"]
    spreads = [np.std([row.score(seed, "accuracy") for seed in pair.seeds], ddof=1) for row in (pair.a, pair.b)]
    assert apart.found.visible == pytest.approx(visible(math.hypot(*map(float, spreads))))
    asked = line(project_pages(decided)[0].blocks, the_article_says=one.printed.claim.text)
    assert f"{100 * one.found.power:.0f} of 100" in asked.cells["could one run show it?"]


def test_the_log_stands_beside_the_table(decided: Findings) -> None:
    """The article's log has another teacher: the raise is half of what is printed, and the kept score a loss."""
    logged = {one.claim.id: one.logged_examples for one in decided.published[0].claims}
    assert logged == {
        "augment-lowers": None,
        "prune-1-2-keeps": -10,
        "prune-2-3-raises": 11,
        "prune-2-3-beats-base": None,
    }
    shown = [one.cells["it printed, one run each"] for one in lines(project_pages(decided)[0].blocks, "does it hold?")]
    assert ["log" in cell for cell in shown] == [False, True, True, False]


def test_values_of_another_net_are_not_compared(decided: Findings, table: ResultsTable) -> None:
    """Without the article's net no value is called plausible; with it each is told, and the tolerance comes last."""
    blocks = section_published(decided.published[0])
    assert not lines(blocks, "one more seed of ours")
    assert "can't be compared" in words(blocks)
    paper = load_profile("paper")
    accuracy = float(table.row("base").published["accuracy"].value)
    rng = np.random.default_rng(2)
    records = [
        *drawn(rng, MAIN, "base", accuracy, paper.seeds, paper),
        *drawn(rng, MAIN, "augment", accuracy - 0.2, paper.seeds, paper),
    ]
    blocks = section_published(compute(evidence_of(records, ("paper",))).published[0])
    told = {
        (one.rows[0], one.cells["metric"]): one.cells["plausible?"] for one in lines(blocks, "plausible?", "metric")
    }
    assert told["base", "accuracy"] == "yes"
    assert told["augment", "accuracy"] == "no"
    heads = [one.cells for one in lines(blocks, "in this metric")]
    assert {one["metric"] for one in heads} == {"accuracy", "F1 of class 1"}


def test_each_net_stands_by_itself(decided: Findings) -> None:
    """Beside the interval of both together."""
    (small,) = (one for one in decided.apart if one.profile.id == "small")
    main = lines(section_apart(small), "together", "net-0", "net-1")
    study = lines(section_compression(decided.compression), "together", "net-0", "net-1")
    assert (len(main), len(study)) == (5, 4)
    shown = [*main, *study]
    assert all(one.cells["net-0"] and one.cells["net-1"] for one in shown)


def test_pruning_leads_with_the_engine_without_a_leak(decided: Findings) -> None:
    """The advice names rows without a leak alone, those that keep accuracy first, and of these our engine's first."""
    told = front(decided, "Prune?")
    named = [target.rpartition("/")[2] for target in told.links[:4]]
    rows = {one.row.row.id: one.row for one in decided.answer.pruned if not one.leaks}
    assert [*rows] == ["native-1-2", "native-2-3", "cleared-1-2", "cleared-2-3"]
    assert named == sorted(rows, key=lambda row: not rows[row].is_kept)
    assert {rows[row].is_kept for row in named} == {True, False}
    assert "prune-1-2" not in told.cells["answer"]
    assert [one.leaks for one in decided.answer.pruned] == [False] * 4 + [True] * 2
    assert front(decided, "Augment?").cells["answer"].startswith("No")


def test_a_precision_stands_beside_its_accuracy(decided: Findings) -> None:
    """The net whose labels were kept has speed and accuracy; of the one with random weights nothing is recommended."""
    (one,) = decided.advice.lower
    (way,) = one.ways
    assert (one.record, one.model, way.precision, way.runtime) == ("padding-cpu-2", "small", "int8", "onnxruntime")
    assert way.ratio.low > 1
    assert round((way.accuracy - one.accuracy) * one.race.texts) == -2
    answers = [shown.cells["answer"] for shown in lines(project_pages(decided)[0].blocks, "answer", "measured in")]
    assert f"{way.accuracy:.4f}" in answers[-2]
    assert answers[-1].startswith("No recommendation")


def test_false_words_are_counted_by_family(decided: Findings) -> None:
    """Two plans of `small`, and the study of the table that has comparisons outside its plan."""
    families = decided.answer.families
    assert (families.planned, families.studies) == (2, 1)
    assert families.false_words == pytest.approx(0.15)


def test_origins_are_printed() -> None:
    """A net made by unknown or changed code is told to be so, and a clean one by its commit."""
    clean, *_ = small_records(np.random.default_rng(1), [1])
    pretrain = {**clean.stages[0], "summary": {"origin": {"commit": "unknown", "dirty": True}}}
    dirty = replace(clean, pretrained="0" * 8, stages=(pretrain, clean.stages[1]), dirty=True)
    silent = replace(clean, pretrained="9" * 8, stages=clean.stages[1:])
    first, second, third = origins_of([clean, dirty, silent])
    assert (first.is_clean, second.is_clean, third.is_clean) == (True, False, False)
    assert (first.unclean, second.unclean) == (0, 1)
    told = words(section_origins([first, second, third])).splitlines()
    assert ["unknown" in one for one in told[1:]] == [False, True, True]
    assert "no commit holds" in told[2]
    assert section_origins(origins_of(runs("base", [1, 2]))) == []


def test_rules_that_choose_a_step_stand_side_by_side(decided: Findings) -> None:
    """Every row by accuracy, by F1 and at the last step, from the evaluations that its records hold."""
    (small,) = (one for one in decided.apart if one.profile.id == "small")
    (main,) = (one for one in small.tables if one.compared.table.id == MAIN)
    base, augment = ({one.result.row.id: one for one in main.ruled}[row] for row in ("base", "augment"))
    assert (base.own, augment.own) == ("accuracy", "f1")
    assert base.mean("accuracy_by_accuracy") == pytest.approx(base.result.summary("accuracy")[0])
    assert base.mean("f1_last") == pytest.approx(0.8)
    shown = line(section_apart(small), row="augment", its_recipe_chooses_by="F1 of class 1")
    assert shown.cells["accuracy, last step"] == f"{augment.mean('accuracy_last'):.4f}"
    # What F1 chooses on half of the examples is not in the records.
    assert {one.row.id for one in main.biases.untold} == {"augment", "prune-1-2", "prune-2-3"}
    assert {one.result.row.id for one in main.biases.selections} == {"base"}


def test_a_deterministic_row_is_said_to_be_one(table: ResultsTable) -> None:
    """Equal predictions with every seed are one run, and have no spread."""
    findings = compute(evidence_of([replace(one, table=MAIN) for one in runs("svm", [23, 23, 23], "small")]))
    result = findings.apart[0].tables[0].compared.results["svm"]
    assert result.is_deterministic
    assert "±" not in str(score(result, "accuracy").shown)
    assert not replace(result, records=result.records[:1]).is_deterministic
