"""A pruned net has the shape that was asked for, and its figures are those of what was exported."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset
from replicate.inference.predict import static_logits
from replicate.nets.classifier import load_classifier
from replicate.nets.folder import digest_of, weights_of
from replicate.nets.logits import network_logits, probabilities
from replicate.nets.shape import check_shapes, kept_shape, parse_width, width_folder
from replicate.nets.tokens import encode
from replicate.scores.evaluation import evaluate
from replicate.scores.metrics import scores
from replicate.stages.prune.options import PruneOptions
from replicate.training.optimisation import Diverged
from tests.tiny import Made, run_finetune, run_prune, write_masked_model

KEPT = {"1/2": (3, 24), "2/3": (4, 32)}


@pytest.mark.parametrize(
    ("text", "width"),
    [("1/2", Fraction(1, 2)), ("2/3", Fraction(2, 3)), ("0.75", Fraction(3, 4)), (".5", Fraction(1, 2))],
)
def test_width_is_exact(text: str, width: Fraction) -> None:
    """A width is read as the fraction that it is."""
    assert parse_width(text) == width


def test_rounded_width_is_not_mended() -> None:
    """0.67 is not taken for 2/3: six heads don't have it."""
    assert parse_width("0.67") != Fraction(2, 3)
    with pytest.raises(UserError, match="67/100 does not divide 6 attention heads"):
        kept_shape(parse_width("0.67"), 6, 48)


@pytest.mark.parametrize(
    "text",
    ["__import__('os').system('true')", "1/2+1", "2/0", "1/2, 2/3", "half", "", "-1/2", "1e-1", "1 / 2", "½", "1/2\n"],
)
def test_code_is_no_width(text: str) -> None:
    """Upstream evaluates widths as Python; here only a fraction is let through."""
    with pytest.raises(UserError, match="is not a fraction"):
        parse_width(text)


@pytest.mark.parametrize("text", ["0/3", "3/3", "4/3", "0.0"])
def test_width_is_between_nothing_and_all(text: str) -> None:
    """Keeping nothing or everything is no pruning."""
    with pytest.raises(UserError, match="keeps nothing or everything"):
        parse_width(text)


def test_width_that_does_not_fit_names_those_that_do() -> None:
    """Heads and hidden units must both be whole; the widths for which they are stand in the message."""
    assert kept_shape(Fraction(2, 3), 12, 3072) == (8, 2048)
    with pytest.raises(UserError, match=r"width 2/5 does not divide 6 .* choose one of 1/6, 1/3, 1/2, 2/3, 5/6$"):
        kept_shape(Fraction(2, 5), 6, 48)
    with pytest.raises(UserError, match=r"choose one of 1/2$"):
        kept_shape(Fraction(1, 3), 6, 50)


def test_folder_is_named_as_in_the_article() -> None:
    """`./prune/0.5` and `./prune/0.67`."""
    assert [width_folder(Fraction(width)) for width in ("1/2", "2/3", "3/4")] == ["0.5", "0.67", "0.75"]


def test_exported_shapes(pruned: Made) -> None:
    """Every layer of the written net, loaded afresh, has the heads and units that the width keeps."""
    heads, units = KEPT[pruned.summary["width"]]
    assert (pruned.summary["kept_heads"], pruned.summary["kept_neurons"]) == (heads, units)
    classifier = load_classifier(pruned.folder)
    check_shapes(classifier.network, heads, units)
    shapes = {name: value.shape for name, value in weights_of(classifier.network).items()}
    layer = "ernie.encoder.layers.0"
    assert shapes[f"{layer}.self_attn.q_proj.weight"] == (48, heads * 8)
    assert shapes[f"{layer}.self_attn.out_proj.weight"] == (heads * 8, 48)
    assert shapes[f"{layer}.linear1.weight"] == (48, units)
    assert shapes[f"{layer}.linear2.weight"] == (units, 48)
    assert classifier.parameters == pruned.summary["parameters"]
    assert digest_of(weights_of(classifier.network)) == pruned.summary["weights"]


def test_wrong_shapes_are_noticed(pruned: Made) -> None:
    """A net of another shape than asked for stops the run."""
    heads, units = KEPT[pruned.summary["width"]]
    network = load_classifier(pruned.folder).network
    for wrong in ((heads + 1, units), (heads, units - 1)):
        with pytest.raises(RuntimeError, match="layer 0 was exported with shape"):
            check_shapes(network, *wrong)


def test_static_and_dynamic_nets_agree(pruned: Made, dataset: Dataset) -> None:
    """Upstream's exported graph and our reloaded net give the same probabilities on dev to 1e-5, and the evaluation."""
    classifier = load_classifier(pruned.folder)
    rows = encode(classifier.tokenizer, dataset.dev.texts, 48)
    static = probabilities(static_logits(pruned.folder), rows, classifier.tokenizer.pad_token_id)
    dynamic = probabilities(network_logits(classifier.network), rows, classifier.tokenizer.pad_token_id)
    assert np.abs(static - dynamic).max() < 1e-5
    # Not a constant: a net that ignores its input would agree too.
    assert np.ptp(static, axis=0).max() > 1e-3
    assert evaluate(static, dataset.dev, len(dataset.labels)) == pruned.summary["evaluation"]


def test_last_step_is_evaluated(pruned: Made) -> None:
    """With `save_steps` beyond the last step, upstream would export nothing; here the last step counts."""
    assert [entry["step"] for entry in pruned.summary["history"]] == [7]
    assert pruned.summary["best_step"] == pruned.summary["steps"] == 7


def test_teacher_is_the_parent(pruned: Made, finetuned: Made) -> None:
    """Distillation starts from the fine-tuned net: its weights, and its figures before the first step."""
    assert pruned.summary["weights_step0"] == finetuned.summary["weights"]
    found = scores(finetuned.summary["evaluation"]["counts"])
    teacher = pruned.summary["teacher"]
    assert (teacher["step"], teacher["accuracy"], teacher["f1"]) == (0, found["accuracy"], found["f1"])


def test_folder_holds_a_model_and_nothing_else(pruned: Made, dataset: Dataset) -> None:
    """Upstream's working files are gone; the configuration says what was kept."""
    names = {path.name for path in pruned.folder.iterdir()}
    graph = {"model.pdmodel", "model.pdiparams"}
    assert {"config.json", "model.safetensors", "vocab.txt", "label.txt", *graph} <= names
    assert not [name for name in names - graph if "pd" in name or name == "compress"]
    config = json.loads((pruned.folder / "config.json").read_text(encoding="utf-8"))
    assert (config["kept_heads"], config["kept_neurons"]) == KEPT[pruned.summary["width"]]
    assert load_classifier(pruned.folder).labels == dataset.labels


def test_zero_f1_still_exports(pretrained: Made, dataset: Dataset, tmp_path: Path) -> None:
    """Upstream saves no state whose score is 0; a net that never says class 1 is exported all the same.

    It is evaluated every second step and at the last one, and the importance comes from the training set.
    """
    parent = run_finetune(dataset, pretrained.folder, tmp_path / "parent", 1, learning_rate=1e-12, epochs=1)
    options = PruneOptions(
        width="1/2", learning_rate=1e-9, epochs=1, max_seq_length=48, save_steps=2, importance="train"
    )
    made = run_prune(dataset, parent.folder, tmp_path / "pruned", options)
    assert [entry["step"] for entry in made.summary["history"]] == [2, 4, 6, 7]
    assert {entry["f1"] for entry in made.summary["history"]} == {0.0}
    assert made.summary["best_step"] == 2
    check_shapes(load_classifier(made.folder).network, *KEPT["1/2"])


def test_same_seed_same_net(pruned: Made, finetuned: Made, dataset: Dataset, tmp_path: Path) -> None:
    """Pruning again with the same seed gives the same predictions and weights."""
    options = PruneOptions(
        width=pruned.summary["width"], learning_rate=1e-3, epochs=1, max_seq_length=48, save_steps=1000
    )
    assert run_prune(dataset, finetuned.folder, tmp_path, options).summary == pruned.summary


def test_divergence_is_told(finetuned: Made, dataset: Dataset, tmp_path: Path) -> None:
    """A learning rate that breaks the net raises Diverged."""
    options = PruneOptions(width="1/2", learning_rate=1e20, epochs=1, max_seq_length=48)
    with pytest.raises(Diverged, match="not finite"):
        run_prune(dataset, finetuned.folder, tmp_path, options)


def test_pruned_net_is_not_pruned_again(pruned: Made, dataset: Dataset, tmp_path: Path) -> None:
    """A second pruning would be measured against the wrong shape, so it is refused."""
    with pytest.raises(UserError, match="only an unpruned ERNIE can be pruned"):
        run_prune(dataset, pruned.folder, tmp_path, PruneOptions(width="1/2"))


@pytest.mark.parametrize(
    ("name", "value"), [("save_steps", 0), ("importance", "test"), ("select", "loss"), ("epochs", 0), ("width", "2")]
)
def test_impossible_settings_are_refused(name: str, value: object) -> None:
    """A setting that no pruning can have is named before anything runs."""
    with pytest.raises(UserError, match=name):
        PruneOptions(**{"width": "1/2", name: value})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def with_tasks(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A fine-tuned net of two layers with embeddings of tasks, as ERNIE 3.0 has them."""
    folder = tmp_path_factory.mktemp("with-tasks")
    (folder / "start").mkdir()
    write_masked_model(folder / "start", dataset.unlabelled, num_hidden_layers=2, use_task_id=True)
    return run_finetune(dataset, folder / "start", folder / "finetuned", seed=3, batch_size=8)


def engine_of(year: str, **options: Any) -> PruneOptions:
    """Settings of a short pruning by PaddleNLP, as it is, or as it was in 2022."""
    settings = {"learning_rate": 1e-3, "epochs": 1, "max_seq_length": 48, "save_steps": 3, "width": "1/2"}
    return PruneOptions(**{**settings, "engine": f"paddlenlp{year}", **options})  # type: ignore[arg-type]


def test_last_layer_of_2022_is_whole(with_tasks: Made, dataset: Dataset, tmp_path: Path) -> None:
    """Until pull request 3324 only the other layers lost hidden units; what is exported scores as the supernet did."""
    made = run_prune(dataset, with_tasks.folder, tmp_path / "pruned", engine_of("-2022"))
    network = load_classifier(made.folder).network
    check_shapes(network, 3, 24, last=48)
    assert (network.config.kept_neurons, network.config.kept_last_neurons) == (24, 48)
    assert made.summary["kept_last_neurons"] == 48
    best = next(one for one in made.summary["history"] if one["step"] == made.summary["best_step"])
    assert best["accuracy"] == scores(made.summary["evaluation"]["counts"])["accuracy"]
    static = probabilities(static_logits(made.folder), rows := encode_dev(made.folder, dataset), 0)
    assert np.abs(static - probabilities(network_logits(network), rows, 0)).max() < 1e-5
    now = run_prune(dataset, with_tasks.folder, tmp_path / "now", engine_of(""))
    assert made.summary["parameters"] - now.summary["parameters"] == 2 * 48 * 24 + 24
    assert "kept_last_neurons" not in now.summary
    with pytest.raises(UserError, match="last layer"):
        run_prune(dataset, made.folder, tmp_path / "again", PruneOptions(width="1/3", engine="native"))


def test_widths_trained_jointly(with_tasks: Made, dataset: Dataset, tmp_path: Path) -> None:
    """One supernet learns both widths; the one asked for is exported whole, with the evaluations of its own."""
    both = {"jointly": "2/3 1/2"}
    alone = run_prune(dataset, with_tasks.folder, tmp_path / "alone", engine_of("-2022"))
    for width, (heads, units) in KEPT.items():
        made = run_prune(dataset, with_tasks.folder, tmp_path / width, engine_of("-2022", width=width, **both))
        check_shapes(load_classifier(made.folder).network, heads, units, last=48)
        assert [entry["step"] for entry in made.summary["history"]] == [3, 6, 7]
        best = next(one for one in made.summary["history"] if one["step"] == made.summary["best_step"])
        assert best["accuracy"] == scores(made.summary["evaluation"]["counts"])["accuracy"]
        assert made.summary["weights"] != alone.summary["weights"]


def test_joint_widths_that_can_not_be() -> None:
    """The width to keep is among them, each is a fraction, and only PaddleNLP trains them so."""
    for options in ({"jointly": "3/4 2/3"}, {"jointly": "half 1/2"}, {"jointly": "1/2", "engine": "native"}):
        with pytest.raises(UserError, match="jointly"):
            engine_of("", **options)


def encode_dev(folder: Path, dataset: Dataset) -> list[np.ndarray]:
    """Token ids of the dev set."""
    return encode(load_classifier(folder).tokenizer, dataset.dev.texts, 48)


def test_nets_without_tasks_are_pruned_as_in_2022(finetuned: Made, dataset: Dataset, tmp_path: Path) -> None:
    """paddleslim counts those right: the weights are the same, bit by bit."""
    made = [run_prune(dataset, finetuned.folder, tmp_path / f"a{year}", engine_of(year)) for year in ("", "-2022")]
    assert made[0].summary == made[1].summary
