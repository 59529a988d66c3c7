"""Scores of forward passes, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from zeroshot import reference

from .small import Array, Net, batch, every_op, usual

ROWS = np.array([[1.0, -1.0, 1.0], [1.0, 1.0, -1.0]]).reshape(2, 1, 1, 3)


def one_relu(*, before_conv: bool = False) -> Net:
    net = Net((1, 1, 3))
    net.step("relu")
    if before_conv:
        net.conv(1, kernel=(1, 1), padding=(0, 0))
    net.head(2)
    return net


def test_relu_patterns_by_hand() -> None:
    """Patterns 101 and 110 agree on one unit of three: K = ((3, 1), (1, 3)); units 11, 01, 10."""
    net = one_relu()
    of = (net.nodes, net.weights, ROWS)
    assert reference.naswot(*of).value == pytest.approx(np.log(8.0), rel=1e-15)
    assert reference.linear_regions(*of).value == 2
    assert reference.swap(*of).value == 3
    assert reference.swap(net.nodes, net.weights, ROWS[:1]).value == 2


def test_relus_before_convolutions_count_twice_as_wrappers() -> None:
    net = one_relu(before_conv=True)
    of = (net.nodes, net.weights, ROWS)
    assert reference.naswot(*of, which="all").value == pytest.approx(np.log(8.0))
    assert reference.naswot(*of, which="wrappers").value == pytest.approx(np.log(32.0))
    net = one_relu()
    last = reference.naswot(net.nodes, net.weights, ROWS, which="wrappers")
    assert last.value == pytest.approx(np.log(8.0))
    with pytest.raises(ValueError, match="which: expected 'all', 'reached' or 'wrappers'"):
        reference.naswot(*of, which="some")  # type: ignore[arg-type]


def test_reached_relus_have_a_path_even_one_through_zero() -> None:
    net = usual(blocked=True)
    x, _ = batch(net)
    of = (net.nodes, net.weights, x)
    assert reference.naswot(*of, which="reached") == reference.naswot(*of, which="all")
    relu = {**net.nodes[1], "id": 99, "op": "relu", "inputs": [0], "attrs": {}, "weights": {},
            "shape": net.nodes[0]["shape"]}  # fmt: skip
    nodes = [*net.nodes[:-1], relu, net.nodes[-1]]
    assert reference.naswot(nodes, net.weights, x) != reference.naswot(*of)
    assert reference.naswot(nodes, net.weights, x, which="reached") == reference.naswot(*of)


def test_relus_behind_global_pooling_do_not_count() -> None:
    net = every_op()
    relus = reference.relu_nodes(net.nodes)
    everywhere = [node["id"] for node in net.nodes if node["op"] == "relu"]
    assert [node["id"] for node in relus] == everywhere[:-1]


def test_order_of_the_images_does_not_matter() -> None:
    net = every_op()
    x, _ = batch(net, 6)
    for score in (reference.naswot, reference.linear_regions, reference.swap):
        there, back = (score(net.nodes, net.weights, rows) for rows in (x, x[::-1]))
        assert there.value == pytest.approx(back.value, rel=1e-12)


def test_zen_of_a_linear_map_by_hand() -> None:
    """Features 3 x: the difference is alpha 3 |noise|, summed over an image, averaged over two."""
    net = Net((1, 1, 3))
    net.conv(1, kernel=(1, 1), padding=(0, 0))
    net.head(2)
    net.weights["n1.weight"] = np.full((1, 1, 1, 1), -3.0)
    noise = np.array([[1.0, 2.0, -3.0], [0.0, -1.0, 1.0]]).reshape(2, 1, 1, 3)
    got = reference.zen(net.nodes, net.weights, ROWS, noise, alpha=0.5)
    assert got.value == pytest.approx(np.log(0.5 * 3 * (6 + 2) / 2), rel=1e-14)


def test_zen_adds_the_running_variances() -> None:
    """Two forwards from 1 with momentum 0.1, unbiased: 0.81 + 0.09 v1 + 0.1 v2."""
    net = Net((2, 3, 3))
    net.bn(affine=False)
    net.head(2)
    rng = np.random.default_rng(0)
    x, noise = rng.standard_normal((2, 4, 2, 3, 3))
    moved = x + 0.01 * noise

    def unbiased(a: Array) -> Array:
        return a.swapaxes(0, 1).reshape(2, -1).var(axis=1, ddof=1)

    running = 0.81 + 0.09 * unbiased(x) + 0.1 * unbiased(moved)
    first, second = (reference.ops.batch_norm(a) for a in (x, moved))
    distance = np.abs(first - second).sum(axis=(1, 2, 3)).mean()
    expected = np.log(distance) + np.log(np.sqrt(running.mean()))
    got = reference.zen(net.nodes, net.weights, x, noise)
    assert got.value == pytest.approx(expected, rel=1e-12)


def test_zen_needs_features_and_noise_of_one_shape() -> None:
    net = usual()
    x, _ = batch(net)
    with pytest.raises(ValueError, match=r"noise: expected the shape of x, \(6, 2, 6, 6\)"):
        reference.zen(net.nodes, net.weights, x, x[:2])
    flat = Net((2, 1, 1))
    flat.linear(2)
    with pytest.raises(ValueError, match="expected a global_avg_pool"):
        reference.zen(flat.nodes, flat.weights, np.ones((1, 2, 1, 1)), np.ones((1, 2, 1, 1)))


def test_meco_by_hand() -> None:
    """Correlation r of two channels: eigenvalues 1 - |r| and 1 + |r|."""
    a, b = [1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]
    mixed = [p + q for p, q in zip(a, b, strict=True)]  # r = 1 / sqrt 2 with a
    assert reference.meco_of_output([[a], [b]]) == pytest.approx(1.0)
    assert reference.meco_of_output([[a], [mixed]]) == pytest.approx(1 - np.sqrt(0.5))
    assert reference.meco_of_output([[a]]) == 1.0
    assert reference.meco_of_output([[a], [[5.0] * 4]]) == 0.0, "a constant channel"
    assert reference.meco_of_output([[[1.0]], [[2.0]]]) == 0.0, "a single pixel"


def test_meco_counts_the_outputs_of_some_ops() -> None:
    """A pool that keeps all, a ReLU of positive numbers: twice the image; no image, no sum."""
    net = Net((2, 2, 2))
    net.pool("max_pool", kernel=(1, 1), padding=(0, 0))
    net.step("relu")
    both = net.add(1, 2)
    net.step("identity", both)
    net.head(2)
    x = np.array([[[[1.0, 2.0], [3.0, 5.0]], [[2.0, 1.0], [4.0, 0.0]]]])
    once = reference.meco_of_output(x[0])
    assert once > 0.1
    got = reference.meco(net.nodes, net.weights, np.concatenate([x, -x]))
    assert got.value == pytest.approx(2 * once, rel=1e-14)
