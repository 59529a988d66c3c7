"""AZ-NAS: entropy of features, gradients from feature to feature, ranks over a pool."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import zeroshot
from zeroshot import Graph, reference
from zeroshot.scores import AzExpressivity, AzProgressivity, AzTrainability, Snip

RNG = np.random.default_rng(21)
X, Y = RNG.standard_normal((6, 3, 8, 8)), RNG.integers(0, 10, 6)
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
SKIP = "|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
TINY: dict[str, Any] = {"channels": 4, "cells": 2, "n_threads": 1}
OWN: dict[str, Any] = {"input": "data", "init": None, "batch_size": 6}
# The core's sums are made in another order: a few hundred roundings of the largest term.
SAME = 1e-11


def graph(depth: int, *, skips: bool, stride: int = 1, norm: bool = True) -> Graph:
    """Convolutions in a row, each a feature; with `skips` each also reads the one before."""
    net = Graph((3, 8, 8))
    before = x = net.feature(net.conv2d(net.input, 5, 3, padding=1))
    for i in range(depth):
        if skips and before is not x:
            x = net.add(x, before)
        before = x
        y = net.conv2d(net.relu(x), 5 if i else 7, 3, padding=1, stride=stride if i == 0 else 1)
        if i == 0:
            before = net.conv2d(before, 7, 1, stride=stride)
            y, before = net.conv2d(y, 5, 1), net.conv2d(before, 5, 1)
        x = net.feature(net.batch_norm(y) if norm else y)
    return net.output(net.linear(net.global_avg_pool(x), 10))


def directions(net: Graph, seed: int = 0) -> list[NDArray[Any]]:
    nodes = net.nodes()
    rng = np.random.default_rng(seed)
    return [rng.choice([-1.0, 1.0], (len(X), *nodes[i]["shape"])) for i in sorted(net.features)[1:]]


def weights_of(net: Graph, seed: int = 3) -> dict[str, NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal(shape) * (0.3 if len(shape) > 1 else 1.0)
        for name, shape in zeroshot.weight_names(net).items()
    }


NETS = [
    graph(3, skips=False),
    graph(4, skips=True),
    graph(3, skips=False, stride=2),
    graph(2, skips=True, norm=False),
]


@pytest.mark.parametrize("net", NETS)
def test_matches_reference(net: Graph) -> None:
    w, signs = weights_of(net), directions(net)
    scores = [AzExpressivity(**OWN), AzProgressivity(**OWN), AzTrainability(signs=signs, **OWN)]
    found = zeroshot.score(net, X, Y, scores=scores, weights=w, dtype="float64", n_threads=1)
    args: dict[str, Any] = {"features": sorted(net.features)}
    nodes = net.nodes()
    wanted = [
        reference.az_expressivity(nodes, w, X, **args),
        reference.az_progressivity(nodes, w, X, **args),
        reference.az_trainability(nodes, w, X, signs=signs, **args),
    ]
    for got, want in zip(found.scores.values(), wanted, strict=True):
        assert got.status == want.status
        assert got.value == pytest.approx(want.value, rel=SAME, abs=SAME)


@pytest.mark.parametrize("arch", [CELL, 1462, 15000])
def test_float32_is_near_float64(arch: Any) -> None:
    """Features are right to some 1e-6 of their largest, sums of logarithms to a few of these."""
    scores = [AzExpressivity(batch_size=6), AzProgressivity(batch_size=6)]
    scores += [AzTrainability(batch_size=6)]  # type: ignore[list-item]
    exact, near = (
        zeroshot.score(arch, X, Y, scores=scores, dtype=dtype, **TINY)  # type: ignore[arg-type]
        for dtype in ("float64", "float32")
    )
    for label, value in exact.values.items():
        assert near[label] == pytest.approx(value, rel=2e-4, abs=2e-4), label


def test_threads_and_company_change_no_bit() -> None:
    alone = zeroshot.score(CELL, X, Y, scores=AzTrainability(batch_size=6), **TINY).value
    scores = [Snip(batch_size=6), AzExpressivity(batch_size=6), AzTrainability(batch_size=6)]
    both = zeroshot.score(CELL, X, Y, scores=scores, **{**TINY, "n_threads": 2})
    assert both["az_trainability"] == alone
    assert both.scores["az_trainability"].shares_with == ()


def test_components_of_entropy_share_a_pass() -> None:
    scores = [AzExpressivity(batch_size=6), AzProgressivity(batch_size=6)]
    found = zeroshot.score(CELL, X, Y, scores=scores, **TINY)
    assert found.scores["az_expressivity"].shares_with == ("az_progressivity",)


def test_images_and_signs_come_from_the_seed() -> None:
    scores = [AzExpressivity(batch_size=6), AzTrainability(batch_size=6)]
    one, again, other = (
        zeroshot.score(CELL, x, Y, scores=scores, seed=seed, **TINY)
        for x, seed in ((X, 1), (X + 1, 1), (X, 2))
    )
    assert one.values == again.values
    assert all(one[label] != other[label] for label in one.values)
    keys = [r.scores["az_trainability"].keys for r in (one, again, other)]
    assert keys[0] == keys[1] != keys[2]


def test_dead_and_identical_cells() -> None:
    scores = [AzExpressivity(batch_size=6), AzTrainability(batch_size=6)]
    dead = zeroshot.score(DEAD, X, Y, scores=scores, **TINY).scores
    assert dead["az_expressivity"].status == "undefined"
    assert dead["az_expressivity"].reason == "constant_feature"
    assert np.isnan(dead["az_expressivity"].value)
    assert dead["az_trainability"].status == "no_signal"
    assert dead["az_trainability"].reason == "blocked_cell"
    # six of eight cells pass nothing; the residual blocks do
    assert dead["az_trainability"].value == pytest.approx(-6e6 / 8, rel=1e-4)
    skip = zeroshot.score(SKIP, X, Y, scores=scores, **TINY)
    assert skip.scores["az_trainability"].reason == skip.reason == "identity_cell"
    assert skip.status == "nonfinite"
    assert skip["az_trainability"] == -np.inf


def test_networks_without_features() -> None:
    net = Graph((3, 8, 8))
    net.output(net.linear(net.global_avg_pool(net.feature(net.conv2d(net.input, 4, 3))), 10))
    found = zeroshot.score(net, X, Y, scores=["az_expressivity", "az_trainability"])
    for score in found.scores.values():
        assert (score.status, score.reason) == ("undefined", "no_features")


def test_bad_signs_are_refused() -> None:
    net = NETS[0]
    with pytest.raises(ValueError, match="signs: expected one for each element"):
        zeroshot.score(net, X, Y, scores=AzTrainability(signs=directions(net)[:-1], **OWN))
    with pytest.raises(ValueError, match="init: expected one of"):
        AzTrainability(init="xavier")
    with pytest.raises(ValueError, match="input: expected one of normal, data"):
        AzExpressivity(input="ones")  # type: ignore[arg-type]


@given(st.lists(st.tuples(*[st.integers(0, 3) | st.just(float("nan"))] * 4), min_size=1))
def test_ranks_match_reference(rows: list[tuple[float, ...]]) -> None:
    parts = [np.array(part, dtype=float) for part in zip(*rows, strict=True)]
    np.testing.assert_allclose(zeroshot.az_nas_rank(*parts), reference.az_nas_rank(parts))
    np.testing.assert_array_equal(
        zeroshot.te_nas_rank(parts[0], parts[1]), reference.te_nas_rank(parts[0], parts[1])
    )


def test_ranks_refuse_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="one length"):
        zeroshot.az_nas_rank([1.0], [1.0], [1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="at least one value"):
        zeroshot.te_nas_rank([], [])
