"""Matrix products alone, as the libraries of this package compute them: what a net of these shapes could reach here.

Each library is asked for the same shapes, with as many threads as the contestants have. The fastest one is the limit:
which one that is depends on the processor.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.inference.runtime import silenced
from replicate.nets import upstream
from replicate.records.timing import Limit
from replicate.timing.operations import Product

# A call takes about so many operations, or it is the clock that is measured: some 10 ms of a core. Products that are so
# small that it would be more than `MOST` times all of them take long enough by being called.
LEAST, MOST = 2 * 10**9, 100
# Maps in a graph of oneDNN.
CHAIN = 4
Call = Callable[[], None]


@dataclass(frozen=True)
class Probe:
    """A library that multiplies: what is recorded of it, and the call that is timed."""

    limit: Limit
    call: Call


def probes(products: Sequence[Product], precisions: Sequence[str], threads: int) -> list[Probe]:
    """The libraries that have one of the precisions on this CPU, each with a call that multiplies all the products.

    Args:
        products: their shapes.
        precisions: of `runtime.PRECISIONS`.
        threads: CPU threads; Paddle has as many as `OMP_NUM_THREADS` said when it was imported.
    """
    found = []
    for (library, precision), build in _LIBRARIES.items():
        if precision not in precisions or (precision == "bf16" and not _has_bf16()):
            continue
        label = f"products {library} {precision}"
        # Shapes that come again share their matrices.
        made = {product: build(product, threads) for product in dict.fromkeys(products)}
        once = sum(product.operations for product in products) * (CHAIN if library == "onednn" else 1)
        times = min(-(-LEAST // once), MOST)
        limit = Limit(label, library, precision, once * times)
        found.append(Probe(limit, _all([made[one] for one in products], times)))
    return found


def _all(calls: Sequence[Call], times: int) -> Call:
    def once() -> None:
        for _ in range(times):
            for call in calls:
                call()

    return once


def _has_bf16() -> bool:
    upstream.quiet()
    from paddle.base import core

    return bool(core.supports_bfloat16_fast_performance())


def _matrices(product: Product) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    first = rng.standard_normal((product.m, product.k), dtype=np.float32)
    return first, rng.standard_normal((product.k, product.n), dtype=np.float32)


def _paddle(product: Product, threads: int) -> Call:
    """What a dynamic net multiplies with: MKL."""
    upstream.quiet()
    import paddle

    first, second = map(paddle.to_tensor, _matrices(product))

    def once() -> None:
        paddle.matmul(first, second)

    return once


def _onednn(precision: str) -> Callable[[Product, int], Call]:
    """What Paddle Inference multiplies with; the second matrix is a weight, which it may arrange beforehand.

    It computes in bf16 only where maps follow each other, so the map goes there and back, `CHAIN` maps in all.
    """

    def build(product: Product, threads: int) -> Call:
        upstream.quiet()
        import paddle
        from paddle import inference

        first, _ = _matrices(product)
        sizes = [(product.k, product.n), (product.n, product.k)] * (CHAIN // 2)
        chain = paddle.nn.Sequential(*(paddle.nn.Linear(*size) for size in sizes))
        static = paddle.jit.to_static(chain, input_spec=[paddle.static.InputSpec([product.m, product.k], "float32")])
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "product"))
            with silenced():
                paddle.jit.save(static, path)
                config = inference.Config(f"{path}.pdmodel", f"{path}.pdiparams")
                config.disable_glog_info()
                config.disable_gpu()
                config.enable_mkldnn()
                config.set_cpu_math_library_num_threads(threads)
                if precision == "bf16":
                    config.enable_mkldnn_bfloat16()
                predictor = inference.create_predictor(config)
        predictor.get_input_handle(predictor.get_input_names()[0]).copy_from_cpu(first)
        predictor.run()
        upstream.give_threads_back()

        def once() -> None:
            predictor.run()
            upstream.give_threads_back()

        return once

    return build


def _onnxruntime(precision: str) -> Callable[[Product, int], Call]:
    """MLAS; of int8 the first matrix has no sign, as that of an activation."""

    def build(product: Product, threads: int) -> Call:
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        first: NDArray[Any]
        second: NDArray[Any]
        first, second = _matrices(product)
        operator, kinds = "MatMul", (TensorProto.FLOAT, TensorProto.FLOAT)
        result: type[np.generic] = np.float32
        if precision == "int8":
            operator, kinds, result = "MatMulInteger", (TensorProto.UINT8, TensorProto.INT32), np.int32
            first = np.clip(64 * first + 128, 0, 255).astype(np.uint8)
            second = np.clip(32 * second, -127, 127).astype(np.int8)
        sizes = [product.m, product.k], [product.m, product.n]
        graph = helper.make_graph(
            [helper.make_node(operator, ["first", "second"], ["result"])],
            "product",
            [helper.make_tensor_value_info("first", kinds[0], sizes[0])],
            [helper.make_tensor_value_info("result", kinds[1], sizes[1])],
            [numpy_helper.from_array(second, "second")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        value = onnxruntime.OrtValue
        binding.bind_ortvalue_input("first", value.ortvalue_from_numpy(first))
        binding.bind_ortvalue_output("result", value.ortvalue_from_shape_and_type(sizes[1], result))

        def once() -> None:
            session.run_with_iobinding(binding)

        return once

    return build


_LIBRARIES: dict[tuple[str, str], Callable[[Product, int], Call]] = {
    ("paddle", "fp32"): _paddle,
    ("onednn", "fp32"): _onednn("fp32"),
    ("onnxruntime", "fp32"): _onnxruntime("fp32"),
    ("onednn", "bf16"): _onednn("bf16"),
    ("onnxruntime", "int8"): _onnxruntime("int8"),
}
