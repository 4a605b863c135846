"""Whether a worker would make what its driver means: the same code, packages, data, threads and processor."""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Mapping

from replicate.common.checks import kind_of_device
from replicate.common.cores import stage_threads
from replicate.records.facts import machine, versions
from replicate.runs.artefact import canonical
from replicate.runs.runner import Runner
from replicate.training.checkpoint import code_digest

TEXT, GPU = "unlabelled text", "GPU"
_NAME = 100


def facts_of(runner: Runner, gpu: bool, reads_text: bool) -> dict[str, str]:
    """What decides the last bits of what this process would make, by what it is called.

    Args:
        runner: that makes stages here.
        gpu: whether it makes those that want a GPU.
        reads_text: whether any stage reads the profile's unlabelled text.

    Raises:
        UserError: the data aren't there.
    """
    # All that a record names, since some stages hang on more than the others do.
    found = {"code": code_digest()[:12], **versions()}
    found["data"] = hashlib.sha256(canonical(dict(runner.dataset.digests))).hexdigest()[:12]
    if reads_text:
        found[TEXT] = runner.unlabelled_digest[:12]
    if gpu:
        found[GPU] = gpu_name()
    elif kind_of_device(runner.profile.device) == "cpu":
        found |= {"threads": str(stage_threads()), "processor": str(machine()["cpu"])}
    return found


def differences(mine: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """What a worker has otherwise than the driver, in words; what only one of them knows of is a difference too."""
    return [
        f"{name} {theirs.get(name, 'missing')}, not {mine.get(name, 'missing')}"
        for name in dict.fromkeys((*mine, *theirs))
        if mine.get(name) != theirs.get(name)
    ]


def visible_gpus() -> list[str]:
    """The GPUs of this machine that this process may use, as CUDA_VISIBLE_DEVICES names them; Paddle stays unasked."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [one.strip() for one in named.split(",") if one.strip() and one.strip() != "-1"]
    cuda, count = _cuda(), ctypes.c_int()
    if cuda is None or cuda.cuDeviceGetCount(ctypes.byref(count)):
        return []
    return [str(number) for number in range(count.value)]


def gpu_name() -> str:
    """The model of the first GPU that this process may use; empty without one."""
    cuda, device, name = _cuda(), ctypes.c_int(), ctypes.create_string_buffer(_NAME)
    if cuda is None or cuda.cuDeviceGet(ctypes.byref(device), 0) or cuda.cuDeviceGetName(name, _NAME, device):
        return ""
    return name.value.decode("utf-8", "replace")


def _cuda() -> ctypes.CDLL | None:
    """The driver's library, ready to be asked; None where there is none."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    return None if cuda.cuInit(0) else cuda
