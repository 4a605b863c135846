"""What an encoder says of a text as a whole: the mean of what it gives for each token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.nets import batching
from replicate.nets.logits import BATCH


def mean_states(encoder: Any, ids: Any, pad_id: int) -> Any:
    """Means over the tokens that are no padding, [texts, hidden], a tensor.

    Args:
        encoder: PaddleNLP's ERNIE without a head.
        ids: token ids [texts, length], a tensor.
        pad_id: the token that counts as nothing.
    """
    states = encoder(ids)[0]
    mask = (ids != pad_id).astype("float32").unsqueeze(-1)
    return (states * mask).sum(axis=1) / mask.sum(axis=1)


def features_of(encoder: Any, rows: Sequence[NDArray[np.int64]], pad_id: int) -> NDArray[np.float32]:
    """`mean_states` of each row of token ids, in their order; the encoder is left in evaluation mode."""
    import paddle

    encoder.eval()

    def of(ids: NDArray[np.int64]) -> NDArray[np.float32]:
        there = paddle.to_tensor(ids)
        return np.asarray(mean_states(encoder, there, pad_id).numpy())

    with paddle.no_grad():
        return batching.in_order(of, rows, pad_id, BATCH)
