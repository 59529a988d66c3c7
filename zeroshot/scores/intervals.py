"""What scores share that count values by size: borders from `lo` to `hi`."""

from __future__ import annotations

__all__ = ["Intervals"]

from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroshot.inputs import check_real
from zeroshot.scores.base import OneBatch


@dataclass(frozen=True)
class Intervals(OneBatch):
    """A score that counts values of size ``lo <= |v| < hi``, split at borders between."""

    lo: float = 0.0
    hi: float = np.inf
    _: KW_ONLY
    splits: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "splits", tuple(float(s) for s in self.splits))
        borders = [
            check_real(name, value, "a number >= 0")
            for name, value in (
                ("lo", self.lo),
                *((f"splits[{i}]", s) for i, s in enumerate(self.splits)),
                ("hi", self.hi),
            )
        ]
        if borders[0] < 0 or any(a >= b for a, b in pairwise(borders)):
            raise ValueError(f"lo, splits, hi: expected 0 <= lo < ... < hi, got {borders}")
        super().__post_init__()

    def parameters(self) -> dict[str, Any]:
        return {"lo": float(self.lo), "hi": float(self.hi), "splits": list(self.splits)}

    def core_edges(self) -> NDArray[np.float64]:
        return np.array([self.lo, *self.splits, self.hi], dtype=np.float64)
