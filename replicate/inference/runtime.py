"""One interface to whatever computes a classifier's logits: dynamic net, Paddle Inference, ONNX Runtime, OpenVINO."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.common.checks import check_choice
from replicate.common.cores import threads as omp_threads
from replicate.common.errors import UserError
from replicate.inference.exported import GRAPHS, MANIFEST, Manifest, check_inside, read_exported, read_positions
from replicate.inference.onnx_graph import check_onnx
from replicate.inference.openvino import openvino_logits
from replicate.inference.paddle_graph import check_paddle
from replicate.nets import upstream
from replicate.nets.classifier import load_classifier
from replicate.nets.device import set_device
from replicate.nets.folder import WEIGHTS, read_model_labels
from replicate.nets.logits import network_logits
from replicate.nets.tokens import read_tokenizer

# Those of every installation, and those that commands offer.
RUNTIMES = ("dygraph", "paddle-inference", "onnxruntime")
OPENVINO = "openvino"
OFFERED = (*RUNTIMES, OPENVINO)
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
DEVICES = ("cpu", "gpu")
# By kind of graph, the runtime that reads it and those that read it where they are named.
_READERS = {"paddle": ("paddle-inference",), "onnx": ("onnxruntime", OPENVINO)}
_HALVES = {"fp16": "float16", "bf16": "bfloat16"}

Logits = Callable[[NDArray[np.int64]], NDArray[np.float32]]


@dataclass(frozen=True)
class Runtime:
    """A classifier that is ready to compute, with what turns texts into its input and logits into labels.

    Attributes:
        name: one of `OFFERED`.
        precision: one of `PRECISIONS`: what the matrix products are computed in.
        device: `cpu` or `gpu`.
        threads: CPU threads that it computes with.
        labels: label names; index = class.
        tokenizer: PaddleNLP tokenizer.
        positions: longest input in tokens, [CLS] and [SEP] included.
        parameters: number of scalars in the dynamic net.
        bytes: size of the file that holds the weights.
        logits: token ids [batch, length], int64, padded with `tokenizer.pad_token_id`, to logits [batch, classes].
            It returns when the device is done, since the logits are copied to the host. One thread at a time may
            call it.
    """

    name: str
    precision: str
    device: str
    threads: int
    labels: tuple[str, ...]
    tokenizer: Any
    positions: int
    parameters: int
    bytes: int
    logits: Logits


def open_runtime(
    folder: Path,
    name: str | None = None,
    *,
    device: str = "cpu",
    precision: str | None = None,
    threads: int | None = None,
    tensorrt: bool = False,
) -> Runtime:
    """The runtime of a model folder (`dygraph`) or of an exported folder (the one that its graph is for).

    Args:
        folder: what finetune, prune or export wrote.
        name: one of `OFFERED`, where the caller insists; it must be one that reads the folder.
        device: `cpu` or `gpu`.
        precision: one of `PRECISIONS`; by default what the folder holds. Half precision is for GPUs; bf16 in Paddle
            Inference also for CPUs that have instructions for it.
        threads: CPU threads; by default what `OMP_NUM_THREADS` says, or else every core.
        tensorrt: let Paddle Inference hand the graph to TensorRT, on a GPU.

    Raises:
        UserError: the folder is damaged or none of ours, or the machine can't do what is asked.
    """
    folder = Path(folder)
    check_choice("device", device, DEVICES)
    check_choice("precision", precision or "fp32", PRECISIONS)
    check_choice("runtime", name or RUNTIMES[0], OFFERED)
    if threads is not None and threads < 1:
        raise UserError(f"threads is {threads}", hint="it must be above 0")
    if folder.is_dir():
        check_inside(folder)
    # The run store puts a manifest of its own beside a net's weights.
    is_exported = (folder / MANIFEST).exists() and not (folder / WEIGHTS).exists()
    manifest = read_exported(folder) if is_exported else None
    readers = _READERS[manifest.kind] if manifest else ("dygraph",)
    reader = name or readers[0]
    if reader not in readers:
        hint = "name the model folder" if name == "dygraph" else "`replicate export` writes a folder for it"
        raise UserError(f"this folder is for {' or '.join(readers)}, not for {name}", path=folder, hint=hint)
    if tensorrt and (reader, device) != ("paddle-inference", "gpu"):
        raise UserError("TensorRT is for paddle-inference on a GPU")
    precision = _precision(precision, manifest.precision if manifest else "fp32", reader, device)
    upstream.quiet()
    # upstream.prepare() has set the variable where the user had not.
    threads = threads or omp_threads()
    if reader not in _READERS["onnx"]:
        set_device(device)
    if manifest is None:
        return _dygraph(folder, device, precision, threads)
    graphs = [folder / file for file in GRAPHS[manifest.kind]]
    labels = read_model_labels(folder)
    check_graph(graphs, len(labels))
    if reader == OPENVINO:
        logits = openvino_logits(graphs[0], precision, threads)
    elif manifest.kind == "onnx":
        logits = onnx_logits(graphs[0], device, precision, threads)
    else:
        logits = paddle_logits(graphs[0], graphs[1], device, precision, threads, tensorrt)
    return _exported(folder, manifest, reader, device, precision, threads, labels, logits)


def _precision(asked: str | None, held: str, name: str, device: str) -> str:
    """The precision to compute in; UserError where the folder, the runtime or the device does not have it."""
    if name == OPENVINO and (device == "gpu" or "int8" in (asked, held) or asked == "fp16"):
        raise UserError("openvino is for fp32 and bf16 on a CPU here", hint="use onnxruntime")
    if "int8" in (asked, held):
        if asked not in (None, held):
            raise UserError(f"the folder holds {held}, not {asked}", hint="export it with or without --int8")
        if device != "cpu":
            raise UserError("int8 is for the CPU", hint="use --device cpu, or fp16 on the GPU")
        return held
    if asked in _HALVES and device == "cpu" and (asked != "bf16" or name not in ("paddle-inference", OPENVINO)):
        raise UserError(f"{asked} in {name} needs a GPU", hint="use fp32, or bf16 in paddle-inference")
    if (asked, name) == ("bf16", "onnxruntime"):
        raise UserError("onnxruntime has no bf16 here", hint="use fp16")
    return asked or held


def _dygraph(folder: Path, device: str, precision: str, threads: int) -> Runtime:
    import paddle
    from paddle.base import core

    core.set_num_threads(threads)
    classifier = load_classifier(folder)
    logits = network_logits(classifier.network)
    if precision in _HALVES:
        half = _HALVES[precision]
        network = paddle.amp.decorate(models=classifier.network, level="O2", dtype=half)

        def logits(ids: NDArray[np.int64]) -> NDArray[np.float32]:
            with paddle.no_grad(), paddle.amp.auto_cast(level="O2", dtype=half):
                return np.asarray(network(paddle.to_tensor(ids)).astype("float32").numpy())

    return Runtime(
        name="dygraph",
        precision=precision,
        device=device,
        threads=threads,
        labels=classifier.labels,
        tokenizer=classifier.tokenizer,
        positions=classifier.network.config.max_position_embeddings,
        parameters=classifier.parameters,
        bytes=(folder / WEIGHTS).stat().st_size,
        logits=logits,
    )


def check_graph(graphs: Sequence[Path], classes: int) -> None:
    """Refuse a graph that is not a classifier such as `replicate export` writes, before any library opens it.

    Args:
        graphs: the files of one kind of graph, as `exported.GRAPHS` orders them.
        classes: number of labels.

    Raises:
        UserError: an operator that our exports have not, data outside the file, or sizes that don't fit.
    """
    if len(graphs) == 1:
        check_onnx(graphs[0], classes)
    else:
        check_paddle(graphs[0], graphs[1], classes)


def _exported(
    folder: Path,
    manifest: Manifest,
    name: str,
    device: str,
    precision: str,
    threads: int,
    labels: tuple[str, ...],
    logits: Logits,
) -> Runtime:
    vocabulary, positions = read_positions(folder)
    return Runtime(
        name=name,
        precision=precision,
        device=device,
        threads=threads,
        labels=labels,
        tokenizer=read_tokenizer(folder / "vocab.txt", SimpleNamespace(vocab_size=vocabulary)),
        positions=positions,
        parameters=manifest.parameters,
        bytes=manifest.bytes,
        logits=logits,
    )


def paddle_logits(
    graph: Path, weights: Path, device: str, precision: str, threads: int, tensorrt: bool = False
) -> Logits:
    """`Runtime.logits` of a static graph in Paddle Inference.

    Raises:
        UserError: Paddle can't load it, or not in this precision.
    """
    upstream.quiet()
    from paddle import inference
    from paddle.base import core

    config = inference.Config(str(graph), str(weights))
    config.disable_glog_info()
    config.switch_ir_optim(True)
    config.enable_memory_optim()
    config.set_cpu_math_library_num_threads(threads)
    if device == "gpu":
        kinds = inference.PrecisionType
        kind = {"fp32": kinds.Float32, "fp16": kinds.Half, "bf16": kinds.Bfloat16}[precision]
        config.enable_use_gpu(256, 0, kind)
        if tensorrt:
            if inference.get_trt_compile_version() == (0, 0, 0):
                raise UserError("this Paddle was built without TensorRT", hint="leave it out")
            config.enable_tensorrt_engine(precision_mode=kind, use_static=False)
            config.enable_tuned_tensorrt_dynamic_shape("", True)
    else:
        config.disable_gpu()
        config.enable_mkldnn()
        # oneDNN keeps the weights of a fully connected layer once more for every shape of the input: 340 MB a shape
        # for ERNIE Base. With room for one shape a new one costs the time to arrange them, and memory does not grow.
        config.set_mkldnn_cache_capacity(1)
        if precision == "int8":
            config.enable_mkldnn_int8()
            # With all that oneDNN can compute in 8 bits it is faster by a quarter, but four labels in ten change.
            config.set_mkldnn_op({"fc", "mul", "matmul_v2"})
        if precision == "bf16":
            if not core.supports_bfloat16_fast_performance():
                raise UserError("this CPU has no instructions for bf16", hint="use fp32")
            config.enable_mkldnn_bfloat16()
    try:
        with silenced():
            predictor = inference.create_predictor(config)
    except Exception as error:  # what Paddle's are called depends on which of its checks fails
        raise UserError("Paddle Inference can't load the graph", path=graph, hint="export it again") from error
    source = predictor.get_input_handle(predictor.get_input_names()[0])
    target = predictor.get_output_names()[0]

    def logits(ids: NDArray[np.int64]) -> NDArray[np.float32]:
        try:
            source.copy_from_cpu(np.ascontiguousarray(ids))
            predictor.run()
            return np.asarray(predictor.get_output_handle(target).copy_to_cpu())
        except Exception as error:
            raise _failed("Paddle Inference", graph, error) from error
        finally:
            upstream.give_threads_back()

    return logits


def onnx_logits(graph: Path, device: str, precision: str, threads: int) -> Logits:
    """`Runtime.logits` of an ONNX graph in ONNX Runtime.

    Raises:
        UserError: ONNX Runtime can't load it, or lacks the device.
    """
    import onnxruntime

    provider = "CUDAExecutionProvider" if device == "gpu" else "CPUExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise UserError("this ONNX Runtime has no CUDA support", hint="use --device cpu or install onnxruntime-gpu")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Its exceptions say what is wrong; on standard error it would be said again, in other words.
    options.log_severity_level = 4
    # Waiting threads would otherwise spin, and take the cores from whatever runs between two calls.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    model: str | bytes = str(graph)
    if precision == "fp16":
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16

        model = convert_float_to_float16(onnx.load(graph), keep_io_types=True).SerializeToString()
    try:
        session = onnxruntime.InferenceSession(model, options, providers=[provider])
    except Exception as error:  # its exceptions have no common class but this
        raise UserError("ONNX Runtime can't load the graph", path=graph, hint="export it again") from error
    if provider not in session.get_providers():
        # It would otherwise fall back to the CPU, and only log that.
        raise UserError("ONNX Runtime can't start on the GPU", hint="its CUDA libraries must be on LD_LIBRARY_PATH")
    source = session.get_inputs()[0].name

    def logits(ids: NDArray[np.int64]) -> NDArray[np.float32]:
        try:
            return np.asarray(session.run(None, {source: ids})[0])
        except Exception as error:
            raise _failed("ONNX Runtime", graph, error) from error

    return logits


def _failed(name: str, graph: Path, error: Exception) -> UserError:
    """A graph that can't be computed, in one line; the cause keeps the rest."""
    return UserError(f"{name} can't compute the graph ({type(error).__name__})", path=graph, hint="export it again")


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Hides what C++ code writes to standard output and standard error; its exceptions still come through."""
    sys.stdout.flush()
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    kept = [os.dup(number) for number in (1, 2)]
    try:
        for number in (1, 2):
            os.dup2(nowhere, number)
        yield
    finally:
        # What C has not written yet would otherwise come out later.
        ctypes.CDLL(None).fflush(None)
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
            os.close(old)
        os.close(nowhere)
