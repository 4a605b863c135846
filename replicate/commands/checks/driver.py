"""What NVIDIA's driver says of this machine's GPUs, whatever Paddle is installed; needs Python and nothing else.

`python -m replicate.commands.checks.driver` prints it. Ask in a process of its own: CUDA can't be used in a fork of one
that has asked.
"""

from __future__ import annotations

import ctypes
import json
from typing import Any

# From cuda.h and nvml.h.
_MAJOR, _MINOR = 75, 76
_NAME, _VERSION = 256, 80


def ask() -> dict[str, Any]:
    """The driver's version, the newest CUDA that it knows, and the GPUs that CUDA_VISIBLE_DEVICES leaves.

    Returns:
        `version`, such as "550.54.15", empty where it isn't told; `cuda` as 1000 × major + 10 × minor, 0 where there is
        no driver; `devices` with `name` and `capability`, each in the driver's order; `fault`, why there are none.
    """
    found: dict[str, Any] = {"version": _version(), "cuda": 0, "devices": [], "fault": ""}
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return {**found, "fault": str(error)}
    number = ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(number))
    found["cuda"] = number.value
    if code := library.cuInit(0):
        return {**found, "fault": _words(library, code)}
    library.cuDeviceGetCount(ctypes.byref(number))
    for index in range(number.value):
        found["devices"].append(_device(library, index))
    return found


def _device(library: Any, index: int) -> dict[str, Any]:
    device, number, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(_NAME)
    library.cuDeviceGet(ctypes.byref(device), index)
    library.cuDeviceGetName(name, _NAME, device)
    capability = []
    for attribute in (_MAJOR, _MINOR):
        library.cuDeviceGetAttribute(ctypes.byref(number), attribute, device)
        capability.append(number.value)
    return {"name": name.value.decode(errors="replace"), "capability": capability}


def _words(library: Any, code: int) -> str:
    """The name of an error, such as CUDA_ERROR_NO_DEVICE."""
    name = ctypes.c_char_p()
    library.cuGetErrorName(code, ctypes.byref(name))
    return name.value.decode() if name.value else f"CUDA error {code}"


def _version() -> str:
    """The driver's own version, which CUDA doesn't tell."""
    text = ctypes.create_string_buffer(_VERSION)
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return ""
    if library.nvmlInit_v2() or library.nvmlSystemGetDriverVersion(text, _VERSION):
        return ""
    return text.value.decode(errors="replace")


if __name__ == "__main__":
    print(json.dumps(ask()))
