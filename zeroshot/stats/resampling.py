"""Bootstrap over architectures: intervals, and the comparison of two scores.

Architectures are drawn with replacement, rows with all that belongs to them; so an interval tells
what another sample of architectures would have given, not what other weights or images would.
"""

from __future__ import annotations

__all__ = ["Comparison", "Interval", "IntervalMethod", "bootstrap", "compare"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from zeroshot.inputs import check_int
from zeroshot.stats._prepared import Prepared, Rows, Statistic, prepare
from zeroshot.stats._values import Array, as_values, check_level, same_length
from zeroshot.stats.correlation import Method, check_method

IntervalMethod: TypeAlias = Literal["percentile", "BCa"]

_CHUNK = 64  # resamples at once


@dataclass(frozen=True)
class Interval:
    """A bootstrap interval.

    Attributes
    ----------
    low, high : float
        NaN where there is none: no resample has a value, or, for BCa, all lie on one side of the
        value itself.
    level : float
    n_resamples : int
    n_undefined : int
        Resamples in which the statistic is NaN; left out.
    method : str
    n, n_nan : int
        Rows that were drawn from; rows left out for a NaN.
    """

    low: float
    high: float
    level: float
    n_resamples: int
    n_undefined: int
    method: str
    n: int
    n_nan: int


@dataclass(frozen=True)
class Comparison:
    """Two scores on the same architectures.

    Attributes
    ----------
    a, b, difference : float
        Correlation of each with accuracy, and a less b.
    interval : Interval
        Of the difference.
    p_value : float
        Two-sided, that the difference is 0; never below 2 / (n_resamples + 1).
    n, n_nan : int
        Architectures with both scores and an accuracy; those without one of them.
    method : str
    """

    a: float
    b: float
    difference: float
    interval: Interval
    p_value: float
    n: int
    n_nan: int
    method: str


def _complete_rows(arrays: dict[str, ArrayLike]) -> tuple[list[Array], int]:
    """Arrays without the rows that hold a NaN, and how many these are."""
    table = {name: as_values(name, a) for name, a in arrays.items()}
    same_length(table)
    missing = np.isnan(np.stack(list(table.values()))).any(axis=0)
    return [a[~missing] for a in table.values()], int(missing.sum())


def _check(n_resamples: object, seed: object, level: object, method: object) -> None:
    check_int("n_resamples", n_resamples, 1)
    check_int("seed", seed, 0)
    check_level(level)
    if method not in ("percentile", "BCa"):
        raise ValueError(f'method: expected "percentile" or "BCa", got {method!r}')


def _draws(n: int, n_resamples: int, seed: int) -> Iterator[Rows]:
    """Chunks of resamples, each n indices; resample i does not depend on the chunks."""
    rng = np.random.default_rng(seed)
    for first in range(0, n_resamples, _CHUNK):
        size = min(_CHUNK, n_resamples - first)
        yield np.stack([rng.integers(0, n, n) for _ in range(size)])


def _resample(several: Sequence[Prepared], n: int, n_resamples: int, seed: int) -> Array:
    """Values of each statistic over the same resamples, shape (n_statistics, n_resamples)."""
    if n == 0:
        return np.full((len(several), n_resamples), np.nan)
    chunks = [[one.resampled(rows) for one in several] for rows in _draws(n, n_resamples, seed)]
    return np.concatenate(chunks, axis=1)


def _bca_quantiles(value: float, resampled: Array, left_out: Array, tail: Array) -> Array:
    """Which quantiles of the resamples bound the interval (Efron 1987).

    The bias z0 is the normal quantile of the share of resamples below the value (half of those
    equal to it), the acceleration the skewness of the values without one row, divided by 6.
    """
    below = (np.mean(resampled < value) + np.mean(resampled <= value)) / 2
    if not 0 < below < 1:
        return np.full(2, np.nan)
    bias = norm.ppf(below)
    influence = left_out.mean() - left_out
    spread = float((influence**2).sum()) ** 1.5
    acceleration = float((influence**3).sum()) / (6 * spread) if spread > 0 else 0.0
    z = bias + norm.ppf(tail)
    quantiles: Array = norm.cdf(bias + z / (1 - acceleration * z))
    return quantiles


def _interval(
    value: float,
    resampled: Array,
    left_out: Array | None,
    level: float,
    n: int,
    n_nan: int,
) -> Interval:
    known = resampled[~np.isnan(resampled)]
    tail = np.array([(1 - level) / 2, (1 + level) / 2])
    if left_out is not None and len(known):
        tail = _bca_quantiles(value, known, left_out, tail)
    low, high = (
        np.quantile(known, tail) if len(known) and np.isfinite(tail).all() else (np.nan, np.nan)
    )
    return Interval(
        low=float(low),
        high=float(high),
        level=level,
        n_resamples=len(resampled),
        n_undefined=len(resampled) - len(known),
        method="percentile" if left_out is None else "BCa",
        n=n,
        n_nan=n_nan,
    )


def bootstrap(
    statistic: Statistic,
    *arrays: ArrayLike,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    method: IntervalMethod = "percentile",
) -> Interval:
    """Interval of a statistic over random samples of architectures.

    Parameters
    ----------
    statistic : callable or {"spearman", "kendall"}
        Takes the arrays and returns a number, or what `float` makes one of. `spearman` and
        `kendall`, or their names, are quick: 0.4 and 2.5 ms a resample of 15,625 rows.
    *arrays : array_like, shape (n,)
        Rows with a NaN in any of them are left out before anything is drawn.
    n_resamples : int
    level : float
    seed : int
        Equal seeds draw the same rows for all arrays of one length.
    method : {"percentile", "BCa"}
        Quantiles of the resamples; or these corrected for bias and skewness, which takes the
        statistic n times more, once without each row.

    Returns
    -------
    Interval

    Examples
    --------
    >>> x = [1, 2, 3, 4, 5, 6, 7, 8]
    >>> found = bootstrap("spearman", x, [2, 1, 4, 3, 6, 5, 8, 7], n_resamples=200)
    >>> found.low < 0.905 < found.high
    True
    """
    if not arrays:
        raise TypeError("bootstrap: expected at least one array")
    _check(n_resamples, seed, level, method)
    rows, n_nan = _complete_rows({f"arrays[{i}]": a for i, a in enumerate(arrays)})
    prepared = prepare(statistic, rows)
    n = len(rows[0])
    resampled = _resample([prepared], n, n_resamples, seed)[0]
    left_out = prepared.left_out() if method == "BCa" and n > 1 else None
    value = prepared.value() if n else np.nan
    return _interval(value, resampled, left_out, level, n, n_nan)


def compare(
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    accuracy: ArrayLike,
    *,
    method: Method = "spearman",
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    interval: IntervalMethod = "percentile",
) -> Comparison:
    """Does one score rank better than another, on the same architectures?

    Paired bootstrap: architectures are drawn with replacement with both scores and the accuracy,
    and the difference d of the two correlations is taken in each resample. The two-sided p-value is
    twice the smaller of the shares of d <= 0 and of d >= 0, each as (count + 1) / (resamples + 1).

    Parameters
    ----------
    scores_a, scores_b, accuracy : array_like, shape (n,)
        Architectures where any of the three is NaN are left out.
    method : {"spearman", "kendall"}
    n_resamples : int
    level : float
    seed : int
    interval : {"percentile", "BCa"}
        Of the difference.

    Returns
    -------
    Comparison

    Examples
    --------
    >>> found = compare([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], [1, 2, 3, 5, 4, 6])
    >>> round(found.difference, 4), found.p_value < 0.05
    (1.8857, True)
    """
    check_method(method)
    _check(n_resamples, seed, level, interval)
    (a, b, target), n_nan = _complete_rows(
        {"scores_a": scores_a, "scores_b": scores_b, "accuracy": accuracy}
    )
    n = len(target)
    first, second = prepare(method, (a, target)), prepare(method, (b, target))
    resampled = np.subtract(*_resample([first, second], n, n_resamples, seed))
    value_a, value_b = first.value(), second.value()
    left_out = first.left_out() - second.left_out() if interval == "BCa" and n > 1 else None
    known = resampled[~np.isnan(resampled)]
    smaller = min((known <= 0).sum(), (known >= 0).sum())
    return Comparison(
        a=value_a,
        b=value_b,
        difference=value_a - value_b,
        interval=_interval(value_a - value_b, resampled, left_out, level, n, n_nan),
        p_value=min(1.0, 2 * (int(smaller) + 1) / (len(known) + 1)) if len(known) else np.nan,
        n=n,
        n_nan=n_nan,
        method=method,
    )
