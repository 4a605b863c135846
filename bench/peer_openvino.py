"""OpenVINO, timed beside the runtimes of this package: a program of its own for an environment of its own.

It imports nothing of this project and needs openvino, and nncf for int8. `replicate.timing.contestants` starts it with
the Python that REPLICATE_OPENVINO_PYTHON names.

Usage: peer_openvino.py GRAPH THREADS DEVICE PRECISION, where GRAPH is an ONNX graph of `replicate export`. It says what
it is in one line of JSON, then answers each line "BATCH LENGTH" of standard input with the seconds that a forward took.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import numpy as np

# Batches of random ids that NNCF reads the ranges of activations from, and their size.
CALIBRATION, TEXTS, TOKENS = 16, 8, 32
HINTS = {"fp32": "f32", "int8": "f32", "bf16": "bf16"}
# Every vocabulary has the first ids, and no id is padding.
IDS = 1000


def quantized(model: Any) -> Any:
    """The graph in int8 by NNCF's quantization after training."""
    import nncf

    rng = np.random.default_rng(0)
    batches = [rng.integers(1, IDS, (TEXTS, TOKENS), dtype=np.int64) for _ in range(CALIBRATION)]
    return nncf.quantize(model, nncf.Dataset(batches), model_type=nncf.ModelType.TRANSFORMER, subset_size=CALIBRATION)


def main() -> None:
    """Describe the net, then time a forward for every line of standard input."""
    graph, threads, device, precision = sys.argv[1:]
    # What libraries print goes to stderr: stdout holds answers only.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    if device != "cpu" or precision not in HINTS:
        raise SystemExit(f"no {precision} on {device} here")
    # Without this package openvino and nncf tell their makers nothing; with it they do so when they are imported.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    core = openvino.Core()
    capable = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and "BF16" not in capable:
        raise SystemExit("this CPU has no instructions for bf16")
    model = core.read_model(graph)
    model = quantized(model) if precision == "int8" else model
    settings = {
        "INFERENCE_NUM_THREADS": int(threads),
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    constants = [one.output(0) for one in model.get_ops() if one.get_type_name() == "Constant"]
    sizes = [int(np.prod(list(one.get_shape()))) for one in constants]
    description = {
        "parameters": sum(sizes),
        "bytes": sum(size * one.get_element_type().size for size, one in zip(sizes, constants, strict=True)),
        "environment": f"OpenVINO {openvino.__version__}",
    }
    print(json.dumps(description), file=answers)
    for line in sys.stdin:
        batch, length = map(int, line.split())
        ids = np.random.default_rng(0).integers(1, IDS, size=(batch, length), dtype=np.int64)
        started = time.perf_counter()
        np.asarray(request.infer([ids])[0])
        print(time.perf_counter() - started, file=answers)


if __name__ == "__main__":
    main()
