"""The native engine computes what PaddleNLP's does, less its faults; its result is an ordinary model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset
from replicate.inference.export import export
from replicate.inference.runtime import open_runtime
from replicate.nets import batching
from replicate.nets.classifier import Classifier, classifier_from_config, load_classifier
from replicate.nets.device import seed_everything
from replicate.nets.folder import digest_of, save_model, weights_of
from replicate.nets.logits import network_logits, probabilities
from replicate.nets.shape import check_shapes, kept_layers, parse_share
from replicate.nets.tokens import build_vocabulary, encode
from replicate.scores.evaluation import evaluate
from replicate.stages.prune.importance import Importance, importance, most_important
from replicate.stages.prune.native import Shape, batches_of, distillation, student_of
from replicate.stages.prune.options import ENGINES, PruneOptions, folder_of
from replicate.stages.prune.paddlenlp import supernet_logits
from replicate.stages.prune.prune import prune
from replicate.training.optimisation import Diverged
from tests.tiny import ARCHITECTURE, QUIET, Made, run_finetune, run_prune

# Six heads of eight, 48 hidden units, two layers.
SHAPES = {"1/2": Shape((0, 1), 3, 24), "2/3": Shape((0, 1), 4, 32)}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def settings(**options: Any) -> PruneOptions:
    """One epoch of 7 steps at width 1/2; `options` overrides."""
    return PruneOptions(
        **{
            "width": "1/2",
            "engine": "native",
            "learning_rate": 1e-3,
            "epochs": 1,
            "max_seq_length": 48,
            "save_steps": 3,
            **options,
        }
    )


def make_parent(dataset: Dataset, folder: Path, **architecture: Any) -> Made:
    """A net of two layers, fine-tuned for a moment."""
    seed_everything(1)
    start = folder / "start"
    start.mkdir()
    vocabulary = build_vocabulary(dataset.train.texts)
    shape = {**ARCHITECTURE, "num_hidden_layers": 2, **architecture}
    made = classifier_from_config(shape, vocabulary, dataset.labels, start)
    save_model(made.network, made.tokenizer, start, dataset.labels)
    return run_finetune(dataset, start, folder / "parent", seed=3, epochs=4, batch_size=8)


@pytest.fixture(scope="module")
def parent(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A fine-tuned net with dropout, as every net of the profiles."""
    return make_parent(dataset, tmp_path_factory.mktemp("parent"))


@pytest.fixture(scope="module")
def certain(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The same without dropout: nothing random is left but the order of the batches."""
    return make_parent(dataset, tmp_path_factory.mktemp("certain"), **NO_DROPOUT)


@pytest.fixture(scope="module", params=["1/2", "2/3"])
def small(request: pytest.FixtureRequest, dataset: Dataset, parent: Made, tmp_path_factory: Any) -> Made:
    """The net pruned to each width."""
    return run_prune(dataset, parent.folder, tmp_path_factory.mktemp("small"), settings(width=request.param))


class Stop(Exception):
    """Upstream has come as far as a test wants it to."""


def until(monkeypatch: pytest.MonkeyPatch, dataset: Dataset, parent: Made, end: str, **options: Any) -> dict[str, Any]:
    """PaddleNLP's engine as far as `end`: what its importance was `asked`, or its `supernet` that is to be trained."""
    import paddlenlp.trainer.trainer_compress as upstream

    found: dict[str, Any] = {}
    compute = upstream.compute_neuron_head_importance

    def importance_of(**asked: Any) -> Any:
        if end == "asked":
            found.update(asked)
            raise Stop
        found["importance"] = compute(**asked)
        return found["importance"]

    def training(trainer: Any, supernet: Any, *_: Any) -> None:
        found["supernet"] = supernet
        raise Stop

    monkeypatch.setattr(upstream, "compute_neuron_head_importance", importance_of)
    monkeypatch.setattr(upstream, "_dynabert_training", training)
    with pytest.raises(Stop):
        run_prune(dataset, parent.folder, parent.folder / "unused", settings(engine="paddlenlp", **options))
    monkeypatch.undo()
    return found


def dev_batches(classifier: Classifier, dataset: Dataset, size: int) -> Iterator[tuple[Any, Any]]:
    """The batches that importance is computed on."""
    rows = encode(classifier.tokenizer, dataset.dev.texts, 48)
    return batches_of(rows, np.asarray(dataset.dev.labels), size, classifier.tokenizer.pad_token_id)


def subnet_logits(supernet: Any, width: str) -> Any:
    """`logits_of` for the sub-network of a width inside PaddleNLP's supernet."""
    from paddlenlp.trainer.trainer_compress import check_dynabert_config
    from paddleslim.nas.ofa import utils

    share = float(parse_share("width", width))
    supernet.set_epoch(0)
    supernet.set_task("width")
    supernet.set_net_config(check_dynabert_config(utils.dynabert_config(supernet, share), share))
    logits_of = supernet_logits(supernet)
    return logits_of


@pytest.mark.parametrize("width", SHAPES)
def test_engines_agree_before_training(
    monkeypatch: pytest.MonkeyPatch, dataset: Dataset, certain: Made, width: str
) -> None:
    """Importance, order, the weights that are kept and the logits are those of PaddleNLP's supernet, to 1e-5.

    All of dev is one batch, so that nothing accumulates upstream.
    """
    upstream = until(monkeypatch, dataset, certain, "supernet", width=width, batch_size=70)
    classifier, shape = load_classifier(certain.folder), SHAPES[width]
    found = importance(classifier.network, dev_batches(classifier, dataset, 70))
    heads, neurons = upstream["importance"]
    for ours, theirs in itertools.chain(
        zip(found.heads, heads.numpy(), strict=True), zip(found.neurons, neurons, strict=True)
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
        assert most_important([ours], 48)[0].tolist() == np.argsort(-theirs, kind="stable").tolist()
    student = student_of(classifier.network, shape, "parent", dev_batches(classifier, dataset, 70))
    whole = {name.replace(".fn", ""): value for name, value in weights_of(upstream["supernet"].model).items()}
    kept = weights_of(student)
    assert set(kept) == set(whole)
    for name, value in kept.items():
        assert np.array_equal(value, whole[name][tuple(slice(size) for size in value.shape)]), name
    rows = encode(classifier.tokenizer, dataset.dev.texts, 48)
    ids = batching.pad(rows, classifier.tokenizer.pad_token_id)
    small, super_, unpruned = (
        logits(ids)
        for logits in (
            network_logits(student),
            subnet_logits(upstream["supernet"], width),
            network_logits(classifier.network),
        )
    )
    assert np.abs(small - super_).max() < 1e-5
    # The net answers to its input, and pruning has changed its answers.
    assert np.ptp(small, axis=0).max() > 0.1
    assert np.abs(small - unpruned).max() > 0.1


def flat(found: Importance) -> NDArray[Any]:
    """Every number of an importance in one row."""
    return np.concatenate([*found.heads, *found.neurons])


def test_importance_does_not_accumulate(monkeypatch: pytest.MonkeyPatch, dataset: Dataset, certain: Made) -> None:
    """Each batch counts alone, in any order; upstream's batches count with all before them, so their order matters."""
    from paddlenlp.transformers.ofa_utils import compute_neuron_head_importance as compute

    asked = until(monkeypatch, dataset, certain, "asked", batch_size=16)

    def upstream(numbers: list[int]) -> NDArray[Any]:
        batches = list(asked["data_loader"])
        asked["model"].clear_gradients()
        heads, neurons = compute(**{**asked, "data_loader": [batches[number] for number in numbers]})
        return np.concatenate([heads.numpy().ravel(), *neurons])

    classifier = load_classifier(certain.folder)
    batches = list(dev_batches(classifier, dataset, 16))
    ours, backwards = (flat(importance(classifier.network, order)) for order in (batches, batches[::-1]))
    np.testing.assert_allclose(ours, backwards, rtol=1e-4, atol=1e-5)
    # Upstream's formula on each batch by itself is ours; on all of them in a row it is neither that nor one number.
    alone = np.sum([upstream([number]) for number in range(len(batches))], axis=0)
    np.testing.assert_allclose(ours, alone, rtol=1e-4, atol=1e-5)
    together, together_backwards = upstream([0, 1, 2, 3, 4]), upstream([4, 3, 2, 1, 0])
    assert np.abs(together / together_backwards - 1).max() > 0.1
    assert np.abs(together / alone - 1).max() > 0.1


def test_importance_ignores_dropout_and_leaves_nothing(dataset: Dataset, parent: Made) -> None:
    """The same net gives the same importance twice, and no gradient is left that training could apply."""
    classifier = load_classifier(parent.folder)
    classifier.network.train()
    once, twice = (importance(classifier.network, dev_batches(classifier, dataset, 16)) for _ in range(2))
    assert flat(once).tobytes() == flat(twice).tobytes()
    assert not any(p.grad is not None and np.abs(p.grad.numpy()).max() for p in classifier.network.parameters())


def test_upstream_leaks_gradients_and_teaches_with_dropout(
    monkeypatch: pytest.MonkeyPatch, dataset: Dataset, parent: Made
) -> None:
    """What the native engine does otherwise is so upstream: gradients before the first step, a teacher in training."""
    supernet = until(monkeypatch, dataset, parent, "supernet")["supernet"]
    leaked = [p.grad.numpy() for p in supernet.model.parameters() if p.grad is not None]
    assert max(np.abs(one).max() for one in leaked) > 1e-2
    assert supernet.model.training
    modes = []
    forward = type(supernet).forward

    def watched(self: Any, *inputs: Any, **named: Any) -> Any:
        modes.append((self.training, self.ofa_teacher_model.model.training))
        return forward(self, *inputs, **named)

    monkeypatch.setattr(type(supernet), "forward", watched)
    run_prune(dataset, parent.folder, parent.folder / "watched", settings(engine="paddlenlp"))
    assert (True, True) in modes
    assert (True, False) not in modes


def test_engines_agree_after_training(dataset: Dataset, certain: Made, tmp_path: Path) -> None:
    """Without dropout, with one batch for importance and its gradients cleared, PaddleNLP trains the same net to 1e-4.

    So loss, weights of its parts, layers, optimiser, schedule, batches and choice are the same; and the leak is what
    the engines differ in, since without it cleared they end elsewhere.
    """
    options = {"batch_size": 70, "epochs": 3, "weight_decay": 0.01, "warmup_proportion": 0.2}
    made = {
        engine: run_prune(dataset, certain.folder, tmp_path / engine, settings(engine=engine, **options))
        for engine in ENGINES
    }
    logits = {
        name: probabilities(network_logits(one.network), encode(one.tokenizer, dataset.dev.texts, 48), 0)
        for name in ENGINES
        for one in [load_classifier(made[name].folder)]
    }
    native, cleared = (made[engine].summary for engine in ("native", "paddlenlp-cleared"))
    assert native["steps"] == cleared["steps"] == 9
    assert native["best_step"] == cleared["best_step"]
    assert native["teacher"] == cleared["teacher"]
    assert np.abs(logits["native"] - logits["paddlenlp-cleared"]).max() < 1e-4
    assert np.abs(logits["native"] - logits["paddlenlp"]).max() > 1e-3


def test_teacher_is_frozen(dataset: Dataset, parent: Made, tmp_path: Path) -> None:
    """It gives the same targets twice, has no dropout and no gradient, and is the same net afterwards."""
    import paddle

    classifier = load_classifier(parent.folder)
    rows = encode(classifier.tokenizer, dataset.dev.texts, 48)
    ids = paddle.to_tensor(batching.pad(rows, 0))
    student = student_of(classifier.network, SHAPES["1/2"], "parent", dev_batches(classifier, dataset, 16))
    student.eval()
    classifier.network.train()
    loss_of = distillation(classifier.network, (0, 1))
    once, twice = (float(loss_of(student, ids, None)) for _ in range(2))
    assert once == twice
    prune(classifier, dataset.train, dataset.dev, settings(), 3, tmp_path, QUIET)
    assert digest_of(weights_of(classifier.network)) == parent.summary["weights"]
    assert not classifier.network.training


def test_several_widths_of_one_parent(dataset: Dataset, parent: Made, tmp_path: Path) -> None:
    """Widths one after the other are each of the whole parent; upstream's second one shrinks what the first left."""
    classifier = load_classifier(parent.folder)
    for width in ("2/3", "1/2"):
        seed_everything(3)
        found = prune(classifier, dataset.train, dataset.dev, settings(width=width), 3, tmp_path / width, QUIET)
        assert (found["kept_heads"], found["kept_neurons"]) == (SHAPES[width].heads, SHAPES[width].neurons)
    seed_everything(3)
    alone = load_classifier(parent.folder)
    seed_everything(3)
    again = prune(alone, dataset.train, dataset.dev, settings(width="1/2"), 3, tmp_path / "alone", QUIET)
    assert again == found


def test_paddle_is_not_patched(dataset: Dataset, parent: Made, tmp_path: Path) -> None:
    """Forward functions of Paddle's layers are the same objects afterwards, and the student's are its classes' own."""
    from paddle import nn

    kinds = (nn.MultiHeadAttention, nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.Linear, nn.LayerNorm)
    before = [(kind.forward, getattr(kind, "_prepare_qkv", None)) for kind in kinds]
    classifier = load_classifier(parent.folder)
    prune(classifier, dataset.train, dataset.dev, settings(), 3, tmp_path, QUIET)
    assert [(kind.forward, getattr(kind, "_prepare_qkv", None)) for kind in kinds] == before
    assert not any("forward" in vars(layer) for layer in classifier.network.sublayers())


def test_folder_is_an_ordinary_model(small: Made, dataset: Dataset) -> None:
    """It has the shape that its config.json says, and gives the evaluation of its summary."""
    classifier = load_classifier(small.folder)
    shape = SHAPES[small.summary["width"]]
    check_shapes(classifier.network, shape.heads, shape.neurons)
    assert (classifier.network.config.kept_heads, classifier.network.config.kept_neurons) == (
        shape.heads,
        shape.neurons,
    )
    assert classifier.parameters == small.summary["parameters"]
    assert digest_of(weights_of(classifier.network)) == small.summary["weights"]
    rows = encode(classifier.tokenizer, dataset.dev.texts, 48)
    found = probabilities(network_logits(classifier.network), rows, classifier.tokenizer.pad_token_id)
    assert evaluate(found, dataset.dev, len(dataset.labels)) == small.summary["evaluation"]


def test_summary_is_that_of_paddlenlp(small: Made, parent: Made, pruned: Made) -> None:
    """Both engines tell the same facts; the steps evaluated are every third and the last."""
    assert set(pruned.summary) | {"kept_layers"} == set(small.summary)
    assert [entry["step"] for entry in small.summary["history"]] == [3, 6, 7]
    assert small.summary["weights_step0"] == parent.summary["weights"]
    best = max(small.summary["history"], key=lambda entry: entry["f1"])
    assert small.summary["best_step"] == best["step"]


@pytest.mark.parametrize("kind", ["paddle", "onnx"])
def test_exported_graphs_agree(small: Made, dataset: Dataset, tmp_path: Path, kind: str) -> None:
    """Static graph and ONNX give the dynamic net's logits on dev to 1e-5."""
    export(small.folder, tmp_path / "exported", kind)
    classifier = load_classifier(small.folder)
    ids = batching.pad(encode(classifier.tokenizer, dataset.dev.texts, 48), classifier.tokenizer.pad_token_id)
    runtime = open_runtime(tmp_path / "exported")
    dynamic = network_logits(classifier.network)(ids)
    assert np.abs(runtime.logits(ids) - dynamic).max() < 1e-5
    assert np.ptp(dynamic, axis=0).max() > 0.1


def test_pruned_net_is_fine_tuned_further(small: Made, dataset: Dataset, tmp_path: Path) -> None:
    """Fine-tuning starts from the pruned weights and keeps the shape."""
    further = run_finetune(dataset, small.folder, tmp_path, seed=3)
    assert further.summary["weights_step0"] == small.summary["weights"] != further.summary["weights"]
    assert further.summary["parameters"] == small.summary["parameters"]
    check_shapes(load_classifier(tmp_path).network, small.summary["kept_heads"], small.summary["kept_neurons"])


def test_pruned_net_is_pruned_again(small: Made, dataset: Dataset, tmp_path: Path) -> None:
    """Widths are relative to what there is: a third of three heads, half of four."""
    width, heads, neurons = {3: ("1/3", 1, 8), 4: ("1/2", 2, 16)}[small.summary["kept_heads"]]
    again = run_prune(dataset, small.folder, tmp_path, settings(width=width))
    assert (again.summary["kept_heads"], again.summary["kept_neurons"]) == (heads, neurons)
    check_shapes(load_classifier(tmp_path).network, heads, neurons)
    with pytest.raises(UserError, match="does not divide"):
        run_prune(dataset, small.folder, tmp_path / "not", settings(width="1/5"))


def test_layers_instead_of_width(dataset: Dataset, parent: Made, tmp_path: Path) -> None:
    """Half of the layers leaves the last one with all its heads: an ordinary ERNIE, and its weights at first."""
    made = run_prune(dataset, parent.folder, tmp_path, settings(width="1", depth="1/2", learning_rate=1e-12))
    assert made.summary["kept_layers"] == [1]
    whole, kept = (load_classifier(folder).network for folder in (parent.folder, tmp_path))
    assert kept.config.num_hidden_layers == 1
    assert getattr(kept.config, "kept_heads", None) is None
    last, only = (net.base_model.encoder.layers[-1].norm2.weight.numpy() for net in (whole, kept))
    np.testing.assert_allclose(last, only, atol=1e-6)


@pytest.mark.parametrize(
    ("depth", "layers", "kept"),
    [("1/2", 12, (1, 3, 5, 7, 9, 11)), ("2/3", 12, (0, 2, 3, 5, 6, 8, 9, 11)), ("2/3", 3, (0, 2)), ("1", 2, (0, 1))],
)
def test_layers_are_dynaberts(depth: str, layers: int, kept: tuple[int, ...]) -> None:
    """Evenly spread, the last among them: without every k-th those go with (d + 1) mod k = 0, counted from 1."""
    assert kept_layers(parse_share("depth", depth), layers) == kept


def test_controls_differ_in_what_they_control(dataset: Dataset, parent: Made, tmp_path: Path) -> None:
    """A random start, and labels instead of a teacher, give other nets of the same shape."""
    controls = {"pruned": {}, "scratch": {"start": "scratch"}, "labels": {"targets": "labels"}}
    made = {
        name: run_prune(dataset, parent.folder, tmp_path / name, settings(learning_rate=1e-9, **control))
        for name, control in controls.items()
    }
    assert len({one.summary["weights"] for one in made.values()}) == 3
    assert len({one.summary["parameters"] for one in made.values()}) == 1
    losses = {name: one.summary["history"][0]["loss"] for name, one in made.items()}
    assert losses["scratch"] > losses["pruned"]
    weights = {name: weights_of(load_classifier(one.folder).network) for name, one in made.items()}
    name = "ernie.encoder.layers.0.linear1.weight"
    # So low a rate leaves weights as they were: two start from the parent's, one from others, as widely spread.
    np.testing.assert_allclose(weights["pruned"][name], weights["labels"][name], atol=1e-5)
    assert np.abs(weights["pruned"][name] - weights["scratch"][name]).max() > 0.1
    assert weights["scratch"][name].std() == pytest.approx(0.2, rel=0.1)


def test_importance_set_is_a_choice(dataset: Dataset, parent: Made, tmp_path: Path) -> None:
    """On training examples the net is another, and on dev it is the default."""
    made = [
        run_prune(dataset, parent.folder, tmp_path / str(number), settings(learning_rate=1e-9, **options))
        for number, options in enumerate(({}, {"importance": "dev"}, {"importance": "train"}))
    ]
    default, dev, train = (one.summary["weights"] for one in made)
    assert default == dev != train


def test_same_seed_same_net(small: Made, dataset: Dataset, parent: Made, tmp_path: Path) -> None:
    """Pruning again with the same seed gives the same summary; another seed does not."""
    options = settings(width=small.summary["width"])
    assert run_prune(dataset, parent.folder, tmp_path / "same", options).summary == small.summary
    assert (
        run_prune(dataset, parent.folder, tmp_path / "other", options, 4).summary["weights"]
        != (small.summary["weights"])
    )


def test_zero_f1_still_gives_a_model(dataset: Dataset, parent: Made, tmp_path: Path) -> None:
    """A net that never says class 1 is written all the same; upstream keeps no state whose score is 0."""
    options = settings(start="scratch", learning_rate=1e-12, save_steps=1000)
    made = run_prune(dataset, parent.folder, tmp_path, options)
    assert [entry["f1"] for entry in made.summary["history"]] == [0.0]
    assert made.summary["best_step"] == 7
    load_classifier(tmp_path)


def test_divergence_is_told(dataset: Dataset, parent: Made, tmp_path: Path) -> None:
    """A learning rate that breaks the net raises Diverged."""
    with pytest.raises(Diverged, match="not finite"):
        run_prune(dataset, parent.folder, tmp_path, settings(learning_rate=1e20))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "torch"}, "engine is 'torch'; choose one of paddlenlp, paddlenlp-cleared, paddlenlp-2022, native"),
        ({"width": "1"}, "width 1 and depth 1 keep everything"),
        ({"depth": "2"}, "depth '2' is not a fraction; write 1/2, 2/3 or 0.75"),
        ({"width": "__import__('os')"}, "is not a fraction"),
        ({"start": "middle"}, "start is 'middle'"),
        ({"targets": "none"}, "targets is 'none'"),
        ({"engine": "paddlenlp", "depth": "1/2"}, "engine paddlenlp has no depth 1/2; engine native has"),
        ({"engine": "paddlenlp", "start": "scratch"}, "engine paddlenlp has no start scratch"),
        ({"engine": "paddlenlp", "targets": "labels"}, "engine paddlenlp has no targets labels"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any], message: str) -> None:
    """A setting that no engine, or not this one, can have is named before anything runs."""
    with pytest.raises(UserError) as error:
        settings(**options)
    assert message in str(error.value)


def test_shares_that_do_not_fit_name_those_that_do() -> None:
    """Layers must be whole as heads must."""
    with pytest.raises(UserError, match="depth 2/5 does not divide 3 layers; choose one of 1/3, 2/3"):
        kept_layers(parse_share("depth", "2/5"), 3)


def test_folder_says_what_was_kept() -> None:
    """`0.5` as in the article, and the depth where it is less than all."""
    assert folder_of(settings()) == "0.5"
    assert folder_of(settings(width="1", depth="2/3")) == "1.0-depth-0.67"
