"""The fully connected layer: a convolution of one pixel, through the convolution's kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroshot import _testing
from zeroshot.reference import ops

from .oracle import (
    Array,
    assert_close,
    assert_same,
    bound,
    check_network,
    every_dtype,
    every_table,
    garbage,
    integers,
    normal,
)

# samples, inputs, outputs
CASES = [(1, 1, 1), (2, 3, 7), (5, 16, 10), (4, 17, 16), (3, 64, 43), (65, 43, 10), (2, 256, 120)]
every_case = pytest.mark.parametrize("n, c, k", CASES)


def run(table: str, x: Array, w: Array, b: Array, dy: Array) -> tuple[Array, Array, Array, Array]:
    """``(y, dx, dw, db)``; x and dy have two axes, w is (C, K)."""
    kernel = w[None, None]
    y, dx, dw, db = (garbage(x.dtype, *a.shape) for a in (dy, x, kernel, b))
    _testing.conv2d_fwd(table, x, kernel, b, y)
    _testing.conv2d_bwd_x(table, dy, kernel, x, dx)
    _testing.conv2d_bwd_w(table, x, dy, dw, db)
    return y, dx, dw[0, 0], db


@every_table
@every_dtype
@every_case
def test_linear_matches_reference(n: int, c: int, k: int, dtype: Any, table: str) -> None:
    rng = np.random.default_rng(0)
    for draw in (normal, integers):
        x, w, b, dy = (draw(rng, dtype, *s) for s in [(n, c), (c, k), (k,), (n, k)])
        got = run(table, x, w, b, dy)
        expected, sizes = (
            (
                ops.linear(f(x)[:, :, None, None], f(w).T, f(b))[:, :, 0, 0],
                *ops.linear_backward(f(x)[:, :, None, None], f(w).T, f(dy)[:, :, None, None]),
            )
            for f in (np.positive, np.abs)
        )
        kernels = ["conv2d_fwd", "conv2d_bwd_x", "conv2d_bwd_w", "conv2d_bwd_w"]
        for kernel, terms, a, e, size in zip(
            kernels, [c + 1, k, n, n], got, expected, sizes, strict=True
        ):
            a, e, size = (v.reshape(n, c) if v.ndim == 4 else v for v in (a, e, size))
            if e.shape == (k, c):
                e, size = e.T, size.T
            if draw is integers:
                assert_same(a, e, kernel)
            assert_close(a, e, bound(kernel, terms, size, dtype), kernel)


@every_table
@every_case
def test_linear_matches_torch(n: int, c: int, k: int, table: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(1)
    x, w, b, dy = (normal(rng, np.float64, *s) for s in [(n, c), (c, k), (k,), (n, k)])
    tx, tw, tb = (torch.tensor(a, requires_grad=True) for a in (x, w.T, b))
    ty = torch.nn.functional.linear(tx, tw, tb)
    ty.backward(torch.tensor(dy))
    expected = [ty.detach().numpy(), tx.grad.numpy(), tw.grad.numpy().T, tb.grad.numpy()]
    for name, a, e in zip(["y", "dx", "dw", "db"], run(table, x, w, b, dy), expected, strict=True):
        assert_close(a, e, 1e-9, name)


@every_table
@every_dtype
def test_linear_in_a_network(dtype: Any, table: str) -> None:
    """Also as the first layer and behind a ReLU that it reads itself."""
    nodes = [
        ("linear", "a", [0], {"out_features": 9, "bias": True}),
        ("relu", "a.relu", [1], {}),
        ("linear", "b", [2], {"out_features": 17, "bias": False}),
        ("linear", "c", [3], {"out_features": 4, "bias": True}),
    ]
    check_network((5, 1, 1), nodes, table, dtype)
