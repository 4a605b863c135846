"""A classifier as a graph for Paddle Inference or ONNX Runtime, checked against the net that it was made from.

The graph takes token ids and nothing else. It computes what the dynamic net computes, for an ERNIE less what does not
change the logits: the embeddings of position, token type and task are summed beforehand, and of the last layer only the
row of [CLS] (of a cloze that of [MASK]) is computed, since the classifier reads no other. That saves 7 % of ERNIE
Base's operations, 14 % of Medium's.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.checks import check_choice
from replicate.common.cores import cores
from replicate.common.errors import UserError
from replicate.common.files import finished_folder
from replicate.inference.exported import GRAPHS, Manifest, describe, write_manifest
from replicate.inference.onnx_graph import OPSET
from replicate.inference.quantisation import forget_callers, quantise_onnx, quantise_paddle
from replicate.inference.runtime import Logits, check_graph, onnx_logits, paddle_logits, silenced
from replicate.nets import batching, upstream
from replicate.nets.classifier import Classifier, load_classifier
from replicate.nets.cloze_net import PLACE, with_prompt
from replicate.nets.configuration import is_cloze
from replicate.nets.device import set_device
from replicate.nets.ensemble_net import EnsembleConfig, joined
from replicate.nets.folder import digest_of, weights_of
from replicate.nets.logits import BATCH, network_logits
from replicate.nets.student_net import StudentConfig
from replicate.nets.tokens import encode

KINDS = tuple(GRAPHS)
TOLERANCE = 1e-5
# As many texts say what the ranges of activations are, and more would only take longer.
EXAMPLES = 512
# Batch size and length of each probe; lengths that the net lacks are cut.
_PROBE_SHAPES = ((1, 2), (1, 17), (3, 8), (8, 32), (2, 128))


def export(
    checkpoint: Path, folder: Path, kind: str = "paddle", int8: bool = False, calibration: Sequence[str] = ()
) -> Manifest:
    """Write a fine-tuned, pruned or distilled classifier as an exported folder, whole or not at all.

    Args:
        checkpoint: model folder of a classifier.
        folder: new or empty folder to write.
        kind: `paddle` or `onnx`.
        int8: weights and activations of the matrix products in 8 bits.
        calibration: texts like those to be labelled, of which about 512 are taken, evenly. Where int8 is for Paddle,
            the ranges of activations are read from them; for both formats the labels of the int8 graph are compared
            with the dynamic net's on them. Without texts the fixed probe of random tokens serves, which is good
            enough to time a net and for nothing else.

    Returns:
        The manifest, with the largest difference to the dynamic net.

    Raises:
        UserError: no classifier, or a graph in fp32 whose logits are further than 1e-5 from the net's.
    """
    check_choice("format", kind, KINDS)
    upstream.quiet()
    from paddle.utils import unique_name

    set_device("cpu")
    # Parameters are named by counters; from zero, or two exports in one process would differ.
    with finished_folder(Path(folder)) as partial, unique_name.guard(), tempfile.TemporaryDirectory() as scratch:
        classifier = load_classifier(checkpoint)
        if int8 and isinstance(classifier.network.config, StudentConfig | EnsembleConfig):
            raise UserError("int8 is for a single ERNIE", path=checkpoint, hint="export it without --int8")
        classifier.network.eval()
        probe = _text_probe(classifier, calibration) if int8 and calibration else _random_probe(classifier)
        static = Path(scratch, "static")
        _save_static(classifier.network, static)
        if kind == "onnx":
            _save_onnx(static, partial / "model.onnx", int8, Path(scratch), classifier.tokenizer.pad_token_id)
        elif int8:
            quantise_paddle(static, partial, probe)
        else:
            for name in GRAPHS[kind]:
                shutil.copy(static / name, partial / name)
        if kind == "paddle":
            forget_callers(partial / "model.pdmodel")
        classifier.tokenizer.save_pretrained(str(partial))
        for name in ("config.json", "label.txt"):
            shutil.copy(Path(checkpoint) / name, partial / name)
        # What this refuses, nobody could open.
        check_graph([partial / name for name in GRAPHS[kind]], len(classifier.labels))
        difference, agreement = _compare(classifier, _reopened(partial, kind, int8), probe)
        if not int8 and not difference <= TOLERANCE:
            raise UserError(
                f"the {kind} graph's logits differ by {difference:.1e} from the dynamic net's, nothing was written",
                path=checkpoint,
                hint=f"more than {TOLERANCE:.0e} is no export",
            )
        manifest = Manifest(
            kind=kind,
            precision="int8" if int8 else "fp32",
            weights=digest_of(weights_of(classifier.network)),
            parameters=classifier.parameters,
            max_difference=difference,
            agreement=agreement,
            probe=sum(len(ids) for ids in probe),
            versions=_versions(kind),
            files=describe(partial),
        )
        write_manifest(partial, manifest)
    return manifest


def _static_net(network: Any, prefix: str = "") -> Any:
    """The layer whose graph is exported: token ids [batch, length] to logits [batch, classes].

    Args:
        network: the dynamic net.
        prefix: of the names of what is computed beforehand; the members of an ensemble have one each.
    """
    import paddle

    if isinstance(network.config, StudentConfig):
        return network
    if isinstance(network.config, EnsembleConfig):
        return _static_ensemble(network)
    embeddings = network.base_model.embeddings
    # A padding token's row counts as zero, whatever it holds; zero from the start, no operator has to see to that.
    words = embeddings.word_embeddings.weight.numpy().copy()
    words[network.base_model.pad_token_id] = 0
    fixed = embeddings.position_embeddings.weight.numpy()
    if embeddings.type_vocab_size > 0:
        fixed = fixed + embeddings.token_type_embeddings.weight[0].numpy()
    if embeddings.use_task_id:
        fixed = fixed + embeddings.task_type_embeddings.weight[embeddings.task_id].numpy()

    class Static(paddle.nn.Layer):  # type: ignore[misc]  # Paddle is untyped
        """ERNIE with the embeddings summed and one row of the last layer."""

        def __init__(self) -> None:
            super().__init__()
            self.base, self.classifier = network.base_model, network.classifier
            self.prompt = list(network.config.prompt) if is_cloze(network.config) else []
            self.place = PLACE if self.prompt else 0
            for name, value in (("words", words), ("fixed", fixed)):
                tensor = paddle.to_tensor(value)
                # Without a name, a counter of the process gives it one.
                tensor.name = f"{prefix}embeddings_{name}"
                self.register_buffer(name, tensor)

        def forward(self, input_ids: Any) -> Any:
            if self.prompt:
                input_ids = with_prompt(input_ids, self.prompt)
            padding = (input_ids == self.base.pad_token_id).astype("float32")
            mask = paddle.unsqueeze(padding * -1e4, axis=[1, 2])
            summed = paddle.nn.functional.embedding(input_ids, self.words) + self.fixed[: paddle.shape(input_ids)[1]]
            hidden = self.base.embeddings.layer_norm(summed)
            *layers, last = self.base.encoder.layers
            for layer in layers:
                hidden = layer(hidden, mask)
            one = hidden[:, self.place : self.place + 1]
            attended = last.norm1(one + last.self_attn(one, hidden, hidden, mask))
            mapped = last.linear2(last.activation(last.linear1(attended)))
            answer = last.norm2(attended + mapped)
            pooled = self.base.pooler.transform(answer[:, 0]) if self.prompt else self.base.pooler(answer)
            return self.classifier(pooled)

    return Static()


def _static_ensemble(network: Any) -> Any:
    """All members in one graph, each as it would be exported alone, and what joins them."""
    from paddle import nn

    class Static(nn.Layer):  # type: ignore[misc]  # Paddle is untyped
        """An ensemble of static members."""

        def __init__(self) -> None:
            super().__init__()
            self.config = network.config
            members = enumerate(network.members)
            self.members = nn.LayerList([_static_net(member, f"member_{number}_") for number, member in members])

        def forward(self, input_ids: Any) -> Any:
            return joined([member(input_ids) for member in self.members], self.config.ensemble, self.config.weights)

    return Static()


def _save_static(network: Any, folder: Path) -> None:
    """Write `model.pdmodel` and `model.pdiparams`."""
    import paddle

    net = _static_net(network)
    net.eval()
    spec = [paddle.static.InputSpec([None, None], "int64", "input_ids")]
    with upstream.saved_once():
        paddle.jit.save(paddle.jit.to_static(net, input_spec=spec, full_graph=True), str(folder / "model"))


def _save_onnx(static: Path, path: Path, int8: bool, scratch: Path, pad_id: int) -> None:
    """The graph as ONNX, checked, with its parameters as initialisers and its axes named."""
    import onnx
    import paddle2onnx

    graph, weights = (str(static / name) for name in GRAPHS["paddle"])
    with silenced():
        data = paddle2onnx.export(graph, weights, opset_version=OPSET, auto_upgrade_opset=False)
    model = onnx.load_from_string(data)
    _tidy(model.graph)
    _tell_lengths(model.graph, pad_id)
    onnx.checker.check_model(model)
    whole = scratch / "whole.onnx" if int8 else path
    whole.write_bytes(model.SerializeToString(deterministic=True))
    if int8:
        quantise_onnx(whole, path)


def _tidy(graph: Any) -> None:
    # paddle2onnx writes parameters as Constant nodes, in which the quantiser sees no weights: it would silently leave
    # every matrix product as it is.
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        if node.op_type == "Constant":
            graph.initializer.append(node.attribute[0].t)
            graph.initializer[-1].name = node.output[0]
        else:
            graph.node.append(node)
    old = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["logits" if name == old else name for name in node.output]
    graph.output[0].name = "logits"
    for value, axes in ((graph.input[0], ("batch", "length")), (graph.output[0], ("batch",))):
        for dimension, name in zip(value.type.tensor_type.shape.dim, axes, strict=False):
            dimension.dim_param = name


def _tell_lengths(graph: Any, pad_id: int) -> None:
    # paddle2onnx forgets the lengths of an LSTM's sequences, which would then read the padding.
    from onnx import TensorProto, helper

    readers = [node for node in graph.node if node.op_type == "LSTM"]
    if not readers:
        return
    for node in readers:
        # X, W, R, B, sequence_lens, …
        node.input[4] = "lengths"
    graph.initializer.append(helper.make_tensor("pad_id", TensorProto.INT64, [], [pad_id]))
    graph.initializer.append(helper.make_tensor("length_axis", TensorProto.INT64, [1], [1]))
    counted = (
        helper.make_node("Equal", ["input_ids", "pad_id"], ["is_padding"]),
        helper.make_node("Not", ["is_padding"], ["is_token"]),
        helper.make_node("Cast", ["is_token"], ["tokens"], to=TensorProto.INT32),
        helper.make_node("ReduceSum", ["tokens", "length_axis"], ["lengths"], keepdims=0),
    )
    for place, node in enumerate(counted):
        graph.node.insert(place, node)


def _random_probe(classifier: Classifier) -> list[NDArray[np.int64]]:
    """Batches of several sizes and lengths, the same for every net of one vocabulary; most rows are padded."""
    rng = np.random.default_rng(0)
    tokenizer, positions = classifier.tokenizer, classifier.network.config.max_position_embeddings
    batches = []
    for size, longest in _PROBE_SHAPES:
        longest = min(longest, positions)
        rows = [rng.integers(0, len(tokenizer.vocab), int(n)) for n in rng.integers(2, longest + 1, size - 1)]
        rows.append(rng.integers(0, len(tokenizer.vocab), longest))
        batches.append(batching.pad(rows, tokenizer.pad_token_id))
    return batches


def _text_probe(classifier: Classifier, texts: Sequence[str]) -> list[NDArray[np.int64]]:
    texts = texts[:: max(1, len(texts) // EXAMPLES)]
    rows = encode(classifier.tokenizer, texts, min(128, classifier.network.config.max_position_embeddings))
    return [
        batching.pad([rows[i] for i in indices], classifier.tokenizer.pad_token_id)
        for indices in batching.sorted_batches([len(row) for row in rows], BATCH)
    ]


def _reopened(folder: Path, kind: str, int8: bool) -> Logits:
    graphs = [folder / name for name in GRAPHS[kind]]
    threads = cores()
    if kind == "onnx":
        return onnx_logits(graphs[0], "cpu", "int8" if int8 else "fp32", threads)
    return paddle_logits(graphs[0], graphs[1], "cpu", "int8" if int8 else "fp32", threads)


def _compare(classifier: Classifier, graph: Logits, probe: Sequence[NDArray[np.int64]]) -> tuple[float, float]:
    """Largest difference of the logits to the dynamic net's, and the share of rows with the same label."""
    net = network_logits(classifier.network)
    expected, found = (np.concatenate([of(ids) for ids in probe]) for of in (net, graph))
    # NaN if either has one, and NaN is not <= the tolerance.
    return float(np.abs(expected - found).max()), float((expected.argmax(axis=1) == found.argmax(axis=1)).mean())


def _versions(kind: str) -> dict[str, str]:
    names = ("paddlepaddle", "paddlepaddle-gpu", "paddlenlp")
    more = ("paddle2onnx", "onnx", "onnxruntime", "onnxruntime-gpu") if kind == "onnx" else ()
    installed = {found.metadata["Name"].lower() for found in metadata.distributions()}
    return {name: metadata.version(name) for name in (*names, *more) if name in installed}
