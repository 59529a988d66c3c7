"""Max pooling: values exact; the gradient goes to the first maximum, or to the last NaN."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroshot import _testing
from zeroshot.reference import ops, tangents

from .oracle import (
    USABLE,
    Array,
    Pair,
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


class Pool(NamedTuple):
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    shape: tuple[int, ...] = (2, 6, 7, 5)

    @property
    def window(self) -> dict[str, Any]:
        return {"kernel": self.kernel, "stride": self.stride, "padding": self.padding}

    @property
    def out(self) -> tuple[int, ...]:
        n, h, w, c = self.shape
        p, q = (
            ops.output_size(size, *(getattr(self, a)[i] for a in ("kernel", "stride", "padding")))
            for i, size in enumerate((h, w))
        )
        return n, p, q, c


CASES = [
    Pool((3, 3), (1, 1), (1, 1)),
    Pool((3, 3), (2, 2), (1, 1), (2, 8, 8, 16)),
    Pool((2, 2), (2, 2), (0, 0), (2, 8, 8, 17)),
    Pool((2, 2), (2, 2), (1, 1)),
    Pool((3, 3), (3, 3), (0, 0), (1, 9, 10, 43)),
    Pool((3, 3), (2, 2), (0, 0), (1, 7, 7, 64)),
    Pool((1, 3), (1, 2), (0, 1), (3, 5, 9, 7)),
    Pool((5, 2), (2, 1), (2, 1), (1, 7, 4, 3)),
    Pool((1, 1), (1, 1), (0, 0), (1, 1, 1, 1)),
    Pool((3, 3), (1, 1), (1, 1), (1, 1, 2, 33)),
    Pool((4, 4), (3, 2), (2, 2), (1, 5, 6, 16)),
    *(
        Pool((k, k), (stride, stride), (k // 2, k // 2) if k % 2 else (0, 0), (1, 9, 8, c))
        for k, c in ((2, 16), (3, 5), (5, 17), (7, 20))
        for stride in (1, 2)
    ),
    Pool((5, 5), (1, 1), (0, 0), (1, 6, 8, 9)),
    Pool((7, 7), (2, 2), (0, 0), (1, 10, 9, 33)),
]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def few_values(rng: np.random.Generator, dtype: Any, *shape: int) -> Array:
    """Mostly ties, with NaN and infinities among them."""
    values = np.array([0, 0, 1, 1, -1, -np.inf, np.inf, np.nan], dtype)
    return rng.choice(values, shape, p=[0.2, 0.2, 0.2, 0.15, 0.1, 0.05, 0.05, 0.05])


def check(case: Pool, table: str, dtype: Any, x: Array, dy: Array, before: Array) -> None:
    y = nhwc(ops.max_pool(nchw(x), **case.window))
    run_kernel(
        lambda a, out: _testing.max_pool_fwd(table, a, out, **case.window),
        [x],
        [garbage(dtype, *case.out)],
        lambda out: assert_same(out, y, "y"),
    )
    dx, size = (
        nhwc(ops.max_pool_backward(nchw(x), nchw(f(dy)), **case.window))
        for f in (np.positive, np.abs)
    )
    for add in (False, True):
        expected = dx + add * before.astype(np.float64)
        terms = case.kernel[0] * case.kernel[1] + add
        limit = bound("max_pool_bwd", terms, size + add * abs(before), dtype)
        run_kernel(
            lambda a, b, out, add=add: _testing.max_pool_bwd(
                table, a, b, out, add=add, **case.window
            ),
            [x, dy],
            [before if add else garbage(dtype, *case.shape)],
            lambda out, e=expected, d=limit: assert_close(out, e, d, "dx"),
        )


@every_table
@every_dtype
@every_case
def test_max_pool_matches_reference(case: Pool, dtype: Any, table: str) -> None:
    rng = np.random.default_rng(0)
    for draw in (normal, few_values):
        x = draw(rng, dtype, *case.shape)
        check(case, table, dtype, x, normal(rng, dtype, *case.out), normal(rng, dtype, *case.shape))


@every_table
@every_dtype
@every_case
def test_max_pool_gate_passes_what_lies_at_the_maximum(case: Pool, dtype: Any, table: str) -> None:
    rng = np.random.default_rng(4)
    for draw in (normal, few_values):
        x, t = draw(rng, dtype, *case.shape), normal(rng, dtype, *case.shape)
        expected = nhwc(tangents.max_pool_tangent(nchw(x), nchw(t), **case.window))
        run_kernel(
            lambda a, b, out: _testing.max_pool_gate(table, a, b, out, **case.window),
            [x, t],
            [garbage(dtype, *case.out)],
            lambda out, e=expected: assert_same(out, e, "y"),
        )


@every_table
@every_dtype
@every_case
def test_max_pool_of_small_integers_is_exact(case: Pool, dtype: Any, table: str) -> None:
    rng = np.random.default_rng(1)
    x, dy, dx = (integers(rng, dtype, *s) for s in (case.shape, case.out, case.shape))
    expected = nhwc(ops.max_pool_backward(nchw(x), nchw(dy), **case.window)) + dx
    _testing.max_pool_bwd(table, x, dy, dx, add=True, **case.window)
    assert_same(dx, expected, "dx")


@settings(max_examples=40)
@given(
    data=st.data(), table=st.sampled_from(USABLE), dtype=st.sampled_from([np.float32, np.float64])
)
def test_max_pool_of_random_shape_matches_reference(data: Any, table: str, dtype: Any) -> None:
    def pair(low: int, high: int) -> Pair:
        return data.draw(st.integers(low, high)), data.draw(st.integers(low, high))

    kernel = pair(1, 4)
    padding = data.draw(st.tuples(*(st.integers(0, k // 2) for k in kernel)))
    shape = (data.draw(st.integers(1, 2)), *pair(4, 8), data.draw(st.integers(1, 35)))
    case = Pool(kernel, pair(1, 3), padding, shape)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x, dy, before = (
        few_values(rng, dtype, *shape),
        normal(rng, dtype, *case.out),
        normal(rng, dtype, *shape),
    )
    check(case, table, dtype, x, dy, before)


@every_table
@every_dtype
def test_max_pool_touches_its_block_only(dtype: Any, table: str) -> None:
    case = Pool((3, 3), (2, 2), (1, 1), (5, 5, 6, 19))
    rng = np.random.default_rng(2)
    x, dy, before = (normal(rng, dtype, *s) for s in (case.shape, case.out, case.shape))
    check_blocks(
        lambda y, **b: _testing.max_pool_fwd(table, x, y, **case.window, **b),
        5,
        [dy],
        "max_pool_fwd",
    )
    check_blocks(
        lambda y, **b: _testing.max_pool_gate(table, x, before, y, **case.window, **b),
        5,
        [dy],
        "max_pool_gate",
    )
    for add in (False, True):

        def bwd(dx: Array, add: bool = add, **block: Any) -> None:
            _testing.max_pool_bwd(table, x, dy, dx, add=add, **case.window, **block)

        check_blocks(bwd, 5, [before], "max_pool_bwd")


@every_table
@every_case
def test_max_pool_matches_torch(case: Pool, table: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(3)
    x, dy = few_values(rng, np.float64, *case.shape), normal(rng, np.float64, *case.out)
    tx = torch.tensor(nchw(x), requires_grad=True)
    ty = torch.nn.functional.max_pool2d(tx, case.kernel, case.stride, case.padding)
    ty.backward(torch.tensor(nchw(dy)))
    y, dx = garbage(np.float64, *case.out), garbage(np.float64, *case.shape)
    _testing.max_pool_fwd(table, x, y, **case.window)
    _testing.max_pool_bwd(table, x, dy, dx, **case.window)
    assert_same(y, nhwc(ty.detach().numpy()), "y")
    assert_close(dx, nhwc(tx.grad.numpy()), 1e-9, "dx")


@every_table
@every_dtype
def test_max_pool_in_a_network(dtype: Any, table: str) -> None:
    window = {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1)}
    nodes = [
        conv("a", 0, 4, 3),
        ("relu", "r", [1], {}),
        ("max_pool", "pool", [2], window),
        conv("b", 3, 5, 3),
        ("max_pool", "pool2", [4], {**window, "stride": (1, 1)}),
        ("add", "s", [5, 4], {"coef": [1.0, 1.0]}),
        *head(6),
    ]
    check_network((3, 8, 8), nodes, table, dtype)
