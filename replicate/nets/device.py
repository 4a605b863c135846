"""The device that nets run on, and the seeds of every generator."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from replicate.common.checks import check_device, check_seed, kind_of_device
from replicate.common.cores import computing_with, stage_threads
from replicate.common.errors import UserError
from replicate.nets import upstream


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and Paddle; call before a network is built, or its head is not reproducible.

    Raises:
        UserError: a seed that one of them doesn't take.
    """
    check_seed(seed)
    upstream.quiet()
    import paddle

    random.seed(seed)
    np.random.seed(seed)
    paddle.seed(seed)


def set_device(device: str) -> None:
    """Choose `cpu` or `gpu` for everything that follows.

    Raises:
        UserError: there is none such, or this Paddle can't use it.
    """
    check_device(device)
    upstream.quiet()
    import paddle

    if device.startswith("gpu") and not paddle.is_compiled_with_cuda():
        raise UserError(
            f"device {device!r}: this Paddle has no CUDA support",
            hint="use --device cpu; `replicate doctor --profile paper` says which environment this machine's GPU needs",
        )
    if device.startswith("gpu") and paddle.device.cuda.device_count() == 0:
        raise UserError(
            f"device {device!r}: no CUDA device is visible", hint="use --device cpu, or see `replicate doctor`"
        )
    try:
        paddle.set_device(device)
    except ValueError as error:
        raise UserError(f"device {device!r} is not one that Paddle sees", hint="use cpu or gpu") from error


@contextmanager
def stage_on(device: str, trains: bool) -> Iterator[None]:
    """Compute as a stage of a plan does while the context lasts: on its device, and on a CPU with its threads.

    Args:
        device: of the profile.
        trains: the stage wants the device, and else Paddle is not even imported for it.

    Raises:
        UserError: this Paddle can't use the device.
    """
    if kind_of_device(device) != "cpu":
        if trains:
            set_device(device)
        yield
        return
    try:
        with computing_with(stage_threads()):
            if trains:
                set_device(device)
                # The variable is read when Paddle is imported, and that may have been before.
                upstream.give_threads_back()
            yield
    finally:
        # What comes after it, such as a race, has the threads that it would have had without it.
        if trains and "paddle" in sys.modules:
            upstream.give_threads_back()
