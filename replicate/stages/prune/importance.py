"""How much each attention head and hidden unit matters to the loss, and the weights that are left without the rest.

DynaBERT's formula (Hou et al., 2020, after Michel et al., 2019): what the loss would change, to first order, if a head
or unit were silent. Of a head that is the gradient of a factor on what it gives. Since the output map is linear, it is
also the sum of weight times gradient over the head's rows of that map: no factor has to be put into the net.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.nets.folder import weights_of

# Which axis of a layer's parameter runs over the units of its heads, and which over its hidden units.
_HEAD_AXES: Mapping[str, int] = {
    **{f"self_attn.{name}_proj.{part}": axis for name in "qkv" for part, axis in (("weight", 1), ("bias", 0))},
    "self_attn.out_proj.weight": 0,
}
_NEURON_AXES: Mapping[str, int] = {"linear1.weight": 1, "linear1.bias": 0, "linear2.weight": 0}
_LAYER = re.compile(r"(.*\.encoder\.layers\.)(\d+)\.(.*)")


@dataclass(frozen=True)
class Importance:
    """Of each layer, one number a head and one a hidden unit; larger matters more."""

    heads: tuple[NDArray[np.float32], ...]
    neurons: tuple[NDArray[np.float32], ...]


def importance(network: Any, batches: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> Importance:
    """Importance of every head and hidden unit of an ERNIE classifier: sums over batches of absolute values.

    The gradients are those of each batch alone, without dropout; none is left behind, and the network is left in
    evaluation mode. (Upstream never clears them: there a batch counts with all before it, so their order matters.)

    Args:
        network: `ErnieForSequenceClassification`, pruned or not.
        batches: token ids [batch, length] and labels [batch].
    """
    import paddle
    import paddle.nn.functional as F

    network.eval()
    network.clear_gradients()
    layers = list(network.base_model.encoder.layers)
    heads = [paddle.zeros([layer.self_attn.num_heads]) for layer in layers]
    neurons = [paddle.zeros([layer.linear1.weight.shape[1]]) for layer in layers]

    def silenced(weight: Any, axis: int) -> Any:
        return (weight * weight.grad).sum(axis)

    for ids, labels in batches:
        F.cross_entropy(network(paddle.to_tensor(ids)), paddle.to_tensor(labels)).backward()
        with paddle.no_grad():
            for number, layer in enumerate(layers):
                rows = silenced(layer.self_attn.out_proj.weight, 1)
                heads[number] += rows.reshape([layer.self_attn.num_heads, -1]).sum(1).abs()
                into, out = layer.linear1, layer.linear2.weight
                neurons[number] += (silenced(into.weight, 0) + into.bias * into.bias.grad).abs()
                neurons[number] += silenced(out, 1).abs()
        network.clear_gradients()
    return Importance(tuple(one.numpy() for one in heads), tuple(one.numpy() for one in neurons))


def most_important(found: Sequence[NDArray[np.float32]], count: int) -> list[NDArray[np.int64]]:
    """Indices of the `count` most important of each layer, the most important first."""
    return [np.argsort(-one, kind="stable")[:count] for one in found]


def cut(
    network: Any,
    layers: Sequence[int],
    heads: Sequence[NDArray[np.int64]],
    neurons: Sequence[NDArray[np.int64]],
) -> dict[str, NDArray[Any]]:
    """Parameters of the smaller net that has only these layers, heads and hidden units, in this order.

    Args:
        network: the whole net.
        layers: indices of the layers to keep.
        heads: of every layer of the whole net, the heads to keep.
        neurons: the same for hidden units.
    """
    of_head = network.base_model.encoder.layers[0].self_attn.head_dim
    units = [(one[:, None] * of_head + np.arange(of_head)).ravel() for one in heads]
    kept: dict[str, NDArray[Any]] = {}
    for name, value in weights_of(network).items():
        found = _LAYER.fullmatch(name)
        if not found:
            kept[name] = value
            continue
        prefix, number, part = found[1], int(found[2]), found[3]
        if number not in layers:
            continue
        for axes, chosen in ((_HEAD_AXES, units), (_NEURON_AXES, neurons)):
            if part in axes:
                value = np.take(value, chosen[number], axes[part])
        kept[f"{prefix}{layers.index(number)}.{part}"] = value
    return kept
