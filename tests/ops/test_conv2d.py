"""Convolution, forward and both backward kernels, of every table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from zeroshot import _testing
from zeroshot.reference import ops

from .oracle import (
    USABLE,
    Array,
    Pair,
    assert_bits,
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
    oihw,
    rsik,
    run_kernel,
)


@dataclass(frozen=True)
class Conv:
    c: int
    k: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    size: Pair = (7, 6)
    bias: bool = False
    n: int = 2

    @property
    def out(self) -> Pair:
        p, q = (
            ops.output_size(s, k, t, p, d)
            for s, k, t, p, d in zip(
                self.size, self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )
        return p, q

    @property
    def geometry(self) -> dict[str, Any]:
        return {a: getattr(self, a) for a in ("stride", "padding", "dilation", "groups")}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {
            "x": (self.n, *self.size, self.c),
            "w": (*self.kernel, self.c // self.groups, self.k),
            "b": (self.k,),
            "y": (self.n, *self.out, self.k),
        }

    def __str__(self) -> str:
        def pair(p: Pair) -> str:
            return f"{p[0]}x{p[1]}"

        name = f"{self.c}-{self.k}-{pair(self.kernel)}-s{pair(self.stride)}-p{pair(self.padding)}"
        return f"{name}-d{pair(self.dilation)}-g{self.groups}-{pair(self.size)}" + "-b" * self.bias


def same(c: int, k: int, width: int, **more: Any) -> Conv:
    return Conv(c, k, (width, width), padding=(width // 2, width // 2), **more)


CASES = [
    # channels: below, at, above and between the vector lengths
    same(1, 1, 1, size=(1, 1), n=1),
    same(1, 16, 3, bias=True),
    same(3, 16, 3, size=(8, 8), n=3),
    same(5, 7, 3),
    same(7, 5, 1, bias=True),
    same(16, 16, 3, size=(8, 8)),
    same(16, 32, 1, size=(5, 5), n=5),
    same(17, 43, 3, size=(5, 4), bias=True),
    same(43, 17, 1),
    same(64, 64, 3, size=(6, 6), n=1),
    same(64, 1, 1),
    same(2, 65, 3, size=(3, 3)),
    # windows
    same(5, 6, 5),
    same(4, 4, 7, size=(5, 4)),
    Conv(6, 10, (1, 7), padding=(0, 3), size=(3, 9)),
    Conv(6, 10, (7, 1), padding=(3, 0), size=(9, 3)),
    Conv(5, 9, (1, 7), padding=(0, 3), stride=(1, 2), size=(4, 10), bias=True),
    Conv(5, 9, (7, 1), padding=(3, 0), stride=(2, 1), size=(10, 4), bias=True),
    Conv(16, 16, (1, 7), padding=(0, 3), stride=(1, 3), size=(3, 8), bias=True),
    Conv(16, 20, (7, 1), padding=(3, 0), stride=(3, 1), size=(8, 3)),
    Conv(17, 17, (1, 7), padding=(0, 3), stride=(1, 2), groups=17, size=(4, 19), bias=True),
    Conv(17, 17, (7, 1), padding=(3, 0), stride=(2, 1), groups=17, size=(9, 4), bias=True),
    Conv(3, 8, (3, 5), padding=(1, 2), size=(6, 11)),
    Conv(4, 16, (2, 2), size=(5, 7)),
    Conv(7, 9, (3, 3), padding=(2, 2), bias=True),
    Conv(5, 16, (5, 3), padding=(0, 3)),
    # strides
    same(16, 32, 3, stride=(2, 2), size=(8, 8)),
    same(3, 17, 3, stride=(2, 2), size=(7, 9), bias=True),
    same(16, 24, 1, stride=(2, 2), size=(8, 6)),
    same(5, 8, 3, stride=(3, 3), size=(10, 9)),
    Conv(4, 6, (1, 1), stride=(3, 2), padding=(1, 1)),
    Conv(3, 16, (4, 4), stride=(4, 4), size=(9, 8)),
    Conv(4, 5, (3, 3), stride=(1, 2), padding=(3, 3), size=(4, 5)),
    # dilation
    Conv(8, 8, (3, 3), padding=(2, 2), dilation=(2, 2)),
    Conv(3, 5, (3, 3), padding=(1, 4), dilation=(1, 2), stride=(2, 1)),
    Conv(16, 16, (5, 5), padding=(4, 4), dilation=(2, 2), groups=16, size=(9, 9)),
    # groups
    same(6, 4, 3, groups=2, bias=True),
    same(34, 32, 1, groups=2),
    same(32, 64, 3, groups=4, size=(4, 4)),
    same(16, 16, 3, groups=16, size=(8, 8)),
    same(17, 17, 3, groups=17, stride=(2, 2), bias=True),
    same(43, 43, 5, groups=43, size=(6, 6)),
    same(3, 6, 3, groups=3),
    same(32, 64, 3, groups=32),
    same(6, 18, 3, groups=3, stride=(2, 2)),
    # depthwise: rows longer than a tile of pixels, taps by fours, phases of a stride or a dilation
    same(20, 20, 7, groups=20, size=(9, 21)),
    Conv(40, 40, (1, 9), padding=(0, 4), groups=40, size=(2, 27)),
    Conv(20, 20, (3, 3), padding=(2, 2), dilation=(2, 2), stride=(2, 2), groups=20, size=(10, 37)),
    Conv(19, 19, (3, 5), padding=(3, 6), dilation=(3, 3), stride=(1, 2), groups=19, size=(9, 23)),
    Conv(8, 8, (5, 6), padding=(2, 3), stride=(3, 3), groups=8, size=(11, 34)),
    same(8, 8, 5, groups=8, stride=(2, 2), size=(5, 43)),
]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


class Problem:
    """Random data of one case."""

    def __init__(self, case: Conv, dtype: Any, draw: Any = normal, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.case, self.dtype = case, dtype
        self.x, self.w, self.b, self.dy = (
            draw(rng, dtype, *case.shapes[name]) for name in ("x", "w", "b", "y")
        )
        self.before = draw(rng, dtype, *case.shapes["x"])

    def read(self, relu: bool) -> Array:
        return nchw(np.maximum(self.x, 0) if relu else self.x)

    @property
    def bias(self) -> Array | None:
        return self.b if self.case.bias else None

    # kernels

    def fwd(self, table: str, relu: bool, x: Array, y: Array, **block: Any) -> None:
        options = {**self.case.geometry, "relu": relu, **block}
        _testing.conv2d_fwd(table, x, self.w, self.bias, y, **options)

    def bwd_x(
        self, table: str, relu: bool, add: bool, dy: Array, x: Array, dx: Array, **block: Any
    ) -> None:
        options = {**self.case.geometry, "relu": relu, "add": add, **block}
        _testing.conv2d_bwd_x(table, dy, self.w, x, dx, **options)

    def bwd_w(
        self, table: str, relu: bool, x: Array, dy: Array, dw: Array, db: Array, **block: Any
    ) -> None:
        options = {**self.case.geometry, "relu": relu, **block}
        _testing.conv2d_bwd_w(table, x, dy, dw, db if self.case.bias else None, **options)

    # oracle: value and sum of the absolute values of its terms

    def y(self, relu: bool) -> tuple[Array, Array]:
        x, w, geometry = self.read(relu), oihw(self.w), self.case.geometry
        return (
            nhwc(ops.conv2d(x, w, self.bias, **geometry)),
            nhwc(
                ops.conv2d(abs(x), abs(w), None if self.bias is None else abs(self.b), **geometry)
            ),
        )

    def gradients(self) -> tuple[Array, Array, Array]:
        return ops.conv2d_backward(
            self.read(False), oihw(self.w), nchw(self.dy), **self.case.geometry
        )

    def dx(self, relu: bool, add: bool) -> tuple[Array, Array]:
        w, dy, geometry = oihw(self.w), nchw(self.dy), self.case.geometry
        passes = nhwc(ops.relu_backward(nchw(self.x), 1.0)) if relu else 1.0
        dx = nhwc(ops.conv2d_backward(nchw(self.x), w, dy, **geometry)[0]) * passes
        size = nhwc(ops.conv2d_backward(nchw(self.x), abs(w), abs(dy), **geometry)[0]) * passes
        before = self.before * (1.0 if add else 0.0)
        return dx + before, size + abs(before)

    def dw(self, relu: bool) -> tuple[Array, Array]:
        x, w, dy, geometry = self.read(relu), oihw(self.w), nchw(self.dy), self.case.geometry
        return (
            rsik(ops.conv2d_backward(x, w, dy, **geometry)[1]),
            rsik(ops.conv2d_backward(abs(x), w, abs(dy), **geometry)[1]),
        )


@cache
def problem(case: Conv, dtype: Any) -> Problem:
    return Problem(case, dtype)


def n_terms(case: Conv) -> dict[str, int]:
    taps = case.kernel[0] * case.kernel[1]
    return {
        "fwd": taps * case.c // case.groups + case.bias,
        "bwd_x": taps * case.k // case.groups + 1,
        "bwd_w": case.n * case.out[0] * case.out[1],
    }


def check_fwd(p: Problem, table: str, relu: bool) -> None:
    expected, size = p.y(relu)
    limit = bound("conv2d_fwd", n_terms(p.case)["fwd"], size, p.dtype)
    run_kernel(
        lambda x, y: p.fwd(table, relu, x, y),
        [p.x],
        [garbage(p.dtype, *p.dy.shape)],
        lambda y: assert_close(y, expected, limit, "y"),
    )


def check_bwd_x(p: Problem, table: str, relu: bool, add: bool) -> None:
    expected, size = p.dx(relu, add)
    limit = bound("conv2d_bwd_x", n_terms(p.case)["bwd_x"], size, p.dtype)
    unread = garbage(p.dtype, *p.x.shape)
    run_kernel(
        lambda dy, x, dx: p.bwd_x(table, relu, add, dy, x, dx),
        [p.dy, p.x if relu else unread],
        [p.before if add else unread],
        lambda dx: assert_close(dx, expected, limit, "dx"),
    )


def check_bwd_w(p: Problem, table: str, relu: bool) -> None:
    expected, size = p.dw(relu)
    terms = n_terms(p.case)["bwd_w"]
    sums, sizes = (f(p.dy).sum((0, 1, 2), dtype=np.float64) for f in (np.positive, np.abs))

    def check(dw: Array, db: Array) -> None:
        assert_close(dw, expected, bound("conv2d_bwd_w", terms, size, p.dtype), "dw")
        if p.case.bias:
            assert_close(db, sums, bound("conv2d_bwd_w", terms, sizes, p.dtype), "db")

    run_kernel(
        lambda x, dy, dw, db: p.bwd_w(table, relu, x, dy, dw, db),
        [p.x, p.dy],
        [],
        check,
        plain=[garbage(p.dtype, *p.w.shape), garbage(p.dtype, *p.b.shape)],
    )


@every_table
@every_dtype
@every_case
def test_conv2d_fwd_matches_reference(case: Conv, dtype: Any, table: str) -> None:
    for relu in (False, True):
        check_fwd(problem(case, dtype), table, relu)


@every_table
@every_dtype
@every_case
def test_conv2d_bwd_x_matches_reference(case: Conv, dtype: Any, table: str) -> None:
    for relu, add in [(False, False), (False, True), (True, False), (True, True)]:
        check_bwd_x(problem(case, dtype), table, relu, add)


@every_table
@every_dtype
@every_case
def test_conv2d_bwd_w_matches_reference(case: Conv, dtype: Any, table: str) -> None:
    for relu in (False, True):
        check_bwd_w(problem(case, dtype), table, relu)


@st.composite
def convs(draw: st.DrawFn) -> Conv:
    def pair(low: int, high: int) -> Pair:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 17]))
    small = groups == 17
    case = Conv(
        c=groups * draw(st.integers(1, 1 if small else 20)),
        k=groups * draw(st.integers(1, 2 if small else 20)),
        kernel=pair(1, 4),
        stride=pair(1, 3),
        padding=pair(0, 3),
        dilation=pair(1, 2),
        groups=groups,
        size=pair(1, 9),
        bias=draw(st.booleans()),
        n=draw(st.integers(1, 3)),
    )
    assume(min(case.out) >= 1)
    return case


@settings(max_examples=60)
@given(case=convs(), table=st.sampled_from(USABLE), dtype=st.sampled_from([np.float32, np.float64]))
def test_conv2d_of_random_shape_matches_reference(case: Conv, table: str, dtype: Any) -> None:
    p = Problem(case, dtype)
    check_fwd(p, table, relu=False)
    check_bwd_x(p, table, relu=True, add=True)
    check_bwd_w(p, table, relu=True)


@every_table
@every_dtype
@every_case
def test_conv2d_of_small_integers_is_exact(case: Conv, dtype: Any, table: str) -> None:
    p = Problem(case, dtype, integers)
    y, dx = garbage(dtype, *p.dy.shape), p.before.copy()
    dw, db = garbage(dtype, *p.w.shape), garbage(dtype, *p.b.shape)
    p.fwd(table, True, p.x, y)
    p.bwd_x(table, True, True, p.dy, p.x, dx)
    p.bwd_w(table, True, p.x, p.dy, dw, db)
    assert_same(y, p.y(True)[0], "y")
    assert_same(dx, p.dx(True, True)[0], "dx")
    assert_same(dw, p.dw(True)[0], "dw")

    # <dy, conv(x, w)> = <dx, x> = <dw, w> needs no oracle
    p = Problem(replace(case, bias=False), dtype, integers)
    p.fwd(table, False, p.x, y)
    p.bwd_x(table, False, False, p.dy, p.x, dx)
    p.bwd_w(table, False, p.x, p.dy, dw, db)

    def dot(a: Array, b: Array) -> float:
        return float(np.vdot(a.astype(np.float64), b.astype(np.float64)))

    assert dot(p.dy, y) == dot(dx, p.x) == dot(dw, p.w)


BLOCK_CASES = [
    same(5, 7, 3, n=5),
    same(16, 32, 3, stride=(2, 2), n=5, size=(8, 8)),
    same(17, 17, 3, groups=17, n=5, bias=True),
    same(33, 18, 1, n=5, size=(3, 3)),
    same(20, 11, 1, n=5, size=(1, 1), bias=True),
]


@every_table
@every_dtype
@pytest.mark.parametrize("case", BLOCK_CASES, ids=str)
def test_conv2d_touches_its_block_only(case: Conv, dtype: Any, table: str) -> None:
    p = problem(case, dtype)
    check_blocks(
        lambda y, **block: p.fwd(table, True, p.x, y, **block),
        case.n,
        [garbage(dtype, *p.dy.shape)],
        "conv2d_fwd",
    )
    for add in (False, True):

        def bwd_x(dx: Array, add: bool = add, **block: Any) -> None:
            p.bwd_x(table, True, add, p.dy, p.x, dx, **block)

        check_blocks(bwd_x, case.n, [p.before], "conv2d_bwd_x")
    part, alone = (garbage(dtype, *p.w.shape) for _ in range(2))
    db = garbage(dtype, *p.b.shape)
    p.bwd_w(table, True, p.x, p.dy, part, db, n0=1, n1=3)
    p.bwd_w(table, True, p.x[1:3], p.dy[1:3], alone, db)
    assert_bits(part, alone, "dw of samples 1 and 2")


@every_table
@every_dtype
@pytest.mark.parametrize("case", BLOCK_CASES, ids=str)
def test_conv2d_spreads_nan_as_pytorch_does(case: Conv, dtype: Any, table: str) -> None:
    """A NaN pixel passes the ReLU on load, in both directions, and reaches what reads it alone."""
    p = Problem(case, dtype)
    p.x[1, 0, 0, 2] = np.nan
    p.x[0, 0, 0, 0] = -np.inf
    y, dx, dw = (garbage(dtype, *a.shape) for a in (p.dy, p.x, p.w))
    p.fwd(table, True, p.x, y)
    p.bwd_x(table, True, False, p.dy, p.x, dx)
    p.bwd_w(table, True, p.x, p.dy, dw, garbage(dtype, *p.b.shape))
    with np.errstate(invalid="ignore"):
        expected_y, expected_dw, (expected_dx, size) = (
            p.y(True)[0],
            p.dw(True)[0],
            p.dx(True, False),
        )
    assert np.array_equal(np.isnan(y), np.isnan(expected_y))
    assert np.array_equal(np.isnan(dw), np.isnan(expected_dw))
    limit = bound("conv2d_bwd_x", n_terms(case)["bwd_x"], size, dtype)
    assert_close(dx, expected_dx, limit, "dx")  # passes at the NaN
    assert dx[0, 0, 0, 0] == 0.0 and not np.isnan(dx).any()


@every_table
@every_dtype
def test_conv2d_is_position_independent(dtype: Any, table: str) -> None:
    """Equal inputs give equal bits wherever they lie: sample, pixel, channel."""
    rng = np.random.default_rng(5)
    for case in [Conv(19, 37, (3, 3), size=(7, 9), n=3), Conv(21, 21, (3, 3), groups=21, n=3)]:
        p = Problem(case, dtype)
        i = case.c // case.groups
        p.x[...] = normal(rng, dtype, case.c) if case.groups == 1 else normal(rng, dtype, 1)
        p.w[...] = normal(rng, dtype, *case.kernel, i, 1)
        y = garbage(dtype, *p.dy.shape)
        p.fwd(table, False, p.x, y)
        assert (y == y[0, 0, 0, 0]).all()

        p.dy[...] = normal(rng, dtype, case.k) if case.groups == 1 else normal(rng, dtype, 1)
        p.w[...] = normal(rng, dtype, *case.kernel, 1, case.k if case.groups == 1 else 1)
        dx = garbage(dtype, *p.x.shape)
        p.bwd_x(table, False, False, p.dy, p.x, dx)
        inner = dx[:, 2:-2, 2:-2]  # what all taps reach
        assert (inner == inner[0, 0, 0, 0]).all()

        p.x[...] = normal(rng, dtype, *p.x.shape[:3], 1)
        p.dy[...] = normal(rng, dtype, *p.dy.shape[:3], 1)
        dw, db = garbage(dtype, *p.w.shape), garbage(dtype, *p.b.shape)
        p.bwd_w(table, False, p.x, p.dy, dw, db)
        assert (dw == dw[:, :, :1, :1]).all()


@every_table
@pytest.mark.parametrize("case", CASES[::3], ids=str)
def test_conv2d_matches_torch(case: Conv, table: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    p = problem(case, np.float64)
    x, w = (torch.tensor(a, requires_grad=True) for a in (nchw(p.x), oihw(p.w)))
    b = torch.tensor(p.b, requires_grad=True)
    y = torch.nn.functional.conv2d(x, w, b if case.bias else None, **case.geometry)
    y.backward(torch.tensor(nchw(p.dy)))
    got = [garbage(np.float64, *a.shape) for a in (p.dy, p.x, p.w, p.b)]
    p.fwd(table, False, p.x, got[0])
    p.bwd_x(table, False, False, p.dy, p.x, got[1])
    p.bwd_w(table, False, p.x, p.dy, got[2], got[3])
    assert_close(got[0], nhwc(y.detach().numpy()), 1e-9, "y")
    assert_close(got[1], nhwc(x.grad.numpy()), 1e-9, "dx")
    assert_close(got[2], rsik(w.grad.numpy()), 1e-9, "dw")
    if case.bias:
        assert_close(got[3], b.grad.numpy(), 1e-9, "db")


NETWORK = [
    conv("a", 0, 4, 3, bias=True),
    ("relu", "a.relu", [1], {}),
    conv("dw", 2, 8, 3, groups=4, stride=(2, 2)),
    conv("wide", 3, 5, kernel=(1, 3), padding=(0, 2), dilation=(1, 2)),
    *head(4),
]


@every_table
@every_dtype
def test_conv2d_in_a_network(dtype: Any, table: str) -> None:
    check_network((3, 8, 8), NETWORK, table, dtype)
