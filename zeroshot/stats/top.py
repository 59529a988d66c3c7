"""Precision at the top K: how many of the K best are among the K that a score ranks highest."""

from __future__ import annotations

__all__ = ["TopPrecision", "precision_at_top"]

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from zeroshot.inputs import check_int, check_real
from zeroshot.stats._values import Array, Nan, as_values, same_length, without_nan


@dataclass(frozen=True)
class TopPrecision:
    """Precision at the top K.

    Attributes
    ----------
    value : float
        Expected share, from 0 to 1.
    k, n : int
        K, and how many architectures there are; a random order has k / n.
    n_nan : int
        Pairs that hold a NaN.
    n_tied_scores, n_tied_accuracy : int
        How many share the value of the last one of the top, if not all of them are in it; 0 if the
        top is unambiguous.
    """

    value: float
    k: int
    n: int
    n_nan: int
    n_tied_scores: int
    n_tied_accuracy: int

    def __float__(self) -> float:
        return self.value


def _top_share(values: Array, k: int) -> tuple[Array, int]:
    """Probability of each to be in the top k when ties are broken at random; the ties at its edge.

    All above the k-th largest value are in it; those equal to it share the places that are left.
    """
    last = np.partition(values, len(values) - k)[len(values) - k]
    above, equal = values > last, values == last
    places, n_equal = k - int(above.sum()), int(equal.sum())
    return above + equal * (places / n_equal), n_equal if n_equal > places else 0


def precision_at_top(
    scores: ArrayLike,
    accuracy: ArrayLike,
    *,
    fraction: float | None = None,
    k: int | None = None,
    nan: Nan = "omit",
) -> TopPrecision:
    """Share of the K most accurate architectures among the K with the highest scores (P@TopK).

    Where several share the value of the K-th place, this is the expected value over random orders
    of the ties on each side, drawn independently: with p_i and q_i the probabilities that i is in
    the top by score and by accuracy, ``sum_i p_i q_i / K``.

    Parameters
    ----------
    scores, accuracy : array_like, shape (n,)
    fraction : float
        K as a share of n, rounded down (0.05 of 15,625 is 781).
    k : int
        K itself; exactly one of the two is given.
    nan : {"omit", "lowest", "raise"}
        As in `spearman`.

    Returns
    -------
    TopPrecision

    Raises
    ------
    ValueError
        If K is not from 1 to n.

    Examples
    --------
    >>> precision_at_top([3, 2, 1, 1], [40, 30, 20, 10], k=3).value  # doctest: +ELLIPSIS
    0.833...
    """
    s, a = as_values("scores", scores), as_values("accuracy", accuracy)
    same_length({"scores": s, "accuracy": a})
    s, a, n_nan = without_nan(s, a, nan)
    if (fraction is None) == (k is None):
        raise TypeError("expected one of fraction and k")
    if fraction is not None:
        share = check_real("fraction", fraction, "a number above 0 and up to 1")
        k = math.floor(share * len(s) + 1e-9)  # 0.29 of 100 is 29, not 28
        if not 1 <= k <= len(s):
            raise ValueError(f"fraction: {share} of {len(s)} pairs is {k}; expected 1 to {len(s)}")
    top = check_int("k", k, 1, max(1, len(s)))
    if not len(s):
        raise ValueError("scores, accuracy: expected at least one pair without NaN")
    p, n_tied_scores = _top_share(s, top)
    q, n_tied_accuracy = _top_share(a, top)
    return TopPrecision(float(p @ q) / top, top, len(s), n_nan, n_tied_scores, n_tied_accuracy)
