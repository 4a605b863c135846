"""Two gradients that Paddle's CPU kernels take long for, by NumPy and to the same bits: layer norm's, and a bias's.

Paddle 2.6 takes a root for each element of a layer norm where one a row would do, and adds up a bias's gradient one
element at a time: 7 % of a step of Base. What is computed, and in which order numbers are added, stays: sums over rows
go from the first to the last, as NumPy's over the first axis do.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Below so many numbers, or columns of a layer norm and of a bias, Paddle's own are as fast. Of a single column NumPy
# would add the numbers in another order.
LEAST, NORMALISED, BIASES = 1 << 17, 8, 384


@functools.cache
def install() -> None:
    """Let Paddle's layers, in nets of any kind, compute these gradients so; newer ones than 2.6 keep their own."""
    paddle: Any = importlib.import_module("paddle")
    if not paddle.__version__.startswith("2.6."):
        return
    functional: Any = paddle.nn.functional
    # The layer has its function from a module of its own.
    norm: Any = importlib.import_module("paddle.nn.layer.norm")
    own_norm, own_linear = functional.layer_norm, functional.linear
    add_bias, normalise = _layers()

    def ours(columns: int, *tensors: Any) -> bool:
        if not (paddle.in_dynamic_mode() and paddle.is_grad_enabled()):
            return False
        x = tensors[0]
        return x.size // x.shape[-1] * columns >= LEAST and all(map(_on_cpu, tensors))

    def layer_norm(
        x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, epsilon: float = 1e-5, name: Any = None
    ) -> Any:
        last = x.shape[-1] >= NORMALISED and tuple(np.atleast_1d(normalized_shape)) == (x.shape[-1],)
        if last and weight is not None and bias is not None and ours(x.shape[-1], x, weight, bias):
            return normalise(x, weight, bias, epsilon)
        return own_norm(x, normalized_shape, weight, bias, epsilon, name)

    def linear(x: Any, weight: Any, bias: Any = None, name: Any = None) -> Any:
        if bias is not None and bias.shape[0] >= BIASES and ours(bias.shape[0], x, weight, bias):
            return add_bias(paddle.matmul(x, weight), bias)
        return own_linear(x, weight, bias, name)

    # An export calls them as they are, and isn't to translate what they say.
    functional.linear = paddle.jit.not_to_static(linear)
    functional.layer_norm = norm.layer_norm = paddle.jit.not_to_static(layer_norm)


def _on_cpu(tensor: Any) -> bool:
    """Whether a tensor of 32-bit numbers on the CPU wants a gradient."""
    return not tensor.stop_gradient and tensor.dtype.name == "FP32" and tensor.place.is_cpu_place()


def _layers() -> tuple[Any, Any]:
    """The functions: a bias added, and layer norm over the last axis."""
    paddle: Any = importlib.import_module("paddle")

    class Bias(paddle.autograd.PyLayer):  # type: ignore[misc]  # Paddle is untyped
        @staticmethod
        def forward(_: Any, x: Any, bias: Any) -> Any:
            return x + bias

        @staticmethod
        def backward(_: Any, gradient: Any) -> Any:
            return gradient, paddle.to_tensor(_rows(gradient).sum(0))

    class LayerNorm(paddle.autograd.PyLayer):  # type: ignore[misc]  # Paddle is untyped
        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any, bias: Any, epsilon: float) -> Any:
            axis = len(x.shape) - 1
            # The newer call keeps mean and variance to itself.
            out, mean, variance = paddle._legacy_C_ops.layer_norm(
                x, weight, bias, "epsilon", epsilon, "begin_norm_axis", axis
            )
            ctx.save_for_backward(x, weight, mean, variance)
            ctx.epsilon = epsilon
            return out

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            x, weight, mean, variance = ctx.saved_tensor()
            found = layer_norm_gradients(
                _rows(x), weight.numpy(), mean.numpy(), variance.numpy(), _rows(gradient), ctx.epsilon
            )
            return tuple(map(paddle.to_tensor, (found[0].reshape(x.shape), *found[1:])))

    return Bias.apply, LayerNorm.apply


def _rows(tensor: Any) -> NDArray[np.float32]:
    """A copy as a matrix of the last axis."""
    found: NDArray[np.float32] = tensor.numpy().reshape(-1, tensor.shape[-1])
    return found


def layer_norm_gradients(
    x: NDArray[np.float32],
    weight: NDArray[np.float32],
    mean: NDArray[np.float32],
    variance: NDArray[np.float32],
    gradient: NDArray[np.float32],
    epsilon: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Gradients of a layer norm for its input, weight and bias, rounded where Paddle's kernel rounds.

    Args:
        x: what was normalised, [rows, columns]; overwritten.
        weight: [columns].
        mean: of each row, [rows].
        variance: of each row, [rows].
        gradient: of what came out, [rows, columns]; overwritten.
        epsilon: added to the variance.
    """
    deviation = np.sqrt(variance.reshape(-1, 1) + np.float32(epsilon))
    x -= mean.reshape(-1, 1)
    x /= deviation
    of_bias = gradient.sum(0)
    product = x * gradient
    of_weight = product.sum(0)
    gradient *= weight
    np.multiply(gradient, x, out=product)
    gradient -= _row_means(gradient)
    x *= _row_means(product)
    gradient -= x
    gradient /= deviation
    return gradient, of_weight, of_bias


def _row_means(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of the rows, [rows, 1]: added from the first element to the last, and scaled in double precision."""
    sums = np.ascontiguousarray(matrix.T).sum(0)
    return (sums.astype(np.float64) * (1 / matrix.shape[1])).astype(np.float32)[:, None]
