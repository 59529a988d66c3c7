"""Softmax over runs of channels: values, gradients, second derivatives, NaN and infinities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroshot import Graph, _testing
from zeroshot.reference import token_ops, token_tangents

from .oracle import (
    UNIT,
    Array,
    assert_close,
    check_blocks,
    every_dtype,
    every_table,
    garbage,
    nchw,
    nhwc,
    normal,
    run_kernel,
)

# samples, height, width, groups, channels of a group
CASES = [(1, 1, 1, 1, 1), (2, 2, 3, 2, 3), (1, 3, 2, 4, 16), (2, 2, 2, 3, 49), (1, 2, 3, 1, 196)]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda c: "x".join(map(str, c)))

# What the vectorised exp may be off by, in units: the reduced argument has one of 0.36, Horner's
# sum rounds twice a step, the last two by 1 and 0.6 and each earlier one by a third of the next.
EXP = 4


def runs(a: Array, groups: int) -> Array:
    return a.astype(np.float64).reshape(*a.shape[:3], groups, -1)


def softmax_limit(x: Array, groups: int, dtype: Any) -> Array:
    """Units that a share may be off by: of its power and, by their mean, all others' (a difference
    to the largest is rounded, which exp makes relative), a sum of n, a reciprocal, a product."""
    t = runs(x, groups)
    y, below = (
        runs(nhwc(token_ops.softmax(nchw(x), groups=groups)), groups),
        t.max(-1)[..., None] - t,
    )
    units = below + (y * below).sum(-1)[..., None] + 2 * EXP + t.shape[-1] + 2
    limit = y * units * (UNIT[np.dtype(dtype)] + UNIT[np.dtype(np.float64)])
    return (limit + 2 * np.finfo(dtype).smallest_subnormal).reshape(x.shape)


@every_table
@every_dtype
@pytest.mark.parametrize("spread", [1.0, 40.0, 900.0])
@every_case
def test_softmax_matches_reference(case: Any, spread: float, dtype: Any, table: str) -> None:
    n, h, w, groups, size = case
    x = normal(np.random.default_rng(0), dtype, n, h, w, groups * size) * dtype(spread)
    y, limit = nhwc(token_ops.softmax(nchw(x), groups=groups)), softmax_limit(x, groups, dtype)
    run_kernel(
        lambda a, out: _testing.softmax_fwd(table, a, out, groups=groups),
        [x],
        [garbage(dtype, *x.shape)],
        lambda out: assert_close(out, y, limit, "y"),
    )


@every_table
@every_dtype
def test_exp_is_right_everywhere(dtype: Any, table: str) -> None:
    """Of two values whose larger is 0 the other's share is exp(x) / (1 + exp(x))."""
    lowest = -106.0 if dtype is np.float32 else -748.0
    x = np.zeros((1, 1, 1, 2 * 20_000), dtype)
    x[..., 1::2] = np.linspace(lowest, 0, 20_000)
    y = garbage(dtype, *x.shape)
    _testing.softmax_fwd(table, x, y, groups=20_000)
    power = np.exp(x[0, 0, 0, 1::2].astype(np.float64))
    # not the difference, which is exact here: powers, a sum and a product; the oracle's, too
    unit = UNIT[np.dtype(dtype)] + UNIT[np.dtype(np.float64)]
    limit = power * (2 * EXP + 4) * unit + 2 * np.finfo(dtype).smallest_subnormal
    assert_close(y[0, 0, 0, 1::2], power / (1 + power), limit, "share")


@every_table
@every_dtype
@pytest.mark.parametrize("add", [False, True])
@every_case
def test_softmax_backward_matches_reference(case: Any, add: bool, dtype: Any, table: str) -> None:
    n, h, w, groups, size = case
    rng = np.random.default_rng(1)
    x, t, dy, before = (normal(rng, dtype, n, h, w, groups * size) for _ in range(4))
    y = nhwc(token_ops.softmax(nchw(x), groups=groups)).astype(dtype)
    unit, double = UNIT[np.dtype(dtype)], UNIT[np.dtype(np.float64)]
    p, v, g, old = (runs(a, groups) for a in (y, t, dy, before * add))
    sum_t, sum_g = (abs(p * a).sum(-1)[..., None] for a in (v, g))

    def check(out: Array, want: Array, terms: Array, what: str) -> None:
        """`terms`: what is added up; 5 roundings each and those of a sum of n in double."""
        limit = (5 * (unit + double) + 2 * (size + 2) * double) * (terms + abs(old))
        assert_close(out, want + add * before, limit.reshape(out.shape), what)

    dx = nhwc(token_ops.softmax_backward(nchw(y), nchw(dy), groups=groups))
    run_kernel(
        lambda a, b, out: _testing.softmax_bwd(table, a, b, out, groups=groups, add=add),
        [y, dy],
        [before if add else garbage(dtype, *x.shape)],
        lambda out: check(out, dx, p * (abs(g) + sum_g), "dx"),
    )
    # of y (t - sum(y t)), by y: its derivative along a direction, against dy, is that of dx
    mean_t, mean_g = ((p * a).sum(-1)[..., None] for a in (v, g))
    curve = (g * (v - mean_t) - v * mean_g).reshape(x.shape)
    run_kernel(
        lambda a, b, c, out: _testing.softmax_curve(table, a, b, c, out, groups=groups, add=add),
        [y, t, dy],
        [before if add else garbage(dtype, *x.shape)],
        lambda out: check(out, curve, abs(g) * (abs(v) + sum_t) + abs(v) * sum_g, "curve"),
    )
    moved = token_tangents.softmax_backward_tangent(
        nchw(y), nchw(t), y_dot=nchw(dy), dy_dot=nchw(dy) * 0, groups=groups
    )
    left, right = (moved * nchw(dy)).sum(), (curve * dy).sum()  # dy by itself: the same form
    assert abs(left - right) <= 1e-12 * (abs(moved * nchw(dy)).sum() + 1)


@every_table
@every_dtype
def test_softmax_touches_its_block_only(dtype: Any, table: str) -> None:
    rng = np.random.default_rng(2)
    x, t, dy, out = (normal(rng, dtype, 5, 2, 2, 21) for _ in range(4))
    check_blocks(
        lambda y, **b: _testing.softmax_fwd(table, x, y, groups=3, **b), 5, [out], "softmax_fwd"
    )
    check_blocks(
        lambda d, **b: _testing.softmax_bwd(table, x, dy, d, groups=3, **b), 5, [out], "softmax_bwd"
    )
    check_blocks(
        lambda d, **b: _testing.softmax_curve(table, x, t, dy, d, groups=3, **b),
        5,
        [out],
        "softmax_curve",
    )


@every_table
@every_dtype
@pytest.mark.parametrize("size", [1, 3, 16, 21])
def test_softmax_at_nan_and_infinities(size: int, dtype: Any, table: str) -> None:
    """As PyTorch: NaN and plus infinity spoil their run, minus infinity has no share."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = normal(np.random.default_rng(3), dtype, 8, 1, 1, size)
    specials = [np.nan, np.inf, -np.inf, -np.inf, np.finfo(dtype).max, np.finfo(dtype).min]
    for i, special in enumerate(specials):
        x[i, 0, 0, size // 2] = special
    x[3] = -np.inf
    x[6, ..., -1], x[6, ..., 0] = np.inf, np.nan
    y = garbage(dtype, *x.shape)
    _testing.softmax_fwd(table, x, y)
    want = torch.softmax(torch.tensor(x, dtype=torch.float64), 3).numpy()
    limit = np.where(np.isfinite(x).all(3, keepdims=True), softmax_limit_of_rest(x, dtype), 1e-6)
    assert_close(y, want, limit, "y")


def softmax_limit_of_rest(x: Array, dtype: Any) -> Array:
    """Where one value is as large as there is, the others have a share of 0 or all of it."""
    usual = np.where(np.isfinite(x) & (abs(x) < 1e4), x, 0).astype(dtype)
    return softmax_limit(usual, 1, dtype)


@every_table
def test_softmax_matches_torch(table: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(4)
    x, dy = (normal(rng, np.float64, 2, 3, 2, 36) for _ in range(2))
    tx = torch.tensor(x, requires_grad=True)
    ty = torch.softmax(tx.reshape(2, 3, 2, 4, 9), -1).reshape(x.shape)
    ty.backward(torch.tensor(dy))
    y, dx = garbage(np.float64, *x.shape), garbage(np.float64, *x.shape)
    _testing.softmax_fwd(table, x, y, groups=4)
    _testing.softmax_bwd(table, y, dy, dx, groups=4)
    np.testing.assert_allclose(y, ty.detach().numpy(), rtol=1e-14)
    np.testing.assert_allclose(dx, tx.grad.numpy(), rtol=0, atol=1e-14)


def test_softmax_takes_groups_of_equal_size() -> None:
    g = Graph((6, 2, 2))
    for groups in (0, 4, -1, 7):
        message = f"groups: expected a divisor of the 6 channels, got {groups}"
        with pytest.raises(ValueError, match=message):
            g.softmax(g.input, groups=groups)
    assert g.softmax(g.input, groups=6).shape == (6, 2, 2)
