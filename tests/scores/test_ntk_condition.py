"""Condition number of the neural tangent kernel: sweeps, waves, rounding."""

from __future__ import annotations

import numpy as np
import pytest

import zeroshot
from zeroshot import Graph, reference
from zeroshot.scores import NtkCondition

from ..reference.small import Net, usual
from .nets import FLOAT32, assert_near, images, random_net, scored

# Rows are off by so much of the largest: lambda_min by 2 e sqrt(lambda_min lambda_max) and e^2
# lambda_max, lambda_max by 2 e of itself. In float64 e^2 stands for the roundings of the matrix.
ERRORS = {"float64": (1e-12, 1e-12), "float32": (FLOAT32, FLOAT32**2)}


@pytest.mark.parametrize("dtype", ERRORS)
@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("seed", range(8))
def test_matches_reference(seed: int, rows: int, dtype: str) -> None:
    net, (x, _) = random_net(seed), images(rows)
    want = reference.ntk_condition(net.nodes, net.weights, x)
    kappa, (first, second) = want.value, ERRORS[dtype]
    bound = kappa * rows * (2 * first * (1 + np.sqrt(kappa)) + second * kappa)
    assert_near(scored(net, NtkCondition(batch_size=rows), x, dtype=dtype), want, bound)


@pytest.mark.parametrize(
    ("net", "rows", "reason"),
    [
        (usual(relu=False, bn=False), 3, None),
        (usual(bn=False), 3, None),
        (usual(), 1, None),
        (usual(classes=1), 3, None),
        (usual(blocked=True), 3, "all_zero"),
    ],
    ids=["no ReLU", "no batch norm", "one image", "one class", "disconnected"],
)
def test_degenerate_input(net: Net, rows: int, reason: str | None) -> None:
    x = np.random.default_rng(0).standard_normal((rows, 2, 6, 6))
    want = reference.ntk_condition(net.nodes, net.weights, x)
    got = scored(net, NtkCondition(batch_size=rows), x)
    assert got.reason == want.reason == reason
    assert_near(got, want, 1e-9 * abs(np.nan_to_num(want.value)))
    if rows == 1:
        assert got.value == 1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", range(6))
def test_equal_images_are_singular(seed: int, dtype: str) -> None:
    net, (x, _) = random_net(seed), images(4)
    x[3] = x[0]
    got = scored(net, NtkCondition(batch_size=4), x, dtype=dtype)
    assert (got.status, got.reason) == ("undefined", "singular")
    assert np.isnan(got.value)


def test_rows_are_kept_in_waves() -> None:
    """4 M weights: float32 keeps the rows of all 12 images, float64 those of 8 and then of 4, for
    which 4 sweeps run again."""
    net, (x, _) = Net((3, 8, 8)), images(12)
    net.step("relu", net.conv(8))
    net.head(4000)
    net.step("relu")
    net.linear(1000)
    net.weights = {name: w / np.sqrt(w.size / len(w)) for name, w in net.weights.items()}
    one, two = (
        scored(net, NtkCondition(batch_size=12), x, dtype=d) for d in ("float32", "float64")
    )
    first, kappa = ERRORS["float32"][0], two.value
    assert one.status == two.status == "ok"
    assert abs(one.value - kappa) <= kappa * 12 * (2 * first * (1 + np.sqrt(kappa)))
    graph = Graph.from_nodes(net.nodes)
    peak = {
        n: zeroshot.plan(
            graph, scores=NtkCondition(batch_size=n), dtype="float64", n_threads=1
        ).peak_bytes
        for n in (8, 12)
    }
    row = 8 * sum(w.size for w in net.weights.values())
    assert 8 * row < 2**28 < 9 * row
    assert peak[12] - peak[8] < row // 2


def test_smaller_is_better_and_nothing_is_shared() -> None:
    info = {i.name: i for i in zeroshot.list_scores()}["ntk_condition"]
    assert info.direction == "smaller is better"
    x, y = images(4)
    scores = [NtkCondition(batch_size=4), "jacob_cov", "snip"]
    scores[1:] = [zeroshot.scores.JacobCov(batch_size=4), zeroshot.scores.Snip(batch_size=4)]
    found = zeroshot.score(1462, x, y, scores=scores, channels=4, cells=1, n_threads=1)  # type: ignore[arg-type]
    assert found.scores["ntk_condition"].shares_with == ()
