"""Random small networks for scores that look at activations and at gradients of logits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import zeroshot
from zeroshot import Graph
from zeroshot.scores import Score

from ..reference.small import Net

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)
# What the gradients of these networks, or their activations, are off by in float32, relative to the
# largest of a row: some hundred roundings of 2**-24.
FLOAT32 = 2e-5


def random_net(seed: int) -> Net:
    """Convolutions with groups and biases, batch norm in every mode, ReLUs, pools with and without
    padding, concatenations, sums, a branch that is multiplied by zero; 3x8x8 images, 4 classes."""
    rng = np.random.default_rng(seed)
    net = Net((3, 8, 8), seed=seed)
    at = net.bn(net.conv(4, bias=bool(rng.integers(2))))
    for _ in range(int(rng.integers(2, 5))):
        left = net.conv(4, net.step("relu", at), groups=int(rng.choice([1, 2])))
        left = net.bn(left, affine=bool(rng.integers(2)), mode=rng.choice(["batch", "running"]))
        kind = rng.integers(6)
        if kind == 0:
            at = net.conv(4, net.concat(left, at), kernel=(1, 1), padding=(0, 0), bias=True)
        elif kind == 1:
            at = net.add(left, net.pool("avg_pool", at))
        elif kind == 2:
            at = net.add(left, net.pool("max_pool", at), at)
        elif kind == 3:
            net.step("relu", left)  # nobody reads it
            at = net.add(left, net.zero(net.conv(4, net.step("relu", at))))
        elif kind == 4:
            at = net.bn(net.add(left, at), mode="identity", affine=False)
        else:
            at = left
    net.step("relu", at)
    net.head(4, bias=bool(rng.integers(2)))
    return net


def images(rows: int = 6, seed: int = 1) -> tuple[Array, NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, 3, 8, 8)), rng.integers(0, 4, rows)


def scored(net: Net, score: Score, x: Array, y: Any = None, **options: Any) -> Any:
    """One score of `net` with its own weights, in float64 unless told otherwise."""
    found = zeroshot.score(
        Graph.from_nodes(net.nodes),
        x,
        np.zeros(len(x), np.int64) if y is None else y,
        scores=score,
        weights=net.weights,
        **{"dtype": "float64", "n_threads": 1, **options},
    )
    return found.scores[score.label]


def assert_near(got: Any, want: Any, bound: float) -> None:
    """Status, reason and value of the reference, the value to `bound`."""
    assert (got.status, got.reason) == (want.status, want.reason), f"{got}\n{want}"
    if np.isnan(want.value):
        assert np.isnan(got.value), got
    else:
        error = abs(got.value - want.value)
        assert error <= bound, f"{got.value!r}, expected {want.value!r}, {error=}, {bound=}"
