"""An exported folder that somebody else made can't act: its graph is ours in every operator, or it is not opened."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from replicate.commands.main import main
from replicate.common.errors import UserError
from replicate.inference import onnx_graph, paddle_graph
from replicate.inference.export import export
from replicate.inference.exported import MANIFEST
from replicate.inference.runtime import open_runtime
from replicate.inference.wire import Decoder, one, shown, signed
from replicate.nets.classifier import load_classifier
from replicate.nets.device import seed_everything
from replicate.nets.ensemble_net import JOINS
from replicate.nets.ensembles import build_ensemble
from replicate.nets.folder import save_model, weights_of
from replicate.nets.student_net import StudentConfig, shape_of, student_class
from replicate.timing.random_net import random_model
from tests.hostile import LABELS, SHAPE, add_operator, change_onnx, change_program, sealed
from tests.tiny import Made

# What an ERNIE may differ in: its activation, whether tokens have a type or a task, what was pruned, how deep it is.
ERNIES: Mapping[str, tuple[Mapping[str, Any], Fraction | None]] = {
    "gelu": ({}, None),
    "relu": ({"hidden_act": "relu"}, None),
    "task": ({"use_task_id": True, "task_type_vocab_size": 3, "type_vocab_size": 0}, None),
    "pruned": ({}, Fraction(1, 2)),
    "depth": ({"num_hidden_layers": 1}, Fraction(2, 3)),
}
STUDENTS: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "bow": ("bow", {}),
    "cnn": ("cnn", {}),
    "bilstm": ("bilstm", {}),
    "bilstm-2": ("bilstm", {"num_layers": 2}),
}

# What is told of a model without an answer.
NO_NUMBER = "the model's answer is not a number; its training diverged, or its files are damaged"


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every kind of net in both formats, and an ERNIE in 8 bits too."""
    root, found = tmp_path_factory.mktemp("exports"), {}
    for name, (changes, width) in ERNIES.items():
        random_model({**SHAPE, **changes}, width, LABELS, root / name)
    tokenizer = load_classifier(root / "gelu").tokenizer
    for name, (student, shape) in STUDENTS.items():
        seed_everything(1)
        config = StudentConfig(student, shape_of(student, shape), 60, len(LABELS), 0, 128)
        save_model(student_class()(config), tokenizer, root / name, LABELS)
    for how in JOINS:
        made = build_ensemble({name: load_classifier(root / name) for name in ("gelu", "bilstm")}, how)
        save_model(made.network, made.tokenizer, root / how, LABELS)
    for name in (*ERNIES, *STUDENTS, *JOINS):
        for kind in ("paddle", "onnx"):
            for int8 in (False, True)[: 2 if name in ("gelu", "pruned") else 1]:
                label = f"{name}-{kind}{'-int8' if int8 else ''}"
                export(root / name, root / label, kind, int8, ["t1 t2 t3", "t4"] * 8 if int8 else ())
                found[label] = root / label
    return found


@pytest.fixture
def copied(exports: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of an export that may be changed."""
    return lambda name: Path(shutil.copytree(exports[name], tmp_path / name))


def test_every_export_is_let_in_and_nothing_more(exports: dict[str, Path]) -> None:
    """The operators that are allowed are exactly those of the exports; a list that is longer would be a hole."""
    paddle, onnx_names = set(), set()
    for name, folder in exports.items():
        runtime = open_runtime(folder, threads=1)
        assert runtime.logits(np.ones((2, 5), dtype=np.int64)).shape == (2, len(LABELS)), name
        if "onnx" in name:
            onnx_names |= {node.op_type for node in onnx.load(folder / "model.onnx").graph.node}
        else:
            from paddle.base.proto.framework_pb2 import ProgramDesc

            program = ProgramDesc.FromString((folder / "model.pdmodel").read_bytes())
            paddle |= {operator.type for block in program.blocks for operator in block.ops}
    assert onnx_names == onnx_graph.OPERATORS
    assert paddle == paddle_graph.OPERATORS


def test_export_tells_nothing_of_this_machine(exports: dict[str, Path]) -> None:
    """No file of an export holds a path; Paddle's quantiser would note where it was called from."""
    for folder in exports.values():
        for path in folder.iterdir():
            assert b".py" not in path.read_bytes(), path


def refused(folder: Path, words: str) -> None:
    """Opening the folder is refused in one line that has these words, and nothing of it is run."""
    with pytest.raises(UserError, match=words) as caught:
        open_runtime(folder, threads=1).logits(np.ones((2, 5), dtype=np.int64))
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["gelu-paddle", "gelu-paddle-int8", "cnn-paddle"])
def test_save_operator_writes_nothing(copied: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    """Paddle's `save` would write the logits into any file that the user may write."""
    victim = tmp_path / "victim"
    victim.write_text("thesis", encoding="utf-8")
    folder = change_program(copied(name), lambda program: add_operator(program, "save", file_path=str(victim)))
    try:
        refused(folder, r"model\.pdmodel: not what replicate export writes \(operator 'save' is not allowed\)")
    finally:
        assert victim.read_text(encoding="utf-8") == "thesis"


@pytest.mark.parametrize(
    "kind", ["save_combine", "load", "py_func", "print", "while", "run_program", "send", "Add", ""]
)
def test_other_operators_of_paddle(copied: Callable[[str], Path], kind: str) -> None:
    """Whatever else acts, and what is none, is refused by its name."""
    refused(change_program(copied("bow-paddle"), lambda program: add_operator(program, kind)), "is not allowed")


def _block(program: Any) -> None:
    program.blocks.add().CopyFrom(program.blocks[0])
    program.blocks[1].idx, program.blocks[1].parent_idx = 1, 0


def _sub_block(program: Any) -> None:
    attribute = program.blocks[0].ops[1].attrs.add()
    # 8 is a block.
    attribute.name, attribute.type, attribute.block_idx = "sub_block", 8, 0


def _path(program: Any) -> None:
    attribute = program.blocks[0].ops[1].attrs.add()
    attribute.name, attribute.type, attribute.s = "file_path", 2, "/etc/passwd"


def _endpoint(program: Any) -> None:
    attribute = program.blocks[0].ops[1].attrs.add()
    # 5 are strings.
    attribute.name, attribute.type = "epmap", 5
    attribute.strings.append("127.0.0.1:80")


def _unknown(program: Any) -> None:
    next(one for one in program.blocks[0].ops if one.type == "matmul_v2").inputs[0].arguments[0] = "nowhere"


def _reader(program: Any) -> None:
    variable = program.blocks[0].vars.add()
    # 15 is a reader.
    variable.name, variable.type.type = "reader", 15


def _two_outputs(program: Any) -> None:
    last = program.blocks[0].ops[-1]
    program.blocks[0].ops.add().CopyFrom(last)


def _after(program: Any) -> None:
    # Paddle reads beyond its list of operators where one comes after the last.
    found = next(one for one in program.blocks[0].ops if one.type == "scale")
    program.blocks[0].ops.add().CopyFrom(found)
    program.blocks[0].ops[-1].outputs[0].arguments[0] = "more"
    program.blocks[0].vars.add().CopyFrom(program.blocks[0].vars[0])
    program.blocks[0].vars[-1].name = "more"


def _product(program: Any) -> Any:
    return next(one for one in program.blocks[0].ops if one.type == "matmul_v2")


def _lacking(program: Any) -> None:
    product = _product(program)
    product.inputs.remove(next(one for one in product.inputs if one.parameter == "Y"))


def _more(program: Any) -> None:
    added = _product(program).inputs.add()
    added.parameter = "Z"
    added.arguments.append("input_ids")


def _written(program: Any) -> None:
    _product(program).outputs[0].arguments[0] = "input_ids"


def _huge(program: Any) -> None:
    weight = next(one for one in program.blocks[0].vars if one.persistable and one.type.type == 7)
    # Paddle 3 has another name for it.
    name = next(one for one in ("dense_tensor", "lod_tensor") if one in weight.type.DESCRIPTOR.fields_by_name)
    getattr(weight.type, name).tensor.dims[0] = 1 << 40


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_block, "it has 2 blocks"),
        (_sub_block, "a graph in an attribute is not allowed"),
        (_path, "attribute 'file_path' is not allowed"),
        (_endpoint, "attribute 'epmap' is not allowed"),
        (_unknown, "names 'nowhere', which is not there"),
        (_reader, "a variable of type 15 is not allowed"),
        (_two_outputs, "does not begin with its input and end with its output"),
        (_after, "does not begin with its input and end with its output"),
        (_lacking, "operator matmul_v2 has 0 of Y"),
        (_more, "operator matmul_v2 has 'Z'"),
        (_written, "operator matmul_v2 writes what is written already"),
        (_huge, "another type or shape than in the graph"),
    ],
)
def test_static_graph_is_ours_in_every_part(
    copied: Callable[[str], Path], change: Callable[[Any], None], words: str
) -> None:
    """Graphs in graphs, paths, addresses, other variables, outputs and sizes are refused before anything is run."""
    refused(change_program(copied("gelu-paddle"), change), words)


@pytest.mark.parametrize("cut", [1, 1000])
def test_weights_are_those_of_the_graph(copied: Callable[[str], Path], cut: int) -> None:
    """A file of weights that is too short or too long for its graph is refused, not read beyond its end."""
    folder = copied("gelu-paddle")
    path = folder / "model.pdiparams"
    whole = path.read_bytes()
    for changed in (whole[:-cut], whole + b"\0" * cut, whole[cut:]):
        path.write_bytes(changed)
        refused(sealed(folder), r"model\.pdiparams: not what replicate export writes")


def _external(tensor: Any, secret: Path) -> None:
    tensor.ClearField("raw_data")
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", os.path.relpath(secret, "/")), ("offset", "0"), ("length", "576")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def test_external_data_reads_nothing(copied: Callable[[str], Path], tmp_path: Path) -> None:
    """ONNX would read the weights from any file beside or above the model, and its bytes would show in the answers."""
    secret = tmp_path / "secret"
    secret.write_bytes(np.full(4096, 7.0, dtype=np.float32).tobytes())

    def change(model: Any) -> None:
        tensor = next(one for one in model.graph.initializer if list(one.dims) == [48, 3])
        _external(tensor, secret)
        tensor.external_data[0].value = os.path.relpath(secret, tmp_path / "gelu-onnx")

    folder = change_onnx(copied("gelu-onnx"), change)
    refused(folder, r"model\.onnx: not a graph that replicate export writes \(data outside the file")


def _node(model: Any, node: Any) -> None:
    model.graph.node.insert(0, node)


def _sub_graph(model: Any) -> None:
    inner = helper.make_graph([], "inner", [], [], [helper.make_tensor("x", TensorProto.FLOAT, [1], [1.0])])
    _external(inner.initializer[0], Path("/etc/passwd"))
    node = helper.make_node("Relu", ["input_ids"], ["more"])
    node.attribute.append(helper.make_attribute("then_branch", inner))
    _node(model, node)


def _sparse(model: Any) -> None:
    values = helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [3]))


def _function(model: Any) -> None:
    imported = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("custom", "Add", ["a"], ["b"], [], imported))


def _domain(model: Any) -> None:
    model.opset_import.append(helper.make_opsetid("custom", 1))
    _node(model, helper.make_node("Add", ["input_ids", "input_ids"], ["more"], domain="custom"))


def _constant(model: Any) -> None:
    tensor = helper.make_tensor("x", TensorProto.FLOAT, [1], [1.0])
    _external(tensor, Path("/etc/passwd"))
    node = helper.make_node("ConstantOfShape", ["input_ids"], ["more"])
    node.attribute.append(helper.make_attribute("value", tensor))
    _node(model, node)


def _second_output(model: Any) -> None:
    model.graph.output.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["batch", 3]))


def _classes(model: Any) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 4


def _second_input(model: Any) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.INT64, ["batch", "length"]))


def _dimensions(model: Any) -> None:
    model.graph.initializer[0].dims[:] = [1 << 40, 1 << 40]


def _training(model: Any) -> None:
    model.training_info.add().algorithm.name = "x"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda model: _external(model.graph.initializer[0], Path("/etc/passwd")), "data outside the file"),
        (_constant, "data outside the file"),
        (_sub_graph, "a graph in an attribute is not allowed"),
        (_sparse, "a sparse tensor is not allowed"),
        (_function, "a function is not allowed"),
        (_domain, "its operators are not those of ONNX 17"),
        (
            lambda model: _node(model, helper.make_node("Add", ["a"], ["b"], domain="x")),
            "operator 'Add' is not allowed",
        ),
        (lambda model: _node(model, helper.make_node("If", ["a"], ["b"])), "operator 'If' is not allowed"),
        (lambda model: _node(model, helper.make_node("\x1b[2J甲", ["a"], ["b"])), r"operator '.x1b\[2J.u7532' is not"),
        (_second_output, "its output is not one batch of logits for 3 labels"),
        (_classes, "its output is not one batch of logits for 3 labels"),
        (_second_input, "its input is not one batch of token ids"),
        (_dimensions, "has not the size that it says"),
        (_training, "training information is not allowed"),
        (lambda model: model.opset_import[0].__setattr__("version", 21), "its operators are not those of ONNX 17"),
    ],
)
def test_onnx_graph_is_ours_in_every_part(
    copied: Callable[[str], Path], change: Callable[[Any], None], words: str
) -> None:
    """Data elsewhere wherever it is named, graphs in graphs, functions, other operators, outputs and sizes."""
    refused(change_onnx(copied("gelu-onnx"), change), words)


@pytest.mark.parametrize("name", ["bow-onnx", "bow-paddle", "gelu-paddle-int8", "gelu-onnx-int8"])
@pytest.mark.parametrize("labels", ["", "a\nb\n", "a\nb\nc\nd\n"])
def test_labels_must_fit_the_graph(copied: Callable[[str], Path], name: str, labels: str) -> None:
    """A graph that gives more or fewer numbers than there are labels is refused when it is opened."""
    folder = copied(name)
    (folder / "label.txt").write_text(labels, encoding="utf-8")
    refused(sealed(folder), "its output is not one batch of logits for|label")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weights", "<script>alert(1)</script>"),
        ("weights", "0" * 63),
        ("weights", None),
        ("kind", ["paddle"]),
        ("precision", {"a": 1}),
        ("parameters", -1),
        ("parameters", 1.5),
        ("parameters", float("inf")),
        ("max_difference", "\x1b[2J"),
        ("agreement", [1]),
        ("probe", "many"),
        ("versions", {"<b>": "1"}),
        ("versions", {"onnx": "`rm`"}),
        ("versions", []),
        ("files", {"..": {"sha256": "0" * 64, "bytes": 1}}),
        ("files", {"a\x1b[2J": {"sha256": "0" * 64, "bytes": 1}}),
        ("files", {"": {"sha256": "0" * 64, "bytes": 1}}),
        ("files", {"a": {"sha256": "0" * 64, "bytes": True}}),
    ],
)
def test_words_of_the_manifest_are_plain(copied: Callable[[str], Path], field: str, value: object) -> None:
    """What is served, printed or opened by its name is a digest, a number or a plain name, or the folder is refused."""
    folder = copied("bow-onnx")
    fields = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    fields[field] = {**fields[field], **value} if field == "files" and isinstance(value, dict) else value
    (folder / MANIFEST).write_text(json.dumps(fields), encoding="utf-8")
    what = "not JSON: Infinity is no number" if value == float("inf") else "not a manifest of an export"
    refused(folder, rf"manifest\.json: {what}")


@pytest.mark.parametrize("positions", [None, "128", 2, 1 << 40, [], -1, 1e3])
def test_positions_are_a_sensible_number(copied: Callable[[str], Path], positions: object) -> None:
    """How long a text may be is checked before a text is cut to it."""
    folder = copied("bow-onnx")
    fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**fields, "max_position_embeddings": positions}), encoding="utf-8")
    refused(sealed(folder), r"config\.json: not a model configuration")
    (folder / "config.json").write_text("[]", encoding="utf-8")
    refused(sealed(folder), r"config\.json: not a model configuration")


@pytest.mark.parametrize("name", ["bow-onnx", "gelu-paddle"])
def test_links_that_lead_out_are_not_followed(copied: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    """A file of the folder that lies elsewhere, or is a pipe, is refused; one that a link inside names is not."""
    folder = copied(name)
    (tmp_path / "label.txt").write_text("a\nb\nc\n", encoding="utf-8")
    (folder / "label.txt").unlink()
    (folder / "label.txt").symlink_to(tmp_path / "label.txt")
    refused(sealed(folder), r"label\.txt: a link that leads out of the folder is not followed")
    (folder / "label.txt").unlink()
    os.mkfifo(folder / "label.txt")
    refused(folder, r"label\.txt: neither a file nor a folder")
    (folder / "label.txt").unlink()
    (folder / "names").write_text("a\nb\nc\n", encoding="utf-8")
    (folder / "label.txt").symlink_to("names")
    assert open_runtime(sealed(folder), threads=1).labels == LABELS


@pytest.mark.parametrize("name", ["bow-onnx", "gelu-paddle"])
def test_a_token_that_stands_twice(copied: Callable[[str], Path], name: str) -> None:
    """Lines count, not tokens: of one that is there twice the last is read, and its number must be one of the net's."""
    folder = copied(name)
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    (folder / "vocab.txt").write_text("\n".join([*lines[:-1], *["twice"] * 10, lines[-1]]), encoding="utf-8")
    refused(sealed(folder), r"vocab\.txt: \d+ tokens, but the net has")


def test_links_of_a_model_folder(finetuned: Made, tmp_path: Path) -> None:
    """So is a net's own folder; the folder itself may be a link."""
    folder = Path(shutil.copytree(finetuned.folder, tmp_path / "copy"))
    (tmp_path / "link").symlink_to(folder)
    assert open_runtime(tmp_path / "link").name == "dygraph"
    (folder / "config.json").rename(tmp_path / "config.json")
    (folder / "config.json").symlink_to("../config.json")
    refused(folder, r"config\.json: a link that leads out of the folder is not followed")


@pytest.mark.parametrize("form", ["--json", None])
def test_predict_tells_logits_that_are_no_numbers(
    finetuned: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str | None
) -> None:
    """A net whose weights are no numbers has no answer: one line and exit code 2."""
    classifier = load_classifier(finetuned.folder)
    weights = weights_of(classifier.network)
    weights["classifier.bias"][:] = np.nan
    classifier.network.set_state_dict(weights)
    save_model(classifier.network, classifier.tokenizer, tmp_path / "net", classifier.labels)
    assert main(["predict", str(tmp_path / "net"), "--text", "胃疼", *([form] if form else [])]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert NO_NUMBER in told.err
    assert main(["serve", str(tmp_path / "net"), "--port", "0"]) == 2
    assert NO_NUMBER.partition(";")[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x08", "it is cut off"),
        (b"\x08" + b"\xff" * 9 + b"\x7f", "a number is too long"),
        (b"\x12\x05ab", "it is cut off"),
        (b"\x0b", "number is of another type"),
        (b"\x0d\0\0\0\0", "number is of another type"),
        (b"\x10\x01", "word is of another type"),
        (b"\x12\x01\xff", "codec can't decode"),
        (b"\x1a\x02\x08\x01", "third is not allowed"),
        (b"\x22\x00", "field 4 is not allowed"),
        (b"\x00\x00", "field 0 is not allowed"),
        (b"\x08\x01" * 50, "it has too many parts"),
        (b"\x0a\x64" + b"\x01" * 100, "it has too many parts"),
    ],
)
def test_wire_is_read_strictly(data: bytes, words: str) -> None:
    """What protobuf would skip, guess or grow is refused."""
    schema = {1: ("number", "int"), 2: ("word", "text"), 3: ("third", "never")}
    with pytest.raises(ValueError, match=words):
        Decoder(40).decode(memoryview(data), schema)


def test_wire_gives_what_is_there() -> None:
    """Numbers packed or not, words, floats and messages in messages; of two values of one field neither is taken."""
    schema = {1: ("number", "int"), 2: ("word", "text"), 3: ("inner", {1: ("x", "float")}), 4: ("data", "bytes")}
    data = b"\x08\x96\x01\x0a\x02\x01\x02\x12\x03abc\x1a\x05\x0d\0\0\x80\x3f\x22\x01\xff"
    found = Decoder().decode(memoryview(data), schema)
    assert (found["number"], found["word"], bytes(found["data"][0])) == ([150, 1, 2], ["abc"], b"\xff")
    assert bytes(found["inner"][0]["x"][0]) == b"\0\0\x80\x3f"
    assert one(found, "word") == "abc"
    with pytest.raises(ValueError, match="number comes 3 times"):
        one(found, "number")
    assert (signed((1 << 64) - 1), signed(5)) == (-1, 5)
    assert shown("\x1b" * 100).isprintable()
