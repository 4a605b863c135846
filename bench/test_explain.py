"""Whether an audit finds wrong labels, how long that takes, and how long an explanation takes, on two cores of a CPU.

No row is run: `pytest -m speed bench/test_explain.py`. Times that miss their goal are an expected failure that tells
them, and with pytest's `--strict` a failure; those that miss it by four times always are.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from replicate.common.paths import MEASURED
from replicate.corpus import load_dataset
from replicate.corpus.formats import Dataset
from replicate.corpus.kuake import NAME, VARIABLE
from replicate.explain.occlusion import Explainer
from replicate.inference.predict import Labeller
from replicate.inference.runtime import open_runtime
from replicate.nets.classifier import load_classifier
from replicate.nets.device import seed_everything
from replicate.nets.folder import save_model
from tests.goals import hold
from tests.mislabelled import found_of

pytestmark = pytest.mark.speed

# Seconds for the labels of KUAKE-QIC's training set, and for a text of so many characters.
AUDIT_GOAL, EXPLAIN_GOAL, CHARACTERS = 10.0, 0.1, 14
# What is found of 5 % labels that were changed on purpose: AUROC, and recall among the first twice as many.
AREA, RECALL = 0.97, 0.90
DRAWS = 4
TEXTS = 30


def tell(what: str, seconds: float, goal: float, request: pytest.FixtureRequest) -> None:
    """Print how long something took, and hold it against its goal."""
    hold(f"{what}: {seconds:.3g} s, goal {goal:g}", goal / seconds, request)


@pytest.fixture(scope="module")
def data() -> Dataset:
    """KUAKE-QIC where REPLICATE_KUAKE_QIC names it."""
    if not os.environ.get(VARIABLE):
        pytest.skip(f"{VARIABLE} is not set")
    return load_dataset(NAME)


@pytest.mark.benchmark(group="audit")
def test_wrong_labels_are_found(benchmark: BenchmarkFixture, data: Dataset, request: pytest.FixtureRequest) -> None:
    """Most of them are among the first, in ten seconds, as a mean of four draws."""
    labels, draws = np.asarray(data.train.labels), iter(range(DRAWS))
    found: list[tuple[float, float]] = []
    benchmark.pedantic(
        lambda: found.append(found_of(data.train.texts, labels, len(data.labels), next(draws))), rounds=DRAWS
    )
    area, recall = np.mean(found, axis=0)
    benchmark.extra_info |= {"texts": len(labels), "auroc": round(area, 4), "recall": round(recall, 4)}
    assert area >= AREA
    assert recall >= RECALL
    what = f"5 % wrong labels of {len(labels)} texts (AUROC {area:.3f}, recall {recall:.3f} in the first 2n)"
    tell(what, benchmark.stats.stats.median, AUDIT_GOAL, request)


@pytest.mark.benchmark(group="explain")
def test_an_explanation(benchmark: BenchmarkFixture, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A tenth of a second for a text of 14 characters, with a classifier of the shape of `small`."""
    seed_everything(1)
    start = min((MEASURED / "small" / "nets").iterdir())
    labels = tuple(f"类{number}" for number in range(11))
    classifier = load_classifier(start, labels)
    save_model(classifier.network, classifier.tokenizer, tmp_path, labels)
    explainer = Explainer(Labeller(open_runtime(tmp_path)))
    known = [one for one in (start / "vocab.txt").read_text(encoding="utf-8").split() if "一" <= one <= "龥"]
    drawn = np.random.default_rng(1).choice(known, (TEXTS, CHARACTERS))
    texts = iter(["".join(row) for row in drawn])
    # The first one meets an engine that has prepared nothing.
    explainer.explain(known[0] * CHARACTERS)
    benchmark.pedantic(lambda: explainer.explain(next(texts)), rounds=TEXTS)
    tell(f"a text of {CHARACTERS} characters by occlusion", benchmark.stats.stats.median, EXPLAIN_GOAL, request)
