"""How many operations a stage can't do without, and which matrix products they are: from shape, batch and length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

# Of a step of training over its forward: each product comes back twice, for its input and for its weights.
BACKWARD = 2


@dataclass(frozen=True)
class Product:
    """Matrices [m, k] and [k, n], multiplied."""

    m: int
    k: int
    n: int

    @property
    def operations(self) -> int:
        """A multiplication and an addition count as two."""
        return 2 * self.m * self.k * self.n


@dataclass(frozen=True)
class Encoder:
    """What the operations of an ERNIE's encoder follow from.

    Attributes:
        layers: their number.
        hidden: width of what goes from layer to layer.
        inner: width of all heads together.
        neurons: hidden units of the feed-forward part.
    """

    layers: int
    hidden: int
    inner: int
    neurons: int

    @classmethod
    def of(cls, architecture: Mapping[str, Any], width: Fraction = Fraction(1)) -> Encoder:
        """The encoder of a configuration, with the share of heads and hidden units that a width keeps."""
        hidden = int(architecture["hidden_size"])
        neurons = int(width * architecture["intermediate_size"])
        return cls(int(architecture["num_hidden_layers"]), hidden, int(width * hidden), neurons)

    def layer(self, batch: int, length: int, answered: int | None = None) -> int:
        """Operations of the matrix products of one layer.

        Query, key, value and output; scores and their weighted sum; both maps of the feed-forward part.

        Args:
            batch: number of texts.
            length: tokens of each.
            answered: tokens of a text whose state is asked for; keys and values are of all tokens, and the rest of
                these. None asks for all.
        """
        asked = length if answered is None else min(answered, length)
        of_all = 2 * self.hidden * self.inner * length
        of_these = (2 * self.hidden * self.inner + 2 * length * self.inner + 2 * self.hidden * self.neurons) * asked
        return 2 * batch * (of_all + of_these)

    def forward(self, batch: int, length: int, answered: int | None = None) -> int:
        """Operations of the matrix products of all layers; embeddings, layer norm and softmax are left out.

        Args:
            batch: number of texts.
            length: tokens of each.
            answered: tokens of a text whose last state is asked for: 1 for a classifier, which reads [CLS] alone. None
                asks for all.
        """
        return (self.layers - 1) * self.layer(batch, length) + self.layer(batch, length, answered)

    def products(self, batch: int, length: int, backward: bool = False) -> tuple[Product, ...]:
        """The products of one layer's linear maps, and with `backward` those that its gradients take."""
        m = batch * length
        maps = [
            *[(self.hidden, self.inner)] * 3,
            (self.inner, self.hidden),
            (self.hidden, self.neurons),
            (self.neurons, self.hidden),
        ]
        forward = [Product(m, k, n) for k, n in maps]
        back = [one for k, n in maps for one in (Product(m, n, k), Product(k, m, n))]
        return (*forward, *(back if backward else ()))


def trained(forward: int) -> int:
    """Operations of a step of training, from those of its forward."""
    return (1 + BACKWARD) * forward


def head(rows: int, hidden: int, outputs: int) -> int:
    """Operations of a head on so many states: a map of the hidden size, and one to its outputs.

    A classifier's pooler and labels, or the transformation and the vocabulary of masked language modelling.
    """
    return 2 * rows * hidden * (hidden + outputs)
