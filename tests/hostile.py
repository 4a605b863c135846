"""Exported folders changed by somebody who means harm: each file is what its manifest says, and none is ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from replicate.inference.exported import MANIFEST, describe
from replicate.nets import upstream
from tests.tiny import ARCHITECTURE

# Of the nets that are exported and then changed.
LABELS = ("a", "b", "c")
SHAPE = {**ARCHITECTURE, "num_hidden_layers": 2, "vocab_size": 60, "max_position_embeddings": 128, "type_vocab_size": 2}


def sealed(folder: Path) -> Path:
    """The folder with a manifest that agrees with its files, whatever they are."""
    path = folder / MANIFEST
    fields = json.loads(path.read_text(encoding="utf-8"))
    fields["files"] = describe(folder)
    path.write_text(json.dumps(fields), encoding="utf-8")
    return folder


def change_program(folder: Path, change: Callable[[Any], object]) -> Path:
    """Change a static graph, and seal its folder."""
    upstream.quiet()
    from paddle.base.proto.framework_pb2 import ProgramDesc

    path = folder / "model.pdmodel"
    program = ProgramDesc.FromString(path.read_bytes())
    change(program)
    path.write_bytes(program.SerializeToString())
    return sealed(folder)


def change_onnx(folder: Path, change: Callable[[Any], object]) -> Path:
    """Change an ONNX file, and seal its folder."""
    import onnx

    path = folder / "model.onnx"
    model = onnx.load(path, load_external_data=False)
    change(model)
    path.write_bytes(model.SerializeToString())
    return sealed(folder)


def add_operator(program: Any, kind: str, **strings: str) -> None:
    """Put an operator that reads the logits before the end of a static graph."""
    operators = program.blocks[0].ops
    logits = operators[-1].inputs[0].arguments[0]
    operators.insert(len(operators) - 1, type(operators[0])())
    added = operators[-2]
    added.type = kind
    source = added.inputs.add()
    source.parameter = "X"
    source.arguments.append(logits)
    for name, value in strings.items():
        attribute = added.attrs.add()
        # 2 is a string.
        attribute.name, attribute.type, attribute.s = name, 2, value
