"""A runtime opens what is whole, on a machine that can run it; anything else is one line that says what is wrong."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from replicate.common.errors import UserError
from replicate.corpus.formats import Dataset
from replicate.inference.export import export
from replicate.inference.exported import COMPANIONS, GRAPHS, MANIFEST
from replicate.inference.runtime import open_runtime, silenced
from tests.mkl import MKL, needs_mkl
from tests.tiny import Made

# Threads before and after a batch in Paddle Inference.
THREADS = """
import ctypes, json, sys
from pathlib import Path
import numpy as np
from replicate.inference.runtime import open_runtime
from replicate.nets import upstream
upstream.quiet()
count = ctypes.CDLL(sys.argv[1]).MKL_Get_Max_Threads
before = count()
open_runtime(Path(sys.argv[2])).logits(np.ones((2, 5), dtype=np.int64))
print(json.dumps([before, count()]))
"""


@pytest.fixture(scope="session")
def exports(finetuned: Made, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The fine-tuned net for Paddle Inference, for ONNX Runtime, and in 8 bits."""
    root = tmp_path_factory.mktemp("exports")
    for name, kind, int8 in (("paddle", "paddle", False), ("onnx", "onnx", False), ("int8", "onnx", True)):
        export(finetuned.folder, root / name, kind, int8)
    return {name: root / name for name in ("paddle", "onnx", "int8")}


def test_every_runtime_says_what_it_is(finetuned: Made, exports: dict[str, Path], dataset: Dataset) -> None:
    """Labels, positions, parameters and sizes are the same net's; 8 bits take less room."""
    opened = [open_runtime(folder, threads=1) for folder in (finetuned.folder, *exports.values())]
    assert [one.name for one in opened] == ["dygraph", "paddle-inference", "onnxruntime", "onnxruntime"]
    assert [one.precision for one in opened] == ["fp32", "fp32", "fp32", "int8"]
    for one in opened:
        assert (one.labels, one.positions, one.threads, one.device) == (dataset.labels, 128, 1, "cpu")
        assert one.parameters == finetuned.summary["parameters"]
        assert one.tokenizer.vocab.token_to_idx == opened[0].tokenizer.vocab.token_to_idx
    for one in opened[:3]:
        assert 4 * one.parameters * 0.9 < one.bytes < 4 * one.parameters * 1.5
    assert opened[3].bytes < opened[2].bytes


def test_threads_follow_the_environment(exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a number, OMP_NUM_THREADS decides."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert open_runtime(exports["onnx"]).threads == 3
    with pytest.raises(UserError, match="threads is 0"):
        open_runtime(exports["onnx"], threads=0)


@pytest.mark.parametrize("name", sorted({MANIFEST, *COMPANIONS, *GRAPHS["paddle"]}))
def test_damage_is_named(exports: dict[str, Path], tmp_path: Path, name: str) -> None:
    """A missing, shortened or changed file is refused by its name, whichever it is."""
    folder = Path(shutil.copytree(exports["paddle"], tmp_path / "copy"))
    whole = (folder / name).read_bytes()
    changed = bytes([whole[0] ^ 1]) + whole[1:]
    for damaged in (whole[:-1], changed, b"", None):
        if name == MANIFEST and damaged == whole[:-1]:
            continue  # only its last newline
        if damaged is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(damaged)
        if name == MANIFEST and damaged is None:
            continue  # then nothing says that this is an export: see the next test
        with pytest.raises(UserError) as caught:
            open_runtime(folder)
        assert str(caught.value).startswith(str(folder / name))
        assert "\n" not in str(caught.value)


def test_export_without_manifest_is_no_model(exports: dict[str, Path], tmp_path: Path) -> None:
    """Without its manifest an export is taken for a model folder, and refused as one that lacks its weights."""
    folder = Path(shutil.copytree(exports["paddle"], tmp_path / "copy"))
    (folder / MANIFEST).unlink()
    with pytest.raises(UserError, match=r"model\.safetensors is missing"):
        open_runtime(folder)


def test_manifest_of_the_store_is_no_export(finetuned: Made, tmp_path: Path) -> None:
    """A net in the run store, which has a manifest of another kind, is opened as the model folder that it is."""
    folder = Path(shutil.copytree(finetuned.folder, tmp_path / "copy"))
    (folder / MANIFEST).write_text('{"format": 1, "stage": "finetune", "files": {}}', encoding="utf-8")
    assert open_runtime(folder).name == "dygraph"


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: [],
        lambda fields: {**fields, "format": 99},
        lambda fields: {**fields, "kind": "tflite"},
        lambda fields: {**fields, "kind": "onnx"},
        lambda fields: {**fields, "more": 1},
        lambda fields: {**fields, "files": None},
        lambda fields: {**fields, "files": {**fields["files"], "../vocab.txt": fields["files"]["vocab.txt"]}},
        lambda fields: {**fields, "files": {"vocab.txt": fields["files"]["vocab.txt"]}},
        lambda fields: {**fields, "files": {**fields["files"], "vocab.txt": {"sha256": ""}}},
        lambda fields: {name: value for name, value in fields.items() if name != "precision"},
        lambda fields: {**fields, "precision": "int4"},
        lambda fields: {**fields, "parameters": "many"},
    ],
)
def test_foreign_manifest_is_refused(
    exports: dict[str, Path], tmp_path: Path, change: Callable[[dict], object]
) -> None:
    """JSON that is no manifest of this format is refused in one line, also where it points outside the folder."""
    path = Path(shutil.copytree(exports["paddle"], tmp_path / "copy")) / MANIFEST
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
    with pytest.raises(UserError, match=r"manifest\.json: not a manifest of") as caught:
        open_runtime(path.parent)
    assert "\n" not in str(caught.value)


def test_folder_decides_the_runtime(finetuned: Made, exports: dict[str, Path]) -> None:
    """Another runtime than the folder's is refused, with what would help; its own may be named."""
    assert open_runtime(exports["onnx"], "onnxruntime").name == "onnxruntime"
    with pytest.raises(UserError, match=r"for dygraph, not for onnxruntime; `replicate export`"):
        open_runtime(finetuned.folder, "onnxruntime")
    with pytest.raises(UserError, match="for paddle-inference, not for dygraph; name the model folder"):
        open_runtime(exports["paddle"], "dygraph")
    with pytest.raises(UserError, match="runtime is 'tensorflow'"):
        open_runtime(finetuned.folder, "tensorflow")
    with pytest.raises(UserError, match="no such model folder"):
        open_runtime(finetuned.folder / "none")


def on_gpu() -> bool:
    """Whether Paddle and ONNX Runtime are built for GPUs here."""
    import onnxruntime
    import paddle

    return bool(paddle.is_compiled_with_cuda() or "CUDAExecutionProvider" in onnxruntime.get_available_providers())


@pytest.mark.parametrize(
    ("name", "device", "precision", "message"),
    [
        ("model", "cpu", "fp16", "needs a GPU"),
        ("model", "cpu", "bf16", "needs a GPU"),
        ("model", "cpu", "int8", "holds fp32, not int8"),
        ("paddle", "cpu", "fp16", "needs a GPU"),
        ("onnx", "cpu", "bf16", "needs a GPU"),
        ("onnx", "gpu", "bf16", "no bf16"),
        ("int8", "cpu", "fp32", "holds int8, not fp32"),
        ("int8", "gpu", None, "int8 is for the CPU"),
        ("paddle", "gpu", None, "no CUDA"),
        ("onnx", "gpu", None, "no CUDA"),
        ("onnx", "tpu", None, "device is 'tpu'"),
        ("onnx", "cpu", "fp64", "precision is 'fp64'"),
    ],
)
def test_precision_must_exist(
    finetuned: Made, exports: dict[str, Path], name: str, device: str, precision: str | None, message: str
) -> None:
    """A precision that the folder, the runtime or the device lacks is refused before anything is loaded."""
    if message == "no CUDA" and on_gpu():
        pytest.skip("this machine has one")
    with pytest.raises(UserError, match=message):
        open_runtime({"model": finetuned.folder, **exports}[name], device=device, precision=precision)


def test_bf16_on_this_cpu(finetuned: Made, exports: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    """Paddle Inference computes in bf16 near the dynamic net where the CPU has it, and says so where it hasn't."""
    from paddle.base import core

    ids = np.random.default_rng(0).integers(0, 50, (4, 16))
    if not core.supports_bfloat16_fast_performance():
        with pytest.raises(UserError, match="no instructions for bf16"):
            open_runtime(exports["paddle"], precision="bf16")
        return
    runtime = open_runtime(exports["paddle"], precision="bf16")
    difference = np.abs(runtime.logits(ids) - open_runtime(finetuned.folder).logits(ids)).max()
    assert runtime.precision == "bf16"
    assert 1e-6 < difference < 0.2
    assert capfd.readouterr() == ("", "")


def test_tensorrt_is_for_gpus(exports: dict[str, Path]) -> None:
    """TensorRT on a CPU or in another runtime is refused."""
    for name in ("paddle", "onnx"):
        with pytest.raises(UserError, match="TensorRT is for paddle-inference on a GPU"):
            open_runtime(exports[name], tensorrt=True)


def test_rows_do_not_depend_on_their_batch(exports: dict[str, Path]) -> None:
    """A row has the same logits alone, in a batch, and padded further; in every runtime in fp32."""
    rng = np.random.default_rng(1)
    for name in ("paddle", "onnx"):
        runtime = open_runtime(exports[name], threads=1)
        ids = rng.integers(5, 50, (6, 12))
        padded = np.pad(ids, ((0, 0), (0, 9)), constant_values=runtime.tokenizer.pad_token_id)
        together = runtime.logits(ids)
        assert np.abs(np.concatenate([runtime.logits(row[None]) for row in ids]) - together).max() < 1e-5
        assert np.abs(runtime.logits(padded) - together).max() < 1e-5
        # A view with strides of its own is read as what it shows.
        assert np.abs(runtime.logits(padded[:, :12]) - together).max() < 1e-5


def test_silence_ends(capfd: pytest.CaptureFixture[str]) -> None:
    """What is written inside is lost, what comes after is not, also after an error."""
    print("before")
    with silenced():
        for number in (1, 2):
            os.write(number, b"inside")
    with contextlib.suppress(KeyError), silenced():
        raise KeyError
    print("after")
    assert capfd.readouterr() == ("before\nafter\n", "")


@needs_mkl
def test_paddle_inference_gives_threads_back(exports: dict[str, Path]) -> None:
    """What comes after it in the same process has as many threads as before; left alone it has one."""
    command = [sys.executable, "-c", THREADS, str(MKL), str(exports["paddle"])]
    output = subprocess.check_output(command, env=os.environ | {"OMP_NUM_THREADS": "3"}, text=True)
    before, after = json.loads(output.splitlines()[-1])
    assert after == before
