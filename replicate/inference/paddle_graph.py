"""A static graph of Paddle with its weights, before Paddle opens it: is it such as `replicate export` writes?

Paddle has operators that write files, load libraries, open connections and call Python. An exported classifier has
none, so what is allowed is named and everything else is refused.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError
from replicate.inference.wire import Decoder, Message, Schema, mapped, one, shown, signed

# Exactly what the exports of every kind of net hold, in fp32 and in 8 bits: each operator with the variables that it
# reads and writes. One for each name, but none after `-`, one or more after `+`, any number after `*`. Where Paddle
# expects one that is not there, it may read memory that is none of its own.
_SLOTS = {
    "cast": ("X", "Out"),
    "concat": ("X+ AxisTensor-", "Out"),
    "conv2d": ("Input Filter", "Output"),
    "dropout": ("X Seed-", "Out"),
    "elementwise_add": ("X Y", "Out"),
    "elementwise_mul": ("X Y", "Out"),
    "equal": ("X Y", "Out"),
    "fake_channel_wise_dequantize_max_abs": ("X Scales+", "Out"),
    "fake_quantize_dequantize_moving_average_abs_max": ("X InScale", "Out OutScale"),
    "fake_quantize_range_abs_max": ("X InScale", "Out OutScale"),
    "feed": ("X", "Out"),
    "fetch": ("X", "Out"),
    "fill_constant": ("ShapeTensor- ShapeTensorList* ValueTensor-", "Out"),
    "gelu": ("X", "Out"),
    "layer_norm": ("X Scale Bias", "Y Mean Variance"),
    "log": ("X", "Out"),
    "lookup_table_v2": ("Ids W", "Out"),
    "matmul_v2": ("X Y", "Out"),
    "max_pool2d_with_index": ("X", "Out Mask"),
    "not_equal": ("X Y", "Out"),
    "reduce_max": ("X", "Out"),
    "reduce_sum": ("X", "Out"),
    "relu": ("X", "Out"),
    "reshape2": ("X Shape- ShapeTensor-", "Out XShape"),
    "rnn": ("Input PreState+ SequenceLength WeightList+", "Out State+ Reserve DropoutState"),
    "scale": ("X ScaleTensor- BiasTensor-", "Out"),
    "shape": ("Input", "Out"),
    "slice": ("Input StartsTensor- StartsTensorList- EndsTensor- EndsTensorList*", "Out"),
    "softmax": ("X", "Out"),
    "squeeze2": ("X", "Out"),
    "tanh": ("X", "Out"),
    "transpose2": ("X", "Out"),
    "unsqueeze2": ("X AxesTensor- AxesTensorList-", "Out"),
}
OPERATORS = frozenset(_SLOTS)
# Attributes that are words, with the values that they may have; None is any, since Paddle only prints them.
_WORDS: dict[str, frozenset[str] | None] = {
    "data_format": frozenset({"AnyLayout", "NCHW"}),
    "dropout_implementation": frozenset({"upscale_in_train"}),
    "mkldnn_data_type": frozenset({"float32"}),
    "mode": frozenset({"LSTM"}),
    "op_callstack": None,
    "op_namescope": frozenset({"/"}),
    "padding_algorithm": frozenset({"EXPLICIT"}),
    "quantization_type": frozenset({"post_hist"}),
}
# Types of variables: a tensor, and what `feed` and `fetch` go through.
_TENSOR, _FEED, _FETCH = 7, 9, 10
_INT64, _FLOAT = 3, 5
# Bytes of an element of each type: bool, int32, int64, float, int8.
_SIZES = {0: 1, 2: 4, _INT64: 8, _FLOAT: 4, 21: 1}
# Bytes of a tensor's description in model.pdiparams; a longer one is none.
_MOST_DESCRIPTION = 1 << 12

_WAYS = ("inputs", "outputs")
_NEVER = "never"
_TENSOR_DESC: Schema = {1: ("data_type", "int"), 2: ("dims", "int")}
_TYPE: Schema = {
    1: ("type", "int"),
    3: ("lod_tensor", {1: ("tensor", _TENSOR_DESC), 2: ("lod_level", "int")}),
}
_VAR: Schema = {
    1: ("name", "text"),
    2: ("type", _TYPE),
    3: ("persistable", "int"),
    4: ("need_check_feed", "int"),
    5: ("is_parameter", "int"),
    6: ("stop_gradient", "int"),
}
_ATTRIBUTE: Schema = {
    1: ("name", "text"),
    2: ("type", "int"),
    3: ("i", "int"),
    4: ("f", "float"),
    5: ("s", "text"),
    6: ("ints", "int"),
    7: ("floats", "float"),
    8: ("strings", "text"),
    10: ("b", "int"),
    11: ("bools", "int"),
    12: ("a graph in an attribute", _NEVER),
    13: ("l", "int"),
    14: ("a graph in an attribute", _NEVER),
    15: ("longs", "int"),
}
_ARGUMENTS: Schema = {1: ("parameter", "text"), 2: ("arguments", "text")}
_OP: Schema = {
    1: ("inputs", _ARGUMENTS),
    2: ("outputs", _ARGUMENTS),
    3: ("type", "text"),
    4: ("attrs", _ATTRIBUTE),
    5: ("is_target", "int"),
}
_VERSIONS: Schema = {1: ("pair", {1: ("op_name", "text"), 2: ("op_version", {1: ("version", "int")})})}
_PROGRAM: Schema = {
    1: (
        "blocks",
        {
            1: ("idx", "int"),
            2: ("parent_idx", "int"),
            3: ("vars", _VAR),
            4: ("ops", _OP),
            5: ("forward_block_idx", "int"),
        },
    ),
    4: ("version", {1: ("version", "int")}),
    5: ("op_version_map", _VERSIONS),
}


def check_paddle(graph: Path, weights: Path, classes: int) -> None:
    """Refuse a static graph that is not a classifier of our operators alone; nothing of it is run.

    Args:
        graph: `model.pdmodel`.
        weights: `model.pdiparams`.
        classes: number of labels: the length of a row of logits.

    Raises:
        UserError: another operator, a graph in a graph, sizes that don't fit, weights of another graph, or no graph.
    """
    held = []
    for path, check in ((graph, lambda data: held.extend(_program(data, classes))), (weights, _weights_of(held))):
        try:
            check(mapped(path))
        except (ValueError, OverflowError, struct.error, OSError) as error:
            what = f"not what replicate export writes ({error})"
            raise UserError(what, path=path, hint="export it again") from error


def _program(data: memoryview, classes: int) -> list[tuple[str, int, tuple[int, ...]]]:
    """Name, element type and shape of each weight of a graph."""
    program = Decoder().decode(data, _PROGRAM)
    if len(program["blocks"]) != 1:
        raise ValueError(f"it has {len(program['blocks'])} blocks")
    (block,) = program["blocks"]
    variables: dict[str, tuple[int, int, tuple[int, ...]]] = {}
    weights = []
    for variable in block["vars"]:
        name, described = one(variable, "name", ""), _described(one(variable, "type"))
        if not name or name in variables:
            raise ValueError(f"variable {shown(name)} is there twice")
        variables[name] = described
        if one(variable, "persistable", 0) and described[0] == _TENSOR:
            weights.append((name, *described[1:]))
    operators = [(one(operator, "type", ""), operator) for operator in block["ops"]]
    known = {name for name, *_ in weights} | {name for name, (kind, *_) in variables.items() if kind != _TENSOR}
    for kind, operator in operators:
        if kind not in OPERATORS:
            raise ValueError(f"operator {shown(kind)} is not allowed")
        for attribute in operator["attrs"]:
            _check_attribute(attribute)
        read, written = (_slots(kind, operator[way], wanted) for way, wanted in zip(_WAYS, _SLOTS[kind], strict=True))
        for name in (*read, *written):
            if name not in variables or (name in read and name not in known):
                raise ValueError(f"operator {kind} names {shown(name)}, which is not there")
        # The quantisers write their ranges again, and one name may stand for what `scale` reads and gives.
        if any(name in known and name not in read and variables[name][0] == _TENSOR for name in written):
            raise ValueError(f"operator {kind} writes what is written already")
        known.update(written)
    kinds = [kind for kind, _ in operators]
    if len(kinds) < 2 or (kinds.index("feed"), kinds.index("fetch")) != (0, len(kinds) - 1):
        raise ValueError("it does not begin with its input and end with its output")
    if kinds.count("feed") > 1 or variables[_only(operators[0][1]["outputs"])] != (_TENSOR, _INT64, (-1, -1)):
        raise ValueError("its input is not one batch of token ids")
    if variables[_only(operators[-1][1]["inputs"])] != (_TENSOR, _FLOAT, (-1, classes)):
        raise ValueError(f"its output is not one batch of logits for {classes} labels")
    return sorted(weights)


def _slots(kind: str, given: list[Message], wanted: str) -> list[str]:
    """The variables that an operator reads, or writes; refused (ValueError) where they are not those that it needs."""
    found: dict[str, list[str]] = {}
    for slot in given:
        name = one(slot, "parameter", "")
        if name in found:
            raise ValueError(f"operator {kind} has {shown(name)} twice")
        found[name] = slot["arguments"]
    for word in wanted.split():
        count = len(found.get(word.rstrip("-+*"), ()))
        fits = {"-": count == 0, "+": count > 0, "*": True}.get(word[-1], count == 1)
        if not fits:
            raise ValueError(f"operator {kind} has {count} of {word.rstrip('-+*')}")
    if strangers := found.keys() - {word.rstrip("-+*") for word in wanted.split()}:
        raise ValueError(f"operator {kind} has {shown(min(strangers))}")
    return [name for names in found.values() for name in names]


def _only(given: list[Message]) -> str:
    (name,) = (name for slot in given for name in slot["arguments"])
    return str(name)


def _described(kind: Message | None) -> tuple[int, int, tuple[int, ...]]:
    """Type, element type and shape of a variable."""
    number = None if kind is None else one(kind, "type")
    if kind is None or number not in (_TENSOR, _FEED, _FETCH):
        raise ValueError(f"a variable of type {number} is not allowed")
    tensor = one(one(kind, "lod_tensor") or {"tensor": []}, "tensor")
    if tensor is None:
        if number == _TENSOR:
            raise ValueError("a tensor has no shape")
        return number, -1, ()
    return number, one(tensor, "data_type", -1), tuple(signed(size) for size in tensor["dims"])


def _check_attribute(attribute: Message) -> None:
    name, word = one(attribute, "name", ""), one(attribute, "s", "")
    allowed = _WORDS.get(name, frozenset())
    if name == "str_value":
        # The number of `fill_constant`, as text.
        float(word or 0)
    elif allowed is not None and ((word and word not in allowed) or any(attribute["strings"])):
        raise ValueError(f"attribute {shown(name)} is not allowed to be {shown(word)}")


def _weights_of(held: list[tuple[str, int, tuple[int, ...]]]) -> Any:
    """A check that a file of weights holds exactly these, in the order in which Paddle reads them."""

    def check(data: memoryview) -> None:
        position = 0
        for name, kind, shape in held:
            # Version, levels of detail, version of the tensor, length of its description.
            version, levels, inner, size = struct.unpack_from("<IQIi", data, position)
            position += struct.calcsize("<IQIi")
            if version or levels or inner or not 0 <= size <= min(_MOST_DESCRIPTION, len(data) - position):
                raise ValueError(f"{shown(name)} is not described")
            described = Decoder().decode(data[position : position + size], _TENSOR_DESC)
            found = one(described, "data_type"), tuple(signed(number) for number in described["dims"])
            if found != (kind, shape) or kind not in _SIZES or any(number < 0 for number in shape):
                raise ValueError(f"{shown(name)} has another type or shape than in the graph")
            position += size + math.prod(shape) * _SIZES[kind]
        if position != len(data):
            raise ValueError(f"it has {len(data)} bytes, the graph's weights have {position}")

    return check
