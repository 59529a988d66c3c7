"""Every op of a network, forward and backward, in float64 NumPy written to be read.

Arrays are NCHW, filters OIHW, pairs are ``(height, width)``.  Filters and pooling windows are
walked tap by tap: the tap ``(r, s)`` of all windows at once is a strided slice of the padded image,
and its adjoint is ``+=`` into the same slice.  At NaN, ties and kinks the functions do what PyTorch
does.  Nothing here is tuned; it is the yardstick.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "add", "add_backward",
    "avg_pool", "avg_pool_backward",
    "batch_norm", "batch_norm_backward",
    "batch_norm_running", "batch_norm_running_backward",
    "concat", "concat_backward",
    "conv2d", "conv2d_backward",
    "cross_entropy", "cross_entropy_backward",
    "global_avg_pool", "global_avg_pool_backward",
    "identity", "identity_backward",
    "linear", "linear_backward",
    "max_pool", "max_pool_backward",
    "output_size",
    "relu", "relu_backward",
    "shift", "shift_backward",
    "slice_channels", "slice_channels_backward",
    "sum_logits", "sum_logits_backward",
    "zero", "zero_backward",
]  # fmt: skip

Array = NDArray[np.float64]
Pair = tuple[int, int]


def _f64(a: ArrayLike) -> Array:
    return np.asarray(a, dtype=np.float64)


# ---- windows: padding and taps -------------------------------------------------------------------


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """``floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1`` windows along an axis.

    >>> output_size(32, kernel=3, stride=2, padding=1)
    16
    """
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _output_hw(x: NDArray[Any], kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    p, q = (
        output_size(x.shape[2 + i], kernel[i], stride[i], padding[i], dilation[i]) for i in (0, 1)
    )
    if p < 1 or q < 1:
        raise ValueError(
            f"kernel: a {kernel} window with dilation {dilation} must fit into the padded image, "
            f"got image {x.shape[2:]} with padding {padding}"
        )
    return p, q


def _pad(x: NDArray[Any], padding: Pair, fill: float) -> NDArray[Any]:
    (ph, pw) = padding
    return np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=fill)


def _crop(x: Array, padding: Pair) -> Array:
    (ph, pw), (h, w) = padding, x.shape[2:]
    return x[:, :, ph : h - ph, pw : w - pw].copy()


def _taps(padded: Any, out: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Iterator[Any]:
    """Yield ``(r, s, view)``, the cell (r, s) of every window, row by row.

    Writing into the view writes into `padded`.
    """
    for r in range(kernel[0]):
        for s in range(kernel[1]):
            h, w = r * dilation[0], s * dilation[1]
            rows = slice(h, h + stride[0] * (out[0] - 1) + 1, stride[0])
            columns = slice(w, w + stride[1] * (out[1] - 1) + 1, stride[1])
            yield r, s, padded[:, :, rows, columns]


# ---- layers with weights -------------------------------------------------------------------------


def conv2d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """Cross-correlation with zero padding.

    ``y[n,k,p,q] = bias[k] + sum_{c,r,s} w[k,c,r,s]
    x[n, c of k's group, p stride + r dilation - padding, q stride + s dilation - padding]``

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
    w : array_like, shape (K, C / groups, R, S)
    bias : array_like, shape (K,), optional

    Returns
    -------
    ndarray, shape (N, K, P, Q), float64

    Examples
    --------
    >>> conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)), padding=(1, 1))[0, 0]
    array([[4., 6., 4.],
           [6., 9., 6.],
           [4., 6., 4.]])
    """
    x, w = _f64(x), _f64(w)
    n, c = x.shape[:2]
    k = w.shape[0]
    if c != w.shape[1] * groups or k % groups:
        raise ValueError(
            f"w: expected shape (K, C / groups, R, S) with groups dividing K, for C = {c} and "
            f"groups = {groups}, got {w.shape}"
        )
    kernel = (w.shape[2], w.shape[3])
    out = _output_hw(x, kernel, stride, padding, dilation)
    w_g = w.reshape(groups, k // groups, c // groups, *kernel)
    y = np.zeros((n, groups, k // groups, out[0] * out[1]))
    for r, s, cell in _taps(_pad(x, padding, 0.0), out, kernel, stride, dilation):
        y += w_g[..., r, s] @ cell.reshape(n, groups, c // groups, -1)
    y = y.reshape(n, k, *out)
    return y if bias is None else y + _f64(bias)[:, None, None]


def conv2d_backward(
    x: ArrayLike,
    w: ArrayLike,
    dy: ArrayLike,
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> tuple[Array, Array, Array]:
    """Gradients ``(dx, dw, dbias)`` of `conv2d`."""
    x, w, dy = _f64(x), _f64(w), _f64(dy)
    n, c = x.shape[:2]
    k, kernel = w.shape[0], (w.shape[2], w.shape[3])
    out = (dy.shape[2], dy.shape[3])
    w_g = w.reshape(groups, k // groups, c // groups, *kernel)
    dy_g = dy.reshape(n, groups, k // groups, -1)
    padded = _pad(x, padding, 0.0)
    d_padded, dw_g = np.zeros_like(padded), np.zeros_like(w_g)
    cells = _taps(padded, out, kernel, stride, dilation)
    d_cells = _taps(d_padded, out, kernel, stride, dilation)
    for (r, s, cell), (_, _, d_cell) in zip(cells, d_cells, strict=True):
        x_g = cell.reshape(n, groups, c // groups, -1)
        dw_g[..., r, s] = (dy_g @ x_g.swapaxes(2, 3)).sum(axis=0)
        d_cell += (w_g[..., r, s].swapaxes(1, 2) @ dy_g).reshape(n, c, *out)
    return _crop(d_padded, padding), dw_g.reshape(w.shape), dy.sum(axis=(0, 2, 3))


def linear(x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None) -> Array:
    """``y[n,k,h,w] = bias[k] + sum_c w[k,c] x[n,c,h,w]``.

    x has shape (N, C, H, W), w (K, C), y (N, K, H, W).
    """
    x, w = _f64(x), _f64(w)
    if x.ndim != 4 or x.shape[1] != w.shape[1]:
        raise ValueError(
            f"x: expected shape (N, {w.shape[1]}, H, W) for w {w.shape}, got {x.shape}"
        )
    y = np.moveaxis(x, 1, 3) @ w.T
    return np.moveaxis(y if bias is None else y + _f64(bias), 3, 1)


def linear_backward(x: ArrayLike, w: ArrayLike, dy: ArrayLike) -> tuple[Array, Array, Array]:
    """Gradients ``(dx, dw, dbias)`` of `linear`."""
    x, w, d = _f64(x), _f64(w), np.moveaxis(_f64(dy), 1, 3)
    rows, d_rows = np.moveaxis(x, 1, 3).reshape(-1, w.shape[1]), d.reshape(-1, w.shape[0])
    return np.moveaxis(d @ w, 3, 1), d_rows.T @ rows, d_rows.sum(axis=0)


# ---- batch normalisation -------------------------------------------------------------------------


def _per_channel(a: ArrayLike | None, default: float) -> Array:
    return _f64(default if a is None else a).reshape(-1, 1, 1)


def _normalised(x: Array, eps: float) -> tuple[Array, Array]:
    centred = x - x.mean(axis=(0, 2, 3), keepdims=True)
    inv_std = 1.0 / np.sqrt((centred**2).mean(axis=(0, 2, 3), keepdims=True) + eps)
    return centred * inv_std, inv_std


def batch_norm(
    x: ArrayLike,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    *,
    eps: float = 1e-5,
) -> Array:
    """Training mode: mean and biased variance of each channel over (N, H, W).

    Scale `gamma` is 1 and shift `beta` 0 unless given. A channel of a single value comes out as
    `beta`, where PyTorch raises.
    """
    x_hat, _ = _normalised(_f64(x), eps)
    return x_hat * _per_channel(gamma, 1.0) + _per_channel(beta, 0.0)


def batch_norm_backward(
    x: ArrayLike, gamma: ArrayLike | None, dy: ArrayLike, *, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """Gradients ``(dx, dgamma, dbeta)`` of `batch_norm`, through the mean and the variance.

    ``dx = gamma inv_std (dy - mean(dy) - x_hat mean(dy x_hat))``
    """
    dy = _f64(dy)
    x_hat, inv_std = _normalised(_f64(x), eps)
    over = (0, 2, 3)
    mean_dy = dy.mean(axis=over, keepdims=True)
    mean_dy_x_hat = (dy * x_hat).mean(axis=over, keepdims=True)
    dx = _per_channel(gamma, 1.0) * inv_std * (dy - mean_dy - x_hat * mean_dy_x_hat)
    return dx, (dy * x_hat).sum(axis=over), dy.sum(axis=over)


def batch_norm_running(
    x: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    *,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    eps: float = 1e-5,
) -> Array:
    """Evaluation mode: mean and variance are given constants."""
    x_hat = (_f64(x) - _per_channel(mean, 0.0)) / np.sqrt(_per_channel(var, 1.0) + eps)
    return x_hat * _per_channel(gamma, 1.0) + _per_channel(beta, 0.0)


def batch_norm_running_backward(
    x: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    *,
    gamma: ArrayLike | None = None,
    dy: ArrayLike,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """Gradients ``(dx, dgamma, dbeta)`` of `batch_norm_running`."""
    dy = _f64(dy)
    inv_std = 1.0 / np.sqrt(_per_channel(var, 1.0) + eps)
    x_hat = (_f64(x) - _per_channel(mean, 0.0)) * inv_std
    over = (0, 2, 3)
    return dy * inv_std * _per_channel(gamma, 1.0), (dy * x_hat).sum(axis=over), dy.sum(axis=over)


# ---- pointwise and pooling -----------------------------------------------------------------------


def relu(x: ArrayLike) -> Array:
    """``max(x, 0)``; a NaN passes.

    >>> relu([-1.0, 2.0, np.nan])
    array([ 0.,  2., nan])
    """
    x = _f64(x)
    return np.where(x <= 0, 0.0, x)


def relu_backward(x: ArrayLike, dy: ArrayLike) -> Array:
    """`dy` where not ``x <= 0``: nothing passes at 0, everything passes at NaN."""
    return np.where(_f64(x) <= 0, 0.0, _f64(dy))


def _max_pool(
    x: Array, kernel: Pair, stride: Pair, padding: Pair
) -> tuple[Array, NDArray[np.int64]]:
    """Maxima, and which tap each came from: the first maximum inside the image, or the last NaN."""
    out, dilation = _output_hw(x, kernel, stride, padding, (1, 1)), (1, 1)
    best = np.full((*x.shape[:2], *out), -np.inf)
    winner = np.full(best.shape, -1, dtype=np.int64)
    cells = _taps(_pad(x, padding, -np.inf), out, kernel, stride, dilation)
    insides = _taps(_pad(np.ones(x.shape, bool), padding, False), out, kernel, stride, dilation)
    for (r, s, cell), (_, _, inside) in zip(cells, insides, strict=True):
        # "winner < 0" lets the first cell win even when all of them are -inf
        wins = inside & ((winner < 0) | (cell > best) | np.isnan(cell))
        best, winner = np.where(wins, cell, best), np.where(wins, r * kernel[1] + s, winner)
    return best, winner


def max_pool(x: ArrayLike, *, kernel: Pair, stride: Pair, padding: Pair = (0, 0)) -> Array:
    """Largest value of each window; padding counts as minus infinity, a NaN in the window wins."""
    return _max_pool(_f64(x), kernel, stride, padding)[0]


def max_pool_backward(
    x: ArrayLike, dy: ArrayLike, *, kernel: Pair, stride: Pair, padding: Pair = (0, 0)
) -> Array:
    """Each `dy` goes to the first maximum of its window, row by row, or to its last NaN."""
    x, dy = _f64(x), _f64(dy)
    _, winner = _max_pool(x, kernel, stride, padding)
    d_padded = _pad(np.zeros_like(x), padding, 0.0)
    for r, s, d_cell in _taps(d_padded, (dy.shape[2], dy.shape[3]), kernel, stride, (1, 1)):
        d_cell += np.where(winner == r * kernel[1] + s, dy, 0.0)
    return _crop(d_padded, padding)


def _window_sums(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    out = _output_hw(x, kernel, stride, padding, (1, 1))
    y = np.zeros((*x.shape[:2], *out))
    for _, _, cell in _taps(_pad(x, padding, 0.0), out, kernel, stride, (1, 1)):
        y += cell
    return y


def _divisor(
    shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool
) -> Array:
    if count_include_pad:
        return _f64(kernel[0] * kernel[1])
    return _window_sums(np.ones((1, 1, *shape[2:])), kernel, stride, padding)


def avg_pool(
    x: ArrayLike,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    count_include_pad: bool = False,
) -> Array:
    """Mean of each window, over its cells inside the image (or over all of them, padding being 0).

    >>> avg_pool(np.ones((1, 1, 2, 2)), kernel=(3, 3), stride=(1, 1), padding=(1, 1))[0, 0]
    array([[1., 1.],
           [1., 1.]])
    """
    x = _f64(x)
    sums = _window_sums(x, kernel, stride, padding)
    return sums / _divisor(x.shape, kernel, stride, padding, count_include_pad)


def avg_pool_backward(
    x: ArrayLike,
    dy: ArrayLike,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    count_include_pad: bool = False,
) -> Array:
    """Gradient of `avg_pool`; of `x` only the shape matters."""
    x, dy = _f64(x), _f64(dy)
    share = dy / _divisor(x.shape, kernel, stride, padding, count_include_pad)
    d_padded = _pad(np.zeros_like(x), padding, 0.0)
    for _, _, d_cell in _taps(d_padded, (dy.shape[2], dy.shape[3]), kernel, stride, (1, 1)):
        d_cell += share
    return _crop(d_padded, padding)


def global_avg_pool(x: ArrayLike) -> Array:
    """Mean over all positions: (N, C, H, W) -> (N, C, 1, 1)."""
    y: Array = _f64(x).mean(axis=(2, 3), keepdims=True)
    return y


def global_avg_pool_backward(x: ArrayLike, dy: ArrayLike) -> Array:
    """Gradient of `global_avg_pool`; of `x` only the shape matters."""
    x = _f64(x)
    return np.broadcast_to(_f64(dy) / (x.shape[2] * x.shape[3]), x.shape).copy()


# ---- wiring --------------------------------------------------------------------------------------


def add(xs: Sequence[ArrayLike], coef: Sequence[float] | None = None) -> Array:
    """``sum_i coef[i] xs[i]``, in the order given; coefficients are 1 unless said.

    >>> add([[1.0], [2.0]], [1.0, 0.5])
    array([2.])
    """
    coef = [1.0] * len(xs) if coef is None else coef
    y = coef[0] * _f64(xs[0])
    for c, x in zip(coef[1:], xs[1:], strict=True):
        y = y + c * _f64(x)
    return y


def add_backward(dy: ArrayLike, coef: Sequence[float]) -> list[Array]:
    """One gradient per input of `add`: ``coef[i] dy``."""
    return [c * _f64(dy) for c in coef]


def concat(xs: Sequence[ArrayLike]) -> Array:
    """Channels of all inputs, one after the other."""
    return np.concatenate([_f64(x) for x in xs], axis=1)


def concat_backward(xs: Sequence[ArrayLike], dy: ArrayLike) -> list[Array]:
    """One gradient per input of `concat`; of `xs` only the channel counts matter."""
    ends = np.cumsum([_f64(x).shape[1] for x in xs])
    return [part.copy() for part in np.split(_f64(dy), ends[:-1], axis=1)]


def zero(x: ArrayLike, *, stride: int = 1) -> Array:
    """``x[:, :, ::stride, ::stride] * 0``: a NaN or an infinity upstream survives as NaN."""
    return _f64(x)[:, :, ::stride, ::stride] * 0.0


def zero_backward(x: ArrayLike, dy: ArrayLike, *, stride: int = 1) -> Array:
    """Exact zeros for a finite `dy`; of `x` only the shape matters."""
    dx = np.zeros_like(_f64(x))
    dx[:, :, ::stride, ::stride] = _f64(dy) * 0.0
    return dx


def identity(x: ArrayLike) -> Array:
    """A copy of `x`."""
    return _f64(x).copy()


def identity_backward(dy: ArrayLike) -> Array:
    """A copy of `dy`."""
    return _f64(dy).copy()


def shift(x: ArrayLike) -> Array:
    """``x[:, :, 1:, 1:]``: the second half of a factorized reduction."""
    return _f64(x)[:, :, 1:, 1:].copy()


def shift_backward(x: ArrayLike, dy: ArrayLike) -> Array:
    """Gradient of `shift`: a first row and column of zeros; of `x` only the shape matters."""
    dx = np.zeros_like(_f64(x))
    dx[:, :, 1:, 1:] = _f64(dy)
    return dx


def slice_channels(x: ArrayLike, *, channels: int, start: int = 0) -> Array:
    """``x[:, start : start + channels]``."""
    return _f64(x)[:, start : start + channels].copy()


def slice_channels_backward(x: ArrayLike, dy: ArrayLike, *, channels: int, start: int = 0) -> Array:
    """Gradient of `slice_channels`: zeros in the others; of `x` only the shape matters."""
    dx = np.zeros_like(_f64(x))
    dx[:, start : start + channels] = _f64(dy)
    return dx


# ---- losses --------------------------------------------------------------------------------------


def _log_softmax(logits: Array) -> Array:
    shifted: Array = logits - logits.max(axis=1, keepdims=True)
    sums: Array = np.exp(shifted).sum(axis=1, keepdims=True)
    return shifted - np.log(sums)


def cross_entropy(logits: ArrayLike, y: NDArray[np.integer[Any]]) -> float:
    """Mean over the rows of ``-log softmax(logits)[y]``; logits (M, K), y (M,) integers.

    >>> round(cross_entropy(np.zeros((2, 10)), np.array([3, 7])), 6)
    2.302585
    """
    logits = _f64(logits)
    return float(-_log_softmax(logits)[np.arange(len(logits)), y].mean())


def cross_entropy_backward(logits: ArrayLike, y: NDArray[np.integer[Any]]) -> Array:
    """``(softmax(logits) - onehot(y)) / M``."""
    d: Array = np.exp(_log_softmax(_f64(logits)))
    d[np.arange(len(d)), y] -= 1.0
    return d / len(d)


def sum_logits(logits: ArrayLike) -> float:
    """Mean over the rows of the sum of the logits."""
    return float(_f64(logits).sum(axis=1).mean())


def sum_logits_backward(logits: ArrayLike) -> Array:
    """``1 / M`` everywhere."""
    logits = _f64(logits)
    return np.full_like(logits, 1.0 / len(logits))
