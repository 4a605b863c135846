"""Model folders that ask for memory: refused in one line by what their weights are, before a net is begun."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.common.errors import UserError
from replicate.common.paths import ROOT
from replicate.corpus.formats import Dataset
from replicate.nets import upstream
from replicate.nets.classifier import load_classifier
from replicate.nets.folder import WEIGHTS
from tests.memory import forget_peak, peak_kib
from tests.tiny import QUIET, Made

SLACK_MB = 50
# Runs a command and says at the end how much memory it held at most, in KiB.
PROGRAM = """
import sys
from replicate.commands.main import main
from tests.memory import peak_kib
code = main(sys.argv[1:])
print(f"peak {peak_kib()}", file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def copy(finetuned: Made, tmp_path: Path) -> Path:
    """A copy of the fine-tuned folder, to be spoilt."""
    return Path(shutil.copytree(finetuned.folder, tmp_path / "copy"))


@pytest.fixture
def _no_net(monkeypatch: pytest.MonkeyPatch) -> None:
    """No net of PaddleNLP's is begun, nor its configuration given room for a billion labels."""
    upstream.quiet()
    from paddlenlp.transformers import ErnieConfig, ErnieForSequenceClassification

    def build(*_: Any, **__: Any) -> None:
        # No AssertionError: of Paddle's, one is told as a configuration that no net has.
        pytest.fail("a net was begun")

    init = ErnieConfig.__init__

    def checked(self: Any, **fields: Any) -> None:
        if "num_labels" in fields:
            pytest.fail("room for labels was taken")
        init(self, **fields)

    monkeypatch.setattr(ErnieForSequenceClassification, "__init__", build)
    monkeypatch.setattr(ErnieConfig, "__init__", checked)


def spoil_config(folder: Path, **changes: Any) -> None:
    """Change fields of a folder's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def refusal(folder: Path) -> str:
    """The one line that says why."""
    with pytest.raises(UserError) as caught:
        load_classifier(folder)
    told = str(caught.value)
    assert told.startswith(str(folder))
    assert "\n" not in told
    assert len(told) < 500
    return told


@pytest.mark.usefixtures("_no_net")
@pytest.mark.parametrize("size", [8_000_000, 10**12, 10**30])
@pytest.mark.parametrize(
    "field",
    [
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "type_vocab_size",
        "task_type_vocab_size",
        "kept_heads",
        "kept_neurons",
    ],
)
def test_no_size_is_taken_on_trust(copy: Path, field: str, size: int) -> None:
    """Every field that sizes an array is compared with the weights, whatever it says."""
    more: dict[str, Any] = {"use_task_id": True} if field == "task_type_vocab_size" else {}
    if field.startswith("kept"):
        more = {"kept_heads": 6, "kept_neurons": 48}
    spoil_config(copy, **{**more, field: size})
    refusal(copy)


@pytest.mark.usefixtures("_no_net")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_dropout_prob", 5),
        ("hidden_dropout_prob", -0.1),
        ("hidden_dropout_prob", "0.1"),
        ("hidden_dropout_prob", float("nan")),
        ("attention_probs_dropout_prob", 1),
        ("attention_probs_dropout_prob", True),
        ("classifier_dropout", [0.1]),
        ("initializer_range", -1),
        ("initializer_range", 1e300),
        ("layer_norm_eps", "tiny"),
        ("layer_norm_eps", float("inf")),
        ("pad_token_id", -1),
        ("pad_token_id", 10**9),
        ("pad_token_id", 1.5),
        ("num_hidden_layers", True),
        ("use_task_id", "yes"),
        ("hidden_act", "interpolate"),
        ("hidden_act", {"a": 1}),
        ("type_vocab_size", -1),
        ("hidden_size", int("9" * 4000)),
    ],
    ids=lambda one: str(one)[:20],
)
def test_a_value_that_no_net_can_have_is_named(copy: Path, field: str, value: Any) -> None:
    """Negative, not a number, of another type, or a function's name: one line."""
    spoil_config(copy, **{field: value})
    assert "config.json" in refusal(copy)


@pytest.mark.usefixtures("_no_net")
def test_a_task_that_is_none(copy: Path) -> None:
    """A task whose embedding isn't there would be read from other memory."""
    spoil_config(copy, use_task_id=True, task_type_vocab_size=3, task_id=3)
    assert "task_id is 3; task_type_vocab_size is 3" in refusal(copy)


@pytest.mark.parametrize("fields", [{"num_labels": 10**9}, {"num_classes": 10**9}, {"tensor_parallel_degree": 8}])
def test_what_makes_no_net_is_not_looked_at(copy: Path, fields: dict[str, Any]) -> None:
    """PaddleNLP would give a billion labels their names; the folder's own labels count."""
    spoil_config(copy, **fields)
    before = forget_peak()
    assert load_classifier(copy).network.config.num_labels > 1
    assert peak_kib() - before < 200 << 10


@pytest.mark.usefixtures("_no_net")
@pytest.mark.parametrize("depth", [100, 2000, 100_000])
def test_a_deep_configuration(copy: Path, depth: int) -> None:
    """Brackets in brackets in config.json."""
    (copy / "config.json").write_text('{"a": ' + "[" * depth + "]" * depth + "}", encoding="utf-8")
    assert "nested deeper than 64" in refusal(copy)


@pytest.mark.usefixtures("_no_net")
def test_more_labels_than_the_classifier_has(copy: Path) -> None:
    """A label file of a hundred thousand lines asks for no classifier of that size."""
    (copy / "label.txt").write_text("".join(f"{n}\n" for n in range(100_000)), encoding="utf-8")
    assert "100000 labels" in refusal(copy)
    # Where config.json names none, the weights tell.
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    (copy / "config.json").write_text(json.dumps({**config, "id2label": None, "label2id": None}), encoding="utf-8")
    assert "classifier.weight" in refusal(copy)


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the header of the weights and leave their bytes."""
    data = (folder / WEIGHTS).read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])


WORDS = "ernie.embeddings.word_embeddings.weight"


def large(header: dict[str, Any]) -> None:
    """More rows than there are bytes."""
    header[WORDS]["shape"][0] = 8_000_000


def shared(header: dict[str, Any]) -> None:
    """A second layer of the first one's bytes."""
    for name in list(header):
        if ".layers.0." in name:
            header[name.replace(".layers.0.", ".layers.1.")] = header[name]


def kind(header: dict[str, Any]) -> None:
    """Bytes that are no weights."""
    header[WORDS]["dtype"] = "I32"


def broken(header: dict[str, Any]) -> None:
    """Sizes that are none."""
    header[WORDS]["shape"] = [-1, "8"]


@pytest.mark.usefixtures("_no_net")
@pytest.mark.parametrize("change", [large, shared, kind, broken])
def test_a_header_answers_for_its_bytes(copy: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Each array has the bytes of its shape, and no two share theirs: a small file stands for a small net."""
    rewrite(copy, change)
    spoil_config(copy, **({"vocab_size": 8_000_000} if change is large else {}))
    spoil_config(copy, **({"num_hidden_layers": 2} if change is shared else {}))
    assert f"{WEIGHTS}: not a safetensors" in refusal(copy)


@pytest.mark.parametrize(
    ("student", "field"),
    [("cnn", "max_window"), ("cnn", "filters"), ("bilstm", "num_layers"), ("bilstm", "lstm_size")]
    + [(student, field) for student in ("bow", "cnn", "bilstm") for field in ("hidden_size", "embedding_size")],
)
def test_students_are_measured_too(dataset: Dataset, finetuned: Made, tmp_path: Path, student: str, field: str) -> None:
    """Windows and layers are not counted to 10 ** 12, and the layer behind the encoder is a size as well."""
    from replicate.stages.distill.distill import distill
    from replicate.stages.distill.options import DistillOptions

    shape = {"embedding_size": 8, "hidden_size": 8} | {"cnn": {"filters": 4}, "bilstm": {"lstm_size": 4}}.get(
        student, {}
    )
    options = DistillOptions(student=student, shape=shape, copies=0, unlabelled=0, epochs=1, batch_size=64)
    teacher = load_classifier(finetuned.folder)
    distill(teacher, dataset.train, dataset.dev, lambda: (), options, 1, tmp_path, QUIET)
    load_classifier(tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    spoil_config(tmp_path, shape={**fields["shape"], field: 10**12})
    assert "config.json" in refusal(tmp_path)


def test_a_small_folder_takes_no_gigabytes(copy: Path) -> None:
    """`replicate predict` on embeddings of eight million types: exit code 2, and no more memory than a sound folder."""
    command = [sys.executable, "-c", PROGRAM, "predict", str(copy)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def predict() -> tuple[int, list[str]]:
        done = subprocess.run(
            command, env=environment, input="发热", capture_output=True, text=True, check=False, timeout=120
        )
        return done.returncode, done.stderr.splitlines()

    code, sound = predict()
    assert code == 0
    spoil_config(copy, type_vocab_size=8_000_000, use_task_id=True, task_type_vocab_size=8_000_000)
    code, told = predict()
    assert code == 2
    assert told[0].startswith(f"replicate: {copy}/config.json: embeddings.token_type_embeddings.weight of 8000000 × 48")
    peak, allowed = (int(line.removeprefix("peak ")) for line in (told[1], sound[-1]))
    # The imports are most of it, and take what they take; the embeddings would be 3,000 MB.
    assert peak < allowed + (SLACK_MB << 10)


def test_weights_of_another_kind_are_one_line(copy: Path) -> None:
    """Half precision, which Paddle asserts away."""
    from safetensors.numpy import load_file, save_file

    found = {name: value.astype(np.float16) for name, value in load_file(copy / WEIGHTS).items()}
    save_file(found, copy / WEIGHTS)
    told = refusal(copy)
    assert all(kind in told for kind in ("F16", "F32"))
