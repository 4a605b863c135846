"""Graphs whose matrix products are computed in 8 bits: for Paddle Inference from examples, for ONNX Runtime without.

ONNX Runtime finds the range of activations anew in every batch. oneDNN in Paddle Inference takes fixed ranges, which
Paddle's post-training quantisation reads from examples.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Of the values that a layer computes on the examples, the range spans 99.999 %: `abs_max` lets one outlier coarsen all.
_ALGORITHM = "hist"
_PRODUCTS = ("matmul", "matmul_v2")


def quantise_onnx(source: Path, target: Path) -> None:
    """Write an ONNX graph with integer matrix products; each output channel's weights have a scale of their own.

    Embeddings stay as they are: looking them up takes no time that 8 bits could save, and rounding them costs labels.
    Weights have 7 of the 8 bits: a processor without VNNI adds two products in 16 bits, which full weights overflow.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _unlogged():
        quantize_dynamic(
            str(source),
            str(target),
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=["MatMul"],
        )
    model = onnx.load(str(target))
    onnx.checker.check_model(model)
    # It leaves what it does not understand as it is, and says nothing.
    if not any(node.op_type == "MatMulInteger" for node in model.graph.node):
        raise RuntimeError("ONNX Runtime's quantiser found no matrix product with constant weights")


def quantise_paddle(source: Path, target: Path, batches: Sequence[NDArray[np.int64]]) -> None:
    """Write a static graph (`model.pdmodel`, `model.pdiparams`) with the ranges that oneDNN needs for 8 bits.

    Upstream's way to this, `Trainer.compress(strategy="ptq")`, fails with Paddle 2.6: it hands over a generator where
    only a `DataLoader` is taken still. The class that it calls works.

    Args:
        source: folder of the static graph.
        target: folder to write.
        batches: token ids [batch, length] to take the ranges from.
    """
    import paddle
    from paddle.static.quantization import PostTrainingQuantization

    class Examples(paddle.io.Dataset):  # type: ignore[misc]  # Paddle is untyped
        """The batches, one an item."""

        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, index: int) -> Any:
            return batches[index]

    paddle.enable_static()
    try:
        with _unlogged(), paddle.static.scope_guard(paddle.static.Scope()):
            executor = paddle.static.Executor(paddle.CPUPlace())
            program, names, _ = paddle.static.load_inference_model(str(source / "model"), executor)
            loader = paddle.io.DataLoader(
                Examples(),
                feed_list=[program.global_block().var(name) for name in names],
                batch_size=None,
                return_list=False,
                places=paddle.CPUPlace(),
            )
            quantiser = PostTrainingQuantization(
                executor=executor,
                scope=paddle.static.global_scope(),
                data_loader=loader,
                model_dir=str(source),
                model_filename="model.pdmodel",
                params_filename="model.pdiparams",
                batch_nums=len(batches),
                algo=_ALGORITHM,
                quantizable_op_type=list(_PRODUCTS),
                weight_quantize_type="channel_wise_abs_max",
            )
            quantiser.quantize()
            quantiser.save_quantized_model(
                str(target), model_filename="model.pdmodel", params_filename="model.pdiparams"
            )
    finally:
        paddle.disable_static()


def forget_callers(graph: Path) -> None:
    """Remove from a static graph what Paddle notes at its operators: the call stack, with paths of this machine."""
    from paddle.base.proto.framework_pb2 import ProgramDesc

    program = ProgramDesc.FromString(graph.read_bytes())
    for block in program.blocks:
        for operator in block.ops:
            for attribute in operator.attrs:
                if attribute.name == "op_callstack":
                    del attribute.strings[:]
    graph.write_bytes(program.SerializeToString(deterministic=True))


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    # Both quantisers tell how they get on, and one recommends a preparation that changes nothing in our graphs.
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
