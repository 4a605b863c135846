"""The optimiser that every stage trains with, and what it says when training fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class Diverged(Exception):
    """The loss is no longer a finite number; a result to be recorded, not an accident."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss was not finite at step {step}")
        self.step = step


@dataclass
class Optimizer:
    """AdamW with its learning-rate schedule."""

    adamw: Any
    schedule: Any

    def step(self) -> None:
        """Apply the gradients."""
        self.adamw.step()

    def clear_grad(self) -> None:
        """Forget the gradients."""
        self.adamw.clear_grad()


def adamw(network: Any, learning_rate: float, steps: int, warmup_proportion: float, weight_decay: float) -> Optimizer:
    """AdamW with linear warm-up and decay to zero; biases and normalisation weights are not decayed.

    The recipe of PaddleNLP's multi-class example (`LinearDecayWithWarmup`, gradient norm not clipped there; it is
    clipped at 1.0 here as in BERT's own code).
    """
    import paddle
    from paddlenlp.transformers import LinearDecayWithWarmup

    schedule = LinearDecayWithWarmup(learning_rate, steps, warmup_proportion)
    decayed = {p.name for n, p in network.named_parameters() if not any(word in n for word in ("bias", "norm"))}
    optimizer = paddle.optimizer.AdamW(
        learning_rate=schedule,
        parameters=network.parameters(),
        weight_decay=weight_decay,
        apply_decay_param_fun=lambda name: name in decayed,
        grad_clip=paddle.nn.ClipGradByGlobalNorm(1.0),
    )
    return Optimizer(optimizer, schedule)
