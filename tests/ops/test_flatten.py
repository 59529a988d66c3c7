"""(C, H, W) to (C H W, 1, 1), channel after channel: exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroshot import Graph, _testing
from zeroshot.reference import token_ops

from .oracle import (
    Node,
    assert_same,
    check_blocks,
    check_network,
    conv,
    every_dtype,
    every_table,
    garbage,
    integers,
    nchw,
    nhwc,
    run_kernel,
)

CASES = [(1, 1, 1, 1), (2, 3, 4, 3), (3, 1, 5, 16), (2, 7, 7, 5)]
every_case = pytest.mark.parametrize("shape", CASES, ids=lambda s: "x".join(map(str, s)))


@every_table
@every_dtype
@every_case
def test_flatten_matches_reference(shape: Any, dtype: Any, table: str) -> None:
    rng = np.random.default_rng(0)
    n, h, w, c = shape
    x, before = integers(rng, dtype, *shape), integers(rng, dtype, *shape)
    dy = integers(rng, dtype, n, 1, 1, c * h * w)
    y, dx = nhwc(token_ops.flatten(nchw(x))), nhwc(token_ops.flatten_backward(nchw(x), nchw(dy)))
    assert np.array_equal(y.ravel(), nchw(x).ravel())
    run_kernel(
        lambda a, out: _testing.flatten_fwd(table, a, out),
        [x],
        [garbage(dtype, *dy.shape)],
        lambda out: assert_same(out, y, "y"),
    )
    for add in (False, True):
        run_kernel(
            lambda a, out, add=add: _testing.flatten_bwd(table, a, out, add=add),
            [dy],
            [before if add else garbage(dtype, *shape)],
            lambda out, add=add: assert_same(out, dx + before * add, "dx"),
        )


@every_table
@every_dtype
def test_flatten_touches_its_block_only(dtype: Any, table: str) -> None:
    rng = np.random.default_rng(1)
    x, y = integers(rng, dtype, 5, 2, 3, 4), integers(rng, dtype, 5, 1, 1, 24)
    check_blocks(lambda out, **b: _testing.flatten_fwd(table, x, out, **b), 5, [y], "flatten_fwd")
    check_blocks(lambda out, **b: _testing.flatten_bwd(table, y, out, **b), 5, [x], "flatten_bwd")


NETWORKS: dict[str, list[Node]] = {
    "of the image": [("flatten", "f", [0], {}), ("linear", "fc", [1], {"out_features": 3})],
    "behind relu, with other readers": [
        conv("a", 0, 4, 3),
        ("relu", "r", [1], {}),
        conv("b", 2, 5, 3),
        ("flatten", "f", [3], {}),
        ("flatten", "g", [2], {}),
        ("linear", "fc", [4], {"out_features": 3, "bias": True}),
        ("linear", "gc", [5], {"out_features": 3}),
        ("add", "s", [6, 7], {"coef": [1.0, -1.0]}),
    ],
    "of a slice": [
        conv("a", 0, 4, 3),
        ("slice_channels", "s", [1], {"channels": 2, "start": 1}),
        ("flatten", "f", [2], {}),
        ("relu", "r", [3], {}),
        ("linear", "fc", [4], {"out_features": 2}),
    ],
}


@every_table
@every_dtype
@pytest.mark.parametrize("dead", [True, False], ids=["all", "live"])
@pytest.mark.parametrize("name", NETWORKS)
def test_flatten_in_a_network(name: str, dead: bool, dtype: Any, table: str) -> None:
    check_network((3, 4, 3), NETWORKS[name], table, dtype, dead=dead)


def test_flatten_matches_torch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    y = garbage(np.float64, 2, 1, 1, 60)
    _testing.flatten_fwd("reference", np.ascontiguousarray(nhwc(x)), y)
    assert_same(y[:, 0, 0], torch.flatten(torch.tensor(x), 1).numpy(), "y")


def test_flatten_has_a_largest_size() -> None:
    g = Graph((4, 1024, 257))
    with pytest.raises(ValueError, match=r"input: expected at most 1048576 elements, got \(4"):
        g.flatten(g.input)
