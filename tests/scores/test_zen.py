"""Zen-Score: moved features and running variances of two forwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import reference
from zeroshot.scores import Zen

from ..reference.small import Net, usual
from .nets import FLOAT32, Array, assert_near, images, random_net, scored

ALPHA = 0.01
OWN: dict[str, Any] = {"input": "data", "init": None}
# Features move by some ALPHA of their size, so their errors count 1 / ALPHA times in the logarithm.
ERRORS = {"float64": 1e-12 / ALPHA, "float32": FLOAT32 / ALPHA}


def without_bn(net: Net) -> list[dict[str, Any]]:
    nodes = [{**node, "attrs": dict(node["attrs"])} for node in net.nodes]
    for node in nodes:
        if node["op"] == "batch_norm":
            node["attrs"]["mode"] = "identity"
    return nodes


def halves(x: Array) -> tuple[Array, Array]:
    return x[: len(x) // 2], x[len(x) // 2 :]


@pytest.mark.parametrize("dtype", ERRORS)
@pytest.mark.parametrize("rows", [1, 4, 40])
@pytest.mark.parametrize("seed", range(8))
def test_matches_reference(seed: int, rows: int, dtype: str) -> None:
    """40 rows: the two groups come in one look; 80: one after the other."""
    net, (x, _) = random_net(seed), images(2 * rows)
    want = reference.zen(net.nodes, net.weights, *halves(x))
    assert_near(scored(net, Zen(batch_size=rows, **OWN), x, dtype=dtype), want, ERRORS[dtype])


@pytest.mark.parametrize("seed", range(4))
def test_without_batch_norm_matches_reference(seed: int) -> None:
    net, (x, _) = random_net(seed), images(8)
    want = reference.zen(without_bn(net), net.weights, *halves(x), alpha=0.1)
    got = scored(net, Zen(batch_size=4, bn="identity", alpha=0.1, **OWN), x)
    assert_near(got, want, ERRORS["float64"])


def test_own_weights_and_images() -> None:
    x, y = images(4)
    tiny: dict[str, Any] = {"channels": 4, "cells": 1, "n_threads": 1, "dtype": "float64"}
    one = zeroshot.score(1462, x, y, scores=Zen(batch_size=4), seeds=range(2), **tiny)
    assert one.scores["zen"].values[0] != one.scores["zen"].values[1]
    normal = np.random.RandomState(0).standard_normal((8, 3, 8, 8))
    own = zeroshot.score(
        1462, normal, np.zeros(8, int), scores=Zen(batch_size=4, **OWN), init="normal", **tiny
    )
    assert one.scores["zen"].values[0] == own.value


def test_images_are_mixed_in_double() -> None:
    """alpha e may be less than a rounding of x in float32."""
    net, (x, _) = random_net(2), images(8)
    x = x.astype(np.float32)
    want = reference.zen(net.nodes, net.weights, *halves(x), alpha=1e-6)
    assert_near(scored(net, Zen(batch_size=4, alpha=1e-6, **OWN), x), want, 1e-7)


@pytest.mark.parametrize(
    ("net", "rows", "status"),
    [
        (usual(relu=False), 3, "ok"),
        (usual(bn=False), 3, "ok"),
        (usual(), 1, "ok"),
        (usual(blocked=True), 3, "undefined"),
    ],
    ids=["no ReLU", "no batch norm", "one image", "disconnected"],
)
def test_degenerate_input(net: Net, rows: int, status: str) -> None:
    x = np.random.default_rng(0).standard_normal((2 * rows, 2, 6, 6))
    want = reference.zen(net.nodes, net.weights, *halves(x))
    got = scored(net, Zen(batch_size=rows, **OWN), x)
    assert got.status == status
    assert_near(got, want, ERRORS["float64"])


def test_one_value_a_channel_is_undefined() -> None:
    net = Net((3, 2, 2))
    net.bn(net.conv(4, kernel=(2, 2), padding=(0, 0)))
    net.head(4)
    x = np.random.default_rng(0).standard_normal((2, 3, 2, 2))
    got = scored(net, Zen(batch_size=1, **OWN), x)
    assert (got.status, got.reason) == ("undefined", "one_value")
    assert reference.zen(net.nodes, net.weights, x[:1], x[1:]).reason == "one_value"


def test_overflow_is_not_finite() -> None:
    net = usual(bn=False)
    net.weights = {name: w * 1e20 for name, w in net.weights.items()}
    x = np.random.default_rng(0).standard_normal((4, 2, 6, 6))
    got = scored(net, Zen(batch_size=2, **OWN), x, dtype="float32")
    assert got.status == "nonfinite"


def test_what_it_needs_is_asked_for() -> None:
    x, y = images(6)
    with pytest.raises(ValueError, match="needs 8 images, got 6"):
        zeroshot.score(1462, x, y, scores=Zen(batch_size=4, input="data"))
    for wrong in ({"alpha": 0.0}, {"bn": "off"}, {"input": "ones"}, {"init": "gauss"}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected"):
            Zen(**wrong)  # type: ignore[arg-type]
    net = Net((3, 1, 1))
    net.linear(4)
    with pytest.raises(ValueError, match="zen: the network has no global average pool"):
        scored(net, Zen(batch_size=1, **OWN), np.ones((2, 3, 1, 1)))
