"""Scores of the logits' gradients, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from zeroshot import reference

from .small import Net, batch, every_op, usual

K = 1e-5
P, Q = [1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]  # uncorrelated


def test_correlation_matches_numpy() -> None:
    rows = np.random.default_rng(0).standard_normal((5, 40)) * 10.0 ** np.arange(5)[:, None]
    np.testing.assert_allclose(reference.correlation(rows), np.corrcoef(rows), atol=1e-14)


def test_correlation_of_constant_and_equal_rows_is_exact() -> None:
    third = [1 / 3, 0.1, 0.7]
    corr = reference.correlation([third, third, [0.1, 0.1, 0.1], [2 * t for t in third]])
    assert np.isnan(corr[2]).all() and np.isnan(corr[:, 2]).all()
    assert corr[0, 0] == corr[0, 1] == corr[0, 3] == 1.0


@pytest.mark.parametrize("scale", [1e-150, 1e-200, 1e150])
def test_correlation_does_not_depend_on_the_scale(scale: float) -> None:
    rows = np.array([P, np.add(P, Q)])
    np.testing.assert_allclose(
        reference.correlation(rows * scale), reference.correlation(rows), rtol=1e-14
    )


def test_jacob_cov_of_known_correlations() -> None:
    """Eigenvalues 1 - r and 1 + r."""

    def expected(*values: float) -> float:
        return -sum(float(np.log(v + K) + 1 / (v + K)) for v in values)

    got = reference.jacob_cov_of_jacobian([P, Q])
    assert got.value == pytest.approx(expected(1.0, 1.0), rel=1e-13)
    got = reference.jacob_cov_of_jacobian([P, np.add(P, Q)])
    assert got.value == pytest.approx(expected(1 - 0.5**0.5, 1 + 0.5**0.5), rel=1e-13)


def test_jacob_cov_of_a_linear_network() -> None:
    """All images have the same gradient: eigenvalues 3, 0, 0, each 0 off by at most 3 eps 3.

    The term 1 / (v + k) at v = 0 turns that into 3 eps 3 / k^2.
    """
    net = usual(relu=False, bn=False)
    x, _ = batch(net, 3)
    j = reference.input_jacobian(net.nodes, net.weights, x)
    np.testing.assert_array_equal(j[0], j[1])
    got = reference.jacob_cov(net.nodes, net.weights, x)
    expected = -(np.log(3 + K) + 1 / (3 + K)) - 2 * (np.log(K) + 1 / K)
    assert got.value == pytest.approx(expected, rel=0, abs=2 * 9 * 2.3e-16 / K**2)


def test_input_jacobian_is_the_gradient_of_all_logits() -> None:
    """Images see each other through batch norm, and that is kept."""
    net = every_op()
    x, _ = batch(net, 3)
    j = reference.input_jacobian(net.nodes, net.weights, x)
    u = np.random.default_rng(2).standard_normal(x.shape)
    u /= np.abs(u).max()

    def total(t: float) -> float:
        return float(reference.forward(net.nodes, net.weights, x + t * u).logits.sum())

    slope = (total(1e-6) - total(-1e-6)) / 2e-6
    assert float((j * u.reshape(3, -1)).sum()) == pytest.approx(slope, rel=1e-6)


def test_epe_nas_by_hand() -> None:
    """Classes 7 (P, Q: correlations 1 0 0 1) and 9 (P, -P: all 1 in absolute terms)."""
    rows = np.array([P, P, Q, np.negative(P)])
    y = np.array([7, 9, 7, 9])
    s7 = 2 * np.log(1 + K) + 2 * np.log(K)
    s9 = 4 * np.log(1 + K)
    few = reference.epe_nas_of_jacobian(rows, y)
    assert few.value == pytest.approx(abs(s7) + abs(s9), rel=1e-13)
    many = reference.epe_nas_of_jacobian(rows, y, many=True)
    assert many.value == pytest.approx(2 * abs(s7 / 2 - s9 / 2) / 2, rel=1e-13)


def test_epe_nas_classes_of_one_image() -> None:
    rows = np.array([P, Q, np.add(P, Q)])
    few = reference.epe_nas_of_jacobian(rows, [0, 1, 2])
    assert few.value == pytest.approx(3 * np.log(1 + K), rel=1e-13)
    many = reference.epe_nas_of_jacobian(rows, [0, 1, 0], many=True)
    assert many == reference.Scored(0.0), "one class is left, which differs from none"
    none = reference.epe_nas_of_jacobian(rows, [0, 1, 2], many=True)
    assert (none.status, none.reason) == ("undefined", "no_pair_in_any_class")
    with pytest.raises(ValueError, match="y: expected 3 labels"):
        reference.epe_nas_of_jacobian(rows, [0, 1])


def test_epe_nas_does_not_care_what_classes_are_called() -> None:
    net = usual()
    x, _ = batch(net, 6)
    of = (net.nodes, net.weights, x)
    a = reference.epe_nas(*of, np.array([0, 0, 1, 1, 1, 2]))
    b = reference.epe_nas(*of, np.array([5, 5, 3, 3, 3, 900]))
    assert a.value == pytest.approx(b.value, rel=1e-13)


def test_ntk_of_a_linear_layer() -> None:
    """The gradient of the summed logits of image i is x_i for each of K rows: K X X^T."""
    net = Net((3, 1, 1))
    net.linear(4, bias=True)
    x, _ = batch(net, 3)
    rows = x[:, :, 0, 0]
    np.testing.assert_allclose(
        reference.ntk(net.nodes, net.weights, x), 4 * rows @ rows.T, rtol=1e-13, atol=1e-14
    )
    got = reference.ntk_condition(net.nodes, net.weights, x)
    assert got.value == pytest.approx(np.linalg.cond(rows) ** 2, rel=1e-10)


def test_ntk_counts_scales_of_norms_but_no_shift() -> None:
    """Without weights in front, the scale's gradient is the mean of the normalised image."""
    net = Net((1, 1, 2))
    net.bn()
    net.head(1)
    x = np.array([[1.0, 3.0], [5.0, 11.0]]).reshape(2, 1, 1, 2)
    hat = reference.ops.batch_norm(x)
    passed = reference.forward(net.nodes, net.weights, x)
    w = net.weights["n3.weight"].item()
    scale = w * hat.mean(axis=(1, 2, 3))
    features = passed.outputs[2][:, 0, 0, 0]
    expected = np.outer(scale, scale) + np.outer(features, features)
    np.testing.assert_allclose(reference.ntk(net.nodes, net.weights, x), expected, rtol=1e-12)


def test_ntk_condition_knows_a_singular_matrix() -> None:
    got = reference.ntk_condition_of_gram(np.ones((3, 3)))
    assert (got.status, got.reason) == ("undefined", "singular")
    assert reference.ntk_condition_of_gram([[5.0]]) == reference.Scored(1.0)
    assert reference.ntk_condition_of_gram(np.zeros((2, 2))).reason == "all_zero"
    eps = float(np.finfo(np.float64).eps)
    assert reference.ntk_condition_of_gram(np.diag([1.0, 2 * eps])).reason == "singular"
    assert reference.ntk_condition_of_gram(np.diag([1.0, 4 * eps])).status == "ok"
