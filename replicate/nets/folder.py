"""A net's folder: weights, their header and digest, and what is checked before memory is taken."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from replicate.common.errors import UserError

WEIGHTS = "model.safetensors"

# The first two would fix the size of a head that a pretrained encoder does not have.
_NOT_KEPT = ("id2label", "label2id", "paddlenlp_version")

# Parts that a checkpoint may lack: a pretrained encoder has no classifier, a classifier no language-model head.
HEADS = ("classifier.", "cls.")

# Bytes of a safetensors header; that of a net of a thousand layers has fewer.
MOST_HEADER = 16 << 20

_LAYER = re.compile(r"encoder\.layers\.(\d+)\.")

WRITERS = "name a folder that finetune, prune, distill or pretrain wrote"


def weights_of(network: Any) -> dict[str, np.ndarray]:
    """Parameters and buffers as NumPy arrays, by name."""
    return {name: value.numpy() for name, value in network.state_dict().items()}


def read_header(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of a safetensors file's arrays, by name; of the file only its header is read.

    Raises:
        UserError: the header is not one, or the file has not the bytes that it speaks of.
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > MOST_HEADER:
                raise ValueError(f"its header has {size} bytes")
            header = json.loads(file.read(size))
        shapes = {name: tuple(one["shape"]) for name, one in header.items() if name != "__metadata__"}
        end = max((one["data_offsets"][1] for name, one in header.items() if name != "__metadata__"), default=0)
        if path.stat().st_size != 8 + size + end:
            raise ValueError(f"it has {path.stat().st_size} bytes, its header speaks of {8 + size + end}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise UserError(f"not a safetensors file ({error})", path=path) from error
    return shapes


def check_size(folder: Path, config: Any) -> None:
    """Refuse a model folder whose config.json asks for another net than its weights, before any memory is taken.

    Raises:
        UserError: the weights are no safetensors file, or are not of these sizes.
    """
    from replicate.nets.student_net import STUDENT_ENCODER, StudentConfig, encoder_parameters

    shapes = read_header(folder / WEIGHTS)
    if isinstance(config, StudentConfig):
        held = sum(math.prod(shape) for name, shape in shapes.items() if name.startswith(STUDENT_ENCODER))
        if held != (wanted := encoder_parameters(config)):
            what = f"an encoder of {wanted} parameters is asked for, the weights have {held}"
            raise UserError(what, path=folder / "config.json", hint=WRITERS)
        return
    vocabulary, hidden, layers = config.vocab_size, config.hidden_size, config.num_hidden_layers
    embeddings = [shape for name, shape in shapes.items() if name.endswith("embeddings.word_embeddings.weight")]
    if embeddings != [(vocabulary, hidden)]:
        found = " × ".join(map(str, embeddings[0])) if embeddings else "none"
        what = f"word embeddings of {vocabulary} × {hidden} are asked for, the weights have {found}"
        raise UserError(what, path=folder / "config.json", hint=WRITERS)
    numbers = {int(match[1]) for match in map(_LAYER.search, shapes) if match}
    if numbers != set(range(layers)):
        raise UserError(f"{layers} layers are asked for, the weights have {len(numbers)}", path=folder / "config.json")
    positions = [shape[0] for name, shape in shapes.items() if name.endswith("position_embeddings.weight")]
    if positions != [config.max_position_embeddings]:
        what = f"{config.max_position_embeddings} positions are asked for, the weights have {positions}"
        raise UserError(what, path=folder / "config.json")
    inner = {shape[-1] for name, shape in shapes.items() if name.endswith(".linear1.weight")}
    if inner != {getattr(config, "kept_neurons", None) or config.intermediate_size}:
        what = f"{config.intermediate_size} hidden units are asked for, the weights have {sorted(inner)}"
        raise UserError(what, path=folder / "config.json")


def load_weights(network: Any, path: Path, complete: bool = False) -> None:
    """Fill a network from a safetensors file; the encoder must fit exactly, a head may be absent unless `complete`.

    Raises:
        UserError: the file is none, or its arrays do not fit.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"not a safetensors file ({error})", path=path) from error
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    fitting = {name: value for name, value in found.items() if wanted.get(name) == value.shape}
    lacking = [name for name in wanted if name not in fitting and (complete or not name.startswith(HEADS))]
    if lacking:
        raise UserError(f"weights do not fit config.json: {lacking[0]} is missing or has another shape", path=path)
    surplus = [name for name in found if name not in wanted and not name.startswith(HEADS)]
    if surplus:
        raise UserError(f"weights do not fit config.json: the net has no {surplus[0]}", path=path)
    network.set_state_dict({**network.state_dict(), **fitting})


def digest_of(weights: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the weights: names, shapes and bytes in name order."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name}{weights[name].dtype}{weights[name].shape}".encode())
        digest.update(np.ascontiguousarray(weights[name]).tobytes())
    return digest.hexdigest()


def save_model(network: Any, tokenizer: Any, folder: Path, labels: Sequence[str] | None = None) -> None:
    """Write a model folder; files that are already there are replaced."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights_of(network), folder / WEIGHTS)
    config = {key: value for key, value in network.config.to_dict().items() if key not in _NOT_KEPT}
    if labels is not None:
        config |= {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}
    text = json.dumps(config, ensure_ascii=False, indent=1)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    tokenizer.save_pretrained(str(folder))
    if labels is not None:
        (folder / "label.txt").write_text("".join(f"{name}\n" for name in labels), encoding="utf-8")
