"""Few labels: which lines are drawn, and what each way makes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from replicate.common.errors import UserError
from replicate.corpus import kuake, load_dataset
from replicate.corpus.formats import Dataset, Split, read_split
from replicate.nets.classifier import load_classifier
from replicate.nets.clozes import load_masked
from replicate.nets.configuration import is_cloze
from replicate.nets.features import features_of
from replicate.nets.tokens import encode
from replicate.scores.metrics import scores
from replicate.scores.packing import unpack_predictions
from replicate.stages.fewshot.contrast import pairs_of
from replicate.stages.fewshot.linear import linear
from replicate.stages.fewshot.shots import draw
from replicate.stages.kind import Inputs
from replicate.stages.registry import KINDS
from tests.tiny import QUIET, Made

SHORT = {"learning_rate": 3e-3, "batch_size": 8, "steps": 5, "max_seq_length": 48}


def run(stage: str, dataset: Dataset, folder: Path, passed: Mapping[str, Any], **sources: Path) -> dict[str, Any]:
    """What a stage gives with seed 1 and these settings; `sources` are what its ports take."""
    folder.mkdir()
    given = {port: (path,) for port, path in sources.items()}
    options, texts = KINDS[stage].settings(passed), dataset.unlabelled
    return KINDS[stage](Inputs(options, 1, dataset, given, lambda: texts, folder, QUIET))


def written(folder: Path, dataset: Dataset) -> list[tuple[str, int]]:
    """The training set in a stage's folder."""
    split = read_split(folder / "train.txt", dataset.labels)
    return [*zip(split.texts, split.labels, strict=True)]


@pytest.fixture(scope="module")
def shots(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two lines of each class: of the rarest there are no more."""
    folder = tmp_path_factory.mktemp("shots") / "2"
    run("shots", dataset, folder, {"per_class": 2})
    return folder


@pytest.fixture(scope="module")
def prompted(
    dataset: Dataset, pretrained: Made, shots: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A cloze that has learnt from them, and its summary."""
    folder = tmp_path_factory.mktemp("prompt") / "2"
    return folder, run("prompt", dataset, folder, {**SHORT, "steps": 60}, train=shots, model=pretrained.folder)


def test_shots_are_nested_and_balanced() -> None:
    """With one seed fewer are among more; every class has as many; another seed draws others; the order stays."""
    split = Split(tuple(map(str, range(300))), tuple([0, 1, 1] * 100))
    drawn = {size: draw(split, ("a", "b"), size, seed=1) for size in (8, 16, 32, 64)}
    for size, at in drawn.items():
        assert Counter(split.labels[i] for i in at) == {0: size, 1: size}
        assert (np.diff(at) > 0).all()
    assert set(drawn[8]) < set(drawn[16]) < set(drawn[32]) < set(drawn[64])
    assert set(drawn[8]) != set(draw(split, ("a", "b"), 8, seed=2))


def test_more_than_a_class_has() -> None:
    """One line names the class with the fewest."""
    split = Split(tuple("abcde"), (0, 0, 1, 0, 0))
    with pytest.raises(UserError, match="2 examples a class, and 'rare' has 1 of 5"):
        draw(split, ("often", "rare"), 2, seed=1)


def test_lines_that_are_chosen(dataset: Dataset, shots: Path, tmp_path: Path) -> None:
    """What was there stays; the added lines are the data set's own, and by uncertainty others than at random."""
    before, found = written(shots, dataset), {}
    for how in ("uncertain", "random"):
        assert run("choose", dataset, tmp_path / how, {"examples": 20, "chosen": how}, train=shots) == {
            "examples": len(before) + 20
        }
        after = written(tmp_path / how, dataset)
        assert after[: len(before)] == before
        found[how] = set(after[len(before) :])
        assert len(found[how]) == 20
        assert found[how] <= set(zip(dataset.train.texts, dataset.train.labels, strict=True)) - set(before)
    assert found["uncertain"] != found["random"]


def test_more_lines_than_there_are(dataset: Dataset, shots: Path, tmp_path: Path) -> None:
    """Nobody can label more than what has no label."""
    rest = len(dataset.train) - len(written(shots, dataset))
    with pytest.raises(UserError, match=f"{rest + 1} more lines, and there are {rest}"):
        run("choose", dataset, tmp_path / "more", {"examples": rest + 1}, train=shots)


def test_linear_is_scikit_learns(dataset: Dataset, shots: Path, tmp_path: Path) -> None:
    """Its predictions are those of the same regression, written down again."""
    summary = run("linear", dataset, tmp_path / "linear", {}, train=shots)
    texts, labels = zip(*written(shots, dataset), strict=True)
    features = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), sublinear_tf=True)
    model = OneVsRestClassifier(LogisticRegression(C=3.0, solver="liblinear")).fit(
        features.fit_transform(texts), labels
    )
    expected = model.predict(features.transform(dataset.dev.texts))
    assert (unpack_predictions(summary["evaluation"]["predictions"]) == expected).mean() > 0.98
    assert summary["examples"] == 2 * len(dataset.labels)


def test_every_arm_takes_its_steps(dataset: Dataset, pretrained: Made, shots: Path, tmp_path: Path) -> None:
    """However few examples there are, training has as many steps, and dev sees the last one alone."""
    for name, train in (("few", {"train": shots}), ("all", {})):
        summary = run("finetune", dataset, tmp_path / name, {**SHORT, "steps": 30}, model=pretrained.folder, **train)
        assert (summary["steps"], summary["best_step"], len(summary["history"])) == (30, 30, 1)


def test_a_cloze_learns(dataset: Dataset, prompted: tuple[Path, dict[str, Any]]) -> None:
    """Sixty steps lower the loss below chance; the folder is a classifier's; its steps are as asked."""
    folder, summary = prompted
    assert summary["steps"] == summary["best_step"] == 60
    assert summary["history"][-1]["loss"] < np.log(len(dataset.labels))
    assert is_cloze(load_classifier(folder).network.config)


def test_a_cloze_goes_on(dataset: Dataset, prompted: tuple[Path, dict[str, Any]], shots: Path, tmp_path: Path) -> None:
    """From a cloze's folder training goes on with its weights."""
    folder, before = prompted
    summary = run("prompt", dataset, tmp_path / "on", SHORT, train=shots, model=folder)
    assert summary["weights_step0"] == before["weights"]


def test_what_can_become_no_cloze(dataset: Dataset, finetuned: Made, shots: Path, tmp_path: Path) -> None:
    """A fine-tuned classifier has lost the head that fills in masks."""
    with pytest.raises(UserError, match="a classifier without a prompt"):
        run("prompt", dataset, tmp_path / "no", SHORT, train=shots, model=finetuned.folder)


def test_text_that_a_net_labels(
    dataset: Dataset, prompted: tuple[Path, dict[str, Any]], shots: Path, tmp_path: Path
) -> None:
    """So much at most of each class joins the lines that have labels, and it is text without one."""
    folder, _ = prompted
    options = {"per_class": 4, "candidates": 100, "max_seq_length": 48}
    summary = run("pseudo", dataset, tmp_path / "pseudo", options, train=shots, model=folder)
    before, after = written(shots, dataset), written(tmp_path / "pseudo", dataset)
    added = after[len(before) :]
    assert after[: len(before)] == before
    assert max(Counter(label for _, label in added).values()) <= 4
    assert {text for text, _ in added} <= set(dataset.unlabelled)
    assert summary["unlabelled"] == len(added) > 0
    assert summary["sure"] > 1 / len(dataset.labels)


def test_contrast_parts_the_classes(dataset: Dataset, pretrained: Made, shots: Path, tmp_path: Path) -> None:
    """After it, texts of one class are nearer each other beside those of others than before; its head is as it was."""
    options = {**SHORT, "steps": 60}
    run("contrast", dataset, tmp_path / "contrast", options, train=shots, model=pretrained.folder)
    texts, labels = zip(*written(shots, dataset), strict=True)
    same = np.equal.outer(labels, labels) & ~np.eye(len(labels), dtype=bool)
    other = np.not_equal.outer(labels, labels)
    gaps = []
    for folder in (pretrained.folder, tmp_path / "contrast"):
        network, tokenizer = load_masked(folder)
        found = features_of(network.base_model, encode(tokenizer, texts, 48), tokenizer.pad_token_id)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        cosines = found @ found.T
        gaps.append(cosines[same].mean() - cosines[other].mean())
    assert gaps[1] > gaps[0] + 0.1


def test_pairs() -> None:
    """Every second pair is of one class, and no text stands beside itself where its class has another one."""
    labels = np.asarray([0, 0, 0, 1, 1, 2])
    at = pairs_of(labels, 400, np.random.default_rng(0))
    firsts, seconds = at[:400], at[400:]
    same = labels[firsts] == labels[seconds]
    assert same[::2].all()
    assert not same[1::2].any()
    assert set(firsts[firsts == seconds]) <= {5}


def test_one_class_is_no_contrast(dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """With one class there is nothing to tell apart."""
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "train.txt").write_text(f"胃疼\t{dataset.labels[0]}\n", encoding="utf-8")
    with pytest.raises(UserError, match="all texts are of one class"):
        run("contrast", dataset, tmp_path / "one", SHORT, train=tmp_path / "train", model=pretrained.folder)


def test_a_head_on_a_net_as_it_is(dataset: Dataset, pretrained: Made, shots: Path, tmp_path: Path) -> None:
    """The mean states tell the training texts apart; every dev text gets an answer; a cloze is refused."""
    summary = run("head", dataset, tmp_path / "head", {"max_seq_length": 48}, train=shots, model=pretrained.folder)
    assert summary["evaluation"]["counts"]["examples"] == len(dataset.dev)
    assert summary["parameters"] > 0


def test_a_head_is_not_for_a_cloze(
    dataset: Dataset, prompted: tuple[Path, dict[str, Any]], shots: Path, tmp_path: Path
) -> None:
    """Its encoder reads another text than the one it is given."""
    with pytest.raises(UserError, match="an ERNIE without a prompt"):
        run("head", dataset, tmp_path / "no", {"max_seq_length": 48}, train=shots, model=prompted[0])


@pytest.mark.data
def test_linear_on_the_real_data() -> None:
    """Over six splits of KUAKE-QIC with 16 lines a class it gives what was measured beforehand, on ten others."""
    if kuake.find() is None:
        pytest.skip(f"{kuake.VARIABLE} is not set")
    real, found = load_dataset(kuake.NAME), []
    for seed in range(1, 7):
        train = real.train.at(draw(real.train, real.labels, 16, seed))
        counts = linear(train, real.dev, len(real.labels))["evaluation"]["counts"]
        found.append(scores(counts)["accuracy"])
    assert np.mean(found) == pytest.approx(0.569, abs=0.015)
