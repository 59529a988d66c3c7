"""x * 0 of every stride-th pixel: zeros, but a NaN survives unless dead work is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroshot import _testing, reference
from zeroshot.reference import ops

from .oracle import (
    SENTINEL,
    Embedded,
    assert_same,
    build,
    check_blocks,
    check_network,
    conv,
    every_dtype,
    every_table,
    garbage,
    head,
    integer_weights,
    nchw,
    nhwc,
    normal,
    run_core,
)


@every_table
@every_dtype
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("c", [1, 7, 16, 43])
def test_strided_scale_by_zero_matches_reference(
    c: int, stride: int, dtype: Any, table: str
) -> None:
    x = normal(np.random.default_rng(0), dtype, 2, 7, 6, c)
    x[1, 0, 0, 0], x[0, 3, 3, c - 1], x[0, 0, 0, 0] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        expected = nhwc(ops.zero(nchw(x), stride=stride))
    y = garbage(dtype, *expected.shape)
    _testing.scale(table, x[:, ::stride, ::stride], 0.0, y)
    assert_same(y, expected, "y")


@every_table
@every_dtype
@pytest.mark.parametrize("c", [1, 7, 16, 43, 64])
def test_fill_zero_clears_its_view_only(c: int, dtype: Any, table: str) -> None:
    out = Embedded(normal(np.random.default_rng(1), dtype, 3, 4, 5, c), SENTINEL)
    _testing.fill_zero(table, out.view)
    assert not out.view.any()
    out.check("fill_zero")
    image = normal(np.random.default_rng(1), dtype, 5, 2, 3, c)
    check_blocks(lambda y, **b: _testing.fill_zero(table, y, **b), 5, [image], "fill_zero")


def cell(stride: int) -> list[Any]:
    """A dead and a live branch, and readers that cannot drop a zero."""
    return [
        conv("stem", 0, 4, 3),
        conv("dead", 1, 4, 3),
        ("zero", "z", [2], {"stride": stride}),
        conv("live", 1, 4, 3, stride=(stride, stride)),
        ("add", "s", [3, 4, 3], {"coef": [1.0, 1.0, 2.0]}),
        ("relu", "zr", [3], {}),
        conv("of_zero", 6, 4, bias=True),
        ("add", "t", [5, 7], {"coef": [1.0, 1.0]}),
        conv("after", 8, 3),
        *head(9),
    ]


@every_table
@every_dtype
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dead", [True, False], ids=["all", "live"])
def test_zero_in_a_network(dead: bool, stride: int, dtype: Any, table: str) -> None:
    check_network((3, 8, 8), cell(stride), table, dtype, dead=dead)


@every_table
@pytest.mark.parametrize("dead", [True, False], ids=["all", "live"])
def test_network_of_nothing_but_zero(dead: bool, table: str) -> None:
    """No path: the logits are the bias, all gradients before it are zero."""
    nodes = [conv("stem", 0, 4, 3), ("zero", "z", [1], {"stride": 1}), conv("b", 2, 3), *head(3)]
    check_network((3, 4, 4), nodes, table, np.float64, dead=dead)


@every_table
def test_nan_survives_zero_only_where_dead_work_runs(table: str) -> None:
    graph = build((3, 8, 8), cell(1))
    rng = np.random.default_rng(2)
    weights = integer_weights(graph, rng)
    weights["dead.weight"][0, 0, 0, 0] = np.nan
    x, y = rng.integers(-2, 3, (2, 3, 8, 8)) * 1.0, np.zeros(2, np.int64)
    for dead in (True, False):
        got = run_core(graph, weights, x, y, table=table, group_size=2, dead=dead)
        expected = reference.run(
            graph.nodes(), weights, x, loss="sum_logits", dead="compute" if dead else "skip"
        )
        assert_same(got["logits"], expected.logits, "logits")
        assert np.isnan(got["logits"]).any() == dead
