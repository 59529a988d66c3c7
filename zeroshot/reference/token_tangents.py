"""Derivatives along a direction of the ops of `token_ops` and of their backward passes.

As in `tangents`: ``<op>_tangent`` gives ``y_dot``, ``<op>_backward_tangent`` the derivatives of
what ``<op>_backward`` returns. Products are differentiated factor by factor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import token_ops as ops
from .nodes import Array

__all__ = [
    "linear_spatial_backward_tangent",
    "linear_spatial_tangent",
    "matmul_backward_tangent",
    "matmul_tangent",
    "norm_backward_tangent",
    "norm_tangent",
    "scale_channels_backward_tangent",
    "scale_channels_tangent",
    "softmax_backward_tangent",
    "softmax_tangent",
]


def _f64(a: ArrayLike) -> Array:
    return np.asarray(a, dtype=np.float64)


def _per_channel(a: ArrayLike | None, default: float) -> Array:
    return _f64(default if a is None else a).reshape(-1, 1, 1)


def linear_spatial_tangent(
    x: ArrayLike,
    w: ArrayLike,
    x_dot: ArrayLike,
    w_dot: ArrayLike,
    bias_dot: ArrayLike | None = None,
) -> Array:
    """``w x_dot + w_dot x + bias_dot``."""
    return ops.linear_spatial(x_dot, w) + ops.linear_spatial(x, w_dot, bias_dot)


def linear_spatial_backward_tangent(
    x: ArrayLike,
    w: ArrayLike,
    dy: ArrayLike,
    *,
    x_dot: ArrayLike,
    w_dot: ArrayLike,
    dy_dot: ArrayLike,
) -> tuple[Array, Array, Array]:
    """Derivatives of ``(dx, dw, dbias)``."""
    dx_dot, dw_dot, dbias_dot = ops.linear_spatial_backward(x, w, dy_dot)
    dx_moved, dw_moved, _ = ops.linear_spatial_backward(x_dot, w_dot, dy)
    return dx_dot + dx_moved, dw_dot + dw_moved, dbias_dot


def matmul_tangent(
    a: ArrayLike, b: ArrayLike, a_dot: ArrayLike, b_dot: ArrayLike, **how: Any
) -> Array:
    """``a_dot b + a b_dot``."""
    return ops.matmul(a_dot, b, **how) + ops.matmul(a, b_dot, **how)


def matmul_backward_tangent(
    a: ArrayLike,
    b: ArrayLike,
    dy: ArrayLike,
    *,
    a_dot: ArrayLike,
    b_dot: ArrayLike,
    dy_dot: ArrayLike,
    **how: Any,
) -> tuple[Array, Array]:
    """Derivatives of ``(da, db)``: da is bilinear in (b, dy), db in (a, dy)."""
    still = ops.matmul_backward(a, b, dy_dot, **how)
    moved = ops.matmul_backward(a_dot, b_dot, dy, **how)
    return still[0] + moved[0], still[1] + moved[1]


def softmax_tangent(y: ArrayLike, x_dot: ArrayLike, *, groups: int = 1) -> Array:
    """Of the output `y`: its Jacobian is symmetric, so this is its gradient's formula."""
    return ops.softmax_backward(y, x_dot, groups=groups)


def softmax_backward_tangent(
    y: ArrayLike, dy: ArrayLike, *, y_dot: ArrayLike, dy_dot: ArrayLike, groups: int = 1
) -> Array:
    """Derivative of ``y (dy - sum(y dy))``."""
    t, d, t_dot, d_dot = (ops.tokens(v, groups) for v in (y, dy, y_dot, dy_dot))
    mean = (t * d).sum(axis=3, keepdims=True)
    mean_dot = (t_dot * d + t * d_dot).sum(axis=3, keepdims=True)
    return ops.maps(t_dot * (d - mean) + t * (d_dot - mean_dot), _f64(y).shape[2:])


# ---- norms of single samples: groups None is layer norm ------------------------------------------


def _mean(v: Array) -> Array:
    mean: Array = v.mean(axis=2, keepdims=True)
    return mean


def _normalised(
    x: ArrayLike, x_dot: ArrayLike, groups: int | None, eps: float
) -> tuple[Array, Array, Array, Array]:
    """``x_hat``, ``inv_std`` and the derivatives of both, as cells."""
    c, c_dot = ops.cells(x, groups), ops.cells(x_dot, groups)
    c, c_dot = c - _mean(c), c_dot - _mean(c_dot)
    inv_std = 1.0 / np.sqrt(_mean(c**2) + eps)
    inv_std_dot = -(inv_std**3) * _mean(c * c_dot)
    return c * inv_std, inv_std, c_dot * inv_std + c * inv_std_dot, inv_std_dot


def norm_tangent(
    x: ArrayLike,
    gamma: ArrayLike | None,
    x_dot: ArrayLike,
    gamma_dot: ArrayLike | None = None,
    beta_dot: ArrayLike | None = None,
    *,
    groups: int | None,
    eps: float,
) -> Array:
    """Of ``gamma x_hat + beta``, through mean and variance."""
    cells = _normalised(x, x_dot, groups, eps)
    x_hat, x_hat_dot = (ops.from_cells(cells[i], _f64(x).shape, groups) for i in (0, 2))
    moved = x_hat * _per_channel(gamma_dot, 0.0) + _per_channel(beta_dot, 0.0)
    return x_hat_dot * _per_channel(gamma, 1.0) + moved


def norm_backward_tangent(
    x: ArrayLike,
    gamma: ArrayLike | None,
    dy: ArrayLike,
    *,
    x_dot: ArrayLike,
    gamma_dot: ArrayLike | None = None,
    dy_dot: ArrayLike,
    groups: int | None,
    eps: float,
) -> tuple[Array, Array, Array]:
    """Derivatives of ``(dx, dgamma, dbeta)``: of ``dx = inv_std r`` factor by factor."""
    dy, dy_dot, shape = _f64(dy), _f64(dy_dot), _f64(x).shape
    x_hat, inv_std, x_hat_dot, inv_std_dot = _normalised(x, x_dot, groups, eps)
    g, g_dot = _per_channel(gamma, 1.0), _per_channel(gamma_dot, 0.0)
    d, d_dot = ops.cells(dy * g, groups), ops.cells(dy_dot * g + dy * g_dot, groups)
    slope, slope_dot = _mean(d * x_hat), _mean(d_dot * x_hat + d * x_hat_dot)
    r = d - _mean(d) - x_hat * slope
    r_dot = d_dot - _mean(d_dot) - x_hat_dot * slope - x_hat * slope_dot
    dx_dot = ops.from_cells(inv_std_dot * r + inv_std * r_dot, shape, groups)
    still, moved = (ops.from_cells(v, shape, groups) for v in (x_hat, x_hat_dot))
    over = (0, 2, 3)
    return dx_dot, (dy_dot * still + dy * moved).sum(axis=over), dy_dot.sum(axis=over)


# ---- scale ---------------------------------------------------------------------------------------


def scale_channels_tangent(
    x: ArrayLike, scale: ArrayLike, x_dot: ArrayLike, scale_dot: ArrayLike
) -> Array:
    """``scale x_dot + scale_dot x``."""
    return ops.scale_channels(x_dot, scale) + ops.scale_channels(x, scale_dot)


def scale_channels_backward_tangent(
    x: ArrayLike,
    scale: ArrayLike,
    dy: ArrayLike,
    *,
    x_dot: ArrayLike,
    scale_dot: ArrayLike,
    dy_dot: ArrayLike,
) -> tuple[Array, Array]:
    """Derivatives of ``(dx, dscale)``."""
    still = ops.scale_channels_backward(x, scale, dy_dot)
    moved = ops.scale_channels_backward(x_dot, scale_dot, dy)
    return still[0] + moved[0], still[1] + moved[1]
