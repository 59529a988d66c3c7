"""MeCo: smallest eigenvalues of channel correlations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import reference
from zeroshot.reference.passes import forward
from zeroshot.scores import Meco

from ..reference.small import Net, usual
from .nets import FLOAT32, Array, assert_near, images, random_net, scored

COUNTED = ("conv2d", "batch_norm", "relu", "max_pool", "avg_pool")


def bound(net: Net, dtype: str) -> float:
    """An eigenvalue moves by no more than the matrix, whose entries are off by twice the error of a
    row; some roundings in double."""
    error = 1e-12 if dtype == "float64" else 4 * FLOAT32
    return error * sum(node["shape"][0] for node in net.nodes if node["op"] in COUNTED)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("seed", range(12))
def test_matches_reference(seed: int, rows: int, dtype: str) -> None:
    net, (x, _) = random_net(seed), images(rows)
    want = reference.meco(net.nodes, net.weights, x)
    assert_near(scored(net, Meco(batch_size=rows), x, dtype=dtype), want, bound(net, dtype))


def test_only_the_first_image_is_looked_at() -> None:
    net = usual(bn=False)
    x = np.random.default_rng(0).standard_normal((3, 2, 6, 6))
    one = scored(net, Meco(batch_size=1), x[:1]).value
    assert scored(net, Meco(batch_size=3), x).value == one


def random_part(net: Net, x: Array, m: int, seed: int) -> tuple[float, ...]:
    """Value over choices of m channels: smallest and largest possible."""
    passed = forward(net.nodes, net.weights, x)
    low = high = 0.0
    for node in net.nodes:
        if node["op"] not in COUNTED:
            continue
        rows = passed.outputs[node["id"]][0].reshape(node["shape"][0], -1)
        picks = [rows[[i, j]] for i in range(len(rows)) for j in range(i)]
        values = [reference.meco_of_output(pick[:, None]) * len(rows) / m for pick in picks]
        low, high = low + min(values), high + max(values)
    return low, high


def test_random_channels() -> None:
    net, (x, _) = random_net(4), images(2)
    values = [scored(net, Meco(batch_size=2, channels=2), x, seed=s).value for s in range(6)]
    low, high = random_part(net, x, 2, 0)
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in values)
    assert len(set(values)) > 1
    again = scored(net, Meco(batch_size=2, channels=2), x, seed=0).value
    assert again == values[0]
    every = scored(net, Meco(batch_size=2, channels=99), x).value
    assert every == scored(net, Meco(batch_size=2), x).value


def test_singular_matrices_count_nothing() -> None:
    """As many channels as pixels; a channel without variance; a scale of zero."""
    net = Net((3, 2, 2))
    net.head(4)
    x = np.random.default_rng(0).standard_normal((2, 3, 2, 2))
    for channels, expected in ((3, True), (4, False)):
        net = Net((3, 2, 2))
        conv = net.conv(channels)
        net.head(4)
        value = scored(net, Meco(batch_size=2), x).value
        assert (value > 1e-6) == expected
        assert abs(reference.meco(net.nodes, net.weights, x).value - value) < 1e-12
    net = Net((3, 2, 2))
    conv = net.conv(2)
    norm = net.bn(conv)
    net.weights[f"n{norm}.gamma"][1] = 0.0
    net.head(4)
    want = reference.meco(net.nodes, net.weights, x)
    assert_near(scored(net, Meco(batch_size=2), x), want, 1e-12)


@pytest.mark.parametrize(
    ("net", "rows"),
    [
        (usual(relu=False), 3),
        (usual(bn=False), 3),
        (usual(), 1),
        (usual(blocked=True), 3),
    ],
    ids=["no ReLU", "no batch norm", "one image", "disconnected"],
)
def test_degenerate_input(net: Net, rows: int) -> None:
    x = np.random.default_rng(0).standard_normal((rows, 2, 6, 6))
    want = reference.meco(net.nodes, net.weights, x)
    assert_near(scored(net, Meco(batch_size=rows), x), want, bound(net, "float64"))


def test_what_is_not_finite_says_so() -> None:
    x, y = images(2)
    x[1, 0, 0, 0] = np.nan  # the other image's batch norm carries it over
    tiny: dict[str, Any] = {"channels": 4, "cells": 1, "n_threads": 1}
    found = zeroshot.score(1462, x, y, scores=Meco(batch_size=2), **tiny)
    assert found.scores["meco"].status == "nonfinite"
    assert np.isnan(found.value)


def test_images_may_be_normal() -> None:
    x, y = images(2)
    tiny: dict[str, Any] = {"channels": 4, "cells": 1, "n_threads": 1, "dtype": "float64"}
    found = zeroshot.score(1462, x, y, scores=Meco(batch_size=3, input="normal"), **tiny)
    normal = np.random.RandomState(0).standard_normal((3, 3, 8, 8))
    own = zeroshot.score(1462, normal, np.zeros(3, int), scores=Meco(batch_size=3), **tiny)
    assert found.value == own.value
    with pytest.raises(ValueError, match="channels: expected"):
        Meco(channels=0)
