"""What NVIDIA's driver says is read right, and without anything that has to be installed first."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from replicate.commands.checks import driver
from replicate.common.paths import ROOT

GPUS = (("NVIDIA H100 80GB HBM3", (9, 0)), ("NVIDIA L4", (8, 9)))
ERRORS = {802: b"CUDA_ERROR_SYSTEM_NOT_READY"}


def library(gpus: Sequence[tuple[str, tuple[int, int]]] = GPUS, code: int = 0) -> SimpleNamespace:
    """CUDA's driver and NVML with these GPUs, as ctypes gives them; `code` is what the first call answers."""

    def told(to: Any, value: object) -> int:
        # What a function of C tells goes where it is pointed.
        to._obj.value = value
        return 0

    def name(text: Any, size: int, device: Any) -> int:
        text.value = gpus[device.value][0].encode()[: size - 1]
        return 0

    def version(text: Any, size: int) -> int:
        text.value = b"550.54.15"
        return 0

    return SimpleNamespace(
        cuDriverGetVersion=lambda number: told(number, 12040),
        cuInit=lambda flags: code,
        cuGetErrorName=lambda code, text: told(text, ERRORS.get(code)),
        cuDeviceGetCount=lambda number: told(number, len(gpus)),
        cuDeviceGet=lambda device, index: told(device, index),
        cuDeviceGetName=name,
        cuDeviceGetAttribute=lambda number, which, device: told(number, gpus[device.value][1][(75, 76).index(which)]),
        nvmlInit_v2=lambda: 0,
        nvmlSystemGetDriverVersion=version,
    )


def test_gpus_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name and compute capability of each, the driver's version and the CUDA that it knows."""
    monkeypatch.setattr("ctypes.CDLL", lambda _: library())
    found = driver.ask()
    assert found["devices"] == [{"name": name, "capability": [*capability]} for name, capability in GPUS]
    assert (found["version"], found["cuda"], found["fault"]) == ("550.54.15", 12040, "")


@pytest.mark.parametrize(("code", "words"), [(802, "CUDA_ERROR_SYSTEM_NOT_READY"), (4711, "CUDA error 4711")])
def test_driver_that_does_not_start(code: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error has its name where the driver knows one, else its number; what was told before stays."""
    monkeypatch.setattr("ctypes.CDLL", lambda _: library(code=code))
    assert driver.ask() == {"version": "550.54.15", "cuda": 12040, "devices": [], "fault": words}


def test_driver_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its library there is nothing, and the reason is the loader's."""

    def absent(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", absent)
    fault = "libcuda.so.1: cannot open shared object file"
    assert driver.ask() == {"version": "", "cuda": 0, "devices": [], "fault": fault}


def test_it_is_asked_with_python_alone() -> None:
    """Before anything is installed, the module tells what GPU a machine has."""
    command = [sys.executable, "-S", "-m", "replicate.commands.checks.driver"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert json.loads(done.stdout).keys() == {"version", "cuda", "devices", "fault"}
