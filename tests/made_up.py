"""PaddleNLP's cache of a pretrained ERNIE by name, with random weights and upstream's exact file names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from replicate.nets import upstream
from replicate.nets.device import seed_everything
from replicate.nets.folder import weights_of
from replicate.nets.named import Named
from replicate.nets.tokens import SPECIAL_TOKENS

NANO = "ernie-3.0-nano-zh"


def vocabulary(size: int) -> tuple[str, ...]:
    """So many tokens: the special ones, ASCII with its pieces, the commonest CJK block, and words that no text has."""
    printable = [chr(code) for code in range(0x21, 0x7F)]
    pieces = [f"##{one}" for one in printable if one.isalnum() and not one.isupper()]
    characters = [chr(code) for code in (*range(0x3001, 0x3020), *range(0x4E00, 0xA000), *range(0xFF00, 0xFF60))]
    tokens = [*SPECIAL_TOKENS, *printable, *pieces, *characters]
    return (*tokens, *(f"[unused{number}]" for number in range(size - len(tokens))))[:size]


def write_vocabulary(path: Path, tokens: tuple[str, ...]) -> None:
    """One token a line."""
    path.write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")


def write_weights(path: Path, arrays: dict[str, Any]) -> None:
    """As PaddleNLP's hosting has them: tensors by name, in Paddle's own format."""
    import paddle

    paddle.save({name: paddle.to_tensor(value) for name, value in arrays.items()}, str(path))


def encoder_of(name: str, seed: int) -> dict[str, np.ndarray]:
    """Random weights of a whole encoder, named as in a checkpoint of upstream's."""
    upstream.quiet()
    from paddlenlp.transformers import ErnieConfig, ErnieModel

    seed_everything(seed)
    network = ErnieModel(ErnieConfig(**ErnieConfig.pretrained_init_configuration[name]))
    return {f"ernie.{key}": value for key, value in weights_of(network).items()}


def make_cache(name: str = NANO, seed: int = 1) -> Named:
    """Fill the cache that PPNLP_HOME names with a net of this name's shape."""
    one = Named(name)
    one.folder.mkdir(parents=True, exist_ok=True)
    arrays = encoder_of(name, seed)
    write_weights(one.weights, arrays)
    # Upstream's vocabularies are a little smaller than what their nets have room for.
    write_vocabulary(one.vocabulary, vocabulary(len(arrays["ernie.embeddings.word_embeddings.weight"]) - 19))
    return one
