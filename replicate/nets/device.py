"""The device that nets run on, and the seeds of every generator."""

from __future__ import annotations

import random

import numpy as np

from replicate.common.checks import check_device, check_seed
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
