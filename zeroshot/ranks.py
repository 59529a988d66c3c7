"""Scores of an architecture among others: sums of ranks over a pool."""

from __future__ import annotations

__all__ = ["az_nas_rank", "te_nas_rank"]

import numpy as np
from numpy.typing import ArrayLike, NDArray


def _average_ranks(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """1 for the smallest; equal values share the mean of their ranks, and NaN ranks lowest."""
    v = np.asarray(values, dtype=np.float64)
    if v.ndim != 1 or v.size == 0:
        raise ValueError(f"{name}: expected at least one value on one axis, got shape {v.shape}")
    v = np.where(np.isnan(v), -np.inf, v)
    _, group, count = np.unique(v, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[group]


def az_nas_rank(
    expressivity: ArrayLike,
    progressivity: ArrayLike,
    trainability: ArrayLike,
    complexity: ArrayLike,
) -> NDArray[np.float64]:
    """AZ-NAS score of every architecture of a pool (Lee and Ham, CVPR 2024).

    ``sum_k log(rank_k / l)`` over the four components, where rank l of l is the best and equal
    values share the mean of their ranks.

    Parameters
    ----------
    expressivity, progressivity, trainability : array_like, shape (l,)
        Values of `AzExpressivity`, `AzProgressivity` and `AzTrainability`; NaN ranks lowest, as the
        released code's -inf does.
    complexity : array_like, shape (l,)
        FLOPs of each.

    Returns
    -------
    ndarray, shape (l,)
        Larger is better, 0 at best. An architecture's score depends on the pool.

    Raises
    ------
    ValueError
        If the lengths differ or are 0.

    Examples
    --------
    >>> az_nas_rank([1.0, 2.0], [0.1, 0.2], [-1.0, -1.0], [5.0, 4.0]).round(4)
    array([-1.674 , -0.9808])
    """
    parts = {
        "expressivity": expressivity,
        "progressivity": progressivity,
        "trainability": trainability,
        "complexity": complexity,
    }
    ranks = [_average_ranks(values, name) for name, values in parts.items()]
    lengths = {name: len(rank) for name, rank in zip(parts, ranks, strict=True)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"expected components of one length, got {lengths}")
    total: NDArray[np.float64] = np.log(np.stack(ranks) / len(ranks[0])).sum(axis=0)
    return total


def te_nas_rank(ntk_condition: ArrayLike, linear_regions: ArrayLike) -> NDArray[np.float64]:
    """TE-NAS as a score over a pool: rank of the negative condition number plus rank of regions.

    So AZ-NAS compares it; TE-NAS itself (Chen et al., ICLR 2021) ranks steps of a search.

    Parameters
    ----------
    ntk_condition, linear_regions : array_like, shape (l,)
        Values of `NtkCondition` and `LinearRegions`; NaN ranks lowest.

    Returns
    -------
    ndarray, shape (l,)
        Larger is better, from 2 to 2 l.

    Raises
    ------
    ValueError
        If the lengths differ or are 0.

    Examples
    --------
    >>> te_nas_rank([10.0, 20.0, 30.0], [5.0, 7.0, 7.0])
    array([4. , 4.5, 3.5])
    """
    kappa = np.asarray(ntk_condition, dtype=np.float64)
    first = _average_ranks(-kappa, "ntk_condition")
    second = _average_ranks(linear_regions, "linear_regions")
    if len(first) != len(second):
        raise ValueError(
            f"ntk_condition, linear_regions: expected one length, got {len(first)}, {len(second)}"
        )
    return first + second
