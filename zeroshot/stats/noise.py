"""How far any score of a network could get, when equal networks train to different accuracies."""

from __future__ import annotations

__all__ = ["Ceiling", "noise_ceiling"]

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroshot.inputs import check_int
from zeroshot.stats._values import Array, as_values
from zeroshot.stats.correlation import rho


@dataclass(frozen=True)
class Ceiling:
    """Spearman's rho that a perfect score could expect.

    Attributes
    ----------
    value : float
        The ceiling; NaN without two pairs of equal architectures.
    reliability : float
        Spearman's rho between the accuracies of two trainings of the same thing, mean over splits.
    by_others : float
        Rho between an accuracy and the mean of the others of its group: a score that exists, so
        the ceiling is about this or higher, whatever the model.
    n, n_groups : int
        Architectures in groups of two or more, and these groups. Nothing else is used.
    n_single, n_nan : int
        Architectures alone in their group; those without an accuracy.
    n_splits : int
    """

    value: float
    reliability: float
    by_others: float
    n: int
    n_groups: int
    n_single: int
    n_nan: int
    n_splits: int


def noise_ceiling(
    accuracy: ArrayLike, groups: Sequence[Hashable], *, n_splits: int = 200, seed: int = 0
) -> Ceiling:
    """Expected largest Spearman's rho, from architectures that are the same but trained apart.

    A score that is a function of the group g, the network, cannot know the noise e of one training:
    ``accuracy = m_g + e``. Members of a group are paired off at random (an odd one sits out); rho
    between the first and the second of all pairs is the reliability of one training. If m_g and e
    are normal after some monotone change of scale, with r the share of m_g in the variance, two
    trainings correlate by r and m_g with one training by sqrt(r), in Pearson's sense; Spearman's
    rho of a normal pair is ``6/pi asin(r/2)``. Hence

        r = 2 sin(pi reliability / 6),   value = 6/pi asin(sqrt(r) / 2).

    Noise that differs between groups breaks the model; `Ceiling.by_others` needs none. Only groups
    of two or more speak, which in NAS-Bench-201 are cells with `none` or `skip_connect`: their
    accuracies spread more than those of the whole space, so its own ceiling is different, and lower
    where accuracies lie closer.

    Parameters
    ----------
    accuracy : array_like, shape (n,)
    groups : sequence, length n
        What is equal in networks that are the same, such as the canonical form of a cell.
    n_splits : int
        Random pairings to average over.
    seed : int

    Returns
    -------
    Ceiling

    Examples
    --------
    >>> found = noise_ceiling([10, 10.5, 20, 20.5, 30, 30.5, 40], list("aabbccd"))
    >>> found.value, found.n, found.n_groups, found.n_single
    (1.0, 6, 3, 1)
    """
    a = as_values("accuracy", accuracy)
    if not hasattr(groups, "__len__"):
        raise TypeError(f"groups: expected a name for each accuracy, got {groups!r:.60}")
    if len(groups) != len(a):
        raise ValueError(
            f"expected arrays of one length, got accuracy {len(a)}, groups {len(groups)}"
        )
    check_int("n_splits", n_splits, 1)
    check_int("seed", seed, 0)
    missing = np.isnan(a)
    number: dict[Hashable, int] = {}
    try:
        labels = [number.setdefault(g, len(number)) for g in groups]
    except TypeError as error:
        raise TypeError(f"groups: expected names, such as strings, got {error}") from None
    a, label = a[~missing], np.array(labels, dtype=np.int64)[~missing]
    size = np.bincount(label, minlength=len(number))
    several = size[label] > 1
    a, label = a[several], label[several]
    rng = np.random.default_rng(seed)
    found = [_split_rho(a, label, rng) for _ in range(n_splits)]
    reliability = float(np.mean(found)) if not np.isnan(found).any() else math.nan
    sums = np.bincount(label, weights=a, minlength=len(number))
    others = (sums[label] - a) / (size[label] - 1)
    return Ceiling(
        value=_of_mean(reliability),
        reliability=reliability,
        by_others=rho(others, a),
        n=len(a),
        n_groups=int((size > 1).sum()),
        n_single=int((size == 1).sum()),
        n_nan=int(missing.sum()),
        n_splits=n_splits,
    )


def _of_mean(reliability: float) -> float:
    """Rho of the mean and one training, from that of two trainings; 0 if it is negative."""
    if not 0 < reliability < 1:
        return max(reliability, 0.0) if not math.isnan(reliability) else math.nan
    r = 2 * math.sin(math.pi * reliability / 6)
    return 6 / math.pi * math.asin(math.sqrt(r) / 2)


def _split_rho(a: Array, label: NDArray[np.int64], rng: np.random.Generator) -> float:
    """Rho over one random pairing of the members of every group."""
    order = rng.permutation(len(a))
    order = order[np.argsort(label[order], kind="stable")]
    ordered = label[order]
    place = np.arange(len(a)) - np.searchsorted(ordered, ordered)  # within the group
    first = np.flatnonzero((place[:-1] % 2 == 0) & (ordered[:-1] == ordered[1:]))
    return rho(a[order[first]], a[order[first + 1]])
