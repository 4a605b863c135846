"""An ERNIE in the layout of Hugging Face's Transformers: converted once into a model folder, which is kept and loaded.

Both hold the same arrays. Transformers has the weights of linear maps the other way round, and other names.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.errors import UserError
from replicate.common.files import finished_folder, read_json
from replicate.common.homes import paddlenlp_home
from replicate.common.limits import parse_json
from replicate.nets.configuration import bare, ernie_fields
from replicate.nets.folder import MOST_HEADER, WEIGHTS
from replicate.nets.named import content_of

# Of the encoder, in Transformers' names and in PaddleNLP's; heads are drawn anew.
_NAMES = (
    (r"embeddings\.(word|position|token_type|task_type)_embeddings\.weight", r"embeddings.\1_embeddings.weight"),
    (r"embeddings\.LayerNorm\.(weight|bias)", r"embeddings.layer_norm.\1"),
    (r"encoder\.layer\.(\d+)\.attention\.self\.query\.(weight|bias)", r"encoder.layers.\1.self_attn.q_proj.\2"),
    (r"encoder\.layer\.(\d+)\.attention\.self\.key\.(weight|bias)", r"encoder.layers.\1.self_attn.k_proj.\2"),
    (r"encoder\.layer\.(\d+)\.attention\.self\.value\.(weight|bias)", r"encoder.layers.\1.self_attn.v_proj.\2"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense\.(weight|bias)", r"encoder.layers.\1.self_attn.out_proj.\2"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.LayerNorm\.(weight|bias)", r"encoder.layers.\1.norm1.\2"),
    (r"encoder\.layer\.(\d+)\.intermediate\.dense\.(weight|bias)", r"encoder.layers.\1.linear1.\2"),
    (r"encoder\.layer\.(\d+)\.output\.dense\.(weight|bias)", r"encoder.layers.\1.linear2.\2"),
    (r"encoder\.layer\.(\d+)\.output\.LayerNorm\.(weight|bias)", r"encoder.layers.\1.norm2.\2"),
    (r"pooler\.dense\.(weight|bias)", r"pooler.dense.\1"),
)
_PATTERNS = tuple((re.compile(theirs, re.ASCII), ours) for theirs, ours in _NAMES)
_LINEAR = re.compile(r"(_proj|linear[12]|dense)\.weight$")
_THEIRS = re.compile(r"encoder\.layer\.\d+\.")
# What `from_pretrained` of the older versions needs, and what no new one writes.
_OTHER = ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack")


def is_hugging_face(folder: Path) -> bool:
    """Whether a folder's weights have Transformers' names; False too where there are none."""
    try:
        with (folder / WEIGHTS).open("rb") as file:
            header = parse_json(file.read(min(int.from_bytes(file.read(8), "little"), MOST_HEADER)))
        return any(_THEIRS.search(name) for name in header)
    except (OSError, ValueError, TypeError, RecursionError):
        return any((folder / name).is_file() for name in _OTHER) and not (folder / WEIGHTS).exists()


def converted(folder: Path) -> Path:
    """The model folder that a Hugging Face folder becomes, made when it is first asked for; its content names it.

    Raises:
        UserError: a file is missing, is none of an ERNIE's, or isn't in single precision.
    """
    for name in ("config.json", WEIGHTS, "vocab.txt"):
        if not (folder / name).is_file():
            raise UserError(f"no {name}", path=folder, hint="save the net as safetensors, with its tokenizer, again")
    target = paddlenlp_home() / "models" / f"converted-{content_of(folder)[:16]}"
    if target.is_dir():
        return target
    config, arrays = _fields(folder / "config.json"), _arrays(folder / WEIGHTS)
    target.parent.mkdir(parents=True, exist_ok=True)
    from safetensors.numpy import save_file

    with finished_folder(target) as made:
        save_file(arrays, made / WEIGHTS)
        (made / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        shutil.copyfile(folder / "vocab.txt", made / "vocab.txt")
    return target


def _fields(path: Path) -> dict[str, Any]:
    """What its configuration says that makes an ERNIE."""
    try:
        found = read_json(path)
    except ValueError as error:
        raise UserError(str(error), path=path) from error
    kind = found.get("model_type") if isinstance(found, Mapping) else None
    if kind != "ernie":
        raise UserError(f"model_type is {kind!r}", path=path, hint="only an ERNIE is converted")
    try:
        return {"model_type": "ernie", **ernie_fields(found)}
    except ValueError as error:
        raise UserError(f"not a model configuration ({error})", path=path) from error


def _arrays(path: Path) -> dict[str, NDArray[np.float32]]:
    """The encoder's arrays under PaddleNLP's names."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found = load_file(path)
    except (SafetensorError, OSError, TypeError, KeyError) as error:
        raise UserError(f"not a safetensors file of NumPy's types ({error})", path=path) from error
    arrays = {}
    for name, value in found.items():
        for theirs, ours in _PATTERNS:
            if match := theirs.fullmatch(bare(name)):
                if value.dtype != np.float32:
                    raise UserError(f"{name} is of {value.dtype}; weights are of float32", path=path)
                renamed = match.expand(ours)
                turned = value.T if _LINEAR.search(renamed) else value
                arrays[f"ernie.{renamed}"] = np.ascontiguousarray(turned)
    return arrays
