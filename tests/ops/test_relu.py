"""ReLU: exact, NaN passes in both directions."""

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
    nchw,
    nhwc,
    normal,
    run_kernel,
)

CASES = [(1, 1, 1, 1), (2, 3, 4, 3), (1, 2, 2, 16), (3, 4, 3, 17), (2, 2, 3, 43), (2, 4, 4, 64)]
every_case = pytest.mark.parametrize("shape", CASES, ids=lambda s: "x".join(map(str, s)))


def images(dtype: Any, shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Input with a NaN, both infinities and both zeros; gradient; what a gradient is added to."""
    rng = np.random.default_rng(0)
    x, dy, before = (normal(rng, dtype, *shape) for _ in range(3))
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype)
    flat = x.reshape(-1)
    at = rng.permutation(flat.size)[: len(special)]
    flat[at] = special[: len(at)]
    return x, dy, before


@every_table
@every_dtype
@every_case
def test_relu_matches_reference(shape: tuple[int, ...], dtype: Any, table: str) -> None:
    x, dy, before = images(dtype, shape)
    y = nhwc(ops.relu(nchw(x)))
    run_kernel(
        lambda a, out: _testing.relu_fwd(table, a, out),
        [x],
        [garbage(dtype, *shape)],
        lambda out: assert_same(out, y, "y"),
    )
    dx = nhwc(ops.relu_backward(nchw(x), nchw(dy)))
    run_kernel(
        lambda a, b, out: _testing.relu_bwd(table, a, b, out),
        [y.astype(dtype), dy],
        [garbage(dtype, *shape)],
        lambda out: assert_same(out, dx, "dx"),
    )
    run_kernel(
        lambda a, b, out: _testing.relu_bwd(table, a, b, out, add=True),
        [y.astype(dtype), dy],
        [before],
        lambda out: assert_close(
            out, dx + before, bound("scale", 1, abs(dx) + abs(before), dtype), "dx added to"
        ),
    )


@every_table
@every_dtype
def test_relu_touches_its_block_only(dtype: Any, table: str) -> None:
    x, dy, before = images(dtype, (5, 2, 3, 19))
    check_blocks(lambda y, **b: _testing.relu_fwd(table, x, y, **b), 5, [before], "relu_fwd")
    check_blocks(lambda d, **b: _testing.relu_bwd(table, x, dy, d, **b), 5, [before], "relu_bwd")


@every_table
def test_relu_matches_torch(table: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x, dy, _ = images(np.float64, (2, 3, 5, 7))
    tx = torch.tensor(x, requires_grad=True)
    ty = torch.relu(tx)
    ty.backward(torch.tensor(dy))
    y, dx = garbage(np.float64, *x.shape), garbage(np.float64, *x.shape)
    _testing.relu_fwd(table, x, y)
    _testing.relu_bwd(table, y, dy, dx)
    assert_same(y, ty.detach().numpy(), "y")
    assert_same(dx, tx.grad.numpy(), "dx")


@every_table
@every_dtype
def test_relu_in_a_network(dtype: Any, table: str) -> None:
    """Read by convolutions alone (never stored), by others, twice, and as the output."""
    lazy = [conv("a", 0, 4, 3), ("relu", "r", [1], {}), conv("b", 2, 3), conv("c", 2, 3, 3)]
    stored = [conv("a", 0, 4, 3), ("relu", "r", [1], {}), ("relu", "rr", [2], {}), conv("b", 3, 4)]
    for nodes in (
        [*lazy, ("add", "s", [3, 4], {"coef": [1.0, 1.0]}), *head(5)],
        [*stored, ("add", "s", [2, 4, 1], {"coef": [1.0, 2.0, 1.0]}), *head(5)],
        [("relu", "r", [0], {}), conv("a", 1, 4), *head(2), ("relu", "last", [4], {})],
    ):
        check_network((3, 4, 4), nodes, table, dtype)
