"""Settings that every training has in common, and their checks."""

from __future__ import annotations

from typing import Any

import numpy as np

from replicate.common.errors import UserError
from replicate.nets import batching

# `f1` is that of class index 1, the article's figure; `macro_f1` is the mean of every class's.
SELECT = ("accuracy", "f1", "macro_f1")

BATCHING = ("random", "length")

SCHEDULES = ("linear", "constant")

# Where steps are counted, and not epochs, the batches of all of them are drawn at the start.
MOST_STEPS = 100_000


def check_length(network: Any, max_length: int) -> None:
    """Refuse a maximum length in tokens that leaves no room for text, or that the net has no positions for.

    Raises:
        UserError: it does; names what the net takes.
    """
    positions = getattr(network.config, "max_position_embeddings", max_length)
    if not 3 <= max_length <= positions:
        raise UserError(f"max_seq_length is {max_length}", hint=f"this net takes 3 to {positions} tokens")


def check_steps(options: Any) -> None:
    """Refuse more steps than are drawn at once (UserError)."""
    if options.steps > MOST_STEPS:
        raise UserError(f"steps is {options.steps}", hint=f"it must be at most {MOST_STEPS}")


def batches_of(lengths: list[int], size: int, how: str, rng: np.random.Generator, steps: int = 0) -> list[np.ndarray]:
    """Index batches of one epoch, or with `steps` of so many: as many epochs as that takes, the last one cut short."""
    found = epoch_batches(lengths, size, how, rng)
    while len(found) < steps:
        found += epoch_batches(lengths, size, how, rng)
    return found[: steps or None]


def epoch_batches(lengths: list[int], size: int, how: str, rng: np.random.Generator) -> list[np.ndarray]:
    """Index batches of one epoch, made at random or by length."""
    if how == "length":
        return batching.length_batches(lengths, size, rng)
    return batching.random_batches(len(lengths), size, rng)
