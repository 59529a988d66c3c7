"""3x3 convolutions by Winograd's F(4x4) and F(2x2): within the error that the formula explains."""

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

# A^T, B^T and G of F(m x m, 3x3) (Lavin and Gray, CVPR 2016, sections 4.1 and 4.3): the points
# 0, 1, -1, infinity, and for m = 4 also 2 and -2
F2 = (
    np.array([[1, 1, 1, 0], [0, 1, -1, 1]]),
    np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]),
    np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]) / 2,
)
F4 = (
    np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]),
    np.array(
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ]
    ),
    np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24,
)
MATRICES: dict[_testing.Algo, tuple[Array, Array, Array]] = {"f2": F2, "f4": F4}
WINOGRAD_CASES = [
    same(16, 16, 3, size=(8, 8)),
    same(17, 20, 3, size=(5, 9), bias=True, n=3),
    same(32, 16, 3, size=(4, 4), n=5),
    same(3, 5, 3, size=(1, 6)),
    same(1, 1, 3, size=(1, 1), n=1),
    same(48, 35, 3, size=(6, 7)),
    same(16, 33, 3, size=(2, 11), n=3),
    same(18, 64, 3, size=(12, 16), n=1),
]
every_case = pytest.mark.parametrize("case", WINOGRAD_CASES, ids=str)
every_algo = pytest.mark.parametrize("algo", MATRICES)


class Winograd:
    """The formula in double, or with absolute values everywhere: what its roundings are worth.

    Every intermediate value that is rounded is at most as large as its absolute twin, so an error
    is at most (roundings on the way) units of the result's twin.
    """

    def __init__(self, p: Problem, algo: _testing.Algo, relu: bool, *, absolute: bool) -> None:
        self.f = np.abs if absolute else np.positive
        self.a, self.b, self.g = map(self.f, MATRICES[algo])
        self.span = len(self.a)
        self.x = self.f(np.maximum(p.x, 0) if relu else p.x).astype(np.float64)
        self.dy = self.f(p.dy).astype(np.float64)
        self.w = self.f(p.w).astype(np.float64)
        self.bias = self.f(p.b.astype(np.float64)) * p.case.bias

    def tiles(self, x: Array, margin: int) -> Array:
        """(N, rows, columns, C, size, size): tiles with so many pixels around them."""
        m = self.span
        ends = [(margin, -size % m + margin) for size in x.shape[1:3]]
        size = m + 2 * margin
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(x, [(0, 0), *ends, (0, 0)]), (size, size), (1, 2)
        )
        return windows[:, ::m, ::m]

    def convolve(self, x: Array, w: Array) -> Array:
        u = np.einsum("ir,rsck,js->ckij", self.g, w, self.g)
        v = self.b @ self.tiles(x, 1) @ self.b.T
        tiles = self.a @ np.einsum("nijcef,ckef->nijkef", v, u) @ self.a.T
        n, rows, columns, k, m, _ = tiles.shape
        y = tiles.transpose(0, 1, 4, 2, 5, 3).reshape(n, m * rows, m * columns, k)
        out: Array = y[:, : x.shape[1], : x.shape[2]]
        return out

    def y(self) -> Array:
        return self.convolve(self.x, self.w) + self.bias

    def dx(self) -> Array:
        return self.convolve(self.dy, self.w[::-1, ::-1].swapaxes(2, 3))

    def dw(self) -> Array:
        z = self.b @ self.tiles(self.dy, 1) @ self.b.T
        x = self.a.T @ self.tiles(self.x, 0) @ self.a
        dw: Array = np.einsum("er,nijcef,nijkef,fs->rsck", self.g, x, z, self.g, optimize=True)
        return dw[::-1, ::-1]


@every_algo
@every_case
def test_winograd_formula_is_the_convolution(case: Conv, algo: _testing.Algo) -> None:
    """So that its absolute twin bounds the right thing."""
    p = problem(case, np.float64)
    formula = Winograd(p, algo, False, absolute=False)
    assert_close(formula.y(), p.y(False)[0], 1e-10, "y")
    assert_close(formula.dx(), p.dx(False, False)[0], 1e-10, "dx")
    assert_close(formula.dw(), p.dw(False)[0], 1e-10, "dw")


def is_fast(p: Problem, table: str, algo: _testing.Algo) -> bool:
    return _testing.conv2d_is_fast(table, p.x, p.w, p.dy, algo=algo, **p.case.geometry)


@every_table
@pytest.mark.parametrize("relu", [False, True])
@every_algo
@every_case
def test_conv2d_by_winograd_is_within_its_bound(
    case: Conv, algo: _testing.Algo, relu: bool, table: str
) -> None:
    p = problem(case, np.float32)
    assert is_fast(p, table, algo) == (table != "reference")
    twin, geometry = Winograd(p, algo, relu, absolute=True), case.geometry
    passes = nhwc(ops.relu_backward(nchw(p.x), 1.0)) if relu else 1.0
    n_tiles = case.n * -(-case.size[0] // twin.span) * -(-case.size[1] // twin.span)
    sums, sizes = (f(p.dy).sum((0, 1, 2), dtype=np.float64) for f in (np.positive, np.abs))
    y_limit, dx_limit, dw_limit, db_limit = (
        bound(f"conv2d_{algo}", terms, size, np.float32)
        for terms, size in [
            (case.c + 1, twin.y()),
            (case.k + 1, twin.dx() * passes + abs(p.before)),
            (n_tiles, twin.dw()),
            (case.n * case.out[0] * case.out[1], sizes),
        ]
    )
    (y, _), (dw, _) = p.y(relu), p.dw(relu)

    def check_dw(got_dw: Array, got_db: Array) -> None:
        assert_close(got_dw, dw, dw_limit, "dw")
        if case.bias:
            assert_close(got_db, sums, db_limit, "db")

    options: dict[str, Any] = {**geometry, "relu": relu, "algo": algo}
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
    for case in WINOGRAD_CASES:
        p = problem(case, dtype)
        assert not is_fast(p, table, "direct")
        assert is_fast(p, table, "f4") == is_fast(p, table, "f2") == fast
        wide = min(case.c, case.k) >= 16 and min(case.size) >= 4
        assert is_fast(p, table, "auto") == is_fast(p, table, "signs") == (fast and wide)
    for case in CASES:
        plain = case.groups == 1 and case.geometry == same(case.c, case.k, 3).geometry
        if case.kernel != (3, 3) or not plain:
            assert not is_fast(problem(case, dtype), table, "f4")
            assert not is_fast(problem(case, dtype), table, "f2")


@every_table
@pytest.mark.parametrize(
    "case",
    [
        same(16, 16, 3, size=(32, 32), n=1),
        same(32, 32, 3, size=(16, 16), n=1),
        same(64, 64, 3, size=(8, 8), n=1),
    ],
    ids=str,
)
def test_f2_rounds_like_direct_sums_and_f4_within_its_documented_bounds(
    case: Conv, table: str
) -> None:
    """Against float64, one sample. F(2x2) adds a few roundings, but its sums are shorter."""
    p = problem(case, np.float32)
    exact = {"y": p.y(False)[0], "dx": p.dx(False, False)[0], "dw": p.dw(False)[0]}

    def rms(a: Array) -> float:
        return float(np.sqrt(np.mean(a**2)))

    def errors(algo: _testing.Algo) -> dict[str, Array]:
        options: dict[str, Any] = {**case.geometry, "algo": algo}
        y, dx, dw = (garbage(np.float32, *a.shape) for a in (p.dy, p.x, p.w))
        _testing.conv2d_fwd(table, p.x, p.w, None, y, **options)
        _testing.conv2d_bwd_x(table, p.dy, p.w, p.x, dx, **options)
        _testing.conv2d_bwd_w(table, p.x, p.dy, dw, None, **options)
        return {name: a - exact[name] for name, a in (("y", y), ("dx", dx), ("dw", dw))}

    direct, f2, f4 = errors("direct"), errors("f2"), errors("f4")
    for name, value in exact.items():
        assert rms(f2[name]) < 2 * rms(direct[name]), name
        if name == "dw":
            assert abs(f4[name]).max() < 1e-4 * rms(value)
        else:
            assert abs(f4[name]).max() < 1e-5 * abs(value).max(), name


@every_table
@every_algo
def test_winograd_touches_its_block_only_and_keeps_nan(algo: _testing.Algo, table: str) -> None:
    p = Problem(same(17, 20, 3, size=(5, 9), n=5), np.float32)
    options: dict[str, Any] = {**p.case.geometry, "relu": True, "algo": algo}

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
