"""Components of AZ-NAS, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from zeroshot import reference
from zeroshot.reference.az_nas import pixel_unshuffle

from .small import Array, Net, batch, cells_of, usual

P, Q = [1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]  # uncorrelated
SIGNS = np.array([P, Q]).reshape(1, 2, 2, 2)  # G^T G = B H W times the identity


def linear_cells(*matrices: Array) -> Net:
    """One 1x1 convolution per cell; the image, 2x2x2, is F_0."""
    net = Net((2, 2, 2))
    for m in matrices:
        i = net.conv(2, kernel=(1, 1), padding=(0, 0))
        net.weights[f"n{i}.weight"] = np.asarray(m, np.float64)[:, :, None, None]
    net.head(2)
    return net


def term(s: float) -> float:
    return -s - 1 / (s + 1e-6) + 2


def test_entropy_of_known_spectra() -> None:
    assert reference.feature_entropy(SIGNS) == pytest.approx(-np.log(0.5 + 1e-8), rel=1e-12)
    three = reference.feature_entropy(SIGNS * np.array([1.0, 2.0]).reshape(1, 2, 1, 1))
    expected = -(0.2 * np.log(0.2 + 1e-8) + 0.8 * np.log(0.8 + 1e-8))
    assert three == pytest.approx(expected, rel=1e-12)
    assert reference.feature_entropy(SIGNS + 5.0) == pytest.approx(-np.log(0.5 + 1e-8), rel=1e-12)
    assert np.isnan(reference.feature_entropy(np.full((2, 3, 2, 2), 0.1)))


def test_entropy_goes_over_images_and_places_alike() -> None:
    feature = np.random.default_rng(0).standard_normal((4, 3, 2, 5))
    apart = feature.transpose(0, 2, 3, 1).reshape(40, 3, 1, 1)
    assert reference.feature_entropy(apart) == pytest.approx(reference.feature_entropy(feature))


def test_expressivity_sums_and_progressivity_steps() -> None:
    """Entropies log 2, that of 1/5 and 4/5, and log 2 again."""
    net = linear_cells(np.diag([1.0, 2.0]), np.diag([1.0, 0.5]))
    of = (net.nodes, net.weights, SIGNS)
    low = -(0.2 * np.log(0.2 + 1e-8) + 0.8 * np.log(0.8 + 1e-8))
    high = -np.log(0.5 + 1e-8)
    got = reference.az_expressivity(*of, features=[0, 1, 2])
    assert got.value == pytest.approx(2 * high + low, rel=1e-12)
    got = reference.az_progressivity(*of, features=[0, 1, 2])
    assert got.value == pytest.approx(low - high, rel=1e-12)
    got = reference.az_progressivity(*of, features=[1, 2])
    assert got.value == pytest.approx(high - low, rel=1e-12)


def test_trainability_is_about_the_largest_singular_value() -> None:
    """G_in = W^T G_out and G_out^T G_out = B H W: A is W up to a transpose."""
    net = linear_cells(np.diag([-1.0, 1.0]), [[3.0, 0.0], [4.0, 0.0]])
    of = (net.nodes, net.weights, SIGNS)
    got = reference.az_trainability(*of, features=[0, 1], signs=[SIGNS])
    assert got.value == pytest.approx(term(1.0), rel=0, abs=1e-14)
    got = reference.az_trainability(*of, features=[0, 1, 2], signs=[SIGNS, SIGNS])
    assert got.value == pytest.approx((term(1.0) + term(5.0)) / 2, rel=1e-13)


def test_trainability_of_an_identity_cell_is_minus_infinity() -> None:
    net = linear_cells(np.eye(2))
    got = reference.az_trainability(net.nodes, net.weights, SIGNS, features=[0, 1], signs=[SIGNS])
    assert got == reference.Scored(-np.inf, "nonfinite", "identity_cell")


def test_trainability_unshuffles_larger_inputs() -> None:
    """A stride of 2: each output pixel sees one of four, with weight 3."""
    net = Net((1, 4, 4))
    net.conv(1, kernel=(1, 1), padding=(0, 0), stride=(2, 2))
    net.head(2)
    net.weights["n1.weight"] = np.full((1, 1, 1, 1), 3.0)
    x, _ = batch(net, 2)
    signs = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0]).reshape(2, 1, 2, 2)
    got = reference.az_trainability(net.nodes, net.weights, x, features=[0, 1], signs=[signs])
    assert got.value == pytest.approx(term(3.0), rel=1e-13)


def test_a_cell_that_passes_no_gradient_is_no_signal() -> None:
    net = usual(blocked=True)
    x, _ = batch(net)
    features = cells_of(net)
    rng = np.random.default_rng(0)
    passed = reference.forward(net.nodes, net.weights, x)
    signs = [rng.choice([-1.0, 1.0], passed.outputs[i].shape) for i in features[1:]]
    of = (net.nodes, net.weights, x)
    got = reference.az_trainability(*of, features=features, signs=signs)
    assert (got.status, got.reason) == ("no_signal", "blocked_cell")
    alone = reference.az_trainability(*of, features=features[:2], signs=signs[:1])
    assert alone.status == "ok"
    assert got.value == pytest.approx((alone.value + 2 - 1e6) / 2, rel=1e-12)


def test_pixel_unshuffle_is_a_rearrangement() -> None:
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    got = pixel_unshuffle(x, (2, 2))
    assert got.shape == (1, 4, 2, 2)
    assert got[0, :, 0, 0].tolist() == [0.0, 1.0, 4.0, 5.0]
    assert got[0, 0].tolist() == [[0.0, 2.0], [8.0, 10.0]]


def test_features_and_signs_must_fit() -> None:
    net = linear_cells(np.eye(2))
    of = (net.nodes, net.weights, SIGNS)
    with pytest.raises(ValueError, match="features: expected two or more node ids"):
        reference.az_expressivity(*of, features=[1])
    with pytest.raises(ValueError, match="signs: expected one per feature after the first of 2"):
        reference.az_trainability(*of, features=[0, 1], signs=[])
