"""Sweetimator: weights whose gradient lies in an interval."""

from __future__ import annotations

__all__ = ["Sweet"]

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from zeroshot.scores.intervals import Intervals


@dataclass(frozen=True)
class Sweet(Intervals):
    """Number of weights whose gradient lies in an interval (Yang et al., Sweetimator, Eq. 1).

    ``#{j : lo <= |g_j| < hi}`` for the gradients g of the mean cross-entropy of one batch.

    Parameters
    ----------
    lo, hi : float, 0 <= lo < hi
        In the unit of a gradient; `hi` may be infinite. A float32 gradient meets them rounded to
        float32. The default is the interval of the released NAS-Bench-201 script on CIFAR-10; the
        paper prints none, and `zeroshot.find_sweet_interval` finds the one of a space and data set.
    splits : sequence of float
        Borders between `lo` and `hi` at which the count is split; the result then has a
        histogram. See `Sweet.over`.
    batch_size : int
        Images in the one batch.
    label : str

    Notes
    -----
    Larger is better; an integer up to the number of weights. The released scripts draw a new batch
    for every architecture; here all have the same.
    """

    name: ClassVar[str] = "sweet"
    formula: ClassVar[str] = r"\#\{ j : \mathrm{lo} \le |g_j| < \mathrm{hi} \}"
    reference: ClassVar[str] = "Yang et al., Neural Networks 168, 2023, Eq. 1"
    range: ClassVar[str] = "0 to weights"
    needs: ClassVar[str] = "gradients of one batch"

    lo: float = 1e-4
    hi: float = 5e-4
    _: KW_ONLY
    splits: tuple[float, ...] = ()
    label: str = "sweet"

    @classmethod
    def over(cls, edges: ArrayLike, *, batch_size: int = 64, label: str = "sweet") -> Sweet:
        """The score over all intervals between increasing `edges`, with a histogram.

        Examples
        --------
        >>> Sweet.over([0, 1e-3, 1e-2, 1]).splits
        (0.001, 0.01)
        """
        lo, *splits, hi = np.asarray(edges, dtype=np.float64).tolist()
        return cls(lo, hi, splits=tuple(splits), batch_size=batch_size, label=label)

    @property
    def counts_dead(self) -> bool:
        return self.lo <= 0

    def add_dead(self, value: float, n_weights: int, n_dead: int) -> float:
        return value + n_dead if self.counts_dead else value
