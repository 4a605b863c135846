"""What a result was made with: versions, machine, device and commit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from replicate.common.cores import threads
from replicate.common.paths import ROOT
from replicate.nets.upstream import TF32

PACKAGES = (
    "gensim",
    "jieba",
    "lac",
    "nlpcda",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "paddle2onnx",
    "paddlenlp",
    "paddlepaddle",
    "paddlepaddle-gpu",
    "paddleslim",
    "replicate-ernie",
    "safetensors",
    "scikit-learn",
    "scipy",
)

# What decides a result; README, REPORT.md and the records themselves may differ from the commit without harm.
_CODE = ("replicate", "expected", "profiles")


def versions() -> dict[str, str]:
    """The installed versions of the packages that a result depends on; imports none of them."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, memory in GiB, platform and Python."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": _processor(),
        "cores": cores,
        "memory_gib": round(memory, 1),
        "platform": platform.platform(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def commit(root: Path = ROOT) -> tuple[str, bool]:
    """The git commit of the checkout `root`, and whether its code or data files differ from it.

    ("unknown", False) outside git.
    """
    # Untracked code (a wheel in an environment inside somebody's checkout) belongs to no commit.
    if _git(root, "ls-files", "--error-unmatch", "replicate/records/facts.py") is None:
        return "unknown", False
    head = _git(root, "rev-parse", "HEAD")
    status = _git(root, "status", "--porcelain", "--", *_CODE)
    return ("unknown", False) if head is None or status is None else (head, bool(status))


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def device_facts(device: str) -> dict[str, Any]:
    """Kind, name, threads and, for CUDA, compute capability and TF32's switch of the device that runs used."""
    paddle = sys.modules.get("paddle")
    # What needed no Paddle ran on the CPU whatever was asked for.
    if device == "cpu" or paddle is None or not paddle.device.cuda.device_count():
        return {"kind": device, "name": str(machine()["cpu"]), "threads": threads()}
    major, minor = paddle.device.cuda.get_device_capability()
    return {
        "kind": device,
        "name": paddle.device.cuda.get_device_name(),
        "threads": threads(),
        "compute_capability": f"{major}.{minor}",
        "nvidia_tf32_override": os.environ.get(TF32, ""),
    }


def now() -> str:
    """The time in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
