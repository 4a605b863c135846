"""The one place that knows what upstream broke: Paddle's CPU speed, LAC's `paddle.fluid`, paddleslim's layer norm."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import importlib
import io
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from replicate.common.cores import default_threads, threads
from replicate.common.errors import UserError
from replicate.common.homes import give_homes, paddlenlp_home

# On CUDA, the same sums in the same order where Paddle, cuDNN and cuBLAS can: docs/faults.md says what is left. The CPU
# build knows none of them, and computes so anyway.
DETERMINISTIC = {
    "FLAGS_cudnn_deterministic": "1",
    # The gradient of embeddings, otherwise summed by atomic additions.
    "FLAGS_embedding_deterministic": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}
# Paddle multiplies in TF32, with 10 bits of mantissa, on Ampere and newer: the same run would be another one on a V100.
# NVIDIA's own libraries read this.
TF32 = "NVIDIA_TF32_OVERRIDE"
# Paddle 3's new intermediate representation.
PIR = "FLAGS_enable_pir_api"
# glibc's malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
# What MKL computes with on its path of AVX-512.
_AVX512 = frozenset({"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"})


def prepare() -> None:
    """Sets the variables that Paddle reads once, while it is imported; what the user has set stays.

    Raises:
        RuntimeError: Paddle was imported first, without them.
    """
    defaults = {
        # Otherwise a transpose is a strided view that a scalar loop copies later: twice the time of a step.
        "FLAGS_use_stride_kernel": "0",
        **DETERMINISTIC,
        TF32: "0",
        # Paddle 3 otherwise writes graphs that neither paddleslim nor Paddle2ONNX reads; Paddle 2.6 has it off.
        PIR: "0",
        # Paddle's C++ core logs to stderr what only its developers want to know.
        "GLOG_minloglevel": "2",
        **_mkl_defaults(),
    }
    missing = {name: value for name, value in defaults.items() if name not in os.environ}
    if missing and "paddle" in sys.modules:
        raise RuntimeError(f"paddle was imported before upstream.prepare(), so it can't see {' and '.join(missing)}")
    os.environ.update(missing)
    default_threads()
    give_homes()
    _keep_freed_memory()


def _mkl_defaults() -> dict[str, str]:
    # Paddle 2.6 carries MKL 2019, which takes its slowest path on a CPU that is not Intel's unless it is told another:
    # matrix products are 3 to 4 times as fast with that of AVX2, and twice that with that of AVX-512.
    try:
        described = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    found = re.search(r"^flags\s*:(.*)$", described, re.MULTILINE)
    flags = set(found[1].split()) if found else set()
    if "AuthenticAMD" not in described or "avx2" not in flags:
        return {}
    return {"MKL_DEBUG_CPU_TYPE": "7" if flags >= _AVX512 else "5"}


def _keep_freed_memory() -> None:
    # glibc gives freed blocks of this size back to the kernel, and every activation then costs page faults again:
    # up to half the time of a matrix product whose result is some megabytes large.
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def give_memory_back(above: int = 0) -> None:
    """Frees nets that are done with, and gives the kernel their memory, which otherwise stays with the process.

    A net holds itself in circles, which Python looks for by their number: a few may be gigabytes.

    Args:
        above: bytes that the process must hold, or it isn't worth the time.
    """
    if _resident() < above:
        return
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _resident() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return sys.maxsize
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def saved_once() -> Iterator[None]:
    """Frees what `paddle.jit.save` of Paddle 2.6 keeps of each net: a scope that holds all weights.

    Scopes are in a pool until the process ends, or until they are taken out of it.
    """
    core: Any = importlib.import_module("paddle.base.core")
    make, made = core.Scope, []

    def noted() -> Any:
        made.append(make())
        return made[-1]

    core.Scope = noted
    try:
        yield
    finally:
        core.Scope = make
        for scope in made:
            scope._remove_from_pool()


def give_threads_back() -> None:
    """Lets Paddle compute with OMP_NUM_THREADS again: whoever makes or runs a predictor leaves all of it one thread.

    That would last, so what came after it in the same process was slower, and its last bits were others.
    """
    importlib.import_module("paddle.base.core").set_num_threads(threads())


def quiet() -> None:
    """Lets PaddleNLP log warnings only, and hides what every import of Paddle and PaddleNLP says of itself."""
    prepare()
    # Paddle tells stderr that more than one thread is unwise, which is about data parallel training.
    with contextlib.redirect_stderr(io.StringIO()):
        importlib.import_module("paddle")
    _mend_matmul()
    warnings.filterwarnings("ignore", message="Setuptools is replacing distutils")
    warnings.filterwarnings("ignore", message="full_graph=False don't support input_spec")
    if "paddlenlp" not in sys.modules:
        make_caches()
    from paddlenlp.utils.log import logger

    logger.set_level("WARNING")
    _take_signals_back()


def _take_signals_back() -> None:
    """Gives SIGINT and SIGTERM to the handlers that Python has for them.

    Paddle puts its own in their place while it is imported, and PaddleNLP takes these away, which leaves the system's:
    a run would end without a word, and the processes that it has started would go on.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if (handler := signal.getsignal(number)) is not None:
                signal.signal(number, handler)


@functools.cache
def _mend_matmul() -> None:
    """Lets `matmul` write graphs of the old kind again: since 3.2 it knows dynamic nets and graphs of the new one only.

    Other operators of ERNIE still write both.
    """
    paddle: Any = importlib.import_module("paddle")
    transformer: Any = importlib.import_module("paddle.nn.layer.transformer")
    if tuple(map(int, paddle.__version__.split(".")[:2])) < (3, 2):
        return
    compute = paddle.matmul

    def matmul(x: Any, y: Any, transpose_x: bool = False, transpose_y: bool = False, name: str | None = None) -> Any:
        if paddle.in_dynamic_mode():
            return compute(x, y, transpose_x, transpose_y)
        helper = importlib.import_module("paddle.base.layer_helper").LayerHelper("matmul_v2")
        out = helper.create_variable_for_type_inference(dtype=x.dtype)
        attributes = {"trans_x": transpose_x, "trans_y": transpose_y}
        helper.append_op(type="matmul_v2", inputs={"X": x, "Y": y}, outputs={"Out": out}, attrs=attributes)
        return out

    # Layers of Transformers have it from a module of their own.
    for module in (paddle, paddle.tensor, transformer.tensor):
        module.matmul = matmul


def make_caches() -> None:
    """Make the folders that PaddleNLP makes while it is imported; UserError where it would die of it."""
    home = paddlenlp_home()
    try:
        for name in ("models", "datasets", "packages"):
            (home / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "PaddleNLP needs its folders there; set PPNLP_HOME to a folder that can be written"
        raise UserError(f"can't make {name} ({error.strerror})", path=home, hint=hint) from error


def import_lac() -> ModuleType:
    """The `LAC` module, which imports `paddle.fluid`, in Paddle 2.6 named `paddle.base`."""
    prepare()
    base = importlib.import_module("paddle.base")
    # Submodules too: `paddle.fluid.core` found through its path would load the C++ core a second time, and fail.
    for name, module in list(sys.modules.items()):
        if name == "paddle.base" or name.startswith("paddle.base."):
            sys.modules.setdefault(name.replace("paddle.base", "paddle.fluid", 1), module)
    importlib.import_module("paddle").__dict__.setdefault("fluid", base)
    return importlib.import_module("LAC")


def lac_predictor(checkpoint: str) -> object:
    """LAC's net without oneDNN.

    In Paddle 2.6, oneDNN's fused GRU reuses what it kept from batches of another shape: some batches get wrong tags,
    depending on what ran before, and some crash the process. Without it LAC is right, and not slower.
    """
    from paddle.base.core import AnalysisConfig, create_paddle_predictor

    config = AnalysisConfig(checkpoint)
    config.disable_glog_info()
    config.disable_mkldnn()
    return create_paddle_predictor(config)


def mend_paddleslim() -> None:
    """Mends two layers of its supernet; idempotent.

    `SuperLayerNorm.forward` unpacks three values where Paddle returns one since 2.6. `__init__` of this layer and of
    `SuperEmbedding` give their arguments by position, where Paddle has others since 3.2.
    """
    prepare()
    layers = importlib.import_module("paddleslim.nas.ofa.layers")
    layers.SuperLayerNorm.forward = _super_layer_norm
    layers.SuperLayerNorm.__init__ = _init_layer_norm
    layers.SuperEmbedding.__init__ = _init_embedding


def _super_layer_norm(self: Any, input: Any) -> Any:
    from paddle.nn.functional import layer_norm

    width = int(input.shape[-1])
    # DynaBERT's conversion reads from here how wide the input was.
    self.cur_config = {"prune_dim": width}
    weight, bias = (None if given is None else given[:width] for given in (self.weight, self.bias))
    return layer_norm(input, [width], weight, bias, self._epsilon)


def _init_layer_norm(
    self: Any,
    normalized_shape: Any,
    epsilon: float = 1e-05,
    weight_attr: Any = None,
    bias_attr: Any = None,
    name: str | None = None,
) -> None:
    from paddle.nn import LayerNorm

    LayerNorm.__init__(self, normalized_shape, epsilon, weight_attr=weight_attr, bias_attr=bias_attr, name=name)
    self.cur_config = None


def _init_embedding(
    self: Any, num_embeddings: int, embedding_dim: int, candidate_config: dict[str, Any], **options: Any
) -> None:
    from paddle.nn import Embedding

    Embedding.__init__(self, num_embeddings, embedding_dim, **options)
    self.candidate_config, self.cur_config = candidate_config, None
    self.expand_ratio = candidate_config.get("expand_ratio")
    self.base_output_dim = embedding_dim if self.expand_ratio is None else int(embedding_dim / max(self.expand_ratio))


@dataclass
class LastLayer:
    """The share of its hidden units that the last layer keeps; known once the supernet has been trained."""

    last: float = 0.0


@contextlib.contextmanager
def pruning_of_2022() -> Iterator[LastLayer]:
    """PaddleNLP's pruning as it was until its pull request 3324 (September 2022; 2.4.0 is still without it).

    paddleslim finds the linear maps of the last layer by counting, and takes three embeddings for granted. A net with
    task ids has four: its last layer's first map of the feed-forward part passes for the pooler, and stays whole. Since
    that request PaddleNLP says which maps are pruned, and doesn't ask paddleslim.
    """
    compress: Any = importlib.import_module("paddlenlp.trainer.trainer_compress")
    corrected, cut = compress.check_dynabert_config, compress._get_dynabert_model
    found = LastLayer()

    def uncorrected(net_config: dict[str, Any], width_mult: float) -> dict[str, Any]:
        found.last = [one["expand_ratio"] for name, one in net_config.items() if "linear1" in name][-1]
        return net_config

    def cut_to_fit(model: Any, width_mult: float) -> Any:
        layer = model.base_model.encoder.layers[-1]
        maps = layer.linear1, layer.linear2
        model = cut(model, width_mult)
        if found.last == 1:
            layer.linear1, layer.linear2 = maps
        return model

    compress.check_dynabert_config, compress._get_dynabert_model = uncorrected, cut_to_fit
    try:
        yield found
    finally:
        compress.check_dynabert_config, compress._get_dynabert_model = corrected, cut
