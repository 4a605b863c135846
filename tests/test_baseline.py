"""The SVM baseline, on the real data where it is and on a few made lines everywhere."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from replicate.corpus.formats import Split
from replicate.scores import metrics
from replicate.stages.svm import svm

TRAIN = Split(("头疼怎么治", "感冒怎么治", "头疼挂什么科", "感冒挂什么科") * 5, (1, 1, 4, 4) * 5)
DEV = Split(("咳嗽怎么治", "咳嗽挂什么科"), (1, 4))


def test_it_learns_what_two_words_tell() -> None:
    """Unseen complaints with a known question are put right."""
    assert svm(TRAIN, DEV, 11, seed=1).tolist() == [1, 4]


def test_a_seed_gives_one_answer() -> None:
    """The same seed predicts the same twice."""
    assert np.array_equal(svm(TRAIN, DEV, 11, seed=3), svm(TRAIN, DEV, 11, seed=3))


def test_one_class_is_predicted_everywhere() -> None:
    """A training set of one class has one answer."""
    assert svm(Split(("头疼", "感冒"), (2, 2)), DEV, 11, seed=1).tolist() == [2, 2]


def test_a_label_outside_the_classes_is_refused() -> None:
    """It would be predicted later as a class that isn't there."""
    with pytest.raises(ValueError, match="outside"):
        svm(TRAIN, DEV, 4, seed=1)


def test_its_score_on_kuake_qic() -> None:
    """Accuracy 0.7714 and macro-F1 0.727 on the real dev set."""
    folder = os.environ.get("REPLICATE_KUAKE_QIC")
    if not folder or not Path(folder).is_dir():
        pytest.skip("REPLICATE_KUAKE_QIC names no folder with KUAKE-QIC")
    from replicate.corpus import kuake

    data = kuake.load(Path(folder))
    found = metrics.scores(metrics.count(data.dev.labels, svm(data.train, data.dev, 11, seed=1), 11))
    assert (round(found["accuracy"], 4), round(found["macro_f1"], 3)) == (0.7714, 0.727)
