"""Mean over all pixels, and its gradient."""

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
    check_blocks,
    check_network,
    conv,
    every_dtype,
    every_table,
    garbage,
    head,
    integers,
    nchw,
    nhwc,
    normal,
    run_kernel,
)

CASES = [
    (1, 1, 1, 1),
    (2, 3, 4, 3),
    (3, 8, 8, 16),
    (2, 5, 3, 17),
    (1, 2, 2, 43),
    (2, 4, 4, 64),
    (2, 1, 1, 7),
]
every_case = pytest.mark.parametrize("shape", CASES, ids=lambda s: "x".join(map(str, s)))


def pixel(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    return shape[0], 1, 1, shape[3]


@every_table
@every_dtype
@every_case
def test_gap_matches_reference(shape: tuple[int, ...], dtype: Any, table: str) -> None:
    rng = np.random.default_rng(0)
    x, dy, before = (normal(rng, dtype, *s) for s in (shape, pixel(shape), shape))
    y, size = (nhwc(ops.global_avg_pool(f(nchw(x)))) for f in (np.positive, np.abs))
    limit = bound("gap", shape[1] * shape[2], size, dtype)
    run_kernel(
        lambda a, out: _testing.gap_fwd(table, a, out),
        [x],
        [garbage(dtype, *pixel(shape))],
        lambda out: assert_close(out, y, limit, "y"),
    )
    dx = nhwc(ops.global_avg_pool_backward(nchw(x), nchw(dy)))
    for add in (False, True):
        expected = dx + add * before.astype(np.float64)
        limit = bound("gap", 1 + add, abs(dx) + add * abs(before), dtype)
        run_kernel(
            lambda b, out, add=add: _testing.gap_bwd(table, b, out, add=add),
            [dy],
            [before if add else garbage(dtype, *shape)],
            lambda out, e=expected, d=limit: assert_close(out, e, d, "dx"),
        )


@every_table
@every_dtype
@pytest.mark.parametrize("c", [1, 5, 16, 43])
def test_gap_of_small_integers_is_exact(c: int, dtype: Any, table: str) -> None:
    rng = np.random.default_rng(1)
    x, dy, dx = (integers(rng, dtype, *s) for s in ((2, 4, 8, c), (2, 1, 1, c), (2, 4, 8, c)))
    y, expected = garbage(dtype, *dy.shape), dx + dy / 32
    _testing.gap_fwd(table, x, y)
    _testing.gap_bwd(table, dy, dx, add=True)
    assert_same(y, x.sum((1, 2), keepdims=True) / 32, "y")
    assert_same(dx, expected, "dx")


@every_table
@every_dtype
def test_gap_is_position_independent(dtype: Any, table: str) -> None:
    rng = np.random.default_rng(2)
    x = np.broadcast_to(normal(rng, dtype, 1, 5, 3, 1), (3, 5, 3, 37)).copy()
    y = garbage(dtype, 3, 1, 1, 37)
    _testing.gap_fwd(table, x, y)
    assert (y == y[0, 0, 0, 0]).all()
    _testing.gap_bwd(table, y, x)
    assert (x == x[0, 0, 0, 0]).all()


@every_table
@every_dtype
def test_gap_spreads_nan_to_its_channel_only(dtype: Any, table: str) -> None:
    x = normal(np.random.default_rng(3), dtype, 2, 3, 3, 21)
    x[1, 0, 2, 20] = np.nan
    y = garbage(dtype, 2, 1, 1, 21)
    _testing.gap_fwd(table, x, y)
    assert np.argwhere(np.isnan(y)).tolist() == [[1, 0, 0, 20]]


@every_table
@every_dtype
def test_gap_touches_its_block_only(dtype: Any, table: str) -> None:
    rng = np.random.default_rng(4)
    x, dy = normal(rng, dtype, 5, 3, 4, 19), normal(rng, dtype, 5, 1, 1, 19)
    check_blocks(lambda y, **b: _testing.gap_fwd(table, x, y, **b), 5, [dy], "gap_fwd")
    for add in (False, True):

        def bwd(dx: Array, add: bool = add, **block: Any) -> None:
            _testing.gap_bwd(table, dy, dx, add=add, **block)

        check_blocks(bwd, 5, [x], "gap_bwd")


@every_table
@every_dtype
def test_gap_in_a_network(dtype: Any, table: str) -> None:
    """Also of one pixel, and behind a ReLU."""
    nodes = [
        conv("a", 0, 4, 3),
        ("relu", "r", [1], {}),
        ("global_avg_pool", "gap", [2], {}),
        conv("b", 3, 4),
        *head(4),
    ]
    check_network((3, 8, 8), nodes, table, dtype)
