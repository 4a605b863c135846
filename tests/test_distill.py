"""Distillation: the loss is the formula, the mix is the stated one, and a student learns from its teacher."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset, Split
from replicate.nets import batching, upstream
from replicate.nets.classifier import load_classifier
from replicate.nets.folder import digest_of, weights_of
from replicate.nets.logits import network_logits, probabilities
from replicate.nets.student_net import STUDENTS
from replicate.nets.tokens import encode
from replicate.scores.evaluation import evaluate, softmax
from replicate.scores.metrics import scores
from replicate.stages.distill.distill import distill, distillation_loss, log_probabilities
from replicate.stages.distill.options import DistillOptions
from replicate.stages.distill.transfer_set import NO_LABEL, gather
from replicate.training.optimisation import Diverged
from tests.tiny import QUIET, STUDENT_SHAPES, Made

HARD: dict[str, Any] = {"alpha": 0, "copies": 0, "unlabelled": 0}


def options_of(student: str = "cnn", **changes: Any) -> DistillOptions:
    """Two epochs of a small student over the training text, one copy a line and half as many unlabelled lines."""
    given = {
        "shape": STUDENT_SHAPES[student],
        "copies": 1,
        "unlabelled": 0.5,
        "epochs": 2,
        "max_seq_length": 48,
        "learning_rate": 5e-3,
        "batch_size": 32,
    }
    return DistillOptions(student, **{**given, **changes})


def run_distill(dataset: Dataset, teacher: Path, folder: Path, seed: int = 1, **changes: Any) -> Made:
    """Distil a fine-tuned folder."""
    summary = distill(
        load_classifier(teacher),
        dataset.train,
        dataset.dev,
        lambda: dataset.unlabelled,
        options_of(**changes),
        seed,
        folder,
        QUIET,
    )
    return Made(folder, summary)


@pytest.fixture(scope="session")
def paddle() -> Any:
    """Paddle, imported with this package's settings."""
    upstream.quiet()
    return importlib.import_module("paddle")


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_loss_is_the_formula(paddle: Any, alpha: float, temperature: float) -> None:
    """Value and gradient are NumPy's: T² KL between the softened distributions, and the cross entropy of the label."""
    rng = np.random.default_rng(3)
    student, teacher = (rng.normal(0, 3, (6, 4)) for _ in range(2))
    labels = np.asarray([0, 3, NO_LABEL, 1, NO_LABEL, 2])

    def reference(logits: np.ndarray) -> float:
        p, q = softmax(teacher / temperature), softmax(logits / temperature)
        soft = temperature**2 * (p * (np.log(p) - np.log(q))).sum(axis=1)
        hard = [-np.log(softmax(row)[label]) if label >= 0 else 0.0 for row, label in zip(logits, labels, strict=True)]
        return float(np.mean(alpha * soft + (1 - alpha) * np.asarray(hard)))

    tensor = paddle.to_tensor(student, stop_gradient=False)
    loss = distillation_loss(tensor, paddle.to_tensor(teacher), paddle.to_tensor(labels), alpha, temperature)
    assert float(loss) == pytest.approx(reference(student), rel=1e-9)
    loss.backward()
    for place in [(0, 0), (2, 1), (5, 3)]:
        step = np.zeros_like(student)
        step[place] = 1e-6
        slope = (reference(student + step) - reference(student - step)) / 2e-6
        assert float(tensor.grad[place]) == pytest.approx(slope, abs=1e-7)


def test_unlabelled_text_teaches_through_the_teacher_only(paddle: Any) -> None:
    """Without a teacher's part a batch of unlabelled text has no loss and no gradient."""
    logits = paddle.to_tensor(np.random.default_rng(0).normal(size=(3, 4)), stop_gradient=False)
    labels = paddle.to_tensor(np.full(3, NO_LABEL))
    distillation_loss(logits, logits.detach() * 0, labels, 0.0, 2.0).backward()
    assert float(logits.grad.abs().max()) == 0


def test_high_temperature_matches_logits(paddle: Any) -> None:
    """The soft loss goes to half the mean squared difference of centred logits over the classes (Hinton et al.)."""
    rng = np.random.default_rng(4)
    student, teacher = (rng.normal(size=(5, 4)) for _ in range(2))
    centred = [one - one.mean(axis=1, keepdims=True) for one in (student, teacher)]
    expected = ((centred[0] - centred[1]) ** 2).mean(axis=1).mean() / 2
    labels = paddle.zeros([5], "int64")
    found = distillation_loss(paddle.to_tensor(student), paddle.to_tensor(teacher), labels, 1.0, 1e4)
    assert float(found) == pytest.approx(expected, rel=1e-3)


def test_teacher_labels_each_text(finetuned: Made, dataset: Dataset) -> None:
    """float32, one row a text in the text's place, and the same distribution as the teacher's own logits."""
    teacher = load_classifier(finetuned.folder)
    rows = encode(teacher.tokenizer, dataset.dev.texts, 48)
    found = log_probabilities(teacher, rows)
    assert found.dtype == np.float32
    logits = network_logits(teacher.network)(batching.pad(rows, teacher.tokenizer.pad_token_id))
    assert found.shape == logits.shape
    assert np.abs(softmax(found / 3) - softmax(logits / 3)).max() < 1e-6


@pytest.mark.parametrize(("copies", "unlabelled", "counts"), [(0, 0, (0, 0)), (2, 0.25, (400, 50)), (0, 1, (0, 200))])
def test_mix_is_as_stated(dataset: Dataset, copies: int, unlabelled: float, counts: tuple[int, int]) -> None:
    """Training text first, then so many copies of each with its label, then so many unlabelled texts, each once."""
    alpha = 1.0 if unlabelled else 0.0
    options = options_of(copies=copies, unlabelled=unlabelled, alpha=alpha)
    text = gather(dataset.train, dataset.unlabelled, dataset.dev.texts, options, seed=2)
    size = len(dataset.train)
    assert (text.augmented, text.unlabelled) == counts
    assert len(text.texts) == len(text.labels) == size + sum(counts)
    assert text.texts[:size] == dataset.train.texts
    assert text.labels[:size].tolist() == list(dataset.train.labels)
    assert text.labels[size : size + counts[0]].tolist() == [
        label for label in dataset.train.labels for _ in range(copies)
    ]
    drawn = text.texts[size + counts[0] :]
    assert set(drawn) <= set(dataset.unlabelled)
    assert len(set(drawn)) == len(drawn)
    assert text.labels[size + counts[0] :].tolist() == [NO_LABEL] * counts[1]


def test_copies_are_changed_by_the_three_strategies(dataset: Dataset) -> None:
    """Some words become [UNK], which the tokenizer knows; nearly every copy differs from its line."""
    text = gather(dataset.train, (), (), options_of(copies=2, unlabelled=0), seed=2)
    copies = text.texts[len(dataset.train) :]
    originals = [one for one in dataset.train.texts for _ in range(2)]
    assert sum("[UNK]" in copy for copy in copies) > 30
    assert sum(copy == one for copy, one in zip(copies, originals, strict=True)) < 0.1 * len(copies)
    assert sum(copy in one for copy, one in zip(copies, originals, strict=True)) > 30


def test_unknown_word_is_one_token(finetuned: Made) -> None:
    """`[UNK]` in a copy reads as the token of that name, not as five characters."""
    tokenizer = load_classifier(finetuned.folder).tokenizer
    (row,) = encode(tokenizer, ["病[UNK]病"])
    assert len(row) == 5
    assert row[2] == tokenizer.unk_token_id


def test_dev_and_training_text_is_not_drawn(dataset: Dataset) -> None:
    """Of the unlabelled text what the data set holds otherwise, and repetitions, are left out before the draw."""
    lines = (*dataset.dev.texts, *dataset.train.texts, *dataset.unlabelled[:30], *dataset.unlabelled[:30])
    text = gather(dataset.train, lines, dataset.dev.texts, options_of(copies=0, unlabelled=0.15), seed=2)
    assert sorted(text.texts[-30:]) == sorted(dataset.unlabelled[:30])
    with pytest.raises(UserError, match="31 unlabelled texts are asked for, and there are 30"):
        gather(dataset.train, lines, dataset.dev.texts, options_of(copies=0, unlabelled=0.155), seed=2)


def test_seed_decides_the_text(dataset: Dataset) -> None:
    """Copies and draw are those of the seed."""
    one, again, two = (
        gather(dataset.train, dataset.unlabelled, (), options_of(), seed=seed).texts for seed in (1, 1, 2)
    )
    assert one == again
    for part in (slice(200, 400), slice(400, 500)):
        assert one[part] != two[part]


@pytest.fixture(scope="module", params=STUDENTS)
def distilled(
    request: pytest.FixtureRequest, dataset: Dataset, finetuned: Made, tmp_path_factory: pytest.TempPathFactory
) -> Made:
    """A student of each kind."""
    return run_distill(dataset, finetuned.folder, tmp_path_factory.mktemp("student"), student=request.param)


def test_same_seed_same_bytes(distilled: Made, dataset: Dataset, finetuned: Made, tmp_path: Path) -> None:
    """A second run writes the same files and the same summary; another seed starts elsewhere."""
    kind = distilled.summary["student"]
    again = run_distill(dataset, finetuned.folder, tmp_path / "again", student=kind)
    assert again.summary == distilled.summary
    one, two = ({path.name: path.read_bytes() for path in made.folder.iterdir()} for made in (distilled, again))
    assert one == two
    other = run_distill(dataset, finetuned.folder, tmp_path / "other", seed=2, student=kind, epochs=1)
    assert other.summary["weights_step0"] != distilled.summary["weights_step0"]


def test_best_state_is_the_one_written(distilled: Made, dataset: Dataset) -> None:
    """The folder, loaded afresh, gives the summary's evaluation, which is the best of the history."""
    summary = distilled.summary
    classifier = load_classifier(distilled.folder)
    rows = encode(classifier.tokenizer, dataset.dev.texts, 48)
    found = probabilities(network_logits(classifier.network), rows, classifier.tokenizer.pad_token_id)
    assert evaluate(found, dataset.dev, len(dataset.labels)) == summary["evaluation"]
    assert digest_of(weights_of(classifier.network)) == summary["weights"]
    assert classifier.parameters == summary["parameters"]
    assert scores(summary["evaluation"]["counts"])["accuracy"] == max(one["accuracy"] for one in summary["history"])
    # 200 lines, 200 copies and 100 unlabelled texts in batches of 32.
    assert (summary["examples"], summary["augmented"], summary["unlabelled"], summary["steps"]) == (500, 200, 100, 32)
    assert [entry["step"] for entry in summary["history"]] == [16, 32]


def test_teacher_is_measured_and_stays_as_it_is(distilled: Made, finetuned: Made) -> None:
    """The summary holds the teacher's own scores on dev."""
    found = scores(finetuned.summary["evaluation"]["counts"])
    assert distilled.summary["teacher"]["accuracy"] == found["accuracy"]
    assert digest_of(weights_of(load_classifier(finetuned.folder).network)) == finetuned.summary["weights"]


@pytest.mark.parametrize("student", ["bow", "cnn", "bilstm"])
def test_student_learns_from_its_teacher_alone(student: str, dataset: Dataset, finetuned: Made, tmp_path: Path) -> None:
    """With labels turned round it still comes to say what its teacher says: it learns of the teacher, not of them."""
    teacher = load_classifier(finetuned.folder)
    rows, pad = encode(teacher.tokenizer, dataset.train.texts, 48), teacher.tokenizer.pad_token_id
    said = probabilities(network_logits(teacher.network), rows, pad).argmax(axis=1)
    wrong = Split(dataset.train.texts, tuple((label + 1) % len(dataset.labels) for label in dataset.train.labels))
    # The dev set is what the teacher says, so that the score is the agreement with it.
    dev = Split(dataset.train.texts, tuple(said.tolist()))
    turned = Dataset("turned", dataset.labels, wrong, dev, dataset.unlabelled)
    training: dict[str, Any] = {"student": student, "epochs": 12, "learning_rate": 1e-2}
    soft = run_distill(turned, finetuned.folder, tmp_path / "soft", alpha=1.0, **training)
    hard = run_distill(turned, finetuned.folder, tmp_path / "hard", **HARD, **training)
    losses = [entry["loss"] for entry in soft.summary["history"]]
    assert losses[-1] < 0.5 * losses[0]
    agreement, control = (scores(made.summary["evaluation"]["counts"])["accuracy"] for made in (soft, hard))
    commonest = np.bincount(said).max() / len(said)
    assert agreement > max(commonest, control) + 0.2


def test_hard_labels_need_no_teacher(dataset: Dataset, finetuned: Made, pretrained: Made, tmp_path: Path) -> None:
    """The control learns the same whatever its teacher says, and reads no text but the training set's."""

    def refuse() -> tuple[str, ...]:
        raise AssertionError("unlabelled text was read")

    runs = []
    for number in range(2):
        teacher = load_classifier(finetuned.folder)
        if number:
            for parameter in teacher.network.parameters():
                parameter.set_value(parameter * 0)
        options = options_of(**HARD)
        runs.append(distill(teacher, dataset.train, dataset.dev, refuse, options, 1, tmp_path / str(number), QUIET))
    one, two = ({key: value for key, value in run.items() if key != "teacher"} for run in runs)
    assert one == two
    assert runs[0]["teacher"] != runs[1]["teacher"]
    assert one["examples"] == len(dataset.train)


def test_soft_labels_alone_ignore_the_hard_ones(dataset: Dataset, finetuned: Made, tmp_path: Path) -> None:
    """With alpha 1 other labels of the training text change nothing."""
    other = Split(dataset.train.texts, tuple((label + 1) % 11 for label in dataset.train.labels))
    turned = Dataset("turned", dataset.labels, other, dataset.dev, dataset.unlabelled)
    one, two = (
        run_distill(data, finetuned.folder, tmp_path / data.name, alpha=1.0, epochs=1) for data in (dataset, turned)
    )
    assert one.summary == two.summary


def test_evaluations_and_early_stop(dataset: Dataset, finetuned: Made, tmp_path: Path) -> None:
    """Evaluations come inside epochs; a student that no longer gets better stops."""
    still: dict[str, Any] = {**HARD, "learning_rate": 1e-12, "batch_size": 50, "epochs": 5}
    made = run_distill(dataset, finetuned.folder, tmp_path, early_stop_nums=2, evaluations_per_epoch=2, **still)
    assert [entry["step"] for entry in made.summary["history"]] == [2, 4, 6, 8, 10, 12]
    assert (made.summary["best_step"], made.summary["steps_planned"]) == (2, 20)


def test_ernie_can_start_from_its_teacher(dataset: Dataset, finetuned: Made, tmp_path: Path) -> None:
    """As wide and as deep as its teacher, before the first step it is its teacher."""
    shape = {"hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 6, "intermediate_size": 48}
    made = run_distill(dataset, finetuned.folder, tmp_path, student="ernie", shape=shape, start="teacher", epochs=1)
    assert made.summary["weights_step0"] == finetuned.summary["weights"]


def test_divergence_is_told(dataset: Dataset, finetuned: Made, tmp_path: Path) -> None:
    """A learning rate that breaks the net raises Diverged and writes no model."""
    with pytest.raises(Diverged, match="not finite at step"):
        run_distill(dataset, finetuned.folder, tmp_path, student="ernie", learning_rate=1e20)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"student": "gru"}, "student is 'gru'; choose one of bow, cnn, bilstm, ernie"),
        ({"start": "zero"}, "start is 'zero'"),
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"temperature": 0}, "temperature is 0; it must be above 0"),
        ({"copies": -1}, "copies is -1"),
        ({"copies": 0.5}, "copies is 0.5"),
        ({"unlabelled": -0.1}, "unlabelled is -0.1"),
        ({"unlabelled": float("inf")}, "unlabelled is inf"),
        ({"alpha": 0}, "alpha 0 learns from hard labels, and unlabelled text has none; take 0 of it"),
        ({"select": "loss"}, "select is 'loss'"),
        ({"batching": "sorted"}, "batching is 'sorted'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"shape": {"speed": 1}}, "a cnn student has no 'speed'"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], words: str) -> None:
    """A setting that no distillation can have is named before anything runs."""
    with pytest.raises(UserError, match=words):
        DistillOptions(**{"student": "cnn", **changes})
