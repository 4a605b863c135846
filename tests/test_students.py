"""Students answer alike whatever the padding, come back from their folders, and go where every model folder goes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset, Split
from replicate.inference.export import KINDS, export
from replicate.inference.predict import predict
from replicate.inference.runtime import open_runtime
from replicate.nets import batching
from replicate.nets.classifier import Classifier, load_classifier, load_pretrained, restart
from replicate.nets.device import seed_everything
from replicate.nets.folder import digest_of, save_model, weights_of
from replicate.nets.logits import network_logits
from replicate.nets.student_net import DEFAULT_SHAPES, STUDENTS, StudentConfig, shape_of, student_flops
from replicate.nets.students import build_student, start_from_teacher
from replicate.nets.tokens import encode
from replicate.timing.subject import describe
from tests.agreement import check_agreement
from tests.tiny import STUDENT_SHAPES, Made, run_finetune


def student_of(kind: str, teacher: Path, **shape: Any) -> Classifier:
    """A student with random weights of seed 5, in evaluation mode."""
    parent = load_classifier(teacher)
    seed_everything(5)
    student = build_student(kind, {**STUDENT_SHAPES[kind], **shape}, parent)
    # Paddle's own first weights are so small that every text would get nearly the same logits.
    for parameter in student.network.parameters():
        parameter.set_value(parameter * 3)
    student.network.eval()
    return student


@pytest.fixture(params=STUDENTS)
def saved(request: pytest.FixtureRequest, finetuned: Made, tmp_path: Path) -> tuple[Classifier, Path]:
    """A student of each kind and its folder."""
    student = student_of(request.param, finetuned.folder)
    save_model(student.network, student.tokenizer, tmp_path / "student", student.labels)
    return student, tmp_path / "student"


@pytest.mark.parametrize("kind", STUDENTS)
def test_padding_changes_no_answer(kind: str, finetuned: Made, dataset: Dataset) -> None:
    """A text has the same logits alone, beside longer ones, and with far more padding than anyone needs."""
    student = student_of(kind, finetuned.folder)
    logits_of, pad = network_logits(student.network), student.tokenizer.pad_token_id
    # Down to a single character, shorter than the widest convolution.
    rows = encode(student.tokenizer, ["病", *dataset.dev.texts[:20]])
    alone = np.concatenate([logits_of(row[None]) for row in rows])
    together = batching.pad(rows, pad)
    assert np.ptp([len(row) for row in rows]) > 5
    assert np.ptp(alone, axis=0).max() > 1e-2, "a net that ignores its input would agree too"
    assert np.abs(alone - logits_of(together)).max() < 1e-5
    wider = np.pad(together, ((0, 0), (0, 30)), constant_values=pad)
    assert np.abs(alone - logits_of(wider)).max() < 1e-5


@pytest.mark.parametrize("kind", ["cnn", "bilstm"])
def test_order_of_words_counts(kind: str, finetuned: Made) -> None:
    """Turned round, a text is another one; to a bag of words it is the same."""
    for name, differs in ((kind, True), ("bow", False)):
        logits_of = network_logits(student_of(name, finetuned.folder).network)
        row = np.asarray([[7, 8, 9, 10, 11, 12, 13]])
        assert bool(np.abs(logits_of(row) - logits_of(row[:, ::-1].copy())).max() > 1e-3) is differs


def test_folder_gives_the_student_back(saved: tuple[Classifier, Path], dataset: Dataset) -> None:
    """Weights, labels, shape and logits are those that were saved; no parameter is stored twice."""
    student, folder = saved
    again = load_classifier(folder)
    assert digest_of(weights_of(again.network)) == digest_of(weights_of(student.network))
    assert (again.labels, again.parameters) == (student.labels, student.parameters)
    assert sum(value.size for value in weights_of(student.network).values()) == student.parameters
    rows = batching.pad(encode(student.tokenizer, dataset.dev.texts[:8]), student.tokenizer.pad_token_id)
    assert np.array_equal(network_logits(student.network)(rows), network_logits(again.network)(rows))
    found = list(predict(folder, dataset.dev.texts[:8], 48))
    expected = network_logits(again.network)(rows).argmax(axis=1)
    assert [one.label for one in found] == [again.labels[i] for i in expected]


@pytest.mark.parametrize("kind", KINDS)
def test_exported_graph_agrees(saved: tuple[Classifier, Path], dataset: Dataset, tmp_path: Path, kind: str) -> None:
    """Both graphs give the dynamic net's logits on padded batches of any size, and its labels on dev."""
    check_agreement(saved[1], tmp_path / "out", kind, dataset.dev)
    runtime = open_runtime(tmp_path / "out")
    assert (runtime.positions, runtime.parameters) == (128, saved[0].parameters)
    found = list(predict(tmp_path / "out", dataset.dev.texts[:5], 48))
    assert [one.label for one in found] == [one.label for one in predict(saved[1], dataset.dev.texts[:5], 48)]


def test_graph_is_the_same_twice(saved: tuple[Classifier, Path], tmp_path: Path) -> None:
    """Two exports of one student are equal, file by file."""
    for name in ("one", "two"):
        export(saved[1], tmp_path / name, "onnx")
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two


def test_int8_is_for_an_ernie(finetuned: Made, tmp_path: Path) -> None:
    """A student's graph in 8 bits is refused in words, not left as it is."""
    student = student_of("cnn", finetuned.folder)
    save_model(student.network, student.tokenizer, tmp_path / "student", student.labels)
    with pytest.raises(UserError, match="int8 is for a single ERNIE"):
        export(tmp_path / "student", tmp_path / "out", "onnx", int8=True)


def test_student_is_trained_on(finetuned: Made, dataset: Dataset, tmp_path: Path) -> None:
    """`finetune` starts from a student's folder, with its labels or others, and `restart` forgets its weights."""
    student = student_of("cnn", finetuned.folder)
    save_model(student.network, student.tokenizer, tmp_path / "student", student.labels)
    made = run_finetune(dataset, tmp_path / "student", tmp_path / "more", 1, epochs=1)
    assert made.summary["weights_step0"] == digest_of(weights_of(student.network))
    assert load_classifier(made.folder).network.config == student.network.config
    train, dev = (Split(part.texts, (0, 1) * (len(part) // 2)) for part in (dataset.train, dataset.dev))
    two = Dataset("two", ("a", "b"), train, dev)
    other = run_finetune(two, tmp_path / "student", tmp_path / "two", 1, epochs=1)
    assert load_classifier(other.folder).network.config.num_labels == 2
    seed_everything(9)
    fresh = weights_of(restart(student).network)
    assert {name: value.shape for name, value in fresh.items()} == {
        name: value.shape for name, value in weights_of(student.network).items()
    }
    assert digest_of(fresh) != digest_of(weights_of(student.network))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"student": "gru"}, "student is 'gru'"),
        ({"student": "ernie"}, "student is 'ernie'"),
        ({"shape": {"embedding_size": 24}}, "the shape of a cnn has"),
        ({"vocab_size": 0}, "vocab_size is '0'; it must be a whole number above 0"),
        ({"vocab_size": 7}, "but the net has 7"),
        ({"pad_token_id": -1}, "pad_token_id is '-1'"),
        ({"speed": 1}, "unexpected keyword argument 'speed'"),
    ],
)
def test_damaged_configuration_is_told(changes: dict[str, Any], words: str, finetuned: Made, tmp_path: Path) -> None:
    """A config.json that is no student's is one line that names the file."""
    student = student_of("cnn", finetuned.folder)
    save_model(student.network, student.tokenizer, tmp_path, student.labels)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
    with pytest.raises(UserError, match=words) as raised:
        load_classifier(tmp_path)
    assert str(tmp_path) in str(raised.value)


def test_student_is_no_encoder(finetuned: Made, tmp_path: Path) -> None:
    """Where a language model is wanted a student is refused, and so are weights of another shape."""
    from paddlenlp.transformers import ErnieForMaskedLM

    for name, shape in (("a", {}), ("b", {"filters": 8})):
        student = student_of("cnn", finetuned.folder, **shape)
        save_model(student.network, student.tokenizer, tmp_path / name, student.labels)
    with pytest.raises(UserError, match="a cnn student, where an ERNIE is needed"):
        load_pretrained(ErnieForMaskedLM, tmp_path / "a")
    shutil.copy(tmp_path / "b" / "model.safetensors", tmp_path / "a" / "model.safetensors")
    with pytest.raises(UserError, match=r"an encoder of \d+ parameters is asked for"):
        load_classifier(tmp_path / "a")


def test_teachers_layers_are_taken_evenly(dataset: Dataset, finetuned: Made, tmp_path: Path) -> None:
    """Of four layers a student of two has the first and the third; the rest of its weights are the teacher's too."""
    teacher = student_of("ernie", finetuned.folder, num_hidden_layers=4)
    seed_everything(6)
    student = build_student("ernie", {**STUDENT_SHAPES["ernie"], "num_hidden_layers": 2}, teacher)
    start_from_teacher(student, teacher)
    ours, theirs = weights_of(student.network), weights_of(teacher.network)
    layers = "ernie.encoder.layers."
    for name, value in ours.items():
        source = name.replace(f"{layers}1.", f"{layers}2.")
        assert np.array_equal(value, theirs[source])
    assert not np.array_equal(theirs[f"{layers}1.linear1.weight"], theirs[f"{layers}2.linear1.weight"])


@pytest.mark.parametrize(
    ("kind", "shape", "words"),
    [
        ("ernie", {"hidden_size": 48, "intermediate_size": 24, "num_attention_heads": 6}, "the teacher has no ernie"),
        ("ernie", {"hidden_size": 48, "num_attention_heads": 3}, "3 attention heads, not 6"),
        ("cnn", {}, "not both an ERNIE"),
    ],
)
def test_teacher_must_fit(kind: str, shape: dict[str, Any], words: str, finetuned: Made) -> None:
    """A student that can't have the teacher's layers is refused in one line."""
    teacher = load_classifier(finetuned.folder)
    with pytest.raises(UserError, match=words):
        start_from_teacher(build_student(kind, {**STUDENT_SHAPES[kind], **shape}, teacher), teacher)


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("bow", {"filters": 3}, "a bow student has no 'filters'; its shape: embedding_size, hidden_size, dropout"),
        ("cnn", {"filters": 0}, "filters is 0; it must be a whole number above 0"),
        ("cnn", {"filters": 2.5}, "filters is 2.5"),
        ("cnn", {"max_window": 1}, "max_window is 1"),
        ("bilstm", {"dropout": 1.0}, "dropout is 1.0; it must be at least 0 and below 1"),
        ("ernie", {"hidden_size": 50}, "hidden_size 50 is not whole by 6 heads"),
    ],
)
def test_impossible_shapes_are_refused(kind: str, changes: dict[str, Any], words: str) -> None:
    """A setting of the shape that no net can have is named with its value."""
    with pytest.raises(UserError, match=words):
        shape_of(kind, changes)


def test_operations_are_counted() -> None:
    """Matrix products of each student on 2 texts of 3 tokens, counted by hand."""

    def flops(kind: str, **shape: Any) -> int:
        config = StudentConfig(kind, {**DEFAULT_SHAPES[kind], **shape}, 10, 5, 0, 128)
        return student_flops(config.to_dict(), 2, 3)

    dense: dict[str, Any] = {"embedding_size": 4, "hidden_size": 6}
    assert flops("bow", **dense) == 2 * 2 * (4 * 6 + 6 * 5)
    # Windows of 2 and 3 over 3 tokens and 2 zeros at either end: 6 and 5 places.
    windows = 2 * 4 * 7 * 6 + 3 * 4 * 7 * 5
    assert flops("cnn", **dense, filters=7, max_window=3) == 2 * 2 * (windows + 14 * 6 + 6 * 5)
    # Four gates, two directions, the second layer over both directions of the first.
    steps = 3 * 2 * 4 * 8 * ((4 + 8) + (16 + 8))
    assert flops("bilstm", **dense, lstm_size=8, num_layers=2) == 2 * 2 * (steps + 16 * 6 + 6 * 5)


def test_student_can_be_timed(saved: tuple[Classifier, Path]) -> None:
    """A student's folder is a contestant: it has a name, a width and operations to count."""
    subject = describe(saved[1])
    assert subject.shape in ("bow", "cnn", "bilstm", "1 x 24")
    assert (subject.name, subject.width) == ("student", "1")
    assert 0 < subject.flops(1, 8) < subject.flops(4, 8)


@pytest.mark.parametrize("kind", ["bow", "cnn", "bilstm"])
def test_a_size_that_the_weights_have_not_is_refused(kind: str, finetuned: Made, tmp_path: Path) -> None:
    """A configuration of a larger encoder is refused before a net of that size is built; its own size fits."""
    student = student_of(kind, finetuned.folder)
    save_model(student.network, student.tokenizer, tmp_path, student.labels)
    load_classifier(tmp_path)
    config = tmp_path / "config.json"
    fields = json.loads(config.read_text(encoding="utf-8"))
    fields["shape"]["embedding_size"] *= 10**6
    config.write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(UserError, match=r"config\.json: an encoder of \d+ parameters is asked for, the weights have"):
        load_classifier(tmp_path)
