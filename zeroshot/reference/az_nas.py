"""The components of AZ-NAS that need a pass (Lee & Ham, CVPR 2024); the fourth is `counts.macs`.

F_0 is the output of the stem, F_1 ... F_M those of the cells (residual blocks included), given as
node ids. The released code draws weights by Kaiming normal, fan-in, and images from N(0, 1); a
component that is not finite is -inf there, and `ranks.az_nas_rank` puts it last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from .nodes import Array, Node
from .outcome import NOT_FINITE, Scored, undefined
from .passes import Forward, backward, forward

__all__ = [
    "az_expressivity",
    "az_progressivity",
    "az_trainability",
    "feature_entropy",
    "pixel_unshuffle",
]


def feature_entropy(feature: ArrayLike) -> float:
    """Entropy of the principal components of one feature (B, C, H, W); NaN if it is constant.

    With p the eigenvalues of the covariance of the channels over all B H W places (divisor B H W,
    not clamped), divided by their sum: ``-sum p log(p + 1e-8)``.

    >>> round(feature_entropy([[[[1.0, -1.0, 1.0, -1.0]], [[1.0, 1.0, -1.0, -1.0]]]]), 6)
    0.693147
    """
    f = np.asarray(feature, dtype=np.float64)
    columns = f.swapaxes(0, 1).reshape(f.shape[1], -1)  # (C, BHW)
    from_first = columns - columns[:, :1]
    centred = from_first - from_first.mean(axis=1, keepdims=True)
    if not np.isfinite(centred).all() or not centred.any():
        return float("nan")
    s = np.linalg.eigvalsh(centred @ centred.T / centred.shape[1])
    p = s / s.sum()
    return float(-(p * np.log(p + 1e-8)).sum())


def _entropies(passed: Forward, features: Sequence[int]) -> list[float] | Scored:
    if len(features) < 2:
        raise ValueError(f"features: expected two or more node ids, got {list(features)}")
    found = [feature_entropy(passed.outputs[i]) for i in features]
    if not all(np.isfinite(passed.outputs[i]).all() for i in features):
        return NOT_FINITE
    return found if np.isfinite(found).all() else undefined("constant_feature")


def az_expressivity(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    *,
    features: Sequence[int],
) -> Scored:
    """Sum of `feature_entropy` over F_0 ... F_M. Larger is better; undefined for constant ones."""
    found = _entropies(forward(nodes, weights, x), features)
    return found if isinstance(found, Scored) else Scored(float(sum(found)))


def az_progressivity(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    *,
    features: Sequence[int],
) -> Scored:
    """Smallest step of `feature_entropy` from one feature to the next. Larger is better."""
    found = _entropies(forward(nodes, weights, x), features)
    if isinstance(found, Scored):
        return found
    return Scored(min(after - before for before, after in pairwise(found)))


def pixel_unshuffle(a: ArrayLike, factor: tuple[int, int]) -> Array:
    """(B, C, H, W) to (B, C f_h f_w, H / f_h, W / f_w): each block of pixels becomes channels."""
    x = np.asarray(a, dtype=np.float64)
    (b, c, h, w), (fh, fw) = x.shape, factor
    blocks = x.reshape(b, c, h // fh, fh, w // fw, fw).transpose(0, 1, 3, 5, 2, 4)
    return blocks.reshape(b, c * fh * fw, h // fh, w // fw)


def az_trainability(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    *,
    features: Sequence[int],
    signs: Sequence[ArrayLike],
) -> Scored:
    """How evenly gradients pass from one feature to the one before.

    The mean over the cells m = 1 ... M of ``-s - 1 / (s + 1e-6) + 2``, where s is the largest
    singular value of ``A = G_in^T G_out / (B H_out W_out)``, rows being places: G_out is given on
    F_m, G_in its vector-Jacobian product at F_{m-1}, unshuffled where F_{m-1} is larger.

    Parameters
    ----------
    signs : sequence of array_like, one per cell
        G_out of F_1 ... F_M, of their shapes; random +-1 in the released code.

    Returns
    -------
    Scored
        Larger is better, 0 at best. A cell that passes no gradient has s = 0 and the term
        ``2 - 1e6``: finite, status "no_signal". A cell whose G_in equals G_out exactly (the
        identity) has the term -inf, and so has the score: "nonfinite", reason "identity_cell".
    """
    if len(features) < 2 or len(signs) != len(features) - 1:
        raise ValueError(
            f"signs: expected one per feature after the first of {len(features)}, got {len(signs)}"
        )
    passed = forward(nodes, weights, x)
    terms, blocked = [], False
    for (before, after), given in zip(pairwise(features), signs, strict=True):
        g_out = np.asarray(given, dtype=np.float64)
        g_in = backward(passed, {after: g_out}).outputs[before]
        if not np.isfinite(g_in).all():
            return NOT_FINITE
        if g_in.shape == g_out.shape and np.array_equal(g_in, g_out):
            terms.append(-np.inf)
            continue
        (b, _, h, w), (h_in, w_in) = g_out.shape, g_in.shape[2:]
        if (h_in, w_in) != (h, w):
            g_in = pixel_unshuffle(g_in, (h_in // h, w_in // w))
        rows_in, rows_out = (g.transpose(0, 2, 3, 1).reshape(b * h * w, -1) for g in (g_in, g_out))
        s = float(np.linalg.svd(rows_in.T @ rows_out / (b * h * w), compute_uv=False)[0])
        blocked = blocked or not g_in.any()
        terms.append(-s - 1.0 / (s + 1e-6) + 2.0)
    value = float(np.mean(terms))
    if not np.isfinite(value):
        return Scored(value, "nonfinite", "identity_cell")
    return Scored(value, "no_signal", "blocked_cell") if blocked else Scored(value)
