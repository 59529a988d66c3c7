"""3x3 convolutions by Winograd's F(4x4, 3x3): within the error that its formula explains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroshot import _testing
from zeroshot.reference import ops

from .oracle import (
    Array,
    assert_close,
    bound,
    check_blocks,
    every_dtype,
    every_table,
    garbage,
    nchw,
    nhwc,
    run_kernel,
)
from .test_conv2d import CASES, Conv, Problem, problem, same

# F(4x4, 3x3) with the points 0, 1, -1, 2, -2, infinity (Lavin and Gray, CVPR 2016, section 4.3)
A_T = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
B_T = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
F4_CASES = [
    same(16, 16, 3, size=(8, 8)),
    same(17, 20, 3, size=(5, 9), bias=True, n=3),
    same(32, 16, 3, size=(4, 4), n=5),
    same(3, 5, 3, size=(1, 6)),
    same(1, 1, 3, size=(1, 1), n=1),
    same(48, 35, 3, size=(6, 7)),
]
every_f4_case = pytest.mark.parametrize("case", F4_CASES, ids=str)


class Winograd:
    """The formula in double, or with absolute values everywhere: what its roundings are worth.

    Every intermediate value that is rounded is at most as large as its absolute twin, so an error
    is at most (roundings on the way) units of the result's twin.
    """

    def __init__(self, p: Problem, relu: bool, *, absolute: bool) -> None:
        f = np.abs if absolute else np.positive
        n, h, w, _ = p.x.shape
        self.shape, self.rows, self.columns = p.x.shape, -(-h // 4), -(-w // 4)
        ends = ((0, 0), (1, 4 * self.rows + 1 - h), (1, 4 * self.columns + 1 - w), (0, 0))
        x = np.pad(f(np.maximum(p.x, 0) if relu else p.x).astype(np.float64), ends)
        tiles = np.lib.stride_tricks.sliding_window_view(x, (6, 6), (1, 2))[:, ::4, ::4]
        dy = np.pad(f(p.dy).astype(np.float64), [(0, 0), (0, -h % 4), (0, -w % 4), (0, 0)])
        dy = dy.reshape(n, self.rows, 4, self.columns, 4, -1).transpose(0, 1, 3, 5, 2, 4)
        self.a, self.b, g = f(A_T), f(B_T), f(G)
        self.g, self.bias = g, f(p.b.astype(np.float64)) * p.case.bias
        self.u = np.einsum("ir,rsck,js->ckij", g, f(p.w).astype(np.float64), g)
        self.v = self.b @ tiles @ self.b.T
        self.z = self.a.T @ dy @ self.a

    def y(self) -> Array:
        tiles = self.a @ np.einsum("nijcef,ckef->nijkef", self.v, self.u) @ self.a.T
        n, h, w, _ = self.shape
        y = tiles.transpose(0, 1, 4, 2, 5, 3).reshape(n, 4 * self.rows, 4 * self.columns, -1)
        out: Array = y[:, :h, :w] + self.bias
        return out

    def dx(self) -> Array:
        tiles = self.b.T @ np.einsum("nijkef,ckef->nijcef", self.z, self.u) @ self.b
        n, h, w, c = self.shape
        dx = np.zeros((n, 4 * self.rows + 2, 4 * self.columns + 2, c))
        for i in range(self.rows):
            for j in range(self.columns):
                window = dx[:, 4 * i : 4 * i + 6, 4 * j : 4 * j + 6]
                window += tiles[:, i, j].transpose(0, 2, 3, 1)
        return dx[:, 1 : h + 1, 1 : w + 1]

    def dw(self) -> Array:
        g, v, z = self.g, self.v, self.z
        dw: Array = np.einsum("er,nijcef,nijkef,fs->rsck", g, v, z, g, optimize=True)
        return dw


@every_f4_case
def test_winograd_formula_is_the_convolution(case: Conv) -> None:
    """So that its absolute twin bounds the right thing."""
    p = problem(case, np.float64)
    formula = Winograd(p, False, absolute=False)
    assert_close(formula.y(), p.y(False)[0], 1e-10, "y")
    assert_close(formula.dx(), p.dx(False, False)[0], 1e-10, "dx")
    assert_close(formula.dw(), p.dw(False)[0], 1e-10, "dw")


def is_fast(p: Problem, table: str, algo: _testing.Algo) -> bool:
    return _testing.conv2d_is_fast(table, p.x, p.w, p.dy, algo=algo, **p.case.geometry)


@every_table
@pytest.mark.parametrize("relu", [False, True])
@every_f4_case
def test_conv2d_by_winograd_is_within_its_bound(case: Conv, relu: bool, table: str) -> None:
    p = problem(case, np.float32)
    assert is_fast(p, table, "f4") == (table != "reference")
    twin, geometry = Winograd(p, relu, absolute=True), case.geometry
    passes = nhwc(ops.relu_backward(nchw(p.x), 1.0)) if relu else 1.0
    n_tiles = case.n * twin.rows * twin.columns
    sums, sizes = (f(p.dy).sum((0, 1, 2), dtype=np.float64) for f in (np.positive, np.abs))
    y_limit, dx_limit, dw_limit, db_limit = (
        bound("conv2d_f4", terms, size, np.float32)
        for terms, size in [
            (case.c + 1, twin.y()),
            (case.k + 5, twin.dx() * passes + abs(p.before)),  # four tiles overlap
            (n_tiles, twin.dw()),
            (case.n * case.out[0] * case.out[1], sizes),
        ]
    )
    (y, _), (dw, _) = p.y(relu), p.dw(relu)

    def check_dw(got_dw: Array, got_db: Array) -> None:
        assert_close(got_dw, dw, dw_limit, "dw")
        if case.bias:
            assert_close(got_db, sums, db_limit, "db")

    options: dict[str, Any] = {**geometry, "relu": relu, "algo": "f4"}
    run_kernel(
        lambda x, out: _testing.conv2d_fwd(table, x, p.w, p.bias, out, **options),
        [p.x],
        [garbage(np.float32, *p.dy.shape)],
        lambda out: assert_close(out, y, y_limit, "y"),
    )
    plain = [garbage(np.float32, *p.w.shape), garbage(np.float32, *p.b.shape)]
    run_kernel(
        lambda x, dy, a, b: _testing.conv2d_bwd_w(
            table, x, dy, a, b if case.bias else None, **options
        ),
        [p.x, p.dy],
        [],
        check_dw,
        plain=plain,
    )
    for add in (False, True):
        dx, _ = p.dx(relu, add)
        run_kernel(
            lambda dy, x, out, add=add: _testing.conv2d_bwd_x(
                table, dy, p.w, x, out, add=add, **options
            ),
            [p.dy, p.x],
            [p.before if add else garbage(np.float32, *p.x.shape)],
            lambda out, e=dx: assert_close(out, e, dx_limit, "dx"),
        )
        if table == "reference":
            continue

        def check_both(out: Array, got_dw: Array, got_db: Array, e: Array = dx) -> None:
            assert_close(out, e, dx_limit, "dx")
            check_dw(got_dw, got_db)

        def both(x: Array, dy: Array, out: Array, a: Array, b: Array, add: bool = add) -> None:
            db = b if case.bias else None
            assert _testing.conv2d_bwd(table, x, dy, p.w, out, a, db, add=add, **options)

        before = p.before if add else garbage(np.float32, *p.x.shape)
        run_kernel(both, [p.x, p.dy], [before], check_both, plain=plain)


@every_table
@every_dtype
def test_winograd_is_used_where_it_may_be(dtype: Any, table: str) -> None:
    """Never unasked for, in double, or for anything but plain 3x3 filters."""
    fast = table != "reference" and dtype is np.float32
    for case in F4_CASES:
        p = problem(case, dtype)
        assert not is_fast(p, table, "direct")
        assert is_fast(p, table, "f4") == fast
        wide = min(case.c, case.k) >= 16 and min(case.size) >= 4
        assert is_fast(p, table, "auto") == (fast and wide)
    for case in CASES:
        plain = case.groups == 1 and case.geometry == same(case.c, case.k, 3).geometry
        if case.kernel != (3, 3) or not plain:
            assert not is_fast(problem(case, dtype), table, "f4")


@every_table
def test_winograd_touches_its_block_only_and_keeps_nan(table: str) -> None:
    p = Problem(same(17, 20, 3, size=(5, 9), n=5), np.float32)
    options: dict[str, Any] = {**p.case.geometry, "relu": True, "algo": "f4"}

    def fwd(y: Array, **block: Any) -> None:
        _testing.conv2d_fwd(table, p.x, p.w, None, y, **options, **block)

    def bwd_x(dx: Array, **block: Any) -> None:
        _testing.conv2d_bwd_x(table, p.dy, p.w, p.x, dx, **options, **block)

    check_blocks(fwd, 5, [garbage(np.float32, *p.dy.shape)], "fwd")
    check_blocks(bwd_x, 5, [p.before], "bwd_x")
    p.x[2, 1, 4, 16] = np.nan
    y, dw = garbage(np.float32, *p.dy.shape), garbage(np.float32, *p.w.shape)
    fwd(y)
    _testing.conv2d_bwd_w(table, p.x, p.dy, dw, None, **options)
    assert np.isnan(y[2, :3, 3:6]).all() and not np.isnan(y[[0, 1, 3, 4]]).any()
    assert np.isnan(dw[:, :, 16]).all() and not np.isnan(dw[:, :, :16]).any()
