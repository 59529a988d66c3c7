"""Values of untrusted files as numbers."""

from __future__ import annotations

__all__ = ["mean", "real"]

import math
from collections.abc import Iterable
from typing import Any


def real(value: Any) -> float:
    """A number as float; NaN if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def mean(values: Iterable[float]) -> float:
    """Of numbers that are there; NaN if none is."""
    known = [value for value in values if not math.isnan(value)]
    try:
        return math.fsum(known) / len(known) if known else math.nan
    except (OverflowError, ValueError):  # of infinities
        return math.nan
