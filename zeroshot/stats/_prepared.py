"""Statistics in a form that is quick to take again over resampled rows.

A resample of n rows is n counts. Average ranks of a resample follow from the counts in the sorted
order of the original values, and tau-b from the signs of all pairs weighted by the products of
counts, so no resample is sorted.
"""

from __future__ import annotations

__all__ = ["Prepared", "Statistic", "prepare"]

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from zeroshot.stats._values import Array
from zeroshot.stats.correlation import kendall, rho, spearman, tau_b

Statistic: TypeAlias = str | Callable[..., Any]
Rows: TypeAlias = NDArray[np.int64]

_PAIRS = 1500  # rows up to which the signs of all pairs are kept: 3 matrices of 18 MB


class Prepared(Protocol):
    """A statistic of fixed arrays of n rows."""

    def value(self) -> float:
        """Of the rows as they are."""

    def resampled(self, rows: Rows) -> Array:
        """Of each resample; rows (n_resamples, n) are indices."""

    def left_out(self) -> Array:
        """Without row i, for each i."""


class _Called:
    """Any function of the arrays."""

    def __init__(self, statistic: Callable[..., Any], arrays: Sequence[Array]) -> None:
        self.statistic, self.arrays = statistic, arrays

    def value(self) -> float:
        return float(self.statistic(*self.arrays))

    def resampled(self, rows: Rows) -> Array:
        return np.array([float(self.statistic(*(a[r] for a in self.arrays))) for r in rows])

    def left_out(self) -> Array:
        each = np.arange(len(self.arrays[0]))
        return np.array([float(self.statistic(*(a[each != i] for a in self.arrays))) for i in each])


class _Spearman:
    """Spearman's rho from counts of rows."""

    def __init__(self, scores: Array, accuracy: Array) -> None:
        self.arrays = scores, accuracy
        self.groups = [np.unique(v, return_inverse=True)[1] for v in self.arrays]

    def value(self) -> float:
        return rho(*self.arrays)

    def _of(self, counts: Array) -> float:
        middle = (counts.sum() + 1) / 2
        offsets, squares = [], []
        for group in self.groups:
            size = np.bincount(group, weights=counts)
            offset = np.cumsum(size) - (size - 1) / 2 - middle  # of the group's rank
            squares.append((size * offset**2).sum())
            offsets.append(offset[group])
        scale = np.sqrt(squares[0] * squares[1])
        product = (counts * offsets[0] * offsets[1]).sum()  # BLAS would wake its threads
        return float(np.clip(product / scale, -1, 1)) if scale > 0 else np.nan

    def resampled(self, rows: Rows) -> Array:
        n = rows.shape[1]
        return np.array([self._of(np.bincount(r, minlength=n).astype(np.float64)) for r in rows])

    def left_out(self) -> Array:
        counts = np.ones(len(self.arrays[0]))
        values = np.empty(len(counts))
        for i in range(len(counts)):
            counts[i] = 0
            values[i] = self._of(counts)
            counts[i] = 1
        return values


class _Kendall:
    """Kendall's tau-b: with s and t the signs of differences, sum s t / sqrt(sum s^2 sum t^2).

    Row i is a copy of row i in a resample, which adds 0 to each of the three sums.
    """

    def __init__(self, scores: Array, accuracy: Array) -> None:
        self.arrays = scores, accuracy
        self.signs: list[Array] | None = None
        if len(scores) <= _PAIRS:
            s, t = (np.sign(v[:, None] - v[None, :]) for v in map(_dense, self.arrays))
            self.signs = [s * t, abs(s), abs(t)]

    def value(self) -> float:
        return tau_b(*self.arrays)

    def resampled(self, rows: Rows) -> Array:
        if self.signs is None:
            s, a = self.arrays
            return np.array([tau_b(s[r], a[r]) for r in rows])
        n = rows.shape[1]
        counts = np.stack([np.bincount(r, minlength=n) for r in rows]).astype(np.float64)
        return _ratio(*(np.einsum("ri,ri->r", counts @ pairs, counts) for pairs in self.signs))

    def left_out(self) -> Array:
        sums = np.zeros((3, len(self.arrays[0])))  # of all pairs with row i
        s, t = map(_dense, self.arrays)
        for i in range(len(s)):
            ds, dt = np.sign(s - s[i]), np.sign(t - t[i])
            sums[:, i] = (ds * dt).sum(), abs(ds).sum(), abs(dt).sum()
        return _ratio(*(total.sum() - 2 * total for total in sums))


def _dense(values: Array) -> Array:
    """Numbers in the same order without infinities, which have no differences."""
    return np.unique(values, return_inverse=True)[1].astype(np.float64)


def _ratio(both: Array, s: Array, t: Array) -> Array:
    scale = np.sqrt(s) * np.sqrt(t)
    ratio: Array = np.divide(both, scale, out=np.full_like(both, np.nan), where=scale > 0)
    return ratio


_PREPARED: dict[str, Callable[[Array, Array], Prepared]] = {
    "spearman": _Spearman,
    "kendall": _Kendall,
}


def prepare(statistic: Statistic, arrays: Sequence[Array]) -> Prepared:
    """The quick form where there is one."""
    if isinstance(statistic, str) and statistic not in _PREPARED:
        known = ", ".join(_PREPARED)
        raise ValueError(f"statistic: expected a function or one of {known}; got {statistic!r}")
    if not isinstance(statistic, str) and not callable(statistic):
        raise TypeError(f"statistic: expected a function or a name, got {statistic!r}")
    if statistic is spearman or statistic is kendall:
        statistic = statistic.__name__
    if not isinstance(statistic, str):
        return _Called(statistic, arrays)
    if len(arrays) != 2:
        raise TypeError(f"{statistic}: expected two arrays, got {len(arrays)}")
    return _PREPARED[statistic](*arrays)
