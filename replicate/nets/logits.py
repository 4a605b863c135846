"""Logits and probabilities of a network on texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.nets import batching
from replicate.scores.evaluation import softmax

BATCH = 64


def probabilities(
    logits_of: Callable[[NDArray[np.int64]], NDArray[np.float32]], rows: Sequence[NDArray[np.int64]], pad_id: int
) -> NDArray[np.float64]:
    """Class probabilities [texts, classes] in the order of the rows; batches of 64 are made by length.

    Args:
        logits_of: token ids [batch, length] to logits [batch, classes].
        rows: token ids of each text.
        pad_id: id that fills short rows.
    """
    found: NDArray[np.float64] = batching.in_order(lambda ids: softmax(logits_of(ids)), rows, pad_id, BATCH)
    return found


def network_logits(network: Any) -> Callable[[NDArray[np.int64]], NDArray[np.float32]]:
    """`logits_of` for a dynamic-graph network; it is left in evaluation mode."""
    import paddle

    network.eval()

    def logits_of(ids: NDArray[np.int64]) -> NDArray[np.float32]:
        with paddle.no_grad():
            return np.asarray(network(paddle.to_tensor(ids)).numpy())

    return logits_of
