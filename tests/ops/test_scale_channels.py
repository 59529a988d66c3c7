"""Layer scale: a parameter for each channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import Graph, _testing

from .oracle import (
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
    normal,
    run_kernel,
)

CASES = [(1, 1, 1, 1), (2, 3, 4, 3), (1, 2, 2, 16), (3, 4, 3, 17), (2, 2, 3, 43)]
every_case = pytest.mark.parametrize("shape", CASES, ids=lambda s: "x".join(map(str, s)))


@every_table
@every_dtype
@every_case
def test_scale_channels_matches_reference(shape: Any, dtype: Any, table: str) -> None:
    rng = np.random.default_rng(0)
    x, before, gamma = (normal(rng, dtype, *s) for s in (shape, shape, shape[3:]))
    for add in (False, True):
        old = before.astype(np.float64) * add
        y = x.astype(np.float64) * gamma
        run_kernel(
            lambda a, out, add=add: _testing.scale_channels(table, a, gamma, out, add=add),
            [x],
            [before if add else garbage(dtype, *shape)],
            lambda out, y=y, old=old: assert_close(
                out, y + old, bound("scale", 1, abs(y) + abs(old), dtype), "y"
            ),
        )


@every_table
@every_dtype
def test_scale_channels_touches_its_block_only(dtype: Any, table: str) -> None:
    rng = np.random.default_rng(1)
    x, y, gamma = (normal(rng, dtype, *s) for s in ((5, 2, 3, 19), (5, 2, 3, 19), (19,)))
    check_blocks(lambda y, **b: _testing.scale_channels(table, x, gamma, y, **b), 5, [y], "scale")


@every_table
def test_scale_channels_at_nan_and_infinities(table: str) -> None:
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 2.0]).reshape(1, 1, 1, 5)
    y, gamma = garbage(np.float64, *x.shape), np.array([1.0, -2.0, 0.5, 3.0, np.nan])
    _testing.scale_channels(table, x, gamma, y)
    assert_same(y, x * gamma, "y")


@every_table
@every_dtype
def test_scale_channels_in_a_network(dtype: Any, table: str) -> None:
    nodes = [
        conv("a", 0, 4, 3, bias=True),
        ("scale_channels", "s", [1], {}),
        ("relu", "r", [2], {}),
        ("scale_channels", "t", [3], {}),
        ("add", "sum", [4, 1, 2], {"coef": [1.0, -1.0, 2.0]}),
    ]
    check_network((3, 4, 4), [*nodes, *head(5)], table, dtype)


def network(initial: float) -> Graph:
    g = Graph((3, 4, 4))
    h = g.scale_channels(g.conv2d(g.input, 4, 1, name="c"), initial=initial, name="s")
    return g.output(g.linear(g.global_avg_pool(h), 2, bias=False, name="fc"))


def test_scale_channels_starts_at_initial_and_draws_nothing() -> None:
    x = np.random.default_rng(2).standard_normal((2, 3, 4, 4))
    whole, quarter = (
        zeroshot.gradients(
            network(initial), x, [0, 1], batch_size=2, loss="sum_logits", all_params=True,
            dtype="float64", seed=3,
        )
        for initial in (1.0, 0.25)
    )  # fmt: skip
    for name, factor in [("c.weight", 0.25), ("fc.weight", 0.25), ("s.scale", 1.0)]:
        assert whole[name].any()
        assert_same(quarter[name], factor * whole[name], name)


def test_scale_channels_counts_as_a_parameter() -> None:
    counts = zeroshot.count(network(0.5))
    assert (counts.params, counts.weights, counts.macs) == (12 + 4 + 8, 20, 12 * 16 + 8)
    for initial in (float("nan"), float("inf")):
        g = Graph((3, 4, 4))
        with pytest.raises(ValueError, match="initial: expected a finite number"):
            g.scale_channels(g.input, initial=initial)
