"""The optimiser that every stage trains with, and what it says when training fails."""

from __future__ import annotations

from collections.abc import Mapping
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

    def state(self) -> dict[str, Any]:
        """The schedule's position, and the moments of each parameter by its place: names differ between processes."""
        moments = {
            name: {str(i): kept[p.name].numpy() for i, p in enumerate(self._parameters) if p.name in kept}
            for name, kept in self.adamw._accumulators.items()
        }
        return {"schedule": self.schedule.state_dict(), "moments": moments}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave; a parameter that had no moments has none again."""
        import paddle

        self.schedule.set_state_dict(state["schedule"])
        places = {int(i) for kept in state["moments"].values() for i in kept}
        # Paddle makes the moments at its first step only, and then needs this.
        self.adamw.helper = paddle.base.layer_helper.LayerHelper("AdamW")
        block = paddle.base.framework.default_main_program().global_block()
        self.adamw._create_accumulators(block, [self._parameters[i] for i in sorted(places)])
        for name, kept in state["moments"].items():
            for i, values in kept.items():
                self.adamw._accumulators[name][self._parameters[int(i)].name].set_value(values)

    @property
    def _parameters(self) -> list[Any]:
        return list(self.adamw._parameter_list)


def adamw(
    network: Any,
    learning_rate: float,
    steps: int,
    warmup_proportion: float,
    weight_decay: float,
    max_grad_norm: float = 1.0,
    constant: bool = False,
) -> Optimizer:
    """AdamW with linear warm-up and decay to zero; biases and normalisation weights are not decayed.

    The recipe of PaddleNLP's multi-class example (`LinearDecayWithWarmup`), whose `train.py` clips no gradient; BERT's
    own code clips its norm at 1.0. With `max_grad_norm` 0 it is not clipped. With `constant` the rate stays as it is:
    without its `--warmup` that script makes the schedule and never steps it.
    """
    import paddle
    from paddlenlp.transformers import LinearDecayWithWarmup

    schedule: Any
    if constant:
        schedule = paddle.optimizer.lr.LambdaDecay(learning_rate, lambda _: 1.0)
    else:
        schedule = LinearDecayWithWarmup(learning_rate, steps, warmup_proportion)
    decayed = {p.name for n, p in network.named_parameters() if not any(word in n for word in ("bias", "norm"))}
    optimizer = paddle.optimizer.AdamW(
        learning_rate=schedule,
        parameters=network.parameters(),
        weight_decay=weight_decay,
        apply_decay_param_fun=lambda name: name in decayed,
        grad_clip=paddle.nn.ClipGradByGlobalNorm(max_grad_norm) if max_grad_norm else None,
    )
    return Optimizer(optimizer, schedule)
