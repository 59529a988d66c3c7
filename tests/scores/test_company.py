"""The value of a score that looks at activations or logits does not depend, by one bit, on threads
or on the scores that share its pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import Graph
from zeroshot.scores import (
    Activations,
    AzExpressivity,
    EpeNas,
    GradSign,
    JacobCov,
    LinearRegions,
    Meco,
    Naswot,
    NtkCondition,
    Score,
    Snip,
    Swap,
    XiGsnr,
    Zen,
)

from ..reference.small import Net
from .nets import images, random_net

ALL: tuple[Score, ...] = (
    Snip(batch_size=6),
    JacobCov(batch_size=6),
    EpeNas(batch_size=6),
    Naswot(batch_size=6),
    LinearRegions(batch_size=6),
    Swap(batch_size=6, init=None),
    Meco(batch_size=6),
    Activations(batch_size=6),
    Activations(1e-2, 1, batch_size=6, which="conv", label="conv"),
    NtkCondition(batch_size=6),
    Zen(batch_size=3, init=None, input="data"),
    Zen(batch_size=3, init=None, input="data", bn="identity", label="zen_bare"),
    Naswot(batch_size=6, which="reached", label="reached"),
    GradSign(n_samples=6),
    AzExpressivity(batch_size=6, init=None, input="data"),
)
# In 4 and 5 a convolution that leads nowhere reads the stem's batch norm; otherwise only sums do.
CELLS = [
    1462,
    15000,
    "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|",
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|skip_connect~0|none~1|skip_connect~2|",
]


def summed_norms() -> Net:
    """Batch norms that a sum applies as it reads; one is also read by what leads nowhere."""
    net = Net((3, 8, 8))
    stem = net.conv(4)
    left = net.bn(net.conv(4, stem))
    right = net.bn(net.conv(4, stem))
    net.conv(4, net.step("relu", left))
    net.step("relu", net.add(left, right, stem))
    net.head(4)
    return net


NETS: list[Any] = [*CELLS, summed_norms(), *(random_net(seed) for seed in range(5))]


def run(net: Any, scores: tuple[Score, ...], **options: Any) -> dict[str, float]:
    x, y = images(6)
    arch: Any = net
    if isinstance(net, int | str):
        options = {"channels": 4, "cells": 2, **options}
    else:
        arch, options = Graph.from_nodes(net.nodes), {"weights": net.weights, **options}
    found = zeroshot.score(arch, x, y, scores=scores, **{"n_threads": 1, **options})
    return {label: score.value for label, score in found.scores.items()}


def assert_same_bits(got: dict[str, float], want: dict[str, float]) -> None:
    assert got.keys() == want.keys()
    different = {k: (got[k], want[k]) for k in want if not np.array_equal(got[k], want[k], True)}
    assert not different


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("net", NETS, ids=range(len(NETS)))
def test_company_changes_no_bit(net: Any, dtype: str) -> None:
    alone: dict[str, float] = {}
    for score in ALL:
        alone |= run(net, (score,), dtype=dtype)
    assert_same_bits(run(net, ALL, dtype=dtype), alone)
    assert_same_bits(run(net, ALL[::-1], dtype=dtype), alone)
    for score in ALL[1:]:
        want = {label: alone[label] for label in (ALL[0].label, score.label)}
        assert_same_bits(run(net, (ALL[0], score), dtype=dtype), want)


@pytest.mark.parametrize("net", NETS, ids=range(len(NETS)))
def test_threads_change_no_bit(net: Any) -> None:
    assert_same_bits(run(net, ALL, n_threads=2), run(net, ALL, n_threads=1))


def test_trouble_in_a_later_batch_is_not_everyones() -> None:
    """SNIP reads the first batch, xi-GSNR four; the fourth has a NaN."""
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((8, 3, 8, 8)), rng.integers(0, 10, 8)
    broken = x.copy()
    broken[-1, 0, 0, 0] = np.nan
    scores = [Snip(batch_size=2), Naswot(batch_size=2), XiGsnr(batch_size=2, n_batches=4)]
    found = zeroshot.score(1462, broken, y, scores=scores, channels=4, cells=1)
    assert set(found.scores["snip"].shares_with) == {"naswot", "xi_gsnr"}
    assert found.scores["snip"].status == found.scores["naswot"].status == "ok"
    assert found.scores["xi_gsnr"].status == found.status == "nonfinite"
    assert found.nonfinite is not None
    assert found.nonfinite[0] == "input"
    alone = zeroshot.score(1462, x, y, scores=scores[0], channels=4, cells=1)
    assert found["snip"] == alone.value
