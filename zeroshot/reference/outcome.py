"""What a score comes to: a number, and whether it means anything."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["NOT_FINITE", "Scored", "Status", "all_zero", "judge", "undefined"]

Status = Literal["ok", "no_signal", "undefined", "nonfinite"]


@dataclass(frozen=True)
class Scored:
    """A score and its status.

    Attributes
    ----------
    value : float
        NaN where `status` is "undefined", save where a formula has a limit that is worth keeping:
        the docstring of that score says so.
    status : {"ok", "no_signal", "undefined", "nonfinite"}
        ===========  =======================================================================
        ok           the formula's value
        no_signal    the formula's value, of gradients (or units) that are all exactly 0
        undefined    0 / 0, the logarithm of 0, a singular matrix, or too few images
        nonfinite    NaN or infinity in the numbers that the formula is given, or overflow
        ===========  =======================================================================
    reason : str or None
        One word where `status` is not "ok".

    Examples
    --------
    >>> Scored(1.5)
    Scored(value=1.5, status='ok', reason=None)
    """

    value: float
    status: Status = "ok"
    reason: str | None = None


def all_zero(arrays: Iterable[NDArray[Any]]) -> bool:
    """Whether no entry differs from 0 (a NaN does)."""
    return not any(np.any(a) for a in arrays)


def judge(value: float, signals: Iterable[NDArray[Any]]) -> Scored:
    """`value`, unless there is nothing in the `signals` it was made of, or it is not finite."""
    if not math.isfinite(value):
        return Scored(float(value), "nonfinite", "overflow_or_nan")
    if all_zero(signals):
        return Scored(float(value), "no_signal", "all_zero")
    return Scored(float(value))


# Of formulas that compare, count or take eigenvalues: they have no number to pass on.
NOT_FINITE = Scored(math.nan, "nonfinite", "overflow_or_nan")


def undefined(reason: str) -> Scored:
    """No value, and why."""
    return Scored(math.nan, "undefined", reason)
