"""Gradients of layer norm and of biases by NumPy: the bits of Paddle's own kernels, in the calls that layers make."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from replicate.nets import cpu_gradients, upstream

LEAST, BIASES = cpu_gradients.LEAST, cpu_gradients.BIASES


def tensors(*shapes: tuple[int, ...]) -> list[Any]:
    """Tensors that want gradients, of numbers of many sizes, some of them zero."""
    upstream.quiet()
    import paddle

    rng = np.random.default_rng(1)
    found = []
    for shape in shapes:
        values = rng.standard_normal(shape) * 10.0 ** rng.integers(-6, 3, shape) * (rng.random(shape) < 0.8)
        found.append(paddle.to_tensor(values.astype(np.float32), stop_gradient=False))
    return found


def bits(out: Any, of: list[Any], gradient: Any) -> list[bytes]:
    """What came out and its gradients, as bytes."""
    import paddle

    return [one.numpy().tobytes() for one in (out, *paddle.grad(out, of, gradient))]


@pytest.mark.parametrize("shape", [(LEAST // 8, 8), (32, 33, 192), (8, 32, 768), (32, 16, 192), (5, 7, 96), (1, 16)])
def test_layer_norm_has_the_bits_of_the_kernel(shape: tuple[int, ...]) -> None:
    """Result and all three gradients, above and below the size from which NumPy computes them."""
    *inputs, gradient = tensors(shape, shape[-1:], shape[-1:], shape)
    import paddle
    import paddle.nn.functional as F

    own = paddle._C_ops.layer_norm(*inputs, 1e-12, len(shape) - 1)
    ours = F.layer_norm(inputs[0], shape[-1:], *inputs[1:], 1e-12)
    assert ("LayerNormGrad" in ours.grad_fn.name()) == (np.prod(shape) < LEAST)
    assert bits(ours, inputs, gradient) == bits(own, inputs, gradient)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [((LEAST // BIASES + 1,), BIASES), ((32, 16), 768), ((8, 32), 3072), ((32, 33), 192), ((9, 8), 11), ((1,), 768)],
)
def test_linear_map_has_the_bits_of_the_kernel(rows: tuple[int, ...], columns: int) -> None:
    """Result and gradients of input, weight and bias."""
    *inputs, gradient = tensors((*rows, 24), (24, columns), (columns,), (*rows, columns))
    import paddle
    import paddle.nn.functional as F

    own, ours = paddle._C_ops.linear(*inputs), F.linear(*inputs)
    assert ("AddGrad" in ours.grad_fn.name()) == (np.prod(rows) * columns < LEAST or columns < BIASES)
    assert bits(ours, inputs, gradient) == bits(own, inputs, gradient)


def test_what_is_frozen_stays_with_paddle() -> None:
    """A parameter that wants no gradient gets none, and a call without gradients keeps nothing for one."""
    x, weight, bias, gradient = tensors((LEAST // 16, 16), (16,), (16,), (LEAST // 16, 16))
    import paddle

    weight.stop_gradient = True
    layer = paddle.nn.LayerNorm(16)
    out = paddle.nn.functional.layer_norm(x, 16, weight, bias)
    assert bits(out, [x, bias], gradient)
    assert weight.grad is None
    with paddle.no_grad():
        assert layer(x).stop_gradient
