"""SWAP: distinct patterns of ReLU units, counted by bitmap and by hash table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import reference
from zeroshot.scores import Swap

from ..reference.small import Net, usual
from .nets import images, random_net, scored

TINY: dict[str, Any] = {"channels": 4, "cells": 1, "n_threads": 1}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rows", [1, 2, 6, 22, 23, 63, 64, 65, 130])
@pytest.mark.parametrize("seed", range(6))
def test_matches_reference(seed: int, rows: int, dtype: str) -> None:
    """Counts are exact; no unit of these networks is within a float32 rounding of 0."""
    net, (x, _) = random_net(seed), images(rows)
    x = x.astype(np.float32).astype(np.float64)
    want = reference.swap(net.nodes, net.weights, x)
    got = scored(net, Swap(init=None, batch_size=rows), x, dtype=dtype)
    assert got.status == want.status == "ok"
    if dtype == "float64":
        assert got.value == want.value
    else:
        assert got.value == pytest.approx(want.value, rel=1e-3)


def test_units_of_odd_channels_are_not_padded() -> None:
    """65 channels take two words a pixel; the rest of the second holds no unit. All units on: one
    pattern, and none of all off."""
    net = Net((3, 4, 4))
    net.conv(65, bias=True)
    net.weights = {name: np.abs(w) for name, w in net.weights.items()}
    net.step("relu")
    net.head(4)
    x = np.abs(np.random.default_rng(0).standard_normal((5, 3, 4, 4)))
    assert scored(net, Swap(init=None, batch_size=5), x).value == 1


def test_regularisation_counts_all_parameters() -> None:
    x, y = images(4)
    plain = Swap(init=None, batch_size=4)
    scores = [plain, Swap(init=None, batch_size=4, mu=3.0, sigma=40.0, label="regular")]
    found = zeroshot.score(1462, x, y, scores=scores, **TINY)
    n = sum(math.prod(s) for s in zeroshot.weight_names(1462, channels=4, cells=1).values())
    want = found["swap"] * math.exp(-((n / 1000 - 3.0) ** 2) / 40.0)
    assert found["regular"] == pytest.approx(want, rel=1e-14)
    assert found.scores["regular"].shares_with == ("swap",)


def test_own_weights_are_normal_and_differ_by_seed() -> None:
    x, y = images(8)
    own = zeroshot.score(1462, x, y, scores=Swap(batch_size=8), seeds=range(3), **TINY)
    normal = zeroshot.score(
        1462, x, y, scores=Swap(batch_size=8, init=None), init="normal", seeds=range(3), **TINY
    )
    assert own.scores["swap"].values == normal.scores["swap"].values
    assert len(set(own.scores["swap"].values)) > 1


@pytest.mark.parametrize(
    ("net", "rows", "value", "status"),
    [
        (usual(relu=False), 4, 0.0, "no_signal"),
        (usual(), 1, 2.0, "ok"),
        (usual(blocked=True), 4, None, "ok"),
        (usual(bn=False), 4, None, "ok"),
    ],
    ids=["no ReLU", "one image", "disconnected", "no batch norm"],
)
def test_degenerate_input(net: Net, rows: int, value: float | None, status: str) -> None:
    x = np.random.default_rng(0).standard_normal((rows, 2, 6, 6))
    got = scored(net, Swap(init=None, batch_size=rows), x)
    want = reference.swap(net.nodes, net.weights, x)
    assert got.status == want.status == status
    assert got.value == want.value
    assert value is None or got.value == value


def test_equal_images_leave_two_patterns() -> None:
    x, _ = images(1)
    got = scored(random_net(1), Swap(init=None, batch_size=30), np.concatenate([x] * 30))
    assert got.value == 2


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="mu, sigma: expected both or none"):
        Swap(mu=1.0)
    with pytest.raises(ValueError, match="sigma: expected a positive number"):
        Swap(mu=1.0, sigma=0.0)
    with pytest.raises(ValueError, match="init: expected one of"):
        Swap(init="gauss")
