"""The published ERNIE 3.0 architectures, and nets of those shapes with random weights.

Speed does not depend on the values of the weights, so timing needs no trained net.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

from replicate.common.errors import UserError
from replicate.nets import upstream
from replicate.nets.device import seed_everything
from replicate.nets.folder import save_model
from replicate.nets.shape import kept_shape, shrink
from replicate.nets.tokens import SPECIAL_TOKENS, build_tokenizer
from replicate.timing.operations import Encoder

_COMMON = {
    "hidden_size": 768,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "vocab_size": 40000,
    "max_position_embeddings": 2048,
    "type_vocab_size": 4,
    "use_task_id": True,
}
# PaddleNLP 2.8.1, ERNIE_PRETRAINED_INIT_CONFIGURATION; Base leaves intermediate_size to its default, 3072.
SHAPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "base": MappingProxyType({**_COMMON, "num_hidden_layers": 12, "task_type_vocab_size": 3}),
        "medium": MappingProxyType({**_COMMON, "num_hidden_layers": 6, "task_type_vocab_size": 16}),
    }
)


def architecture_of(shape: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration of a published shape, by its name; a mapping is its own.

    Raises:
        UserError: no shape has the name.
    """
    if not isinstance(shape, str):
        return shape
    if shape not in SHAPES:
        raise UserError(f"no shape {shape!r}", hint=f"choose one of {', '.join(SHAPES)}")
    return SHAPES[shape]


def random_model(
    shape: str | Mapping[str, Any], width: Fraction | None, labels: Sequence[str], folder: Path, seed: int = 0
) -> None:
    """Write a model folder with random weights.

    Args:
        shape: a name of `SHAPES`, or a configuration like theirs.
        width: share of heads and hidden units that a pruned net keeps; None for the whole.
        labels: label names.
        folder: where the model is written; made if it isn't there.
        seed: seeds the weights.

    Raises:
        UserError: the shape is unknown, or does not have that width.
    """
    architecture = dict(architecture_of(shape))
    upstream.quiet()
    from paddlenlp.transformers import ErnieConfig, ErnieForSequenceClassification

    size = architecture.pop("vocab_size")
    # No text has these words, so its characters become [UNK]: as many tokens as a real vocabulary gives Chinese.
    vocabulary = [*SPECIAL_TOKENS, *(f"t{number}" for number in range(size - len(SPECIAL_TOKENS)))]
    seed_everything(seed)
    network = ErnieForSequenceClassification(
        ErnieConfig(**architecture, vocab_size=size, num_labels=len(labels), pad_token_id=0)
    )
    if width is not None:
        heads, neurons = kept_shape(width, architecture["num_attention_heads"], architecture["intermediate_size"])
        network.config.kept_heads, network.config.kept_neurons = heads, neurons
        shrink(network)
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = build_tokenizer(vocabulary, Path(scratch))
        save_model(network, tokenizer, folder, labels)


def encoder_flops(shape: str | Mapping[str, Any], width: Fraction | None, batch: int, length: int) -> int:
    """Floating-point operations of the encoder's matrix products on `batch` texts of `length` tokens.

    A multiplication and an addition count as two. Embeddings, layer norm, softmax and the head are left out: under one
    per cent together.
    """
    return Encoder.of(architecture_of(shape), width or Fraction(1)).forward(batch, length)
