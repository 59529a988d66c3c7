"""Derivatives of the ops and of their backward passes in a given direction, exactly.

``x_dot`` is the derivative of ``x`` along the direction. A ``<op>_tangent`` gives ``y_dot``; a
``<op>_backward_tangent`` gives the derivatives of what ``<op>_backward`` returns, which is where
the second derivatives of a network are. Ops linear in their input are their own tangents.
At kinks the second derivative is 0: a ReLU keeps its side, a maximum its place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import ops
from .nodes import Array

__all__ = [
    "batch_norm_backward_tangent",
    "batch_norm_running_backward_tangent",
    "batch_norm_running_tangent",
    "batch_norm_tangent",
    "conv2d_backward_tangent",
    "conv2d_tangent",
    "cross_entropy_backward_tangent",
    "linear_backward_tangent",
    "linear_tangent",
    "max_pool_tangent",
    "relu_tangent",
]

Pair = tuple[int, int]


def _f64(a: ArrayLike) -> Array:
    return np.asarray(a, dtype=np.float64)


def _per_channel(a: ArrayLike | None, default: float) -> Array:
    return _f64(default if a is None else a).reshape(-1, 1, 1)


# ---- layers with weights: bilinear in (x, w), so a product rule ----------------------------------


def conv2d_tangent(
    x: ArrayLike,
    w: ArrayLike,
    x_dot: ArrayLike,
    w_dot: ArrayLike,
    bias_dot: ArrayLike | None = None,
    **geometry: Any,
) -> Array:
    """``conv(x_dot, w) + conv(x, w_dot) + bias_dot``."""
    return ops.conv2d(x_dot, w, **geometry) + ops.conv2d(x, w_dot, bias_dot, **geometry)


def conv2d_backward_tangent(
    x: ArrayLike,
    w: ArrayLike,
    dy: ArrayLike,
    *,
    x_dot: ArrayLike,
    w_dot: ArrayLike,
    dy_dot: ArrayLike,
    **geometry: Any,
) -> tuple[Array, Array, Array]:
    """Derivatives of ``(dx, dw, dbias)``: dx is bilinear in (w, dy), dw in (x, dy)."""
    dx_dot, dw_dot, dbias_dot = ops.conv2d_backward(x, w, dy_dot, **geometry)
    dx_moved, dw_moved, _ = ops.conv2d_backward(x_dot, w_dot, dy, **geometry)
    return dx_dot + dx_moved, dw_dot + dw_moved, dbias_dot


def linear_tangent(
    x: ArrayLike,
    w: ArrayLike,
    x_dot: ArrayLike,
    w_dot: ArrayLike,
    bias_dot: ArrayLike | None = None,
) -> Array:
    """``x_dot w^T + x w_dot^T + bias_dot``."""
    return ops.linear(x_dot, w) + ops.linear(x, w_dot, bias_dot)


def linear_backward_tangent(
    x: ArrayLike,
    w: ArrayLike,
    dy: ArrayLike,
    *,
    x_dot: ArrayLike,
    w_dot: ArrayLike,
    dy_dot: ArrayLike,
) -> tuple[Array, Array, Array]:
    """Derivatives of ``(dx, dw, dbias)``."""
    dx_dot, dw_dot, dbias_dot = ops.linear_backward(x, w, dy_dot)
    dx_moved, dw_moved, _ = ops.linear_backward(x_dot, w_dot, dy)
    return dx_dot + dx_moved, dw_dot + dw_moved, dbias_dot


# ---- batch normalisation -------------------------------------------------------------------------


def _mean(a: Array) -> Array:
    mean: Array = a.mean(axis=(0, 2, 3), keepdims=True)
    return mean


def _normalised(x: Array, x_dot: Array, eps: float) -> tuple[Array, Array, Array, Array]:
    """``x_hat``, ``inv_std`` and the derivatives of both.

    With c = x - mean(x): ``var_dot = 2 mean(c c_dot)``, ``inv_std_dot = -inv_std^3 var_dot / 2``.
    """
    c, c_dot = x - _mean(x), x_dot - _mean(x_dot)
    inv_std = 1.0 / np.sqrt(_mean(c**2) + eps)
    inv_std_dot = -(inv_std**3) * _mean(c * c_dot)
    return c * inv_std, inv_std, c_dot * inv_std + c * inv_std_dot, inv_std_dot


def batch_norm_tangent(
    x: ArrayLike,
    gamma: ArrayLike | None,
    x_dot: ArrayLike,
    gamma_dot: ArrayLike | None = None,
    beta_dot: ArrayLike | None = None,
    *,
    eps: float = 1e-5,
) -> Array:
    """Of ``gamma x_hat + beta``, through the mean and the variance of the batch."""
    x_hat, _, x_hat_dot, _ = _normalised(_f64(x), _f64(x_dot), eps)
    moved = x_hat * _per_channel(gamma_dot, 0.0) + _per_channel(beta_dot, 0.0)
    return x_hat_dot * _per_channel(gamma, 1.0) + moved


def batch_norm_backward_tangent(
    x: ArrayLike,
    gamma: ArrayLike | None,
    dy: ArrayLike,
    *,
    x_dot: ArrayLike,
    gamma_dot: ArrayLike | None = None,
    dy_dot: ArrayLike,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """Derivatives of ``(dx, dgamma, dbeta)``.

    ``dx = gamma inv_std r`` with ``r = dy - mean(dy) - x_hat mean(dy x_hat)``, factor by factor.
    """
    dy, dy_dot = _f64(dy), _f64(dy_dot)
    x_hat, inv_std, x_hat_dot, inv_std_dot = _normalised(_f64(x), _f64(x_dot), eps)
    g, g_dot = _per_channel(gamma, 1.0), _per_channel(gamma_dot, 0.0)
    product = dy * x_hat
    product_dot = dy_dot * x_hat + dy * x_hat_dot
    r = dy - _mean(dy) - x_hat * _mean(product)
    r_dot = dy_dot - _mean(dy_dot) - x_hat_dot * _mean(product) - x_hat * _mean(product_dot)
    dx_dot = g_dot * inv_std * r + g * inv_std_dot * r + g * inv_std * r_dot
    over = (0, 2, 3)
    return dx_dot, product_dot.sum(axis=over), dy_dot.sum(axis=over)


def batch_norm_running_tangent(
    x: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    *,
    gamma: ArrayLike | None = None,
    x_dot: ArrayLike,
    gamma_dot: ArrayLike | None = None,
    beta_dot: ArrayLike | None = None,
    eps: float = 1e-5,
) -> Array:
    """With constant statistics."""
    inv_std = 1.0 / np.sqrt(_per_channel(var, 1.0) + eps)
    x_hat = (_f64(x) - _per_channel(mean, 0.0)) * inv_std
    moved = x_hat * _per_channel(gamma_dot, 0.0) + _per_channel(beta_dot, 0.0)
    return _f64(x_dot) * inv_std * _per_channel(gamma, 1.0) + moved


def batch_norm_running_backward_tangent(
    x: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    *,
    gamma: ArrayLike | None = None,
    dy: ArrayLike,
    x_dot: ArrayLike,
    gamma_dot: ArrayLike | None = None,
    dy_dot: ArrayLike,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """Derivatives of ``(dx, dgamma, dbeta)`` with constant statistics."""
    dy, dy_dot = _f64(dy), _f64(dy_dot)
    inv_std = 1.0 / np.sqrt(_per_channel(var, 1.0) + eps)
    x_hat = (_f64(x) - _per_channel(mean, 0.0)) * inv_std
    g, g_dot = _per_channel(gamma, 1.0), _per_channel(gamma_dot, 0.0)
    over = (0, 2, 3)
    dgamma_dot = (dy_dot * x_hat + dy * _f64(x_dot) * inv_std).sum(axis=over)
    return inv_std * (g_dot * dy + g * dy_dot), dgamma_dot, dy_dot.sum(axis=over)


# ---- kinks ---------------------------------------------------------------------------------------


def relu_tangent(x: ArrayLike, x_dot: ArrayLike) -> Array:
    """`x_dot` where not ``x <= 0``.

    >>> relu_tangent([-1.0, 0.0, 2.0], [5.0, 5.0, 5.0])
    array([0., 0., 5.])
    """
    return ops.relu_backward(x, x_dot)


def max_pool_tangent(
    x: ArrayLike, x_dot: ArrayLike, *, kernel: Pair, stride: Pair, padding: Pair = (0, 0)
) -> Array:
    """`x_dot` from the place where each window's maximum is, the first one of several."""
    x = _f64(x)
    y, winner = ops._max_pool(x, kernel, stride, padding)
    y_dot, out = np.zeros_like(y), (y.shape[2], y.shape[3])
    padded = ops._pad(_f64(x_dot), padding, 0.0)
    for r, s, cell in ops._taps(padded, out, kernel, stride, (1, 1)):
        y_dot = np.where(winner == r * kernel[1] + s, cell, y_dot)
    return y_dot


# ---- loss ----------------------------------------------------------------------------------------


def cross_entropy_backward_tangent(logits: ArrayLike, logits_dot: ArrayLike) -> Array:
    """Derivative of ``(softmax(logits) - onehot(y)) / M``, which does not depend on y.

    With p = softmax: ``p (logits_dot - sum_k p_k logits_dot_k) / M``.

    >>> cross_entropy_backward_tangent(np.zeros((1, 2)), [[1.0, 0.0]])
    array([[ 0.25, -0.25]])
    """
    values, moved = _f64(logits), _f64(logits_dot)
    p = np.exp(values - values.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    moved_dot: Array = p * (moved - (p * moved).sum(axis=1, keepdims=True)) / len(values)
    return moved_dot
