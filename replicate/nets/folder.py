"""A net's folder: weights, their header and digest, and what is checked before memory is taken."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from replicate.common.errors import UserError
from replicate.common.files import read_json
from replicate.common.limits import parse_json
from replicate.corpus.formats import read_labels
from replicate.nets.configuration import bare, ernie_shapes, neurons_of, positions_of

WEIGHTS = "model.safetensors"

# The first two would fix the size of a head that a pretrained encoder does not have.
_NOT_KEPT = ("id2label", "label2id", "paddlenlp_version")

# Parts that a checkpoint may lack: a pretrained encoder has no classifier, a classifier no language-model head.
HEADS = ("classifier.", "cls.")

# Bytes of a safetensors header; that of a net of a thousand layers has fewer.
MOST_HEADER = 16 << 20

_LAYER = re.compile(r"encoder\.layers\.(\d+)\.")

WRITERS = "name a folder that finetune, prune, distill, fuse or pretrain wrote"


def weights_of(network: Any) -> dict[str, np.ndarray]:
    """Parameters and buffers as NumPy arrays, by name."""
    return {name: value.numpy() for name, value in network.state_dict().items()}


def scalars_of(network: Any) -> int:
    """Scalars in the parameters of a network: what its size is counted in."""
    return sum(math.prod(one.shape) for one in network.parameters())


def read_model_labels(folder: Path) -> tuple[str, ...]:
    """Label names of a model or exported folder, from its label.txt, which config.json has to agree with.

    Raises:
        UserError: one of the files is at fault, or they name other labels; says file and line.
    """
    path = folder / "label.txt"
    labels = read_labels(path)
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    named = config.get("id2label") if isinstance(config, dict) else None
    # PaddleNLP's own nets name their classes LABEL_0 and so on, which names none.
    if not isinstance(named, dict) or named == {str(at): f"LABEL_{at}" for at in range(len(named))}:
        return labels
    if len(named) != len(labels):
        raise UserError(f"{len(labels)} labels, and config.json has {len(named)}", path=path, hint=WRITERS)
    for at, label in enumerate(labels):
        if named.get(str(at)) != label:
            other = f"{label!r} is class {at} here, and {named.get(str(at))!r} in config.json"
            raise UserError(other, path=path, line=at + 1, hint=WRITERS)
    return labels


def read_header(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of a safetensors file's arrays, by name; of the file only its header is read.

    Raises:
        UserError: the header is not one, or the file has not the bytes that it speaks of, one array after another.
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > MOST_HEADER:
                raise ValueError(f"its header has {size} bytes")
            header = parse_json(file.read(size))
            length = os.fstat(file.fileno()).st_size
        arrays = {name: one for name, one in header.items() if name != "__metadata__"}
        shapes = {name: tuple(one["shape"]) for name, one in arrays.items()}
        places = sorted((*one["data_offsets"], name) for name, one in arrays.items())
        end = max((place[1] for place in places), default=0)
        if length != 8 + size + end:
            raise ValueError(f"it has {length} bytes, its header speaks of {8 + size + end}")
        at = 0
        for start, stop, name in places:
            if arrays[name]["dtype"] != "F32":
                raise ValueError(f"{name} is of {arrays[name]['dtype']}; weights are of F32")
            if not all(type(one) is int and one >= 0 for one in (start, stop, *shapes[name])):
                raise ValueError(f"{name} has no shape")
            # Else two arrays could share their bytes, and a small file stand for a large net.
            if start != at or stop - start != 4 * math.prod(shapes[name]):
                raise ValueError(f"{name} has not the bytes of its shape")
            at = stop
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise UserError(f"not a safetensors file ({error})", path=path) from error
    return shapes


def check_size(folder: Path, config: Any, labels: int | None = None) -> None:
    """Refuse a model folder whose config.json asks for another net than its weights, before any memory is taken.

    Args:
        folder: with the weights.
        config: an `ErnieConfig`, a `StudentConfig` or an `EnsembleConfig`.
        labels: size of the classifier that the weights must have too.

    Raises:
        UserError: the weights are no safetensors file, or are not of these sizes.
    """
    from replicate.nets.ensemble_net import MEMBER, EnsembleConfig

    header = read_header(folder / WEIGHTS)
    if not isinstance(config, EnsembleConfig):
        _check_single(folder, header, config, labels)
        return
    for number, (_, single) in enumerate(config.singles()):
        prefix = f"{MEMBER}{number}."
        own = {name.removeprefix(prefix): shape for name, shape in header.items() if name.startswith(prefix)}
        _check_single(folder, own, single, labels)


def _check_single(folder: Path, header: Mapping[str, tuple[int, ...]], config: Any, labels: int | None) -> None:
    from replicate.nets.student_net import StudentConfig

    shapes = {bare(name): shape for name, shape in header.items()}
    try:
        hidden = _check_student(shapes, config) if isinstance(config, StudentConfig) else _check_ernie(shapes, config)
    except ValueError as error:
        raise UserError(str(error), path=folder / "config.json", hint=WRITERS) from error
    if labels is not None and shapes.get("classifier.weight") != (hidden, labels):
        what = "weights do not fit config.json: classifier.weight is missing or has another shape"
        raise UserError(what, path=folder / WEIGHTS)


def _check_ernie(shapes: Mapping[str, tuple[int, ...]], config: Any) -> int:
    """What the classifier reads of a text; ValueError where the encoder is another one."""
    vocabulary, hidden, layers = config.vocab_size, config.hidden_size, config.num_hidden_layers
    embeddings = [shape for name, shape in shapes.items() if name.endswith("embeddings.word_embeddings.weight")]
    if embeddings != [(vocabulary, hidden)]:
        found = " × ".join(map(str, embeddings[0])) if embeddings else "none"
        raise ValueError(f"word embeddings of {vocabulary} × {hidden} are asked for, the weights have {found}")
    numbers = {int(match[1]) for match in map(_LAYER.search, shapes) if match}
    # In this order: nobody can count to any number of layers.
    if len(numbers) != layers or numbers != set(range(layers)):
        raise ValueError(f"{layers} layers are asked for, the weights have {len(numbers)}")
    positions = [shape[0] for name, shape in shapes.items() if name.endswith("position_embeddings.weight") and shape]
    if positions != [positions_of(config)]:
        raise ValueError(f"{positions_of(config)} positions are asked for, the weights have {positions}")
    inner = {shape[-1] for name, shape in shapes.items() if name.endswith(".linear1.weight") and shape}
    if inner != {neurons_of(config, number) for number in (0, layers - 1)}:
        raise ValueError(f"{config.intermediate_size} hidden units are asked for, the weights have {sorted(inner)}")
    if hidden % config.num_attention_heads:
        raise ValueError(f"hidden_size {hidden} is not whole by {config.num_attention_heads} heads")
    for name, shape in ernie_shapes(config):
        if shapes.get(name) != shape:
            found = " × ".join(map(str, shapes[name])) if name in shapes else "none"
            raise ValueError(f"{name} of {' × '.join(map(str, shape))} is asked for, the weights have {found}")
    return int(hidden)


def _check_student(shapes: Mapping[str, tuple[int, ...]], config: Any) -> int:
    """What the classifier reads of a text; ValueError where the encoder or the layer behind it is another one."""
    from replicate.nets.student_net import STUDENT_ENCODER, encoded_size, encoder_parameters

    # Each has an array of its own. In this order: a sum over any number of them would not end.
    for name in ("max_window", "num_layers"):
        if config.shape.get(name, 1) > len(shapes) + 1:
            raise ValueError(f"{name} {config.shape[name]} is asked for, the weights have {len(shapes)} arrays")
    held = sum(math.prod(shape) for name, shape in shapes.items() if name.startswith(STUDENT_ENCODER))
    if held != (wanted := encoder_parameters(config)):
        raise ValueError(f"an encoder of {wanted} parameters is asked for, the weights have {held}")
    encoded, hidden = encoded_size(config), int(config.shape["hidden_size"])
    if shapes.get("dense.weight") != (encoded, hidden):
        raise ValueError(f"a dense layer of {encoded} × {hidden} is asked for, the weights have another one")
    return hidden


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


def origin_of(model: str | Path, encoder: Any) -> dict[str, str]:
    """What a summary says of the net that a training starts from: of a named one, the digest of its encoder.

    A net of the store, which a path stands for, is known by its own stage.
    """
    return {"pretrained": digest_of(weights_of(encoder))} if isinstance(model, str) else {}


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
