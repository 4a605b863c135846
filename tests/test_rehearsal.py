"""Every row that a GPU is paid for runs on a CPU first: by name, with made-up weights, a few steps of each stage."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from replicate.commands.checks.room import check_cache
from replicate.commands.checks.sources import check_weights
from replicate.corpus.fetch import no_network
from replicate.corpus.generated import generate
from replicate.findings.compute import compute
from replicate.findings.evidence import gather
from replicate.nets.classifier import load_classifier
from replicate.nets.folder import digest_of, weights_of
from replicate.records.run import Record
from replicate.report.sections.published import section_published
from replicate.runs.ask import Ask, models_of, selected
from replicate.runs.runner import Runner
from replicate.runs.store import Store
from replicate.tables.file import load_tables
from replicate.tables.profile import Profile, load_profile
from replicate.tables.table import ResultsTable, Row
from tests.made_up import NANO, make_cache
from tests.shown import lines

PROFILES = ("paper", "paper-multi-class")
# Small enough for a test of two minutes; the nets of the other rows are replaced by the smallest.
SMALL = ("ernie-3.0-mini-zh", "ernie-3.0-micro-zh", NANO)


def rehearsed(name: str, whole: bool) -> tuple[Profile, dict[str, ResultsTable]]:
    """A profile on a CPU with one epoch a stage and one seed, and its tables; with `whole`, nets of their own sizes."""
    profile = load_profile(name).changed(device="cpu", seeds=(1,))
    options = {
        stage: {**given, "epochs": 1} if "epochs" in given else given for stage, given in profile.options.items()
    }

    def net(of: str | None) -> str | None:
        return of if whole or of is None or of in SMALL else NANO

    def short(row: Row) -> Row:
        said = ({**one.options, **({"epochs": 1} if "epochs" in one.options else {})} for one in row.recipe)
        recipe = tuple(replace(one, options=options) for one, options in zip(row.recipe, said, strict=True))
        return replace(row, recipe=recipe, model=net(row.model))

    tables = {one.id: replace(one, rows=tuple(map(short, one.rows))) for one in load_tables().values()}
    return replace(profile, dataset="generated", model=net(profile.model), options=options), tables


def run(name: str, home: Path, whole: bool) -> tuple[Profile, Mapping[str, ResultsTable], list[Record]]:
    """Records of every row of a profile, made without a connection from a made-up cache; and what they are of."""
    profile, tables = rehearsed(name, whole)
    with pytest.MonkeyPatch.context() as patch, no_network():
        patch.setenv("PPNLP_HOME", str(home / "paddlenlp"))
        patch.setenv("REPLICATE_STORE", str(home / "store"))
        for seed, model in enumerate(models_of(tables, profile), 1):
            make_cache(model, seed)
        models = models_of(tables, profile)
        checks = [check_cache(models), *map(check_weights, models)]
        assert [one.detail for one in checks if not one.ok] == []
        runner = Runner(profile, Store(home / "store"), quiet=True, measured=home)
        runner.dataset = generate(examples_train=32, examples_dev=24, unlabelled=10)
        asks = [Ask(table, row, 1) for table, row in selected(tables, profile, ())]
        records = list(runner.drive(asks))
        digests = {
            model: digest_of(weights_of(load_classifier(model, ("a", "b")).network.base_model))
            for model in models_of(tables, profile)
        }
    found = {f"{one.table}/{one.row}": one for one in records}
    assert found.keys() == {ask.full_id for ask in asks}
    for ask in asks:
        record = found[ask.full_id]
        assert (record.status, record.reason) == ("ok", ""), ask.full_id
        # A net that starts from nothing would have another encoder.
        start = "" if record.row == "svm" else digests[ask.table.model(ask.row) or str(profile.model)]
        assert record.pretrained == start, ask.full_id
    return profile, tables, records


@pytest.mark.parametrize("name", PROFILES)
def test_every_row_runs(name: str, tmp_path: Path) -> None:
    """With small nets: each row ends well, starts from the checkpoint that its name stands for, and is reported."""
    started = time.process_time()
    profile, tables, records = run(name, tmp_path, whole=False)
    # Every change waits for this: a busy machine takes longer, but hardly more time of its processor.
    assert time.process_time() - started < 120
    findings = compute(gather(tables, records, {profile.id: replace(profile, dataset="kuake-qic")}))
    pages = [section_published(one) for one in findings.published if one.table.id in profile.tables]
    assert len(pages) == len(profile.tables)
    measured = {row for page in pages for line in lines(page, "row", "state") if line.profiles for row in line.rows}
    assert measured == {record.row for record in records}
    assert {one.parameters for one in records if "as-in-2022" in one.row}.isdisjoint(
        one.parameters for one in records if "as-in-2022" not in one.row
    )


@pytest.mark.rehearsal
@pytest.mark.parametrize("name", PROFILES)
def test_every_row_runs_in_its_own_size(name: str, tmp_path: Path) -> None:
    """The same with nets of the published sizes; those pruned as in 2022 have the sizes that `expected/` states."""
    _, tables, records = run(name, tmp_path, whole=True)
    of = {(one.table, one.row): one.parameters for one in records}
    for table in tables.values():
        for row in table.rows:
            if row.size and (table.id, row.id) in of:
                assert of[table.id, row.id] == row.size.parameters
                assert of[table.id, f"{row.id}-as-in-2022"] == row.size.probable
