"""Each repair works, and each "upstream" test fails on the day when upstream no longer needs it."""

from __future__ import annotations

import gc
import json
import logging
import os
import subprocess
import sys
import weakref
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.common.cores import cores
from replicate.nets import upstream
from tests.mkl import MKL, needs_mkl

FLAGS = (
    "FLAGS_use_stride_kernel",
    "OMP_NUM_THREADS",
    "MKL_DEBUG_CPU_TYPE",
    "GLOG_minloglevel",
    *upstream.DETERMINISTIC,
    upstream.TF32,
    upstream.PIR,
)
MKL_CPU = """
import ctypes, importlib.util, json, pathlib
libraries = pathlib.Path(importlib.util.find_spec("paddle").origin).parent / "libs"
ctypes.CDLL(str(libraries / "libiomp5.so"), mode=ctypes.RTLD_GLOBAL)
print(json.dumps(ctypes.CDLL(str(libraries / "libmklml_intel.so")).mkl_serv_cpu_detect()))
"""
PAGE_FAULTS = """
import json, resource, numpy as np
np.ones(1 << 23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(1 << 23)
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before))
"""
LAC_BATCHES = """
import json, random, sys
from replicate.nets import upstream
from replicate.corpus import generated

queries = generated.generate(examples_train=1, examples_dev=1, unlabelled=200).unlabelled
texts = [query[: 2 + number % 9] for number, query in enumerate(queries)]
lac = upstream.import_lac().LAC(mode="lac")
lac.model.predictor = upstream.lac_predictor(lac.model.args.init_checkpoint)

def tags(batch):
    return [tuple(map(tuple, pair)) for pair in lac.run(list(batch))]

alone = {text: tags([text])[0] for text in texts}
draw, differing = random.Random(0), 0
for _ in range(150):
    batch = draw.sample(texts, draw.randrange(2, 40))
    differing += sum(found != alone[text] for text, found in zip(batch, tags(batch)))
print(json.dumps(differing))
"""
PREPARED = "from replicate.nets import upstream; upstream.prepare()\n"


def fresh(code: str, **variables: str) -> Any:
    """What `code` prints as JSON, run in an interpreter of its own without our flags."""
    environment = {name: value for name, value in os.environ.items() if name not in FLAGS} | variables
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def unmended() -> dict[str, Any]:
    """What upstream does unmended."""
    return fresh(
        """
import importlib, json, os
import paddle
from paddleslim.nas.ofa.layers import SuperLayerNorm
from replicate.nets import upstream

def error(call):
    try:
        call()
    except Exception as raised:
        return f"{type(raised).__name__}: {raised}"

print(json.dumps({
    "strided": paddle.get_flags("FLAGS_use_stride_kernel")["FLAGS_use_stride_kernel"],
    "threads": os.environ["OMP_NUM_THREADS"],
    "LAC": error(lambda: importlib.import_module("LAC")),
    "SuperLayerNorm": error(lambda: SuperLayerNorm(4)(paddle.ones([2, 4]))),
    "late": error(upstream.prepare),
}))
"""
    )


def test_upstream_still_strides_by_default(unmended: dict[str, Any]) -> None:
    """Paddle's slow stride kernels are on unless prepare() turns them off, and it then sets itself one thread."""
    assert unmended["strided"] is True
    assert unmended["threads"] == "1"


def test_upstream_lac_still_imports_fluid(unmended: dict[str, Any]) -> None:
    """Plain `import LAC` fails because `paddle.fluid` is gone."""
    assert unmended["LAC"] == "ModuleNotFoundError: No module named 'paddle.fluid'"


def test_upstream_super_layer_norm_still_unpacks_three(unmended: dict[str, Any]) -> None:
    """Plain SuperLayerNorm fails because `layer_norm` returns one tensor."""
    assert unmended["SuperLayerNorm"].startswith("ValueError: not enough values to unpack (expected 3")


def test_prepare_refuses_to_come_too_late(unmended: dict[str, Any]) -> None:
    """After `import paddle` the flags can't take effect, so prepare() raises instead of doing nothing."""
    assert unmended["late"].startswith("RuntimeError: paddle was imported before")
    assert "FLAGS_use_stride_kernel" in unmended["late"]


def test_prepare_imports_nothing_heavy_and_keeps_what_the_user_set() -> None:
    """prepare() sets both variables without importing Paddle; a value that is there already stays."""
    code = """
import json, os, sys
from replicate.nets import upstream
upstream.prepare(); upstream.prepare()
print(json.dumps([os.environ["FLAGS_use_stride_kernel"], os.environ["OMP_NUM_THREADS"], "paddle" in sys.modules]))
"""
    assert fresh(code) == ["0", str(cores()), False]
    assert fresh(code, OMP_NUM_THREADS="7", FLAGS_use_stride_kernel="1") == ["1", "7", False]


def test_what_cuda_needs_to_be_deterministic_is_set_before_paddle() -> None:
    """Paddle, cuDNN and cuBLAS are asked for their deterministic kernels, and Paddle's CPU build takes no offence."""
    code = """
import json, os
from replicate.nets import upstream
upstream.prepare()
found = {name: os.environ[name] for name in upstream.DETERMINISTIC}
"""
    import_and_tell = "import paddle\nprint(json.dumps([found, paddle.ones([2]).tolist()]))"
    wanted = {
        "FLAGS_cudnn_deterministic": "1",
        "FLAGS_embedding_deterministic": "1",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }
    assert fresh(code + import_and_tell) == [wanted, [1.0, 1.0]]
    asked = fresh(code + "print(json.dumps(found))", FLAGS_cudnn_deterministic="0")
    assert asked == {**wanted, "FLAGS_cudnn_deterministic": "0"}


@pytest.mark.skipif("MKL_DEBUG_CPU_TYPE" not in upstream._mkl_defaults(), reason="not an AMD CPU with AVX2")
def test_upstream_mkl_still_takes_this_cpu_for_a_generic_one() -> None:
    """Paddle's MKL chooses code path 0, the slowest, and with what prepare() sets that of AVX2 or AVX-512."""
    wanted = int(upstream._mkl_defaults()["MKL_DEBUG_CPU_TYPE"])
    assert [fresh(start + MKL_CPU) for start in ("", PREPARED)] == [0, wanted]


@pytest.mark.parametrize(
    ("vendor", "flags", "path"),
    [
        ("AuthenticAMD", "sse2 avx avx2", "5"),
        ("AuthenticAMD", "avx2 avx512f avx512cd avx512bw avx512dq avx512vl", "7"),
        ("AuthenticAMD", "avx2 avx512f avx512cd", "5"),
        ("AuthenticAMD", "sse2 avx", None),
        ("GenuineIntel", "avx2 avx512f avx512cd avx512bw avx512dq avx512vl", None),
    ],
)
def test_mkl_is_told_what_an_amd_has(
    vendor: str, flags: str, path: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path of AVX-512 needs all that MKL computes with there; an Intel is left to MKL."""
    described = f"vendor_id\t: {vendor}\nflags\t\t: fpu {flags}\nbugs\t\t: none\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: described)
    assert upstream._mkl_defaults().get("MKL_DEBUG_CPU_TYPE") == path


def test_products_are_right_on_the_path_that_is_chosen() -> None:
    """To what float32 can hold, for sizes that fill no register too."""
    upstream.quiet()
    import paddle

    rng = np.random.default_rng(0)
    for m, k, n in ((1, 1, 1), (3, 7, 5), (33, 193, 65), (256, 768, 100)):
        a, b = rng.standard_normal((m, k), dtype=np.float32), rng.standard_normal((k, n), dtype=np.float32)
        found = paddle.matmul(paddle.to_tensor(a), paddle.to_tensor(b)).numpy()
        np.testing.assert_allclose(found, a.astype(np.float64) @ b.astype(np.float64), atol=1e-5 * k**0.5)


@pytest.mark.skipif(sys.platform != "linux", reason="about glibc's malloc")
def test_upstream_malloc_still_gives_large_blocks_back() -> None:
    """An array of 64 MiB made again costs page faults again, and after prepare() next to none."""
    plain, mended = (fresh(start + PAGE_FAULTS) for start in ("", PREPARED))
    assert plain > 100
    assert mended < plain / 10


STAGE = """
import ctypes, json, sys
from replicate.common.cores import stage_threads, threads
from replicate.nets import upstream
from replicate.nets.device import stage_on

def numbers():
    return [stage_threads(), threads(), ctypes.CDLL(sys.argv[1]).MKL_Get_Max_Threads()]

if sys.argv[2] == "imported":
    upstream.quiet()
    before = numbers()
else:
    before = [stage_threads(), threads(), None]
with stage_on("cpu", trains=True):
    inside = numbers()
print(json.dumps([before, inside, numbers()]))
"""


@needs_mkl
@pytest.mark.parametrize("when", ["imported", "not yet"])
@pytest.mark.parametrize("named", [None, "1", "2"])
def test_a_stage_computes_with_its_own_threads(named: str | None, when: str) -> None:
    """With one, unless a number is named, also where Paddle has had all cores before; and they come back after it."""
    environment = {name: value for name, value in os.environ.items() if name not in FLAGS}
    environment |= {"OMP_NUM_THREADS": named} if named else {}
    command = [sys.executable, "-W", "ignore", "-c", STAGE, str(MKL), when]
    output = subprocess.check_output(command, env=environment, text=True)
    before, inside, after = json.loads(output.splitlines()[-1])
    wanted, all_of_them = int(named or 1), int(named or cores())
    # MKL takes no more than there are cores.
    assert inside == [wanted, wanted, min(wanted, cores())]
    assert before == [wanted, all_of_them, min(all_of_them, cores()) if when == "imported" else None]
    assert after == [wanted, all_of_them, min(all_of_them, cores())]


def test_prepared_paddle_has_no_strides() -> None:
    """After prepare() Paddle reports the flag as off."""
    upstream.prepare()
    import paddle

    assert paddle.get_flags("FLAGS_use_stride_kernel") == {"FLAGS_use_stride_kernel": False}


def test_quiet_leaves_warnings_only() -> None:
    """PaddleNLP's chatter is off, its warnings are on."""
    upstream.quiet()
    from paddlenlp.utils.log import logger

    assert not logger.logger.isEnabledFor(logging.INFO)
    assert logger.logger.isEnabledFor(logging.WARNING)


def test_quiet_says_nothing_of_threads() -> None:
    """Paddle's remark on more than one thread does not stand before a command's own one-line error."""
    variables = {**os.environ, "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-W", "ignore", "-c", "from replicate.nets import upstream; upstream.quiet()"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_lac_tags_text() -> None:
    """LAC's shipped model cuts and tags a query; the words join to the query again."""
    words, tags = upstream.import_lac().LAC(mode="lac").run("药盒能晒太阳吗")
    assert "".join(words) == "药盒能晒太阳吗"
    assert len(words) == len(tags) > 1


def test_mended_lac_tags_a_text_alike_in_every_batch() -> None:
    """Without oneDNN no batch gives a text other tags than it has alone; with it some do, from one run to the next."""
    assert fresh(LAC_BATCHES) == 0


@pytest.mark.parametrize("width", [6, 4])
def test_mended_layer_norm_is_that_of_the_sliced_parameters(width: int) -> None:
    """On all or the first few channels it computes (x - mean) / sqrt(var + eps) * weight + bias; it notes the width."""
    upstream.mend_paddleslim()
    upstream.mend_paddleslim()
    import paddle
    from paddleslim.nas.ofa.layers import SuperLayerNorm

    generator = np.random.default_rng(0)
    weight, bias = generator.normal(size=(2, 6)).astype("float32")
    layer = SuperLayerNorm(6, epsilon=1e-5)
    layer.weight.set_value(weight)
    layer.bias.set_value(bias)
    x = generator.normal(size=(2, 3, width)).astype("float32")
    y = layer(paddle.to_tensor(x)).numpy()
    normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(y, normal * weight[:width] + bias[:width], rtol=1e-4, atol=1e-5)
    assert layer.cur_config == {"prune_dim": width}


def test_mended_layer_norm_trains_and_may_lack_parameters() -> None:
    """Gradients reach the first channels of the full parameters only; a layer without weight or bias works."""
    upstream.mend_paddleslim()
    import paddle
    from paddleslim.nas.ofa.layers import SuperLayerNorm

    layer = SuperLayerNorm(4)
    (layer(paddle.to_tensor([[1.0, 2.0, 4.0]])) ** 2).sum().backward()
    gradient = layer.weight.grad.numpy()
    assert gradient.shape == (4,)
    assert (gradient[:3] != 0).all()
    assert gradient[3] == 0
    bare = SuperLayerNorm(4, weight_attr=False, bias_attr=False)
    assert abs(float(bare(paddle.to_tensor([[1.0, 2.0, 4.0]])).sum())) < 1e-5


SAVES = """
import contextlib, sys, tempfile
from replicate.nets import upstream
upstream.quiet()
import paddle
# Of 64 MiB.
spec = [paddle.static.InputSpec([None, None], "int64")]
def held():
    with upstream.saved_once() if "mended" in sys.argv else contextlib.nullcontext():
        net = paddle.nn.Embedding(16384, 1024)
        net.eval()
        with tempfile.TemporaryDirectory() as folder:
            paddle.jit.save(paddle.jit.to_static(net, input_spec=spec, full_graph=True), folder + "/model")
    del net
    upstream.give_memory_back()
    return upstream._resident()
first = held()
held(), held()
print((held() - first) >> 20)
"""


@pytest.mark.parametrize("how", ["plain", "mended"])
def test_saved_net_is_not_kept(how: str) -> None:
    """Paddle 2 keeps the 64 MiB of each saved net until the process ends; mended, three more take nothing."""
    if how == "plain" and not version("paddlepaddle").startswith("2."):
        pytest.skip("mended upstream in Paddle 3")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SAVES, how], capture_output=True, text=True, check=True
    )
    grown = int(done.stdout.splitlines()[-1])
    assert grown > 150 if how == "plain" else grown < 40


def test_memory_is_given_back_where_it_is_much() -> None:
    """What a net in a circle holds is freed, but not in a process that holds less than it was told to look for."""

    class Circle:
        def __init__(self) -> None:
            self.me = self

    gc.collect()
    gone = weakref.ref(Circle())
    upstream.give_memory_back(above=sys.maxsize)
    assert gone() is not None
    upstream.give_memory_back()
    assert gone() is None
