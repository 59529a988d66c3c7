"""Ops over the positions of a map, forward and backward, as `ops` has the others.

Arrays are NCHW. A map (N, C, H, W) is read as N matrices of H W rows (*positions*) and C columns
(*channels*): `tokens` and `maps` go from one to the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "flatten", "flatten_backward",
    "group_norm", "group_norm_backward",
    "layer_norm", "layer_norm_backward",
    "linear_spatial", "linear_spatial_backward",
    "matmul", "matmul_backward",
    "scale_channels", "scale_channels_backward",
    "softmax", "softmax_backward",
]  # fmt: skip

Array = NDArray[np.float64]


def _f64(a: ArrayLike) -> Array:
    return np.asarray(a, dtype=np.float64)


def tokens(x: ArrayLike, heads: int = 1) -> Array:
    """(N, heads K, H, W) to (N, heads, H W, K)."""
    x = _f64(x)
    n, c = x.shape[:2]
    return x.reshape(n, heads, c // heads, -1).swapaxes(2, 3)


def maps(t: Array, hw: tuple[int, ...]) -> Array:
    """(N, heads, H W, K) to (N, heads K, H, W)."""
    n, heads, _, k = t.shape
    return t.swapaxes(2, 3).reshape(n, heads * k, *hw)


def flatten(x: ArrayLike) -> Array:
    """(N, C, H, W) to (N, C H W, 1, 1), channel after channel.

    >>> flatten(np.arange(8).reshape(1, 2, 2, 2))[0, :, 0, 0]
    array([0., 1., 2., 3., 4., 5., 6., 7.])
    """
    x = _f64(x)
    return x.reshape(len(x), -1, 1, 1).copy()


def flatten_backward(x: ArrayLike, dy: ArrayLike) -> Array:
    """Gradient of `flatten`; of `x` only the shape matters."""
    return _f64(dy).reshape(_f64(x).shape).copy()


def linear_spatial(x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None) -> Array:
    """``y[n,c,p] = bias[p] + sum_q w[p,q] x[n,c,q]`` over positions; w is (H W, H W)."""
    x, w = _f64(x), _f64(w)
    n, c, *hw = x.shape
    if w.shape != (hw[0] * hw[1], hw[0] * hw[1]):
        raise ValueError(f"w: expected rows and columns for all of {hw}, got {w.shape}")
    y = x.reshape(n, c, -1) @ w.T
    return (y if bias is None else y + _f64(bias)).reshape(x.shape)


def linear_spatial_backward(
    x: ArrayLike, w: ArrayLike, dy: ArrayLike
) -> tuple[Array, Array, Array]:
    """Gradients ``(dx, dw, dbias)`` of `linear_spatial`."""
    x, w = _f64(x), _f64(w)
    rows, d = x.reshape(-1, len(w)), _f64(dy).reshape(-1, len(w))
    return (d @ w).reshape(x.shape), d.T @ rows, d.sum(axis=0)


def matmul(
    a: ArrayLike, b: ArrayLike, *, heads: int = 1, transpose_b: bool = False, scale: float = 1.0
) -> Array:
    """``scale a b`` or ``scale a b^T`` of positions and channels, head by head.

    >>> a = np.array([1.0, 2.0]).reshape(1, 2, 1, 1)
    >>> matmul(a, a, transpose_b=True, scale=2.0)[0, :, 0, 0]
    array([10.])
    """
    rows, other = tokens(a, heads), tokens(b, heads)
    y = rows @ (other.swapaxes(2, 3) if transpose_b else other)
    return maps(scale * y, _f64(a).shape[2:])


def matmul_backward(
    a: ArrayLike,
    b: ArrayLike,
    dy: ArrayLike,
    *,
    heads: int = 1,
    transpose_b: bool = False,
    scale: float = 1.0,
) -> tuple[Array, Array]:
    """Gradients ``(da, db)`` of `matmul`."""
    rows, other, d = tokens(a, heads), tokens(b, heads), scale * tokens(dy, heads)
    if transpose_b:
        da, db = d @ other, d.swapaxes(2, 3) @ rows
    else:
        da, db = d @ other.swapaxes(2, 3), rows.swapaxes(2, 3) @ d
    return maps(da, _f64(a).shape[2:]), maps(db, _f64(b).shape[2:])


def softmax(x: ArrayLike, *, groups: int = 1) -> Array:
    """Over the channels of each of `groups` equal runs, at every position.

    >>> softmax(np.zeros((1, 4, 1, 1)), groups=2)[0, :, 0, 0]
    array([0.5, 0.5, 0.5, 0.5])
    """
    t = tokens(x, groups)
    powers = np.exp(t - t.max(axis=3, keepdims=True))
    return maps(powers / powers.sum(axis=3, keepdims=True), _f64(x).shape[2:])


def softmax_backward(y: ArrayLike, dy: ArrayLike, *, groups: int = 1) -> Array:
    """``y (dy - sum(y dy))`` of the output `y` of `softmax`."""
    t, d = tokens(y, groups), tokens(dy, groups)
    return maps(t * (d - (t * d).sum(axis=3, keepdims=True)), _f64(y).shape[2:])


# ---- norms of single samples ---------------------------------------------------------------------


def _per_channel(a: ArrayLike | None, default: float) -> Array:
    return _f64(default if a is None else a).reshape(-1, 1, 1)


def cells(x: ArrayLike, groups: int | None) -> Array:
    """(N, C, H, W) to (N, cells, values): one mean and variance each.

    `groups` runs of channels with all positions (group norm) or, None, the channels of each
    position (layer norm).
    """
    x = _f64(x)
    n, c = x.shape[:2]
    return x.reshape(n, groups, -1) if groups else x.reshape(n, c, -1).swapaxes(1, 2)


def from_cells(v: Array, shape: tuple[int, ...], groups: int | None) -> Array:
    """The inverse of `cells`."""
    return (v if groups else v.swapaxes(1, 2)).reshape(shape)


def _norm(
    x: ArrayLike,
    gamma: ArrayLike | None,
    beta: ArrayLike | None,
    *,
    groups: int | None,
    eps: float,
) -> Array:
    v = cells(x, groups)
    v = v - v.mean(axis=2, keepdims=True)
    v = v / np.sqrt((v**2).mean(axis=2, keepdims=True) + eps)
    x_hat = from_cells(v, _f64(x).shape, groups)
    return x_hat * _per_channel(gamma, 1.0) + _per_channel(beta, 0.0)


def _norm_backward(
    x: ArrayLike, gamma: ArrayLike | None, dy: ArrayLike, *, groups: int | None, eps: float
) -> tuple[Array, Array, Array]:
    dy, shape = _f64(dy), _f64(x).shape
    v = cells(x, groups)
    v = v - v.mean(axis=2, keepdims=True)
    inv_std = 1.0 / np.sqrt((v**2).mean(axis=2, keepdims=True) + eps)
    x_hat, d = v * inv_std, cells(dy * _per_channel(gamma, 1.0), groups)
    mean, slope = (s.mean(axis=2, keepdims=True) for s in (d, d * x_hat))
    dx = from_cells(inv_std * (d - mean - x_hat * slope), shape, groups)
    over = (0, 2, 3)
    return dx, (dy * from_cells(x_hat, shape, groups)).sum(axis=over), dy.sum(axis=over)


def group_norm(
    x: ArrayLike,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    *,
    groups: int = 1,
    eps: float = 1e-5,
) -> Array:
    """Mean and biased variance of each sample and run of channels over all positions."""
    return _norm(x, gamma, beta, groups=groups, eps=eps)


def group_norm_backward(
    x: ArrayLike, gamma: ArrayLike | None, dy: ArrayLike, *, groups: int = 1, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """Gradients ``(dx, dgamma, dbeta)`` of `group_norm`."""
    return _norm_backward(x, gamma, dy, groups=groups, eps=eps)


def layer_norm(
    x: ArrayLike,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    *,
    eps: float = 1e-6,
) -> Array:
    """Mean and biased variance of the channels at each position of each sample."""
    return _norm(x, gamma, beta, groups=None, eps=eps)


def layer_norm_backward(
    x: ArrayLike, gamma: ArrayLike | None, dy: ArrayLike, *, eps: float = 1e-6
) -> tuple[Array, Array, Array]:
    """Gradients ``(dx, dgamma, dbeta)`` of `layer_norm`."""
    return _norm_backward(x, gamma, dy, groups=None, eps=eps)


def scale_channels(x: ArrayLike, scale: ArrayLike) -> Array:
    """``scale x`` by channel."""
    return _f64(x) * _per_channel(scale, 1.0)


def scale_channels_backward(x: ArrayLike, scale: ArrayLike, dy: ArrayLike) -> tuple[Array, Array]:
    """Gradients ``(dx, dscale)`` of `scale_channels`."""
    return _f64(dy) * _per_channel(scale, 1.0), (_f64(x) * _f64(dy)).sum(axis=(0, 2, 3))
