"""Sizes of activations: counts in intervals, by node."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import reference
from zeroshot.reference.passes import forward
from zeroshot.scores import Activations

from ..reference.small import Net, usual
from .nets import FLOAT32, Array, images, random_net, scored

EDGES = zeroshot.sweet_edges("released")
OPS = {"relu": ("relu",), "conv": ("conv2d",)}
TINY: dict[str, Any] = {"channels": 4, "cells": 1, "n_threads": 1}


@pytest.mark.parametrize("which", ["relu", "conv"])
@pytest.mark.parametrize("seed", range(12))
def test_histogram_matches_reference(seed: int, which: Any) -> None:
    net, (x, _) = random_net(seed), images(4)
    want = reference.activation_sizes(net.nodes, net.weights, x, EDGES, which=which)
    got = scored(net, Activations.over(EDGES, which=which, batch_size=4), x)
    assert got.status == "ok"
    assert got.histogram == {k: tuple(v.tolist()) for k, v in want.items() if v.any()}
    assert got.value == sum(int(v.sum()) for v in want.values())


def near(net: Net, x: Array, which: str) -> int:
    """Values so near to a border that float32 may put them on its other side."""
    passed = forward(net.nodes, net.weights, x)
    rows = [np.abs(passed.outputs[n["id"]]) for n in net.nodes if n["op"] in OPS[which]]
    return sum(
        int(np.count_nonzero(np.abs(y[:, None].reshape(-1, 1) - EDGES) <= FLOAT32 * y.max()))
        for y in rows
    )


@pytest.mark.parametrize("which", ["relu", "conv"])
@pytest.mark.parametrize("seed", range(6))
def test_float32_moves_no_more_than_what_is_near_a_border(seed: int, which: Any) -> None:
    net, (x, _) = random_net(seed), images(4)
    want = reference.activation_sizes(net.nodes, net.weights, x, EDGES, which=which)
    got = scored(net, Activations.over(EDGES, which=which, batch_size=4), x, dtype="float32")
    above = EDGES[:-1] >= 1e-2  # below, all is near a border
    rows = [np.array(got.histogram.get(k, np.zeros(len(EDGES) - 1))) - v for k, v in want.items()]
    moved = sum(int(np.abs(row[above]).sum()) for row in rows)
    assert moved <= 2 * near(net, x, which)


def test_all_sizes_together_are_all_outputs() -> None:
    net, (x, _) = usual(), images(3)
    x = x[:, :2, :6, :6]
    for which, ops in OPS.items():
        n = sum(math.prod(node["shape"]) for node in net.nodes if node["op"] in ops)
        assert scored(net, Activations(which=which, batch_size=3), x).value == 3 * n  # type: ignore[arg-type]


def test_a_border_belongs_to_the_interval_above_it() -> None:
    g = zeroshot.Graph((1, 1, 4))
    g.output(g.linear(g.global_avg_pool(g.relu(g.input)), 2))
    x, y = np.array([[[[-3.0, 0.0, 0.5, 2.0]]]]), np.zeros(1, int)
    asked = Activations.over([0, 0.5, 2, 4], batch_size=1)
    (row,) = (zeroshot.score(g, x, y, scores=asked).scores["activations"].histogram or {}).values()
    assert row == (2, 1, 1)  # the negative one is 0 behind the ReLU
    assert zeroshot.score(g, x, y, scores=Activations(2, 4, batch_size=1)).value == 1


@pytest.mark.parametrize(
    "arch",
    [
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
        1462,
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cells_match_their_nodes(arch: Any, dtype: Any) -> None:
    """Dead ReLUs are counted, zeros of what only `none` feeds too; rows add up to the value."""
    x, y = images(4)
    asked = Activations.over([0, 1e-3, 1, math.inf], batch_size=4)
    found = zeroshot.score(arch, x, y, scores=asked, dtype=dtype, **TINY).scores["activations"]
    network = zeroshot.network.build_network(arch, zeroshot.Options(channels=4, cells=1), (3, 8, 8))
    sizes = {n["name"]: math.prod(n["shape"]) for n in network.graph.nodes() if n["op"] == "relu"}
    assert {name: sum(row) for name, row in (found.histogram or {}).items()} == {
        name: 4 * size for name, size in sizes.items()
    }
    assert found.value == 4 * sum(sizes.values())


def test_what_is_not_finite_says_so() -> None:
    x, y = images(2)
    x[1, 0, 0, 0] = np.nan
    found = zeroshot.score(1462, x, y, scores=Activations(batch_size=2), **TINY)
    assert found.status == "nonfinite" and math.isnan(found.value)
    net = usual(bn=False)
    net.weights["n1.weight"] = np.full_like(net.weights["n1.weight"], 1e38)
    big = 1e3 * np.ones((1, 2, 6, 6))
    assert scored(net, Activations(batch_size=1, hi=1), big, dtype="float32").status == "nonfinite"


def test_bad_values_are_refused() -> None:
    with pytest.raises(ValueError, match="which: expected one of relu, conv; got 'pool'"):
        Activations(which="pool")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lo, splits, hi: expected 0 <= lo"):
        Activations(1, 1)
    with pytest.raises(ValueError, match="canonical: expected False with 'activations'"):
        zeroshot.score(0, *images(2), scores=Activations(batch_size=2), canonical=True)
