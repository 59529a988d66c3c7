"""Checks what statistics are given and drops what is missing."""

from __future__ import annotations

__all__ = [
    "Array",
    "Nan",
    "as_table",
    "as_values",
    "check_level",
    "count_tied",
    "same_length",
    "without_nan",
]

from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroshot.inputs import check_real

Array: TypeAlias = NDArray[np.float64]
Nan: TypeAlias = Literal["omit", "lowest", "raise"]


def as_values(name: str, values: ArrayLike) -> Array:
    """One axis of float64; None is NaN."""
    try:
        v = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{name}: expected numbers on one axis, got {error}") from None
    if v.ndim != 1:
        raise ValueError(f"{name}: expected numbers on one axis, got shape {v.shape}")
    return v


def as_table(name: str, table: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """Columns by name, each as `as_values` has it."""
    if not hasattr(table, "items"):  # a data frame has them, too
        raise TypeError(f"{name}: expected a mapping of names to numbers, got {table!r:.60}")
    return {key: as_values(f"{name}[{key!r}]", column) for key, column in table.items()}


def same_length(arrays: Mapping[str, Array]) -> None:
    """ValueError that names all arrays unless they are equally long."""
    if len({len(a) for a in arrays.values()}) > 1:
        lengths = ", ".join(f"{name} {len(a)}" for name, a in arrays.items())
        raise ValueError(f"expected arrays of one length, got {lengths}")


def without_nan(scores: Array, accuracy: Array, nan: Nan) -> tuple[Array, Array, int]:
    """The pairs that count, and how many hold a NaN.

    "omit" drops them; "lowest" keeps a NaN score below all others and drops a NaN accuracy;
    "raise" is an error.
    """
    if nan not in ("omit", "lowest", "raise"):
        raise ValueError(f'nan: expected "omit", "lowest" or "raise", got {nan!r}')
    missing = np.isnan(scores) | np.isnan(accuracy)
    n_nan = int(missing.sum())
    if n_nan and nan == "raise":
        raise ValueError(f"scores, accuracy: {n_nan} of {len(scores)} pairs hold a NaN")
    if nan == "lowest":
        missing = np.isnan(accuracy)
        scores = below_all(scores)
    return scores[~missing], accuracy[~missing], n_nan


def below_all(scores: Array) -> Array:
    """Ranks from 1 for the smallest number and 0 for NaN, which so lies even below -inf."""
    from scipy.stats import rankdata

    known = ~np.isnan(scores)
    ranks = np.zeros(len(scores))
    ranks[known] = rankdata(scores[known])
    return ranks


def count_tied(values: Array) -> int:
    """How many values are equal to another one."""
    _, counts = np.unique(values, return_counts=True)
    return int(counts[counts > 1].sum())


def check_level(level: object) -> float:
    value = check_real("level", level, "a number between 0 and 1")
    if not 0 < value < 1:
        raise ValueError(f"level: expected a number between 0 and 1, got {value}")
    return value
