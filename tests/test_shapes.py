"""The published shapes are upstream's, and a random net of a shape is a model folder like any other."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.common.errors import UserError
from replicate.inference.runtime import open_runtime
from replicate.nets import upstream
from replicate.nets.classifier import load_classifier
from replicate.nets.folder import digest_of, weights_of
from replicate.nets.shape import check_shapes
from replicate.timing.random_net import SHAPES, encoder_flops, random_model

TINY = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "intermediate_size": 96,
    "vocab_size": 60,
    "max_position_embeddings": 40,
    "type_vocab_size": 4,
    "task_type_vocab_size": 3,
    "use_task_id": True,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_published_shapes_are_upstreams(shape: str) -> None:
    """Every number of a shape is the one in PaddleNLP's configuration of that name, or its default."""
    upstream.quiet()
    from paddlenlp.transformers import ErnieConfig
    from paddlenlp.transformers.ernie.configuration import ERNIE_PRETRAINED_INIT_CONFIGURATION

    theirs = ErnieConfig(**ERNIE_PRETRAINED_INIT_CONFIGURATION[f"ernie-3.0-{shape}-zh"])
    assert {name: getattr(theirs, name) for name in SHAPES[shape]} == dict(SHAPES[shape])


@pytest.mark.parametrize(("width", "kept"), [(None, (6, 96)), (Fraction(1, 2), (3, 48)), (Fraction(2, 3), (4, 64))])
def test_random_model_is_a_model(tmp_path: Path, width: Fraction | None, kept: tuple[int, int]) -> None:
    """It has the labels, positions, vocabulary and width that were asked for, and computes."""
    random_model(TINY, width, ("甲", "乙"), tmp_path)
    check_shapes(load_classifier(tmp_path).network, *kept)
    runtime = open_runtime(tmp_path)
    assert (runtime.labels, runtime.positions, len(runtime.tokenizer.vocab)) == (("甲", "乙"), 40, 60)
    logits = runtime.logits(np.array([[1, 59, 7, 2], [1, 8, 2, 0]]))
    assert logits.shape == (2, 2)
    assert np.ptp(logits) > 0


def test_seed_decides_the_weights(tmp_path: Path) -> None:
    """One seed gives one net, another seed another."""
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        random_model(TINY, Fraction(1, 2), ("甲", "乙"), tmp_path / name, seed)
    one, again, other = (
        digest_of(weights_of(load_classifier(tmp_path / name).network)) for name in ("one", "again", "other")
    )
    assert one == again != other


def test_impossible_shapes_are_refused(tmp_path: Path) -> None:
    """An unknown shape and a width that it does not have are named."""
    with pytest.raises(UserError, match="no shape 'huge'; choose one of base, medium"):
        random_model("huge", None, ("甲",), tmp_path)
    with pytest.raises(UserError, match="width 2/5 does not divide 6 attention heads"):
        random_model(TINY, Fraction(2, 5), ("甲",), tmp_path)


@pytest.mark.parametrize("width", [None, Fraction(1, 2)])
def test_flops_are_those_of_the_weights(tmp_path: Path, width: Fraction | None) -> None:
    """Two for each weight of the encoder and token, and for each pair of tokens in both products of each head."""
    random_model(TINY, width, ("甲", "乙"), tmp_path)
    weights: dict[str, Any] = weights_of(load_classifier(tmp_path).network)
    matrices = sum(value.size for name, value in weights.items() if ".encoder." in name and value.ndim == 2)
    heads, batch, length = 6 if width is None else 3, 5, 7
    pairs = 2 * heads * 8 * length * length * TINY["num_hidden_layers"]
    assert encoder_flops(TINY, width, batch, length) == 2 * batch * (length * matrices + pairs)


@pytest.mark.parametrize(
    ("shape", "width", "ratio"), [("base", "1/2", 2), ("base", "2/3", 1.5), ("medium", "3/4", 4 / 3)]
)
def test_ideal_speed_up_is_the_width(shape: str, width: str, ratio: float) -> None:
    """Everything in the encoder shrinks with the width, at every batch and length; Medium is half of Base."""
    for batch, length in ((1, 32), (32, 128)):
        whole = encoder_flops(shape, None, batch, length)
        assert whole / encoder_flops(shape, Fraction(width), batch, length) == pytest.approx(ratio)
    assert encoder_flops("base", None, 32, 32) == 2 * encoder_flops("medium", None, 32, 32)
