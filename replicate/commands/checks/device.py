"""Whether the installed Paddle works on the device that a profile wants."""

from __future__ import annotations

import os
from dataclasses import dataclass

from replicate.commands.checks.check import Check
from replicate.commands.checks.process import answer_of
from replicate.nets.upstream import TF32

# The environment of each lock.
ENVIRONMENTS = {"cpu": "smoke", "gpu": "replicate", "cpu-paddle3": "py-paddle3", "gpu-cu12": "replicate-cu12"}
# By release, what its CUDA build has kernels for where Paddle itself doesn't say: the wheel of 2.6 on PyPI holds these
# and no PTX. Each is good for later minor versions of its major one.
KERNELS = {"2.6": (61, 70, 75, 80, 86)}
# First and last compute capability, and the environment that is for them.
_FOR = (((6, 1), (8, 9), "replicate"), ((9, 0), (9, 0), "replicate-cu12"))
_OTHERS = "take a GPU that docs/gpu.md names; CUDA_VISIBLE_DEVICES chooses among several"
_NO_GPU = (
    "take a machine with an NVIDIA GPU that docs/gpu.md names, or install NVIDIA's driver until `nvidia-smi` lists it"
)
# The first that has TF32.
_TF32_SINCE = 8
_DRIVER = "import json; from replicate.commands.checks.driver import ask; print(json.dumps(ask()))"
_PROBE = """
import json, sys
from replicate.nets import upstream
upstream.prepare()
import paddle
cuda = paddle.is_compiled_with_cuda()
found = {"version": paddle.__version__, "cuda": paddle.version.cuda() if cuda else ""}
# Paddle 3 says what it was built for.
found["kernels"] = [int(one) for one in getattr(paddle.version, "cuda_archs", list)() or ()] if cuda else []
found["strided"] = paddle.get_flags("FLAGS_use_stride_kernel")["FLAGS_use_stride_kernel"]
print(json.dumps(found), flush=True)
if cuda and "gpu" in sys.argv:
    paddle.set_device("gpu")
    x = paddle.ones([1, 4, 8, 8])
    y = paddle.nn.Conv2D(4, 4, 3)(x).sum() + paddle.matmul(x, x).sum()
    y.backward()
    float(y)
"""


@dataclass(frozen=True)
class Probe:
    """What Paddle and NVIDIA's driver said, each in a process of its own.

    Attributes:
        version: Paddle's; empty where it can't be imported.
        cuda: the CUDA version that it was built for; empty for the CPU build.
        kernels: the compute capabilities that it says it has kernels for, as 10 × major + minor.
        strided: whether stride kernels are on.
        error: the last line of what it died of.
        driver: the newest CUDA that the driver knows, as 1000 × major + 10 × minor; 0 where there is none.
        release: the driver's own version.
        devices: name and compute capability of each GPU that the driver sees.
        fault: why it sees none.
    """

    version: str = ""
    cuda: str = ""
    kernels: tuple[int, ...] = ()
    strided: bool = False
    error: str = ""
    driver: int = 0
    release: str = ""
    devices: tuple[tuple[str, tuple[int, int]], ...] = ()
    fault: str = ""


def probe(device: str, seconds: float = 300) -> Probe:
    """Import Paddle in another process, and use the first GPU there where `device` is "gpu"; list the driver's GPUs."""
    told = answer_of(_DRIVER, seconds=seconds) if device == "gpu" else {}
    found = answer_of(_PROBE, device, seconds=seconds)
    found["kernels"] = tuple(found.get("kernels", ()))
    return Probe(
        **found,
        driver=told.get("cuda", 0),
        release=told.get("version", ""),
        devices=tuple((each["name"], tuple(each["capability"])) for each in told.get("devices", ())),
        fault=told.get("fault") or told.get("error", ""),
    )


def check_device(wanted: str, found: Probe) -> Check:
    """Paddle works on the device that the profile wants: build, driver, compute capability, and one real step."""
    suited = _environment(found)
    if not found.version:
        mend = f"tox run -r -e {suited or ENVIRONMENTS[wanted]} --notest"
        return Check("device", False, f"Paddle can't be imported: {found.error}", mend)
    mend = f"tox -e {suited}" if suited else _OTHERS if found.devices else _NO_GPU
    detail = f"Paddle {found.version}, {f'CUDA {found.cuda}' if found.cuda else 'CPU'} build"
    if wanted == "cpu":
        return Check("device", True, f"{detail}, runs on the CPU")
    if not found.cuda:
        return Check("device", False, f"{detail}: can't use a GPU; {_gpus(found)}", mend)
    kernels = _kernels(found)
    if kernels:
        detail += f", kernels for {', '.join(_dotted(one) for one in sorted(kernels))}"
    if found.driver:
        detail += f", {_driver(found)}"
        # Within one major version an older driver runs what a newer CUDA built.
        if found.driver // 1000 < int(found.cuda.partition(".")[0]):
            fix = f"install an NVIDIA driver for CUDA {found.cuda} or newer"
            return Check("device", False, f"{detail}: too old for this build", fix)
    if not found.devices:
        return Check("device", False, f"{detail}: {_gpus(found)}", mend)
    name, capability = found.devices[0]
    detail = f"{detail}, {name}, compute capability {capability[0]}.{capability[1]}"
    covered = any(one // 10 == capability[0] and one % 10 <= capability[1] for one in kernels)
    # A build may hold code that a newer GPU compiles for itself: then the step that was tried decides.
    if kernels and not covered and (_release(found) in KERNELS or found.error):
        return Check("device", False, f"{detail}: this build of Paddle has none for it", mend)
    if found.error:
        return Check("device", False, f"{detail}: fails with {found.error}", mend)
    return Check("device", True, f"{detail}, {_precision(capability)}")


def _release(found: Probe) -> str:
    return ".".join(found.version.split(".")[:2])


def _kernels(found: Probe) -> tuple[int, ...]:
    return found.kernels or KERNELS.get(_release(found), ())


def _dotted(capability: int) -> str:
    return f"{capability // 10}.{capability % 10}"


def _driver(found: Probe) -> str:
    known = f"{found.driver // 1000}.{found.driver % 1000 // 10}"
    return f"driver{found.release and ' '}{found.release} for CUDA {known}"


def _gpus(found: Probe) -> str:
    """In words, what the driver sees."""
    if not found.devices:
        return f"NVIDIA's driver sees no GPU here{found.fault and f' ({found.fault})'}"
    names = [f"{name} (compute capability {major}.{minor})" for name, (major, minor) in found.devices]
    return f"here are {', '.join(dict.fromkeys(names))}, {_driver(found)}"


def lock_for(wanted: str, found: Probe) -> str:
    """The lock of requirements/ to install where there is no Paddle: that of the first GPU's environment."""
    suited = _environment(found) if wanted == "gpu" else ""
    return next((lock for lock, name in ENVIRONMENTS.items() if name == suited), wanted)


def _environment(found: Probe) -> str:
    """The environment that is for the first device; empty where none is."""
    capability = found.devices[0][1] if found.devices else (0, 0)
    return next((name for first, last, name in _FOR if first <= capability <= last), "")


def _precision(capability: tuple[int, int]) -> str:
    if capability[0] < _TF32_SINCE:
        return "fp32"
    value = os.environ.get(TF32, "0")
    return f"fp32 ({TF32}=0)" if value == "0" else f"TF32 where Paddle takes it ({TF32}={value}): records say so"
