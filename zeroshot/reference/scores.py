"""The gradient scores, from gradients to one number, each as its paper writes it.

Gradients come as one array per weight tensor, in network order, as a mapping or a sequence; a
single array is a single tensor.  Where a score compares batches or samples, the first axis counts
them.  A NaN in the gradients comes out as NaN from every sum; an interval holds no NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Gradients",
    "SweetInterval",
    "find_sweet_interval",
    "gradsign",
    "sweet_count",
    "sweet_edges",
    "sweet_histogram",
    "sweetness",
    "xi_gsnr",
]

Gradients = Mapping[str, NDArray[Any]] | Sequence[NDArray[Any]] | NDArray[Any]


def _tensors(grads: Gradients) -> list[NDArray[Any]]:
    if isinstance(grads, np.ndarray):
        return [grads]
    return [np.asarray(g) for g in (grads.values() if isinstance(grads, Mapping) else grads)]


# ---- xi-GSNR -------------------------------------------------------------------------------------


def xi_gsnr(
    grads: Gradients,
    *,
    xi: float = 1e-8,
    variant: Literal["mean2", "inv_var", "inv_var_xi", "gsnr", "xi_gsnr"] = "xi_gsnr",
    accumulate: bool = False,
) -> float:
    """Gradient signal-to-noise ratio summed over weights (Sun et al., ICCV 2023, Eq. 10).

    With mean m and population variance v of a weight's gradient over the batches, the sum over all
    weights of

    ==============  ==================================================================
    ``mean2``       m**2
    ``inv_var``     1 / v, weights with v = 0 left out
    ``inv_var_xi``  1 / (v + xi); a dead weight counts 1 / xi
    ``gsnr``        m**2 / v, weights with v = 0 left out
    ``xi_gsnr``     m**2 / (v + xi); a tensor whose v is 0 everywhere is left out
    ==============  ==================================================================

    The paper does not say what ``inv_var`` and ``gsnr`` do at v = 0; leaving such weights out is
    our reading. The last rule of ``xi_gsnr`` is the released code's.

    Parameters
    ----------
    grads : mapping or sequence of ndarray, each of shape (n_batches, ...)
        Gradient of the mean loss of each batch, each from zero.
    xi : float > 0, in the unit of a squared gradient
    variant : str
        One of the five rows above.
    accumulate : bool
        Replace the gradients by their running sums over the batches, which is what the released
        code sees on NAS-Bench-201 and NDS, where it never zeroes them.

    Returns
    -------
    float
        Larger means better expected accuracy; no unit, not comparable between data sets.

    Raises
    ------
    ValueError
        If a tensor has fewer than two batches, `xi` is not positive or `variant` is unknown.

    Examples
    --------
    >>> xi_gsnr(np.array([[1.0], [3.0]]), xi=1.0)
    2.0
    >>> xi_gsnr(np.array([[1.0], [3.0]]), xi=1.0, variant="gsnr")
    4.0
    """
    if variant not in ("mean2", "inv_var", "inv_var_xi", "gsnr", "xi_gsnr"):
        raise ValueError(
            "variant: expected 'mean2', 'inv_var', 'inv_var_xi', 'gsnr' or 'xi_gsnr', "
            f"got {variant!r}"
        )
    if not xi > 0:
        raise ValueError(f"xi: expected a positive number, got {xi}")
    total = 0.0
    for g in _tensors(grads):
        if g.ndim < 1 or len(g) < 2:
            raise ValueError(f"grads: expected at least two batches on axis 0, got shape {g.shape}")
        rows = g.astype(np.float64)
        mean, var = _moments(np.cumsum(rows, axis=0) if accumulate else rows)
        some = var != 0  # not var > 0: a NaN has to reach the sum
        if variant == "mean2":
            terms = mean**2
        elif variant == "inv_var":
            terms = 1.0 / var[some]
        elif variant == "inv_var_xi":
            terms = 1.0 / (var + xi)
        elif variant == "gsnr":
            terms = mean[some] ** 2 / var[some]
        else:
            terms = mean**2 / (var + xi) if some.any() else np.zeros(0)
        total += float(terms.sum())
    return total


def _moments(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and population variance over axis 0, in two passes.

    Measured from the first row, so that equal rows have a variance of exactly 0: the rounded mean
    of three equal numbers need not be that number.
    """
    from_first = rows - rows[0]
    mean = from_first.mean(axis=0)
    return rows[0] + mean, ((from_first - mean) ** 2).mean(axis=0)


# ---- GradSign ------------------------------------------------------------------------------------


def gradsign(
    grads: Gradients, *, reduction: Literal["sum", "mean"] = "sum", zero_tol: float = 0.0
) -> float:
    """Agreement of the signs of per-sample gradients (Zhang & Jia, ICLR 2022, Alg. 1).

    ``sum_k |sum_i sign(g_ik)|`` over weights k and samples i, with sign(0) = 0.

    Parameters
    ----------
    grads : mapping or sequence of ndarray, each of shape (n_samples, ...)
        Gradient of each sample's loss, every sample run alone.
    reduction : {"sum", "mean"}
        Over the weights: the paper sums, the released search scripts take the mean.
    zero_tol : float >= 0
        ``|g| <= zero_tol`` has sign 0. Some gradients are zero in real arithmetic and rounding
        noise in practice, whose signs mean nothing.

    Returns
    -------
    float
        Larger is better; an integer up to n_samples times the number of weights for "sum".
        The released code drops a NaN, here it makes the score NaN.

    Examples
    --------
    >>> gradsign(np.array([[1.0, -2.0, 0.0], [3.0, 4.0, 1e-15]]))
    3.0
    >>> gradsign(np.array([[1.0, -2.0, 0.0], [3.0, 4.0, 1e-15]]), zero_tol=1e-12)
    2.0
    """
    if reduction not in ("sum", "mean"):
        raise ValueError(f"reduction: expected 'sum' or 'mean', got {reduction!r}")
    if not zero_tol >= 0:
        raise ValueError(f"zero_tol: expected a number >= 0, got {zero_tol}")
    total, n_weights = 0.0, 0
    for g in _tensors(grads):
        signs = np.where(np.abs(g) <= zero_tol, 0.0, np.sign(g))
        agreement = np.abs(signs.sum(axis=0))
        total += float(agreement.sum())
        n_weights += agreement.size
    return total if reduction == "sum" else total / n_weights


# ---- Sweetimator ---------------------------------------------------------------------------------


def _count_from(g: NDArray[Any], edge: float) -> int:
    """How many ``|g| >= edge``, compared in the precision of `g`."""
    return int(np.count_nonzero(np.abs(g) >= np.asarray(edge, dtype=g.dtype)))


def sweet_count(grads: Gradients, lo: float, hi: float) -> int:
    """Number of gradients with ``lo <= |g| < hi`` (Sweetimator, Eq. 1).

    Gradients of the mean loss of one batch. A float32 gradient meets the edges rounded to float32.
    NaN lies in no interval.

    >>> sweet_count(np.array([0.0, 1e-4, -3e-4, 5e-4, np.nan]), 1e-4, 5e-4)
    2
    """
    return sum(_count_from(g, lo) - _count_from(g, hi) for g in _tensors(grads))


def sweet_histogram(grads: Gradients, edges: ArrayLike) -> NDArray[np.int64]:
    """`sweet_count` of every interval ``[edges[i], edges[i + 1])``, one row per tensor.

    >>> sweet_histogram([np.array([0.5, -1.5, 9.0]), np.array([1.0])], [0.0, 1.0, 2.0])
    array([[1, 1],
           [0, 1]])
    """
    borders = [float(e) for e in np.asarray(edges, dtype=np.float64)]
    if len(borders) < 2 or any(not a < b for a, b in pairwise(borders)):
        raise ValueError(f"edges: expected two or more increasing numbers, got {borders}")
    at_least = [[_count_from(g, e) for e in borders] for g in _tensors(grads)]
    return -np.diff(np.array(at_least, dtype=np.int64).reshape(-1, len(borders)), axis=1)


def sweet_edges(
    which: Literal["paper", "released"] = "paper", *, split: int = 2
) -> NDArray[np.float64]:
    """Interval borders of Sweetimator, each the double nearest to the exact number.

    Parameters
    ----------
    which : {"paper", "released"}
        The paper's list is 0, 1e-10 and, in each decade (10**k, 10**(k + 1)] up to 10, the `split`
        multiples of ``10**(k + 1) / split``: 2 + 11 split edges. The released list is 0 and
        5e-10 ... 5 in halves of decades, without 1e-10 and 10.
    split : int
        2 to 5; "released" has 2 only. The text has an example for 2, the others follow its rule.

    Examples
    --------
    >>> sweet_edges()[:5]
    array([0.e+00, 1.e-10, 5.e-10, 1.e-09, 5.e-09])
    >>> len(sweet_edges()), len(sweet_edges("released"))
    (24, 22)
    """
    if which not in ("paper", "released"):
        raise ValueError(f"which: expected 'paper' or 'released', got {which!r}")
    if split not in (2, 3, 4, 5) or (which == "released" and split != 2):
        raise ValueError(f"split: expected 2, 3, 4 or 5, and 2 for 'released', got {split}")
    # exact fractions, rounded once: repeated multiplication would drift off the decimals
    tops = [Fraction(f"1e{k + 1}") for k in range(-10, 1)]
    steps = [float(top * j / split) for top in tops for j in range(1, split + 1)]
    return np.array([0.0, *steps[:-1]] if which == "released" else [0.0, 1e-10, *steps])


@dataclass(frozen=True, eq=False)
class SweetInterval:
    """The interval that Algorithm 1 of Sweetimator picks.

    Attributes
    ----------
    index : int or None
        ``[edges[index], edges[index + 1])``; None if no interval beats the start value.
    sweetness : float
        Its sweetness, or the start value.
    values : ndarray, shape (n_intervals,)
        Sweetness of every interval.
    """

    index: int | None
    sweetness: float
    values: NDArray[np.float64] = field(repr=False)


def _exact_sweetness(hits: Sequence[NDArray[Any]], sizes: Sequence[NDArray[Any]]) -> list[Fraction]:
    if not hits or len(hits) != len(sizes):
        raise ValueError(
            f"hits, sizes: expected one entry per architecture, got {len(hits)} and {len(sizes)}"
        )
    n_intervals = np.asarray(hits[0]).shape[-1]
    sums = [Fraction(0)] * n_intervals
    for h, size in zip(hits, sizes, strict=True):
        # a layer without weights has the proportion 0 / 1; Python's integers cannot overflow
        layers = [max(1, int(s)) for s in size]
        if np.asarray(h).shape != (len(layers), n_intervals):
            raise ValueError(
                f"hits: expected shape ({len(layers)}, {n_intervals}), got {np.asarray(h).shape}"
            )
        for i in range(n_intervals):
            counts = [int(c) for c in np.asarray(h)[:, i]]
            steps = [
                counts[m + 1] * layers[m] - counts[m] * layers[m + 1]
                for m in range(len(layers) - 1)
            ]
            rises = sum((step > 0) - (step < 0) for step in steps)
            sums[i] += Fraction(rises, max(1, len(steps)))
    return [s / len(hits) for s in sums]


def sweetness(hits: Sequence[NDArray[Any]], sizes: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """How steadily the share of gradients in an interval grows with depth (Sweetimator, Eq. 3).

    ``1/n sum_k 1/(l_k - 1) sum_i sign(prop_{i+1} - prop_i)`` over n architectures with l_k layers,
    where ``prop_i`` is the share of layer i's weights whose gradient lies in the interval. Shares
    are compared as fractions of integers, so equal ones are equal.

    Parameters
    ----------
    hits : sequence of int ndarray, shape (n_layers, n_intervals)
        One per architecture: weights of each layer (a cell) in each interval, in network order.
    sizes : sequence of int ndarray, shape (n_layers,)
        One per architecture: weights of each layer, dead ones included.

    Returns
    -------
    ndarray, shape (n_intervals,)
        In [-1, 1].

    Examples
    --------
    >>> sweetness([np.array([[1, 6], [2, 3], [4, 3]])], [np.array([9, 9, 9])])
    array([ 1. , -0.5])
    """
    return np.array([float(s) for s in _exact_sweetness(hits, sizes)])


def find_sweet_interval(
    hits: Sequence[NDArray[Any]],
    sizes: Sequence[NDArray[Any]],
    *,
    rule: Literal["paper", "released"] = "paper",
) -> SweetInterval:
    """Interval of the largest sweetness, the lowest one on ties (Sweetimator, Algorithm 1).

    Parameters
    ----------
    hits, sizes
        As for `sweetness`.
    rule : {"paper", "released"}
        The paper starts from -1 and no interval, the released code from 0 and the first interval;
        both move on only to a strictly larger sweetness.

    Examples
    --------
    >>> find_sweet_interval([np.array([[1, 1], [2, 2]])], [np.array([9, 9])])
    SweetInterval(index=0, sweetness=1.0)
    """
    if rule not in ("paper", "released"):
        raise ValueError(f"rule: expected 'paper' or 'released', got {rule!r}")
    values = _exact_sweetness(hits, sizes)
    best, index = (Fraction(-1), None) if rule == "paper" else (Fraction(0), 0)
    for i, value in enumerate(values):
        if value > best:
            best, index = value, i
    return SweetInterval(index, float(best), np.array([float(v) for v in values]))
