"""OpenVINO gives the net's logits for an exported ONNX graph; without it, or for what it can't do, one line says so."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from replicate.commands.main import main
from replicate.common.errors import UserError
from replicate.inference.export import export
from replicate.inference.runtime import OPENVINO, open_runtime
from tests.tiny import Made


@pytest.fixture(scope="module")
def exported(finetuned: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fine-tuned net as an ONNX graph."""
    folder = tmp_path_factory.mktemp("openvino") / "onnx"
    export(finetuned.folder, folder, "onnx")
    return folder


def test_it_is_optional(exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says how to have it."""
    monkeypatch.setitem(sys.modules, OPENVINO, None)
    assert main(["predict", str(exported), "--runtime", OPENVINO, "--text", "药"]) == 2
    told = capsys.readouterr().err
    assert "OpenVINO isn't installed" in told
    assert "pip install '.[openvino]'" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_what_it_does_not_do(exported: Path, precision: str) -> None:
    """It is refused before the graph is read."""
    with pytest.raises(UserError, match="for fp32 and bf16 on a CPU"):
        open_runtime(exported, OPENVINO, precision=precision)


def test_what_it_does_not_read(exported: Path, finetuned: Made, tmp_path: Path) -> None:
    """A model folder, a graph of Paddle's, one in 8 bits, and a graph with nodes that our exports have not."""
    export(finetuned.folder, tmp_path / "paddle", "paddle")
    export(finetuned.folder, tmp_path / "int8", "onnx", int8=True)
    for folder, readers in ((finetuned.folder, "dygraph"), (tmp_path / "paddle", "paddle-inference")):
        with pytest.raises(UserError, match=f"this folder is for {readers}, not for openvino"):
            open_runtime(folder, OPENVINO)
    with pytest.raises(UserError, match="for fp32 and bf16 on a CPU"):
        open_runtime(tmp_path / "int8", OPENVINO)
    with pytest.raises(UserError, match="this folder is for onnxruntime or openvino, not for paddle-inference"):
        open_runtime(exported, "paddle-inference")


def test_it_gives_the_nets_logits(exported: Path, finetuned: Made) -> None:
    """To 1e-5, for batches of several shapes, and what was given before stays as it was."""
    pytest.importorskip(OPENVINO)
    runtime, net = open_runtime(exported, OPENVINO, threads=1), open_runtime(finetuned.folder)
    assert (runtime.name, runtime.labels, runtime.positions) == (OPENVINO, net.labels, net.positions)
    rng = np.random.default_rng(1)
    asked = [rng.integers(1, 20, size) for size in ((1, 4), (3, 9), (8, 9), (1, 4))]
    given = [runtime.logits(ids) for ids in asked]
    for ids, logits in zip(asked, given, strict=True):
        np.testing.assert_allclose(logits, net.logits(ids), atol=1e-5, rtol=0)


def test_it_predicts(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same labels as ONNX Runtime, from the command line; and it tells its makers nothing."""
    pytest.importorskip(OPENVINO)
    told = []
    for runtime in (OPENVINO, "onnxruntime"):
        assert main(["predict", str(exported), "--runtime", runtime, "--text", "药", "--text", "怎么办"]) == 0
        told.append([line.split()[:2] for line in capsys.readouterr().out.splitlines()])
    assert told[0] == told[1]
    assert sys.modules["openvino_telemetry"] is None
