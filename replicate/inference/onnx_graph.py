"""An ONNX file, before any library opens it: is it a graph such as `replicate export` writes, and nothing else?

ONNX can name other files to be read as weights, hold graphs inside graphs, and call what a runtime has registered. None
of that is in our exports, so none of it is let in.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.inference.wire import Decoder, Message, Schema, mapped, one, shown, signed

# LayerNormalization is an operator of its own from here on; every ONNX Runtime that this package takes knows it.
OPSET = 17
# Exactly what the exports of every kind of net hold, in fp32 and in 8 bits.
OPERATORS = frozenset(
    "Add Cast Concat ConstantOfShape Conv Div DynamicQuantizeLinear Equal Erf Gather GlobalMaxPool LSTM "
    "LayerNormalization Log MatMul MatMulInteger Mul Not ReduceMax ReduceSum Relu Reshape Shape Slice Softmax Squeeze "
    "Tanh Transpose Unsqueeze".split()
)
# Of the attributes that are words, the values that occur.
_WORDS = frozenset({b"bidirectional"})
_FLOAT, _INT64 = 1, 7
# Bytes of an element of each type that occurs: float, uint8, int8, int32, int64.
_SIZES = {_FLOAT: 4, 2: 1, 3: 1, 6: 4, _INT64: 8}

_NEVER = "never"
_TENSOR: Schema = {
    1: ("dims", "int"),
    2: ("data_type", "int"),
    4: ("float_data", "float"),
    5: ("int32_data", "int"),
    7: ("int64_data", "int"),
    8: ("name", "text"),
    9: ("raw_data", "bytes"),
    13: ("data outside the file", _NEVER),
    14: ("data_location", "int"),
}
_ATTRIBUTE: Schema = {
    1: ("name", "text"),
    2: ("f", "float"),
    3: ("i", "int"),
    4: ("s", "bytes"),
    5: ("t", _TENSOR),
    6: ("a graph in an attribute", _NEVER),
    7: ("floats", "float"),
    8: ("ints", "int"),
    10: ("a list of tensors in an attribute", _NEVER),
    11: ("a graph in an attribute", _NEVER),
    20: ("type", "int"),
    22: ("a sparse tensor", _NEVER),
    23: ("a sparse tensor", _NEVER),
}
_NODE: Schema = {
    1: ("input", "text"),
    2: ("output", "text"),
    3: ("name", "text"),
    4: ("op_type", "text"),
    5: ("attribute", _ATTRIBUTE),
    7: ("domain", "text"),
}
_DIMENSION: Schema = {1: ("dim_value", "int"), 2: ("dim_param", "text")}
_TYPE: Schema = {1: ("tensor_type", {1: ("elem_type", "int"), 2: ("shape", {1: ("dim", _DIMENSION)})})}
_VALUE: Schema = {1: ("name", "text"), 2: ("type", _TYPE)}
_GRAPH: Schema = {
    1: ("node", _NODE),
    2: ("name", "text"),
    5: ("initializer", _TENSOR),
    11: ("input", _VALUE),
    12: ("output", _VALUE),
    13: ("value_info", _VALUE),
    15: ("a sparse tensor", _NEVER),
}
_MODEL: Schema = {
    1: ("ir_version", "int"),
    2: ("producer_name", "text"),
    3: ("producer_version", "text"),
    7: ("graph", _GRAPH),
    8: ("opset_import", {1: ("domain", "text"), 2: ("version", "int")}),
    14: ("metadata_props", {1: ("key", "text"), 2: ("value", "text")}),
    20: ("training information", _NEVER),
    25: ("a function", _NEVER),
}


def check_onnx(path: Path, classes: int) -> None:
    """Refuse an ONNX file that is not a classifier of our operators alone; nothing of it is run.

    Args:
        path: the file.
        classes: number of labels: the length of a row of logits.

    Raises:
        UserError: another operator, data outside the file, a graph in a graph, sizes that don't fit, or no ONNX.
    """
    try:
        _check_model(Decoder().decode(mapped(path), _MODEL), classes)
    except (ValueError, OverflowError, OSError) as error:
        what = f"not a graph that replicate export writes ({error})"
        raise UserError(what, path=path, hint="export it again") from error


def _check_model(model: Message, classes: int) -> None:
    imported = [(one(each, "domain", ""), one(each, "version")) for each in model["opset_import"]]
    if imported != [("", OPSET)]:
        raise ValueError(f"its operators are not those of ONNX {OPSET}")
    graph = one(model, "graph")
    if graph is None:
        raise ValueError("it has no graph")
    for node in graph["node"]:
        kind = one(node, "op_type", "")
        if kind not in OPERATORS or one(node, "domain", ""):
            raise ValueError(f"operator {shown(kind)} is not allowed")
        for attribute in node["attribute"]:
            _check_attribute(attribute)
    for tensor in graph["initializer"]:
        _check_tensor(tensor)
    held = {one(tensor, "name") for tensor in graph["initializer"]}
    inputs = [value for value in graph["input"] if one(value, "name") not in held]
    if [_typed(value) for value in inputs] != [(_INT64, (None, None))]:
        raise ValueError("its input is not one batch of token ids")
    if [_typed(value) for value in graph["output"]] != [(_FLOAT, (None, classes))]:
        raise ValueError(f"its output is not one batch of logits for {classes} labels")


def _check_attribute(attribute: Message) -> None:
    if bytes(one(attribute, "s", b"bidirectional")) not in _WORDS:
        raise ValueError(f"attribute {shown(one(attribute, 'name', ''))} is not allowed")
    for tensor in attribute["t"]:
        _check_tensor(tensor)


def _check_tensor(tensor: Message) -> None:
    name = shown(one(tensor, "name", ""))
    if one(tensor, "data_location", 0) != 0:
        raise ValueError(f"data outside the file ({name}) is not allowed")
    kind, dims = one(tensor, "data_type"), [signed(number) for number in tensor["dims"]]
    if kind not in _SIZES or any(number < 0 for number in dims):
        raise ValueError(f"tensor {name} has a type or a shape that is not allowed")
    given: list[float] = [len(tensor[field]) for field in ("float_data", "int32_data", "int64_data") if tensor[field]]
    raw = one(tensor, "raw_data")
    if raw is not None:
        given.append(len(raw) / _SIZES[kind])
    elements = math.prod(dims)
    if given != [elements] and (given or elements):
        raise ValueError(f"tensor {name} has not the size that it says")


def _typed(value: Message) -> tuple[Any, tuple[Any, ...]] | None:
    """Element type and shape of an input or output, None for each axis that is free."""
    try:
        (tensor,) = one(value, "type")["tensor_type"]
        (shape,) = tensor["shape"]
    except (TypeError, ValueError):
        return None
    return one(tensor, "elem_type"), tuple(one(axis, "dim_value") for axis in shape["dim"])
