"""Shapes of an ERNIE: the share of heads, hidden units and layers that is kept."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from replicate.common.errors import UserError
from replicate.nets.configuration import neurons_of


def shrink(network: Any) -> None:
    """Replace the linear maps of every encoder layer by ones of the shape that the network's configuration keeps.

    Their weights are random, drawn as PaddleNLP draws those of a whole net.
    """
    from paddle import ParamAttr, nn

    normal = ParamAttr(initializer=nn.initializer.Normal(std=network.config.initializer_range))

    def linear(inputs: int, outputs: int) -> Any:
        return nn.Linear(inputs, outputs, weight_attr=normal)

    heads = network.config.kept_heads
    for number, layer in enumerate(network.base_model.encoder.layers):
        attention, neurons = layer.self_attn, neurons_of(network.config, number)
        hidden, inner = attention.embed_dim, heads * attention.head_dim
        attention.num_heads = heads
        attention.q_proj, attention.k_proj, attention.v_proj = (linear(hidden, inner) for _ in range(3))
        attention.out_proj = linear(inner, hidden)
        layer.linear1, layer.linear2 = linear(hidden, neurons), linear(neurons, hidden)


def parse_width(text: str, name: str = "width") -> Fraction:
    """A width as an exact fraction above 0 and below 1; `0.66` and `0.67` are what they say, not 2/3.

    Raises:
        UserError: it is no fraction, or keeps nothing or everything.
    """
    if not re.fullmatch(r"\d+/\d+|0?\.\d+", text) or text.endswith("/0"):
        raise UserError(f"{name} {text!r} is not a fraction", hint="write 1/2, 2/3 or 0.75")
    width = Fraction(text)
    if not 0 < width < 1:
        raise UserError(f"{name} {text} keeps nothing or everything", hint="choose one between 0 and 1")
    return width


def parse_share(name: str, text: str) -> Fraction:
    """A width or depth as an exact fraction; `1` is a share too."""
    return Fraction(1) if text == "1" else parse_width(text, name)


def kept_shape(width: Fraction, heads: int, neurons: int) -> tuple[int, int]:
    """Attention heads and hidden units that a width keeps.

    Raises:
        UserError: heads × width or units × width is not whole; names the widths that fit.
    """
    if (width * heads).denominator == 1 and (width * neurons).denominator == 1:
        return int(width * heads), int(width * neurons)
    fitting = (Fraction(kept, heads) for kept in range(1, heads))
    names = ", ".join(str(one) for one in fitting if (one * neurons).denominator == 1)
    raise UserError(
        f"width {width} does not divide {heads} attention heads and {neurons} hidden units",
        hint=f"choose one of {names}" if names else "no width does",
    )


def kept_layers(depth: Fraction, layers: int) -> tuple[int, ...]:
    """Indices of the layers that a depth keeps: evenly spread, the last among them.

    These are DynaBERT's (Hou et al., 2020): of layers 1 to n without every k-th, those with (d + 1) mod k = 0 go.

    Raises:
        UserError: layers × depth is not whole; names the depths that fit.
    """
    kept = depth * layers
    if kept.denominator != 1:
        names = ", ".join(str(Fraction(one, layers)) for one in range(1, layers))
        hint = f"choose one of {names}" if names else "no depth does"
        raise UserError(f"depth {depth} does not divide {layers} layers", hint=hint)
    return tuple(number * layers // int(kept) - 1 for number in range(1, int(kept) + 1))


def width_folder(width: Fraction) -> str:
    """Name of a pruned model's folder, as in the article: `0.5`, `0.67`."""
    return str(round(float(width), 2))


def check_shapes(network: Any, heads: int, neurons: int, last: int | None = None) -> None:
    """Make sure that every encoder layer has the shape that was asked for; `last` are the last one's hidden units.

    Raises:
        RuntimeError: it has another one.
    """
    layers = network.base_model.encoder.layers
    for number, layer in enumerate(layers):
        attention = layer.self_attn
        inner = heads * attention.head_dim
        units = last or neurons if number == len(layers) - 1 else neurons
        found = [
            attention.num_heads,
            *(projection.weight.shape[1] for projection in (attention.q_proj, attention.k_proj, attention.v_proj)),
            attention.out_proj.weight.shape[0],
            layer.linear1.weight.shape[1],
            layer.linear2.weight.shape[0],
        ]
        wanted = [heads, inner, inner, inner, inner, units, units]
        if found != wanted:
            raise RuntimeError(f"layer {number} was exported with shape {found}, not {wanted}")
