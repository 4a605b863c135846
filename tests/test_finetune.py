"""Fine-tuning is reproducible, keeps its best evaluation, and says so when it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset
from replicate.nets.classifier import load_classifier
from replicate.nets.logits import network_logits, probabilities
from replicate.nets.tokens import encode
from replicate.scores.evaluation import evaluate
from replicate.scores.metrics import scores
from replicate.scores.packing import unpack_bits
from replicate.stages.finetune import FinetuneOptions
from replicate.training.optimisation import Diverged
from replicate.training.options import epoch_batches
from tests.tiny import Made, run_finetune


def test_same_seed_same_run(dataset: Dataset, pretrained: Made, finetuned: Made, tmp_path: Path) -> None:
    """Two runs of one seed agree in everything: weights at step 0 and after, losses, counts and every prediction."""
    again = run_finetune(dataset, pretrained.folder, tmp_path, seed=3, epochs=6, batch_size=8)
    assert again.summary["weights_step0"] == finetuned.summary["weights_step0"]
    assert again.summary["evaluation"]["predictions"] == finetuned.summary["evaluation"]["predictions"]
    assert again.summary == finetuned.summary


@pytest.mark.parametrize(("norm", "moved"), [(0.0, 6.0), (1.0, 1.0)])
def test_gradient_is_clipped_unless_the_norm_is_0(norm: float, moved: float) -> None:
    """The first moment after one step is a tenth of the gradient (6.0) that AdamW was given."""
    import paddle

    from replicate.training.optimisation import adamw

    net = paddle.nn.Linear(1, 1, bias_attr=False)
    optimizer = adamw(net, 0.1, 2, 0.0, 0.0, norm)
    (net(paddle.to_tensor([[6.0]]))).sum().backward()
    optimizer.step()
    (moment,) = optimizer.adamw._accumulators["moment1"].values()
    assert float(moment.numpy().item()) == pytest.approx(0.1 * moved, rel=1e-5)


def test_other_seed_other_start(dataset: Dataset, pretrained: Made, finetuned: Made, tmp_path: Path) -> None:
    """Another seed starts from other weights (its head) and ends with others."""
    other = run_finetune(dataset, pretrained.folder, tmp_path, seed=4, epochs=1)
    assert other.summary["weights_step0"] != finetuned.summary["weights_step0"]
    assert other.summary["weights"] != finetuned.summary["weights"]


@pytest.mark.parametrize("select", ["accuracy", "f1"])
def test_best_state_is_the_one_written(dataset: Dataset, pretrained: Made, tmp_path: Path, select: str) -> None:
    """The first best evaluation by the chosen score is kept; the folder, loaded afresh, gives its counts again."""
    made = run_finetune(dataset, pretrained.folder, tmp_path, seed=1, epochs=3, select=select, evaluations_per_epoch=2)
    history = made.summary["history"]
    best = max(entry[select] for entry in history)
    assert made.summary["best_step"] == next(entry["step"] for entry in history if entry[select] == best)
    assert scores(made.summary["evaluation"]["counts"])[select] == best
    classifier = load_classifier(made.folder)
    rows = encode(classifier.tokenizer, dataset.dev.texts, 48)
    found = probabilities(network_logits(classifier.network), rows, classifier.tokenizer.pad_token_id)
    assert evaluate(found, dataset.dev, len(dataset.labels)) == made.summary["evaluation"]


def test_evaluations_are_inside_epochs(dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """Three evaluations an epoch of 13 steps come after 5, 9 and 13 of them, each with its loss and correctness."""
    made = run_finetune(dataset, pretrained.folder, tmp_path, seed=1, evaluations_per_epoch=3)
    history = made.summary["history"]
    assert [entry["step"] for entry in history] == [5, 9, 13, 18, 22, 26]
    assert [entry["epoch"] for entry in history] == [0.3846, 0.6923, 1.0, 1.3846, 1.6923, 2.0]
    assert made.summary["steps"] == made.summary["steps_planned"] == 26
    for entry in history:
        assert 0 < entry["loss"] < 10
        assert unpack_bits(entry["correct"], len(dataset.dev)).mean() == pytest.approx(entry["accuracy"])


def test_net_learns(dataset: Dataset, finetuned: Made) -> None:
    """The loss falls by a quarter, and the best accuracy beats the commonest class."""
    losses = [entry["loss"] for entry in finetuned.summary["history"]]
    assert losses[-1] < 0.75 * losses[0]
    commonest = np.bincount(dataset.dev.labels).max() / len(dataset.dev)
    assert scores(finetuned.summary["evaluation"]["counts"])["accuracy"] > commonest
    assert len(set(finetuned.summary["evaluation"]["predictions"].split())) > 2


def test_batches_by_length_train_too(dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """Batches of similar length are another order of the same examples: as many steps, other weights."""
    runs = [
        run_finetune(dataset, pretrained.folder, tmp_path, 1, epochs=1, batching=how) for how in ("random", "length")
    ]
    assert runs[0].summary["steps"] == runs[1].summary["steps"] == 13
    assert runs[0].summary["weights"] != runs[1].summary["weights"]
    assert runs[0].summary["weights_step0"] == runs[1].summary["weights_step0"]


def test_early_stop(dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """A net that no longer gets better stops after so many epochs; 0 trains to the end."""
    still: dict[str, Any] = {"learning_rate": 1e-12, "epochs": 5, "batch_size": 100}
    stopped = run_finetune(dataset, pretrained.folder, tmp_path, seed=1, early_stop_nums=2, **still)
    assert (stopped.summary["best_step"], stopped.summary["steps"]) == (2, 6)
    assert stopped.summary["steps_planned"] == 10
    full = run_finetune(dataset, pretrained.folder, tmp_path, seed=1, early_stop_nums=0, **still)
    assert full.summary["steps"] == 10


def test_divergence_is_told(dataset: Dataset, pretrained: Made, tmp_path: Path) -> None:
    """A learning rate of 1e9 raises Diverged with the step and writes no model."""
    with pytest.raises(Diverged, match="not finite at step 13"):
        run_finetune(dataset, pretrained.folder, tmp_path, seed=1, learning_rate=1e9)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"select": "recall"}, "select is 'recall'; choose one of accuracy, f1, macro_f1"),
        ({"batching": "sorted"}, "batching is 'sorted'"),
        ({"epochs": 0}, "epochs is 0; it must be above 0"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"evaluations_per_epoch": 0}, "evaluations_per_epoch is 0"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any], words: str) -> None:
    """A setting that no training can have is named with its value before anything runs."""
    with pytest.raises(UserError, match=words):
        FinetuneOptions(**options)


@pytest.mark.parametrize("length", [2, 129])
def test_length_must_fit(dataset: Dataset, pretrained: Made, tmp_path: Path, length: int) -> None:
    """A length without room for text, or beyond the net's positions, is refused in words."""
    with pytest.raises(UserError, match=f"max_seq_length is {length}; this net takes 3 to 128 tokens"):
        run_finetune(dataset, pretrained.folder, tmp_path, seed=1, max_seq_length=length)


def test_batching_is_as_chosen() -> None:
    """`length` sorts similar lengths together, `random` doesn't."""
    lengths = list(range(100))
    spread = {
        how: max(np.ptp(batch) for batch in epoch_batches(lengths, 10, how, np.random.default_rng(0)))
        for how in ("length", "random")
    }
    assert spread["length"] == 9
    assert spread["random"] > 40


@pytest.mark.parametrize(("constant", "rates"), [(False, [0.1, 0.05, 0.0]), (True, [0.1, 0.1, 0.1])])
def test_rate_falls_or_stays(constant: bool, rates: list[float]) -> None:
    """Over two steps: linear to 0, or the same throughout; what is kept of it goes on at its place."""
    import paddle

    from replicate.training.optimisation import adamw

    optimizer = adamw(paddle.nn.Linear(1, 1), 0.1, 2, 0.0, 0.0, constant=constant)
    found = [optimizer.schedule()]
    for _ in range(2):
        optimizer.schedule.step()
        found.append(optimizer.schedule())
    assert found == pytest.approx(rates)
    again = adamw(paddle.nn.Linear(1, 1), 0.1, 2, 0.0, 0.0, constant=constant)
    again.schedule.set_state_dict(optimizer.state()["schedule"])
    assert again.schedule() == optimizer.schedule()


def test_constant_rate_has_no_warm_up() -> None:
    """A share of steps in which it rises is refused."""
    with pytest.raises(UserError, match="warmup_proportion"):
        FinetuneOptions(schedule="constant", warmup_proportion=0.1)
