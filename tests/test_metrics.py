"""Scores against PaddleNLP's own class and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from replicate.nets import upstream
from replicate.scores import metrics


@pytest.mark.parametrize("seed", range(3))
def test_class_1_figures_are_those_of_accuracy_and_f1(seed: int) -> None:
    """On random logits every figure equals that of `AccuracyAndF1`, which thresholds instead of taking the maximum."""
    upstream.prepare()
    import paddle
    from paddlenlp.metrics import AccuracyAndF1

    paddle.set_device("cpu")
    rng = np.random.default_rng(seed)
    logits = (2 * rng.normal(size=(500, 11))).astype("float32")
    logits[:, 1] += 2
    gold = rng.integers(0, 11, size=500)
    gold[:200] = 1
    theirs = AccuracyAndF1()
    for part in (slice(0, 300), slice(300, 500)):
        labels = paddle.to_tensor(gold[part, None])
        theirs.update(theirs.compute(paddle.to_tensor(logits[part]), labels))
    probability = paddle.nn.functional.softmax(paddle.to_tensor(logits)).numpy()

    counts = metrics.count(gold, logits.argmax(axis=1), 11, probability[:, 1])
    ours = metrics.scores(counts)
    names = ("accuracy", "precision", "recall", "f1", "average")
    assert tuple(ours[name] for name in names) == pytest.approx(theirs.accumulate(), abs=1e-15)
    by_maximum = metrics.count(gold, logits.argmax(axis=1), 11)
    assert by_maximum["tp"] > counts["tp"], "these logits don't tell the threshold from the maximum"


@pytest.mark.parametrize(("tp", "fp", "fn"), [(0, 0, 5), (0, 5, 0), (0, 0, 0), (0, 3, 4)])
def test_no_true_positive_gives_zero_not_an_error(tp: int, fp: int, fn: int) -> None:
    """A net that never finds class 1 scores 0, as upstream says."""
    found = metrics.article_scores(correct=3, examples=10, tp=tp, fp=fp, fn=fn)
    assert found == {"accuracy": 0.3, "precision": 0, "recall": 0, "f1": 0, "average": 0.15}


def test_the_articles_numbers_follow_from_its_counts() -> None:
    """Base row: 1,569 correct, 614 true positives, 45 false, 62 missed."""
    found = metrics.article_scores(correct=1569, examples=1955, tp=614, fp=45, fn=62)
    assert found["accuracy"] == 0.8025575447570332
    assert found["f1"] == 0.9198501872659175


@pytest.mark.parametrize("classes", [2, 5, 11])
def test_confusion_accuracy_and_macro_f1_agree_with_scikit_learn(classes: int) -> None:
    """An independent implementation, on random predictions; one class is predicted but never a label."""
    rng = np.random.default_rng(classes)
    gold, predicted = rng.integers(0, classes - 1, size=200), rng.integers(0, classes, size=200)
    counts = metrics.count(gold, predicted, classes)
    found = metrics.scores(counts)
    assert np.array_equal(counts["confusion"], confusion_matrix(gold, predicted, labels=range(classes)))
    assert found["accuracy"] == accuracy_score(gold, predicted)
    assert found["macro_f1"] == pytest.approx(f1_score(gold, predicted, average="macro", zero_division=0), abs=1e-12)


def test_per_class_scores_agree_with_scikit_learn() -> None:
    """Precision, recall, F1 and support of each class, a class that never occurs included."""
    rng = np.random.default_rng(7)
    gold, predicted = rng.integers(0, 4, size=100), rng.integers(0, 4, size=100)
    expected = precision_recall_fscore_support(gold, predicted, labels=range(5), zero_division=0)
    found = metrics.per_class(metrics.confusion(gold, predicted, 5))
    columns = ([one.precision for one in found], [one.recall for one in found], [one.f1 for one in found])
    for ours, theirs in zip(columns, expected[:3], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-12)
    assert [one.support for one in found] == expected[3].tolist()


@pytest.mark.parametrize("classes", [metrics.MOST_WHOLE, metrics.MOST_WHOLE + 1, 1000])
def test_a_matrix_of_many_classes_is_kept_by_its_cells(classes: int) -> None:
    """What is kept grows with the examples and not with the pairs of classes, and gives matrix and scores back."""
    rng = np.random.default_rng(classes)
    gold, predicted = rng.integers(0, classes, size=(2, 200))
    counts = metrics.count(gold, predicted, classes)
    kept = counts["confusion"]
    whole = metrics.confusion(gold, predicted, classes)
    assert np.array_equal(metrics.matrix_of(kept), whole)
    assert metrics.scores(counts) == metrics.scores({**counts, "confusion": whole.tolist()})
    if classes == metrics.MOST_WHOLE:
        assert kept == whole.tolist()
        return
    cells = [kept[name] for name in metrics.CELLS]
    assert {len(one) for one in cells} == {np.count_nonzero(whole)} <= set(range(201))
    assert all(type(number) is int for one in cells for number in one)


def test_a_probability_of_one_half_is_negative() -> None:
    """The tie where upstream's precision and recall disagree with each other goes the way of its recall."""
    assert metrics.binary_counts([0.5, 0.5, 0.6], [1, 0, 1]) == {"tp": 1, "fp": 0, "fn": 1}


def test_macro_f1_leaves_out_a_class_that_never_occurs() -> None:
    """A class without example or prediction can't pull the mean down."""
    counts = metrics.count([0, 0, 1], [0, 0, 1], classes=3)
    assert metrics.scores(counts)["macro_f1"] == 1.0


def test_counts_are_plain_whole_numbers() -> None:
    """They go into JSON as they are."""
    counts = metrics.count([0, 1, 2], [0, 1, 1], 3)
    assert counts == {"examples": 3, "confusion": [[1, 0, 0], [0, 1, 0], [0, 1, 0]], "tp": 1, "fp": 1, "fn": 0}
    assert all(type(cell) is int for line in counts["confusion"] for cell in line)


@pytest.mark.parametrize(("gold", "predicted"), [([0, 3], [0, 0]), ([0, 1], [0, -1]), ([0, 1], [0])])
def test_impossible_indices_are_refused(gold: list[int], predicted: list[int]) -> None:
    """An index outside the classes would land in another cell unseen."""
    with pytest.raises(ValueError, match=r"outside|one length"):
        metrics.confusion(gold, predicted, 3)


def test_ratios_give_the_same_scores_as_counts() -> None:
    """A score split into examples adds up to the score."""
    rng = np.random.default_rng(1)
    gold, predicted = rng.integers(0, 3, size=50), rng.integers(0, 3, size=(4, 50))
    each = [metrics.scores(metrics.count(gold, one, 3)) for one in predicted]
    assert metrics.accuracy_ratio(predicted == gold).scores() == pytest.approx([one["accuracy"] for one in each])
    assert metrics.f1_ratio(predicted == 1, gold).scores() == pytest.approx([one["f1"] for one in each])
