"""OpenVINO, for those who have installed it: the same ONNX graph, often faster for a single text."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.errors import UserError

_TELEMETRY = "openvino_telemetry"
_HINTS = {"fp32": "f32", "bf16": "bf16"}


def openvino_logits(graph: Path, precision: str, threads: int) -> Any:
    """`Runtime.logits` of an ONNX graph in OpenVINO, on the CPU.

    Args:
        graph: in fp32; OpenVINO arranges it for bf16 itself.
        precision: `fp32` or `bf16`.
        threads: that it computes with.

    Raises:
        UserError: it isn't installed, can't load the graph, or this CPU has no bf16.
    """
    library = _library()
    core = library.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise UserError("this CPU has no instructions for bf16", hint="use fp32")
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        request = core.compile_model(core.read_model(str(graph)), "CPU", settings).create_infer_request()
    except RuntimeError as error:
        raise UserError("OpenVINO can't load the graph", path=graph, hint="export it again") from error

    def logits(ids: NDArray[np.int64]) -> NDArray[np.float32]:
        try:
            # Its array is overwritten by the next call.
            return np.array(request.infer([np.ascontiguousarray(ids)])[0])
        except RuntimeError as error:
            raise UserError("OpenVINO can't compute the graph", path=graph, hint="export it again") from error

    return logits


def _library() -> Any:
    # Without this package it tells its makers nothing; with it, it does so when it is imported.
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]
    try:
        return importlib.import_module("openvino")
    except ModuleNotFoundError as error:
        raise UserError("OpenVINO isn't installed", hint="pip install '.[openvino]', or take onnxruntime") from error
