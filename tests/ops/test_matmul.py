"""Products of maps as matrices of positions and channels, head by head."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from zeroshot import Graph, _testing
from zeroshot.reference import token_ops

from .oracle import (
    Array,
    Node,
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

# samples, heads, maps of a, b and y as (H, W) where they are rows; columns of one head elsewhere
CASES = [
    (1, 1, (1, 1), 1, 1),
    (2, 1, (2, 3), 5, 7),
    (3, 2, (3, 3), 4, 9),
    (2, 4, (4, 5), 16, 33),
    (2, 3, (7, 7), 17, 64),
    (1, 2, (5, 13), 80, 25),
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c[1:])))
every_turn = pytest.mark.parametrize("a_turned, b_turned", list(product([False, True], repeat=2)))


def operands(
    rng: Any, draw: Any, dtype: Any, case: Any, a_turned: bool, b_turned: bool
) -> tuple[Array, Array, Array]:
    """a, b and what y holds before: M positions of y, sums over K, N columns."""
    n, heads, (h, w), k, columns = case
    k_map = (k, 1) if k % 2 else (k // 2, 2)
    n_map = (columns, 1) if columns % 3 else (columns // 3, 3)
    a = draw(rng, dtype, n, *(k_map if a_turned else (h, w)), heads * (h * w if a_turned else k))
    b = draw(rng, dtype, n, *(n_map if b_turned else k_map), heads * (k if b_turned else columns))
    return a, b, draw(rng, dtype, n, h, w, heads * columns)


def expected(a: Array, b: Array, heads: int, turned: tuple[bool, bool], like: Array) -> Array:
    rows, other = (token_ops.tokens(nchw(v), heads) for v in (a, b))
    left = rows.swapaxes(2, 3) if turned[0] else rows
    right = other.swapaxes(2, 3) if turned[1] else other
    return nhwc(token_ops.maps(left @ right, like.shape[1:3]))


@every_table
@every_dtype
@every_turn
@every_case
def test_matmul_matches_reference(
    case: Any, a_turned: bool, b_turned: bool, dtype: Any, table: str
) -> None:
    rng = np.random.default_rng(0)
    heads, k = case[1], case[3]
    turned = (a_turned, b_turned)
    for draw, scale in ((normal, 0.3), (integers, 2.0)):
        a, b, before = operands(rng, draw, dtype, case, *turned)
        y = scale * expected(a, b, heads, turned, before)
        size = scale * expected(abs(a), abs(b), heads, turned, before)
        how: Any = {"heads": heads, "a_turned": a_turned, "b_turned": b_turned, "scale": scale}
        for add in (False, True):
            want, most = (y + before, size + abs(before)) if add else (y, size)
            limit = bound("matmul", k + add, most, dtype)
            limit = np.zeros_like(limit) if draw is integers else limit
            run_kernel(
                lambda a, b, out, add=add, how=how: _testing.matmul(
                    table, a, b, out, add=add, **how
                ),
                [a, b],
                [before if add else garbage(dtype, *before.shape)],
                lambda out, want=want, limit=limit: assert_close(out, want, limit, "y"),
            )


@every_table
@every_dtype
@every_turn
def test_matmul_touches_its_block_only(
    a_turned: bool, b_turned: bool, dtype: Any, table: str
) -> None:
    case = (5, 2, (2, 3), 4, 19)
    a, b, y = operands(np.random.default_rng(1), normal, dtype, case, a_turned, b_turned)
    how: Any = {"heads": 2, "a_turned": a_turned, "b_turned": b_turned}
    check_blocks(lambda y, **n: _testing.matmul(table, a, b, y, **how, **n), 5, [y], "matmul")


@every_table
@every_dtype
def test_nan_stays_in_its_row_and_column(dtype: Any, table: str) -> None:
    a, b, y = operands(np.random.default_rng(2), normal, dtype, CASES[3], False, False)
    a[1, 2, 3, 5] = np.nan
    _testing.matmul(table, a, b, y, heads=4)
    assert_same(np.isnan(y), np.isnan(expected(a, b, 4, (False, False), y)), "NaN")
    assert np.isnan(y).sum() == 33


def values(name: str, source: int, channels: int, start: int = 0) -> Node:
    return ("slice_channels", name, [source], {"channels": channels, "start": start})


def product_of(name: str, a: int, b: int, **attrs: Any) -> Node:
    return ("matmul", name, [a, b], attrs)


NETWORKS: dict[str, list[Node]] = {
    "of attention": [
        conv("qkv", 0, 12),
        *(values(n, 1, 4, 4 * i) for i, n in enumerate("qkv")),
        product_of("s", 2, 3, heads=2, transpose_b=True, scale=2.0),
        product_of("o", 5, 4, heads=2),
        conv("proj", 6, 4),
    ],
    "of a map with itself": [
        conv("a", 0, 4, 3),
        product_of("s", 1, 1, transpose_b=True),
        product_of("o", 2, 1, scale=-1.0),
    ],
    "of the image": [product_of("s", 0, 0, heads=3, transpose_b=True), conv("a", 1, 5)],
    "of another size": [
        conv("a", 0, 6, 3),
        conv("b", 0, 6, 3, stride=(2, 2)),
        product_of("s", 1, 2, heads=2, transpose_b=True),
        product_of("o", 3, 2, heads=2),
        product_of("t", 2, 1, heads=3, transpose_b=True),
        product_of("u", 5, 1, heads=3),
        conv("c", 6, 6),
        ("global_avg_pool", "g", [4], {}),
        ("global_avg_pool", "h", [7], {}),
        ("add", "s2", [8, 9], {"coef": [1.0, -1.0]}),
    ],
    "with zeros": [
        conv("a", 0, 4, 3),
        ("zero", "z", [1], {"stride": 1}),
        product_of("s", 1, 2, transpose_b=True),
        product_of("o", 3, 1),
        ("add", "t", [4, 1], {"coef": [1.0, 1.0]}),
    ],
    "behind relu, of a shift": [
        conv("a", 0, 4, 3),
        ("relu", "r", [1], {}),
        ("shift", "h", [2], {}),
        product_of("s", 3, 3, heads=4, transpose_b=True),
        product_of("o", 4, 3, heads=4),
        conv("b", 5, 3, 2, padding=(1, 1)),
    ],
}


@every_table
@every_dtype
@pytest.mark.parametrize("dead", [True, False], ids=["all", "live"])
@pytest.mark.parametrize("name", NETWORKS)
def test_matmul_in_a_network(name: str, dead: bool, dtype: Any, table: str) -> None:
    nodes = NETWORKS[name]
    check_network((3, 4, 4), [*nodes, *head(len(nodes))], table, dtype, dead=dead)


def test_matmul_says_what_does_not_fit() -> None:
    g = Graph((6, 2, 2))
    small = g.max_pool(g.input, 2)
    for arguments, message in [
        ((g.input, g.input, {"heads": 4}), "heads: expected a divisor of the 6 channels of a"),
        ((g.input, g.input, {"heads": 0}), "heads: expected a divisor"),
        ((g.input, g.input, {}), "a: expected 4 channels, one for each of the 4 positions of b"),
        ((g.input, small, {"heads": 3}), "a: expected 3 channels"),
        (
            (g.input, g.slice_channels(g.input, 2), {"transpose_b": True}),
            "b: expected the 6 channels of a, got 2",
        ),
        ((g.input, g.input, {"transpose_b": True, "scale": float("nan")}), "scale: expected"),
    ]:
        a, b, how = arguments
        with pytest.raises(ValueError, match=message):
            g.matmul(a, b, **how)
    with pytest.raises(ValueError, match="takes two inputs, got 1"):
        g._add("matmul", [g.input], {}, None)
    assert g.matmul(g.input, small, heads=3, transpose_b=True).shape == (3, 2, 2)
    assert g.matmul(g.input, small, heads=6).shape == (6, 2, 2)
