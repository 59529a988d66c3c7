"""Scores made of the gradients of the logits themselves, image by image: no loss.

The images of the batch go through together and share batch-norm statistics, so the gradient of one
image's logits also reaches the other images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from .nodes import Array, Node, counted_weights
from .outcome import NOT_FINITE, Scored, undefined
from .passes import backward, forward

__all__ = [
    "correlation",
    "epe_nas",
    "epe_nas_of_jacobian",
    "input_jacobian",
    "jacob_cov",
    "jacob_cov_of_jacobian",
    "ntk",
    "ntk_condition",
    "ntk_condition_of_gram",
]

EPS = float(np.finfo(np.float64).eps)


def input_jacobian(nodes: Sequence[Node], weights: Mapping[str, ArrayLike], x: ArrayLike) -> Array:
    """Gradient of the sum of all logits of the batch with respect to the images, (M, C H W)."""
    passed = forward(nodes, weights, x)
    dx = backward(passed, np.ones_like(passed.logits)).outputs[nodes[0]["id"]]
    return dx.reshape(len(dx), -1)


def correlation(rows: ArrayLike) -> Array:
    """Pearson correlation of the rows; NaN in the row and column of a constant one.

    Rows are measured from their first entry, so that equal entries have a variance of exactly 0,
    and all sums go in one order, so that equal rows have a correlation of exactly 1.

    >>> correlation([[1.0, 2.0], [3.0, 1.0]])
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    r = np.asarray(rows, dtype=np.float64)
    from_first = r - r[:, :1]
    centred = from_first - from_first.mean(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        centred = centred / np.abs(centred).max(axis=1, keepdims=True)  # squares stay in range
        cov = np.einsum("ik,jk->ij", centred, centred)
        own = np.diag(cov)
        found: Array = cov / np.sqrt(own[:, None] * own[None, :])
    return np.clip(found, -1.0, 1.0)


def jacob_cov_of_jacobian(jacobian: ArrayLike, *, k: float = 1e-5) -> Scored:
    """`jacob_cov` of a given Jacobian, one row per image.

    Examples
    --------
    Uncorrelated rows have eigenvalues 1 and the largest possible score, -B:

    >>> rows = np.array([[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]])
    >>> round(jacob_cov_of_jacobian(rows).value, 6)
    -2.0
    """
    j = np.asarray(jacobian, dtype=np.float64)
    if not np.isfinite(j).all():
        return NOT_FINITE
    if len(j) < 2:
        return undefined("one_image")
    corr = correlation(j)
    if not np.isfinite(corr).all():
        return undefined("constant_row")
    v = np.maximum(np.linalg.eigvalsh(corr), 0.0)
    return Scored(float(-(np.log(v + k) + 1.0 / (v + k)).sum()))


def jacob_cov(
    nodes: Sequence[Node], weights: Mapping[str, ArrayLike], x: ArrayLike, *, k: float = 1e-5
) -> Scored:
    """Correlation of input Jacobians (Mellor et al., first version of 2020; ``jacov`` in NASLib).

    With v the eigenvalues of the correlation matrix of the rows of `input_jacobian`:
    ``-sum_i [log(v_i + k) + 1 / (v_i + k)]``. Here by a symmetric solver, clamped at 0; the
    released code has a general one, whose rounding can leave tiny negative or complex values.

    Returns
    -------
    Scored
        Larger is better, -B at best. Equal images leave it finite: an eigenvalue of 0 costs 1 / k.
        One image, or an image whose Jacobian is constant (all 0, say), leaves it undefined.
    """
    return jacob_cov_of_jacobian(input_jacobian(nodes, weights, x), k=k)


def epe_nas_of_jacobian(
    jacobian: ArrayLike, y: ArrayLike, *, many: bool = False, k: float = 1e-5
) -> Scored:
    """`epe_nas` of a given Jacobian, one row per image.

    >>> round(epe_nas_of_jacobian([[1.0, 2.0], [3.0, 1.0]], [0, 1]).value * 1e5, 3)
    2.0
    """
    j, labels = np.asarray(jacobian, dtype=np.float64), np.asarray(y)
    if labels.shape != (len(j),):
        raise ValueError(f"y: expected {len(j)} labels, got shape {labels.shape}")
    if not np.isfinite(j).all():
        return NOT_FINITE
    scores = []
    for c in np.unique(labels):
        rows = j[labels == c]
        if many and len(rows) < 2:
            continue
        corr = correlation(rows)
        if not np.isfinite(corr).all():
            return undefined("constant_row")
        s = float(np.log(np.abs(corr) + k).sum())
        scores.append(s / len(rows) if many else s)
    if not scores:
        return undefined("no_pair_in_any_class")
    if not many:
        return Scored(float(sum(abs(s) for s in scores)))
    return Scored(float(sum(abs(a - b) for a in scores for b in scores) / len(scores)))


def epe_nas(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    y: ArrayLike,
    *,
    many: bool = False,
    k: float = 1e-5,
) -> Scored:
    """Correlation of input Jacobians within classes (EPE-NAS, Lopes et al., 2021).

    For each class c of `y`, ``s_c = sum log(|corr_c| + k)`` over all entries of the correlation
    matrix of its rows of `input_jacobian`.

    Parameters
    ----------
    y : array_like of int, shape (M,)
        Classes, for grouping only.
    many : bool
        False, for up to 100 classes: ``sum_c |s_c|``; a class of one image has s_c = log(1 + k).
        True, for more (ImageNet16-120): each s_c is divided by the class's number of images,
        classes of one image are left out, and the score is ``sum_cd |s_c - s_d| / number of
        classes``, each pair twice.

    Returns
    -------
    Scored
        Larger is better. Undefined where an image's Jacobian is constant, and for `many` where no
        class has two images.
    """
    return epe_nas_of_jacobian(input_jacobian(nodes, weights, x), y, many=many, k=k)


# ---- neural tangent kernel -----------------------------------------------------------------------


def ntk(nodes: Sequence[Node], weights: Mapping[str, ArrayLike], x: ArrayLike) -> Array:
    """Gram matrix (M, M) of the gradients of each image's summed logits, in one joint pass.

    With respect to W and the scales of all batch norms: what is named ``weight`` in PyTorch.
    """
    passed = forward(nodes, weights, x)
    names = counted_weights(nodes)
    names += dict.fromkeys(n["weights"]["gamma"] for n in nodes if "gamma" in n["weights"])
    rows = []
    for i in range(len(passed.logits)):
        seed = np.zeros_like(passed.logits)
        seed[i] = 1.0
        g = backward(passed, seed).weights
        rows.append(np.concatenate([g[name].ravel() for name in names]))
    matrix = np.stack(rows)
    gram: Array = matrix @ matrix.T
    return gram


def ntk_condition_of_gram(gram: ArrayLike) -> Scored:
    """`ntk_condition` of a given Gram matrix.

    >>> ntk_condition_of_gram([[2.0, 0.0], [0.0, 0.5]]).value
    4.0
    """
    theta = np.asarray(gram, dtype=np.float64)
    if not np.isfinite(theta).all():
        return NOT_FINITE
    if not theta.any():
        return undefined("all_zero")
    values = np.linalg.eigvalsh(theta)
    smallest, largest = float(values[0]), float(values[-1])
    if smallest <= len(theta) * EPS * largest:
        return undefined("singular")
    return Scored(largest / smallest)


def ntk_condition(nodes: Sequence[Node], weights: Mapping[str, ArrayLike], x: ArrayLike) -> Scored:
    """Condition number of the neural tangent kernel (TE-NAS, Chen et al., ICLR 2021).

    ``lambda_max / lambda_min`` of `ntk`.

    Returns
    -------
    Scored
        **Smaller** is better. Undefined for an all-zero kernel (0 / 0; released codes say 100000 or
        0) and a singular one, ``lambda_min <= M eps lambda_max``, as two equal images make it
        (released codes give rounding noise of either sign).
    """
    return ntk_condition_of_gram(ntk(nodes, weights, x))
