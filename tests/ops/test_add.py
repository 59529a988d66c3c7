"""Weighted sums, whose terms may be normalised as they are read, and their backward scaling."""

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

CASES = [(1, 1, 1, 1), (4, 2, 3, 3), (3, 2, 2, 16), (4, 3, 2, 17), (2, 2, 3, 43), (2, 3, 3, 64)]
every_case = pytest.mark.parametrize("shape", CASES, ids=lambda s: "x".join(map(str, s)))
COEFS = [1.0, 1.0, -0.3, 2.0, 0.7]


def normalise(x: Array, bn: Array, group: int) -> tuple[Array, Array]:
    """``(x - mean) scale + beta`` with the group's coefficients; sum of absolute values."""
    of_sample = bn.astype(np.float64)[np.arange(len(x)) // group][:, :, None, None]
    product = (x - of_sample[:, 0]) * of_sample[:, 1]
    return product + of_sample[:, 2], abs(product) + abs(of_sample[:, 2])


@every_table
@every_dtype
@pytest.mark.parametrize("n_terms", [1, 2, 3, 5])
@every_case
def test_sum_fwd_matches_reference(
    shape: tuple[int, ...], n_terms: int, dtype: Any, table: str
) -> None:
    rng = np.random.default_rng(0)
    xs = [normal(rng, dtype, *shape) for _ in range(n_terms)]
    y = nhwc(ops.add([nchw(x) for x in xs], COEFS[:n_terms]))
    size = nhwc(ops.add([abs(nchw(x)) for x in xs], [abs(c) for c in COEFS[:n_terms]]))
    run_kernel(
        lambda *a: _testing.sum_fwd(
            table,
            [(x, c, None) for x, c in zip(a[:-1], COEFS, strict=False)],
            a[-1],
        ),
        xs,
        [garbage(dtype, *shape)],
        # a float kernel may round the coefficient, too
        lambda out: assert_close(out, y, bound("sum_fwd", n_terms, size, dtype), "y"),
    )


@every_table
@every_dtype
@pytest.mark.parametrize("group", [1, 2, 3])
@every_case
def test_sum_fwd_normalises_its_terms(
    shape: tuple[int, ...], group: int, dtype: Any, table: str
) -> None:
    rng = np.random.default_rng(1)
    groups = -(-shape[0] // group)
    xs = [normal(rng, dtype, *shape) for _ in range(3)]
    bns = [normal(rng, dtype, groups, 3, shape[3]), None, normal(rng, dtype, groups, 3, shape[3])]
    coefs = [0.5, 1.0, -1.5]
    y, size = np.zeros(shape), np.zeros(shape)
    for x, coef, bn in zip(xs, coefs, bns, strict=True):
        value, absolute = (x.astype(np.float64), abs(x)) if bn is None else normalise(x, bn, group)
        y, size = y + coef * value, size + abs(coef) * absolute
    run_kernel(
        lambda *a: _testing.sum_fwd(
            table, list(zip(a[:-1], coefs, bns, strict=True)), a[-1], group=group
        ),
        xs,
        [garbage(dtype, *shape)],
        lambda out: assert_close(out, y, bound("sum_fwd", 6, size, dtype), "y"),
    )


@every_table
@every_dtype
@every_case
def test_scale_matches_reference(shape: tuple[int, ...], dtype: Any, table: str) -> None:
    rng = np.random.default_rng(2)
    dy, before = normal(rng, dtype, *shape), normal(rng, dtype, *shape)
    for coef in (1.0, -0.3, 0.0):
        dx = nhwc(ops.add_backward(nchw(dy), [coef])[0])
        for add in (False, True):
            expected = dx + add * before.astype(np.float64)
            # 2: a float kernel may round the coefficient, too
            limit = bound("scale", 2 + add, abs(dx) + add * abs(before), dtype)
            run_kernel(
                lambda a, out, c=coef, add=add: _testing.scale(table, a, c, out, add=add),
                [dy],
                [before if add else garbage(dtype, *shape)],
                lambda out, e=expected, d=limit: assert_close(out, e, d, "dx"),
            )


@every_table
@every_dtype
@every_case
def test_sums_of_small_integers_are_exact(shape: tuple[int, ...], dtype: Any, table: str) -> None:
    rng = np.random.default_rng(3)
    xs = [integers(rng, dtype, *shape) for _ in range(4)]
    bn = integers(rng, dtype, shape[0], 3, shape[3])
    y = garbage(dtype, *shape)
    terms = [(xs[0], 1.0, bn), (xs[1], 0.5, None), (xs[2], -2.0, None), (xs[3], 1.0, None)]
    _testing.sum_fwd(table, terms, y, group=1)
    expected = normalise(xs[0], bn, 1)[0] + 0.5 * xs[1] - 2 * xs[2] + xs[3]
    assert_same(y, expected, "y")
    _testing.scale(table, xs[0], 0.25, y, add=True)
    assert_same(y, expected + 0.25 * xs[0], "y added to")


@every_table
@every_dtype
def test_sums_touch_their_block_only(dtype: Any, table: str) -> None:
    """A block may start inside of a group."""
    rng = np.random.default_rng(4)
    xs = [normal(rng, dtype, 5, 2, 3, 19) for _ in range(2)]
    bn = normal(rng, dtype, 3, 3, 19)

    def fwd(y: Array, **block: Any) -> None:
        _testing.sum_fwd(table, [(xs[0], 1.0, bn), (xs[1], 0.3, None)], y, group=2, **block)

    check_blocks(fwd, 5, [xs[0]], "sum_fwd")
    for add in (False, True):

        def scale(y: Array, add: bool = add, **block: Any) -> None:
            _testing.scale(table, xs[0], 0.3, y, add=add, **block)

        check_blocks(scale, 5, [xs[1]], "scale")


@every_table
@every_dtype
def test_sums_are_position_independent(dtype: Any, table: str) -> None:
    rng = np.random.default_rng(5)
    xs = [np.full((2, 3, 5, 37), v, dtype) for v in normal(rng, dtype, 3)]
    bn = np.broadcast_to(normal(rng, dtype, 1, 3, 1), (1, 3, 37)).copy()
    y = garbage(dtype, *xs[0].shape)
    _testing.sum_fwd(table, [(xs[0], 0.3, bn), (xs[1], 1.0, None), (xs[2], 0.1, None)], y, group=2)
    assert (y == y[0, 0, 0, 0]).all()
    _testing.scale(table, xs[0], 0.3, y, add=True)
    assert (y == y[0, 0, 0, 0]).all()


@every_table
@every_dtype
def test_sums_pass_nan_on(dtype: Any, table: str) -> None:
    """0 * NaN is NaN, and stays in its element."""
    xs = [normal(np.random.default_rng(6), dtype, 2, 2, 2, 21) for _ in range(2)]
    xs[0][1, 0, 1, 20] = np.nan
    y = garbage(dtype, *xs[0].shape)
    _testing.sum_fwd(table, [(xs[0], 0.0, None), (xs[1], 1.0, None)], y)
    assert np.argwhere(np.isnan(y)).tolist() == [[1, 0, 1, 20]]


@every_table
@every_dtype
def test_add_in_a_network(dtype: Any, table: str) -> None:
    """A term twice, terms with and without coefficient, sums of sums, more terms than a launch."""
    nodes = [
        conv("a", 0, 4, 3),
        conv("b", 0, 4, 3),
        ("add", "s", [1, 2, 1], {"coef": [1.0, -2.0, 0.5]}),
        ("add", "t", [3, 2], {"coef": [1.0, 1.0]}),
        ("add", "many", [3, 4] * 70, {"coef": [1.0, -1.0] * 70}),
        ("add", "u", [5, 4], {"coef": [1.0, 0.5]}),
        conv("c", 6, 3),
        *head(7),
    ]
    check_network((3, 4, 4), nodes, table, dtype)
