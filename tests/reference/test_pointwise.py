"""Activations and products of the reference: first and second derivatives by differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroshot.reference import pointwise

STEP = 1e-6
CLOSE: dict[str, Any] = {"rtol": 0, "atol": 2e-9}  # curvature times STEP^2, rounding / STEP
every_function = pytest.mark.parametrize("f", pointwise.ACTIVATIONS)


def clear_of_kinks(*shape: int, seed: int = 0) -> Any:
    """Between -8 and 8, no nearer than 0.01 to 0, 3 and 6."""
    x = np.random.default_rng(seed).uniform(-8, 8, shape)
    for kink in (-6, -3, 0, 3, 6):
        x = np.where(np.abs(x - kink) < 0.01, x + 0.02, x)
    return x


@every_function
def test_slope_and_curvature_of_an_activation(f: str) -> None:
    x, rng = clear_of_kinks(4000), np.random.default_rng(1)
    x_dot, dy, dy_dot = (rng.uniform(-1, 1, x.shape) for _ in range(3))

    def value(t: float) -> Any:
        return pointwise.activation(f, x + t * x_dot)

    def slope(t: float) -> Any:
        return pointwise.activation_backward(f, x + t * x_dot, dy + t * dy_dot)

    got = pointwise.activation_tangent(f, x, x_dot)
    np.testing.assert_allclose(got, (value(STEP) - value(-STEP)) / (2 * STEP), **CLOSE)
    np.testing.assert_allclose(
        pointwise.activation_backward(f, x, dy) * x_dot, got * dy, rtol=1e-14, atol=0
    )
    bent = pointwise.activation_backward_tangent(f, x, dy, x_dot=x_dot, dy_dot=dy_dot)
    np.testing.assert_allclose(bent, (slope(STEP) - slope(-STEP)) / (2 * STEP), **CLOSE)


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 1, 1), (1, 4, 5), (1, 1, 1), (3, 1, 5)])
def test_derivatives_of_a_product(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    a, a_dot, dy, dy_dot = (rng.uniform(-1, 1, (2, 3, 4, 5)) for _ in range(4))
    b, b_dot = (rng.uniform(-1, 1, (2, *shape)) for _ in range(2))

    def value(t: float) -> Any:
        return pointwise.multiply(a + t * a_dot, b + t * b_dot)

    def backward(t: float) -> Any:
        return pointwise.multiply_backward(a + t * a_dot, b + t * b_dot, dy + t * dy_dot)

    y_dot = pointwise.multiply_tangent(a, b, a_dot, b_dot)
    np.testing.assert_allclose(y_dot, (value(STEP) - value(-STEP)) / (2 * STEP), **CLOSE)
    da, db = backward(0)
    assert (da.shape, db.shape) == (a.shape, b.shape)
    # <dy, y_dot> = <da, a_dot> + <db, b_dot>
    assert (dy * y_dot).sum() == pytest.approx((da * a_dot).sum() + (db * b_dot).sum(), abs=1e-12)
    moved = pointwise.multiply_backward_tangent(a, b, dy, a_dot=a_dot, b_dot=b_dot, dy_dot=dy_dot)
    for got, ahead, behind in zip(moved, backward(STEP), backward(-STEP), strict=True):
        np.testing.assert_allclose(got, (ahead - behind) / (2 * STEP), rtol=0, atol=2e-8)


@every_function
def test_nan_stays(f: str) -> None:
    assert np.isnan(pointwise.activation(f, [np.nan])).all()
