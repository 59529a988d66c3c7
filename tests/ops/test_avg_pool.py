"""Average pooling, with padding counted and not."""

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
from .test_max_pool import Pool, every_case

every_count = pytest.mark.parametrize("counted", [False, True], ids=["inside", "padded"])


@every_table
@every_dtype
@every_count
@every_case
def test_avg_pool_matches_reference(case: Pool, counted: bool, dtype: Any, table: str) -> None:
    rng = np.random.default_rng(0)
    x, dy, before = (normal(rng, dtype, *s) for s in (case.shape, case.out, case.shape))
    options: dict[str, Any] = {**case.window, "count_include_pad": counted}
    cells = case.kernel[0] * case.kernel[1]
    y, y_size = (nhwc(ops.avg_pool(f(nchw(x)), **options)) for f in (np.positive, np.abs))
    run_kernel(
        lambda a, out: _testing.avg_pool_fwd(table, a, out, **options),
        [x],
        [garbage(dtype, *case.out)],
        lambda out: assert_close(out, y, bound("avg_pool", cells, y_size, dtype), "y"),
    )
    dx, dx_size = (
        nhwc(ops.avg_pool_backward(nchw(x), nchw(f(dy)), **options)) for f in (np.positive, np.abs)
    )
    for add in (False, True):
        expected = dx + add * before.astype(np.float64)
        limit = bound("avg_pool", cells + add, dx_size + add * abs(before), dtype)
        run_kernel(
            lambda b, out, add=add: _testing.avg_pool_bwd(table, b, out, add=add, **options),
            [dy],
            [before if add else garbage(dtype, *case.shape)],
            lambda out, e=expected, d=limit: assert_close(out, e, d, "dx"),
        )


@every_table
@every_dtype
@pytest.mark.parametrize("c", [1, 3, 16, 17, 43])
def test_avg_pool_of_small_integers_is_exact(c: int, dtype: Any, table: str) -> None:
    """Divisors of 2 and 4 are exact."""
    for kernel, padding in [((2, 2), (0, 0)), ((2, 2), (1, 1)), ((1, 2), (0, 0))]:
        case = Pool(kernel, (2, 1), padding, (2, 6, 7, c))
        rng = np.random.default_rng(1)
        x, dy, dx = (integers(rng, dtype, *s) for s in (case.shape, case.out, case.shape))
        expected = nhwc(ops.avg_pool_backward(nchw(x), nchw(dy), **case.window)) + dx
        y = garbage(dtype, *case.out)
        _testing.avg_pool_fwd(table, x, y, **case.window)
        _testing.avg_pool_bwd(table, dy, dx, add=True, **case.window)
        assert_same(y, nhwc(ops.avg_pool(nchw(x), **case.window)), "y")
        assert_same(dx, expected, "dx")


@every_table
@every_dtype
def test_avg_pool_spreads_nan_to_its_windows_only(dtype: Any, table: str) -> None:
    case = Pool((3, 3), (1, 1), (1, 1), (2, 5, 5, 19))
    x = normal(np.random.default_rng(2), dtype, *case.shape)
    x[1, 2, 2, 17] = np.nan
    y = garbage(dtype, *case.out)
    _testing.avg_pool_fwd(table, x, y, **case.window)
    assert np.array_equal(np.isnan(y), np.isnan(nhwc(ops.avg_pool(nchw(x), **case.window))))


@every_table
@every_dtype
def test_avg_pool_is_position_independent(dtype: Any, table: str) -> None:
    case = Pool((3, 3), (1, 1), (1, 1), (2, 6, 7, 37))
    x = np.full(case.shape, normal(np.random.default_rng(3), dtype, 1)[0], dtype)
    y, dx = garbage(dtype, *case.out), garbage(dtype, *case.shape)
    _testing.avg_pool_fwd(table, x, y, **case.window)
    _testing.avg_pool_bwd(table, x, dx, **case.window)
    assert (y[:, 1:-1, 1:-1] == y[0, 1, 1, 0]).all()
    assert (dx[:, 2:-2, 2:-2] == dx[0, 2, 2, 0]).all()


@every_table
@every_dtype
def test_avg_pool_touches_its_block_only(dtype: Any, table: str) -> None:
    case = Pool((3, 3), (2, 2), (1, 1), (5, 5, 6, 19))
    rng = np.random.default_rng(4)
    x, dy, before = (normal(rng, dtype, *s) for s in (case.shape, case.out, case.shape))
    check_blocks(
        lambda y, **b: _testing.avg_pool_fwd(table, x, y, **case.window, **b),
        5,
        [dy],
        "avg_pool_fwd",
    )
    for add in (False, True):

        def bwd(dx: Array, add: bool = add, **block: Any) -> None:
            _testing.avg_pool_bwd(table, dy, dx, add=add, **case.window, **block)

        check_blocks(bwd, 5, [before], "avg_pool_bwd")


@every_table
@every_count
@every_case
def test_avg_pool_matches_torch(case: Pool, counted: bool, table: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(5)
    x, dy = normal(rng, np.float64, *case.shape), normal(rng, np.float64, *case.out)
    tx = torch.tensor(nchw(x), requires_grad=True)
    ty = torch.nn.functional.avg_pool2d(
        tx, case.kernel, case.stride, case.padding, count_include_pad=counted
    )
    ty.backward(torch.tensor(nchw(dy)))
    y, dx = garbage(np.float64, *case.out), garbage(np.float64, *case.shape)
    _testing.avg_pool_fwd(table, x, y, count_include_pad=counted, **case.window)
    _testing.avg_pool_bwd(table, dy, dx, count_include_pad=counted, **case.window)
    assert_close(y, nhwc(ty.detach().numpy()), 1e-9, "y")
    assert_close(dx, nhwc(tx.grad.numpy()), 1e-9, "dx")


@every_table
@every_dtype
def test_avg_pool_in_a_network(dtype: Any, table: str) -> None:
    window = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)}
    nodes = [
        conv("a", 0, 4, 3),
        ("avg_pool", "pool", [1], window),
        conv("b", 2, 5),
        ("avg_pool", "pool2", [2], {**window, "stride": (1, 1), "count_include_pad": True}),
        conv("c", 4, 5),
        ("avg_pool", "pool3", [3], {**window, "stride": (1, 1)}),
        ("add", "s", [5, 6], {"coef": [1.0, 1.0]}),
        conv("d", 7, 3, 3),
        *head(8),
    ]
    check_network((3, 10, 10), nodes, table, dtype)  # 4 x 4 pixels at the end
