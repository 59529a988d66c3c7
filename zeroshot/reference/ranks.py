"""Scores of an architecture among others: sums of ranks over a pool."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .nodes import Array

__all__ = ["average_ranks", "az_nas_rank", "te_nas_rank"]


def average_ranks(values: ArrayLike) -> Array:
    """Rank of each value, 1 for the smallest; equal values share the mean of their ranks.

    A NaN ranks with minus infinity, lowest.

    >>> average_ranks([3.0, 1.0, 3.0, float("nan")])
    array([3.5, 2. , 3.5, 1. ])
    """
    v = np.asarray(values, dtype=np.float64)
    v = np.where(np.isnan(v), -np.inf, v)
    below = (v[None, :] < v[:, None]).sum(axis=1)
    equal = (v[None, :] == v[:, None]).sum(axis=1)
    ranks: Array = below + (equal + 1) / 2
    return ranks


def az_nas_rank(components: Sequence[ArrayLike]) -> Array:
    """AZ-NAS score of every architecture of a pool (Lee & Ham, CVPR 2024).

    ``sum_k log(rank_k / l)`` over the components k (expressivity, progressivity, trainability,
    complexity), where rank l of l is the best; NaN ranks lowest.

    Parameters
    ----------
    components : sequence of array_like, each of shape (l,)
        Larger is better in each.

    Returns
    -------
    ndarray, shape (l,)
        0 at best. One architecture's score depends on the pool.

    Examples
    --------
    >>> az_nas_rank([[1.0, 2.0], [5.0, 5.0]]).round(4)
    array([-0.9808, -0.2877])
    """
    ranks = np.stack([average_ranks(c) for c in components])
    total: Array = np.log(ranks / ranks.shape[1]).sum(axis=0)
    return total


def te_nas_rank(ntk_conditions: ArrayLike, regions: ArrayLike) -> Array:
    """TE-NAS as a score: rank of ``-ntk_condition`` plus rank of ``linear_regions``.

    As AZ-NAS compares it, over a pool; larger is better. Leave out architectures whose kernel is
    undefined, or give NaN, which ranks lowest.

    >>> te_nas_rank([10.0, 20.0, 30.0], [5.0, 7.0, 7.0])
    array([4. , 4.5, 3.5])
    """
    kappa = np.asarray(ntk_conditions, dtype=np.float64)
    return average_ranks(-kappa) + average_ranks(regions)
