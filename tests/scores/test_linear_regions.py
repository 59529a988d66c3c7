"""Linear regions: images with different ReLU patterns."""

from __future__ import annotations

import numpy as np
import pytest

import zeroshot
from zeroshot import reference
from zeroshot.scores import LinearRegions

from ..reference.small import Net, usual
from .nets import images, random_net, scored


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rows", [1, 5, 40])
@pytest.mark.parametrize("seed", range(6))
def test_matches_reference_on_near_images(seed: int, rows: int, dtype: str) -> None:
    """A third each of equal images, of images that differ by rounding, and of different ones."""
    net, (x, _) = random_net(seed), images(rows)
    rng = np.random.default_rng(seed)
    x = x[rng.integers(0, max(rows // 3, 1), rows)]
    x += rng.choice([0, 1e-9, 1.0], (rows, 1, 1, 1)) * rng.standard_normal(x.shape)
    x = x.astype(np.float32).astype(np.float64)
    want = reference.linear_regions(net.nodes, net.weights, x)
    got = scored(net, LinearRegions(batch_size=rows), x, dtype=dtype)
    assert (got.status, got.value) == (want.status, want.value)


@pytest.mark.parametrize(
    ("net", "rows"),
    [(usual(relu=False), 4), (usual(), 1), (usual(blocked=True), 4), (usual(bn=False), 4)],
    ids=["no ReLU", "one image", "disconnected", "no batch norm"],
)
def test_degenerate_input(net: Net, rows: int) -> None:
    x = np.random.default_rng(0).standard_normal((rows, 2, 6, 6))
    got = scored(net, LinearRegions(batch_size=rows), x)
    want = reference.linear_regions(net.nodes, net.weights, x)
    assert (got.status, got.value) == (want.status, want.value)


def test_equal_images_are_one_region() -> None:
    x, _ = images(2)
    got = scored(random_net(1), LinearRegions(batch_size=8), np.concatenate([x] * 4))
    assert got.value == 2


def test_normal_images_come_from_the_seed() -> None:
    x, y = images(2)
    score = LinearRegions(batch_size=9, input="normal")
    found = zeroshot.score(1462, x, y, scores=score, channels=4, cells=1, n_threads=1)
    assert found.value == 9
    with pytest.raises(ValueError, match="needs 9 images, got 2"):
        zeroshot.score(1462, x, y, scores=LinearRegions(batch_size=9))
