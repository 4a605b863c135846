"""What no setting may be, in one line that names it."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from typing import Any

from replicate.common.errors import UserError

# NumPy takes no larger one.
LARGEST_SEED = 2**32 - 1


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a value that is not one of the choices (UserError)."""
    if value not in choices:
        raise UserError(f"{name} is {value!r}", hint=f"choose one of {', '.join(choices)}")


def check_choices(options: Any) -> None:
    """Refuse a setting that is none of the `choices` in its field's metadata (UserError)."""
    for field in fields(options):
        if "choices" in field.metadata:
            check_choice(field.name, getattr(options, field.name), field.metadata["choices"])


def check_positive(options: Any, *names: str) -> None:
    """Refuse a setting that is not a finite number above zero (UserError)."""
    for name in names:
        if not 0 < getattr(options, name) < math.inf:
            raise UserError(f"{name} is {getattr(options, name)}", hint="it must be above 0")


def check_not_negative(options: Any, *names: str) -> None:
    """Refuse a setting that is not a finite number, or is below zero (UserError)."""
    for name in names:
        if not 0 <= getattr(options, name) < math.inf:
            raise UserError(f"{name} is {getattr(options, name)}", hint="it must be 0 or more")


def check_rate(options: Any, *names: str) -> None:
    """Refuse a setting that is no share of something, or all of it (UserError)."""
    for name in names:
        if not 0 <= getattr(options, name) < 1:
            raise UserError(f"{name} is {getattr(options, name)}", hint="it must be at least 0 and below 1")


def check_schedule(options: Any) -> None:
    """Refuse a warm-up that is no share of the steps, and a weight decay that is none (UserError)."""
    if not 0 <= options.warmup_proportion <= 1:
        raise UserError(f"warmup_proportion is {options.warmup_proportion}", hint="it must be from 0 to 1")
    check_not_negative(options, "weight_decay")


def check_seed(seed: int) -> None:
    """Refuse a seed that one of the random generators doesn't take (UserError)."""
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(f"seed is {seed}", hint=f"it must be from 0 to {LARGEST_SEED}")


def check_device(device: str) -> None:
    """Refuse what is neither `cpu` nor `gpu`, nor one GPU of several (`gpu:1`) (UserError)."""
    if not re.fullmatch(r"cpu|gpu(:\d{1,3})?", device, re.ASCII):
        raise UserError(f"device is {device!r}", hint="choose one of cpu, gpu")


def kind_of_device(device: str) -> str:
    """`gpu` of any GPU (`gpu:1`), else what it is."""
    return device.partition(":")[0]
