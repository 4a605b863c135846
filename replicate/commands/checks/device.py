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
# The first that has TF32.
_TF32_SINCE = 8
_PROBE = """
import ctypes, json, sys
from replicate.nets import upstream
upstream.prepare()
import paddle
cuda = paddle.is_compiled_with_cuda()
found = {"version": paddle.__version__, "cuda": paddle.version.cuda() if cuda else "", "driver": 0, "devices": []}
# Paddle 3 says what it was built for.
found["kernels"] = [int(one) for one in getattr(paddle.version, "cuda_archs", list)() or ()] if cuda else []
found["strided"] = paddle.get_flags("FLAGS_use_stride_kernel")["FLAGS_use_stride_kernel"]
if cuda:
    try:
        number = ctypes.c_int()
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(number))
        found["driver"] = number.value
    except OSError:
        pass
    print(json.dumps(found), flush=True)
for index in range(paddle.device.cuda.device_count() if cuda else 0):
    device = paddle.device.cuda.get_device_properties(index)
    found["devices"].append({"name": device.name, "capability": [device.major, device.minor]})
print(json.dumps(found), flush=True)
if "gpu" in sys.argv:
    paddle.set_device("gpu")
    x = paddle.ones([1, 4, 8, 8])
    y = paddle.nn.Conv2D(4, 4, 3)(x).sum() + paddle.matmul(x, x).sum()
    y.backward()
    float(y)
"""


@dataclass(frozen=True)
class Probe:
    """What Paddle said in a process of its own.

    Attributes:
        version: Paddle's; empty where it can't be imported.
        cuda: the CUDA version that it was built for; empty for the CPU build.
        driver: the newest CUDA that the driver knows, as 1000 × major + 10 × minor; 0 where there is none.
        kernels: the compute capabilities that it says it has kernels for, as 10 × major + minor.
        strided: whether stride kernels are on.
        devices: name and compute capability of each CUDA device.
        error: the last line of what it died of.
    """

    version: str = ""
    cuda: str = ""
    driver: int = 0
    kernels: tuple[int, ...] = ()
    strided: bool = False
    devices: tuple[tuple[str, tuple[int, int]], ...] = ()
    error: str = ""


def probe(device: str, seconds: float = 300) -> Probe:
    """Import Paddle in another process, list its CUDA devices, and use the first one where `device` is "gpu"."""
    found = answer_of(_PROBE, device, seconds=seconds)
    found["kernels"] = tuple(found.get("kernels", ()))
    found["devices"] = tuple((each["name"], tuple(each["capability"])) for each in found.get("devices", ()))
    return Probe(**found)


def check_device(wanted: str, found: Probe) -> Check:
    """Paddle works on the device that the profile wants: build, driver, compute capability, and one real step."""
    mend = f"tox -e {_environment(found) or 'replicate'}"
    if not found.version:
        mend = f"tox run -r -e {ENVIRONMENTS[wanted]} --notest"
        return Check("device", False, f"Paddle can't be imported: {found.error}", mend)
    detail = f"Paddle {found.version}, {f'CUDA {found.cuda}' if found.cuda else 'CPU'} build"
    if wanted == "cpu":
        return Check("device", True, f"{detail}, runs on the CPU")
    if not found.cuda:
        return Check("device", False, f"{detail}: can't use a GPU", mend)
    release = ".".join(found.version.split(".")[:2])
    kernels = found.kernels or KERNELS.get(release, ())
    if kernels:
        detail += f", kernels for {', '.join(f'{one // 10}.{one % 10}' for one in sorted(kernels))}"
    if found.driver:
        known = f"{found.driver // 1000}.{found.driver % 1000 // 10}"
        detail += f", driver for CUDA {known}"
        # Within one major version an older driver runs what a newer CUDA built.
        if found.driver // 1000 < int(found.cuda.partition(".")[0]):
            fix = f"install an NVIDIA driver for CUDA {found.cuda} or newer"
            return Check("device", False, f"{detail}: too old for this build", fix)
    if not found.devices:
        fix = "install NVIDIA's driver, until `nvidia-smi` lists a device"
        return Check("device", False, f"{detail}: sees no CUDA device", fix)
    name, capability = found.devices[0]
    detail = f"{detail}, {name}, compute capability {capability[0]}.{capability[1]}"
    covered = any(one // 10 == capability[0] and one % 10 <= capability[1] for one in kernels)
    # A build may hold code that a newer GPU compiles for itself: then the step that was tried decides.
    if kernels and not covered and (release in KERNELS or found.error):
        others = "take a GPU that docs/gpu.md names; CUDA_VISIBLE_DEVICES chooses among several"
        fix = mend if _environment(found) else others
        return Check("device", False, f"{detail}: this build of Paddle has none for it", fix)
    if found.error:
        return Check("device", False, f"{detail}: fails with {found.error}", mend)
    return Check("device", True, f"{detail}, {_precision(capability)}")


def _environment(found: Probe) -> str:
    """The environment that is for the first device; empty where none is."""
    capability = found.devices[0][1] if found.devices else (0, 0)
    return next((name for first, last, name in _FOR if first <= capability <= last), "")


def _precision(capability: tuple[int, int]) -> str:
    if capability[0] < _TF32_SINCE:
        return "fp32"
    value = os.environ.get(TF32, "0")
    return f"fp32 ({TF32}=0)" if value == "0" else f"TF32 where Paddle takes it ({TF32}={value}): records say so"
