"""Rows on somebody's own data: what chooses the step, what is pretrained on, and what can't run stops nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from replicate.audit.audit import Audit, audit
from replicate.commands import speed
from replicate.commands.main import main
from replicate.common.errors import UserError
from replicate.corpus import kuake, load_dataset
from replicate.corpus.formats import Dataset, Split, write_dataset
from replicate.corpus.generated import generate
from replicate.corpus.unlabelled import UNLABELLED
from replicate.inference.predict import predict
from replicate.nets.classifier import Classifier
from replicate.records.run import read_records
from replicate.records.timing_file import read_timing
from replicate.report.build import write_own
from replicate.runs.artefact import Artefact
from replicate.runs.ask import Ask
from replicate.runs.executor import Failed, Job, Made, Refused
from replicate.runs.held_out import read_held_out, score_held_out
from replicate.runs.plan import Sources, plan
from replicate.runs.runner import Runner
from replicate.runs.sequential import Sequential
from replicate.runs.store import Store
from replicate.stages.prune.options import PruneOptions
from replicate.stages.svm import svm
from replicate.tables.file import load_tables
from replicate.tables.profile import Profile, load_profile
from tests.tiny import ARCHITECTURE

TABLES = load_tables()
ARTICLE = TABLES["ernie3_kuake_qic"]
SMOKE = load_profile("smoke")
SOURCES = Sources({"train": "t", "dev": "d", "labels": "l"}, "u", {})


def own(folder: Path, dataset: Dataset, profile: Profile = SMOKE) -> Runner:
    """A runner of a data set in a folder."""
    write_dataset(dataset, folder)
    return Runner(profile.changed(dataset=str(folder)), Store(folder.parent / "store"), quiet=True)


def tiny() -> Profile:
    """Smoke with a net that is made in a second."""
    options = {name: dict(values) for name, values in SMOKE.options.items()}
    options["pretrain"] |= {"architecture": ARCHITECTURE, "passes": 1}
    options["finetune"] |= {"epochs": 1}
    return replace(SMOKE, options=options, seeds=(1,))


@pytest.mark.parametrize("row", [row.id for row in ARTICLE.rows if row.recipe])
def test_only_the_articles_data_choose_by_class_1(row: str) -> None:
    """On other data no stage chooses its step by the F1 of whatever label is the second; accuracy stays."""
    for article in (True, False):
        stages = [*plan(ARTICLE, row, SMOKE, 1, replace(SOURCES, article=article)).chain()]
        chosen = {stage.options["select"] for stage in stages if "select" in stage.options}
        assert chosen <= ({"accuracy", "f1"} if article else {"accuracy", "macro_f1"})
        keys = [stage.key for stage in stages]
        same = [*plan(ARTICLE, row, SMOKE, 1, SOURCES).chain()]
        assert (keys == [stage.key for stage in same]) is (article or chosen <= {"accuracy"})


def test_the_step_is_kept_where_the_second_label_is_absent_from_dev(tmp_path: Path) -> None:
    """Its F1 is 0 at every evaluation: chosen by that, the first step would be kept."""
    made = generate(examples_train=120, examples_dev=60)
    kept = [at for at, label in enumerate(made.dev.labels) if label != 1]
    dev = Split(tuple(made.dev.texts[at] for at in kept), tuple(made.dev.labels[at] for at in kept))
    profile = tiny()
    profile = replace(profile, options={**profile.options, "finetune": {**profile.options["finetune"], "epochs": 3}})
    record = own(tmp_path / "mine", replace(made, dev=dev), profile).run(ARTICLE, "augment", 1)
    history = record.stages[-1]["summary"]["history"]
    best = max(history, key=lambda entry: entry["macro_f1"])
    assert record.stages[-1]["summary"]["best_step"] == best["step"] != history[0]["step"]


def test_pretraining_reads_own_text_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training and unlabelled text, and the file that the user names; no dev or test text, and nothing generated."""
    monkeypatch.delenv(UNLABELLED, raising=False)
    dataset = Dataset(
        "d",
        ("x", "y"),
        Split(("一", "二", "二"), (0, 1, 1)),
        Split(("三",), (0,)),
        ("四", "三", "五"),
        Split(("五",), (1,)),
    )
    runner = own(tmp_path / "mine", dataset)
    assert runner.unlabelled == ("一", "二", "四")
    (tmp_path / "more.txt").write_text("六\n", encoding="utf-8")
    monkeypatch.setenv(UNLABELLED, str(tmp_path / "more.txt"))
    assert own(tmp_path / "again", dataset).unlabelled == ("一", "二", "四", "六")


def test_distillation_takes_what_unlabelled_text_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer texts than a profile asks for are all taken, and the record says how many; none refuses the row before."""
    monkeypatch.delenv(UNLABELLED, raising=False)
    table = TABLES["distillation"]
    made = generate(examples_train=60, examples_dev=30, unlabelled=7)
    record = own(tmp_path / "few", made, tiny()).run(table, "cnn-distilled", 1)
    assert (record.status, record.stages[-1]["summary"]["unlabelled"]) == ("ok", 7)
    runner = own(tmp_path / "none", replace(made, unlabelled=()), tiny())
    with pytest.raises(UserError, match="distillation/cnn-distilled needs"):
        next(runner.drive([Ask(table, "cnn-distilled", 1)]))
    assert not (tmp_path / "store" / "records").exists()


def test_rows_that_cannot_run_are_told_and_stop_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without unlabelled text students are left out with the reason; one that is named is refused, in a dry run too."""
    monkeypatch.delenv(UNLABELLED, raising=False)
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    write_dataset(replace(generate(examples_train=60, examples_dev=30), unlabelled=()), tmp_path / "mine")
    words = ["run", "--dataset_dir", str(tmp_path / "mine"), "--dry-run", "--profile", "smoke"]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "distillation/cnn-distilled" not in told.out
    assert "ernie3_kuake_qic/base" in told.out
    assert "cnn-distilled: not run" in told.err
    assert main(["run", "cnn-distilled", *words[1:]]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_refusal_costs_its_rows_only(tmp_path: Path) -> None:
    """Once something is made, what a stage refuses is on record; before that it ends the run in one line."""
    stages = [plan(ARTICLE, "svm", SMOKE, seed, SOURCES) for seed in (1, 2)]

    def make(stage: object, label: str) -> Artefact:
        if label == "bad":
            raise Refused("one class only")
        return Artefact(tmp_path, {}, "key", 0.0, False)

    good, bad = Job(stages[0], "good"), Job(stages[1], "bad")
    made, failed = Sequential(make, quiet=True).execute([good, bad])
    assert isinstance(made, Made)
    assert isinstance(failed, Failed)
    assert (failed.status, failed.reason) == ("error", "one class only")
    with pytest.raises(Refused):
        next(iter(Sequential(make, quiet=True).execute([bad, good])))


def test_records_say_which_data(tmp_path: Path) -> None:
    """The command on a record of own data runs on these data."""
    runner = own(tmp_path / "mine", generate(examples_train=60, examples_dev=30))
    (record,) = runner.drive([Ask(ARTICLE, "svm", 1)])
    assert record.command[-2:] == ("--dataset_dir", str(tmp_path / "mine"))
    assert [one.place for one in read_records(runner.records)] == [record.place]


def test_the_test_set_is_scored_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What dev has chosen is scored on test.txt; the same command scores nothing again, other seeds are counted."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    made, more = generate(examples_train=200, examples_dev=60), generate(examples_train=1, examples_dev=50, seed=9)
    write_dataset(replace(made, test=more.dev), tmp_path / "mine")
    words = ["run", "svm", "--dataset_dir", str(tmp_path / "mine"), "--quiet", "--seeds"]
    assert main([*words, "1"]) == 0
    (folder,) = (tmp_path / "store" / "records-of").iterdir()
    wanted = svm(made.train, more.dev, len(made.labels), 1)
    accuracy = float(np.mean(wanted == np.asarray(more.dev.labels)))
    data = load_dataset(str(tmp_path / "mine"))
    found = read_held_out(folder, "auto", data)
    assert found is not None
    assert found.times == 1
    assert found.scores["ernie3_kuake_qic/svm"][1]["accuracy"] == pytest.approx(accuracy)
    front = (folder / "REPORT.md").read_text(encoding="utf-8")
    assert f"{accuracy:.4f}" in front.partition("| --- |")[0]
    kept = folder / "held-out" / "auto.json"
    before = kept.stat().st_mtime_ns
    assert main([*words, "1"]) == 0
    assert kept.stat().st_mtime_ns == before
    assert main([*words, "1,2"]) == 0
    again = read_held_out(folder, "auto", data)
    assert again is not None
    assert again.times == 2
    capsys.readouterr()


def test_a_label_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its precision, recall and F1 stand beside the other figures, as scikit-learn has them."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    made = generate(examples_train=200, examples_dev=60)
    write_dataset(made, tmp_path / "mine")
    words = ["run", "svm", "--dataset_dir", str(tmp_path / "mine"), "--seeds", "1", "--quiet", "--json"]
    label = max(made.labels, key=lambda one: made.dev.labels.count(made.labels.index(one)))
    assert main([*words, "--positive", label]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    predicted = svm(made.train, made.dev, len(made.labels), 1)
    at = made.labels.index(label)
    wanted = precision_recall_fscore_support(made.dev.labels, predicted, labels=[at], zero_division=0)
    for name, value in zip(("precision", "recall", "F1"), wanted, strict=False):
        assert float(found[f"{name} ({label})"]) == pytest.approx(value[0], abs=5e-5)
    assert main([*words, "--positive", "no such"]) == 2
    assert "'no such'" in capsys.readouterr().err
    assert main(["run", "--until-decided", "--positive", label]) == 2
    capsys.readouterr()


def test_a_net_is_scored_on_the_test_set_as_it_predicts(tmp_path: Path) -> None:
    """The counts are those of `predict` with the folder in the store."""
    made, more = generate(examples_train=60, examples_dev=30), generate(examples_train=1, examples_dev=20, seed=9)
    runner = own(tmp_path / "mine", replace(made, test=more.dev), tiny())
    (record,) = runner.drive([Ask(ARTICLE, "base", 1)])
    found = score_held_out(runner, [record])
    assert found is not None
    stage = record.stages[-1]
    folder = runner.store.root / str(stage["stage"]) / str(stage["key"])
    named = [one.label for one in predict(folder, more.dev.texts, 64)]
    right = np.mean([name == made.labels[at] for name, at in zip(named, more.dev.labels, strict=True)])
    assert found.scores["ernie3_kuake_qic/base"][1]["accuracy"] == pytest.approx(right)


def test_nets_of_own_data_are_timed_beside_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each size once, on texts as long as these; the report has its word from that, and nothing is timed again."""
    monkeypatch.setattr(speed, "ROUNDS", 3)
    made = generate(examples_train=60, examples_dev=30)
    runner = own(tmp_path / "mine", made, replace(tiny(), id="small"))
    monkeypatch.setenv("REPLICATE_STORE", str(runner.store.root))
    assert speed.time_nets(runner) is None
    records = [*runner.drive([Ask(TABLES["compression"], row, 1) for row in ("parent", "native-1-2")])]
    path = speed.time_nets(runner)
    assert path is not None
    (race,) = read_timing(path).comparisons
    assert {one.parameters for one in race.contestants} == {one.parameters for one in records}
    assert len(race.contestants) == 2 * len(speed.RUNTIMES)
    assert (race.length, race.weights) == (int(np.median([len(text) + 2 for text in made.dev.texts])), "trained")
    before = path.stat().st_mtime_ns
    assert speed.time_nets(runner) == path
    assert path.stat().st_mtime_ns == before
    write_own(runner.records, runner.dataset)
    page = (runner.records / "docs" / "report" / "compression.md").read_text(encoding="utf-8")
    assert f"{race.batch} × {race.length}" in page
    assert speed.time_nets(replace(runner, profile=replace(runner.profile, id="smoke"))) is None


def test_own_data_are_audited_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said before the start is what the report has."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    write_dataset(generate(examples_train=60, examples_dev=30), tmp_path / "mine")
    audits: list[str] = []

    def counted(dataset: Dataset, limit: int) -> Audit:
        audits.append(dataset.name)
        return audit(dataset, limit)

    monkeypatch.setattr("replicate.findings.own_data.audit", counted)
    assert main(["run", "svm", "--dataset_dir", str(tmp_path / "mine"), "--seeds", "1", "--quiet"]) == 0
    assert audits == ["mine"]


@pytest.mark.parametrize(("labels", "wanted"), [(kuake.LABELS, "f1"), (("x", *kuake.LABELS[1:]), "macro_f1")])
def test_pruning_by_hand_chooses_by_class_1_for_the_articles_labels_only(
    labels: tuple[str, ...], wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`replicate prune` without --select; texts that are cut are told of."""
    found: list[str] = []

    def prune(*given: object) -> None:
        found.extend(one.select for one in given if isinstance(one, PruneOptions))
        raise UserError("seen")

    monkeypatch.setattr("replicate.commands.prune.prune", prune)
    monkeypatch.setattr("replicate.nets.classifier.load_classifier", lambda folder: Classifier(None, None, labels))
    write_dataset(replace(generate(examples_train=30, examples_dev=20), labels=labels), tmp_path / "mine")
    words = [
        "prune",
        "--width_mult",
        "1/2",
        "--params_dir",
        "none",
        "--dataset_dir",
        str(tmp_path / "mine"),
        "--output_dir",
        str(tmp_path),
    ]
    assert main([*words, "--engine", "native"]) == 2
    assert main([*words, "--engine", "native", "--select", "accuracy"]) == 2
    assert found == [wanted, "accuracy"]


def test_processes_score_a_test_set_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds that run side by side are scored together, by the process that waits for them."""
    monkeypatch.setenv("REPLICATE_STORE", str(tmp_path / "store"))
    made, more = generate(examples_train=60, examples_dev=30), generate(examples_train=1, examples_dev=20, seed=9)
    write_dataset(replace(made, test=more.dev), tmp_path / "mine")
    words = ["run", "svm", "--dataset_dir", str(tmp_path / "mine"), "--quiet", "--seeds", "1,2", "--processes", "2"]
    assert main(words) == 0
    (folder,) = (tmp_path / "store" / "records-of").iterdir()
    found = read_held_out(folder, "auto", load_dataset(str(tmp_path / "mine")))
    assert found is not None
    assert (found.times, {*found.scores["ernie3_kuake_qic/svm"]}) == (1, {1, 2})
